//! What the server asks of a query engine. Nothing here knows DataFusion.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use lakeport_base::id::TableId;
use lakeport_base::{QualifiedName, SqlType};
use lakeport_catalog::model;
use lakeport_sql::stmt::query::{Delete, Insert, Merge, Update};
use object_store::ObjectStore;
use tokio_util::sync::CancellationToken;

use crate::cancel::Cancel;
use crate::error::Result;
use crate::in_place::FileSet;
use crate::rows::RowStream;
use crate::show::function::{CatalogFunction, Pending};
use crate::show::rows::Cell;
use crate::value::Zone;

/// A table and where its files lie.
#[derive(Clone)]
pub struct TableHandle {
    pub row: Arc<model::Table>,
    /// Rooted at the table's folder; holds `_delta_log/` and data files.
    pub store: Arc<dyn ObjectStore>,
}

/// What a name in a query stands for.
#[derive(Clone)]
pub enum Relation {
    Table(TableHandle),
    /// A system table, or the rows of a `[SHOW ...]` source.
    Rows(RecordBatch),
    /// Files that are read where they lie.
    Files(Arc<FileSet>),
}

/// Finds the relations of one statement; sees the catalog as the session's user does.
#[async_trait]
pub trait Relations: Send + Sync {
    /// The relation of a name, or `None`. A name without qualifiers is looked up along the search path.
    ///
    /// # Errors
    /// 42501 for a table that the user may not read.
    async fn find(&self, name: &QualifiedName) -> Result<Option<Relation>>;
    /// The answer of a function of the catalog or the session; NULL where there is neither.
    fn answer(&self, _function: &CatalogFunction, _arguments: &[Cell]) -> Result<Cell> {
        Ok(Cell::Null)
    }
    /// The answer of such a function that may have to wait for it.
    fn answer_in_time(&self, _function: &CatalogFunction, _arguments: &[Cell]) -> Result<Pending> {
        Ok(Box::pin(std::future::ready(Ok(Cell::Null))))
    }
}

/// Number of an open transaction block.
pub type TransactionId = u64;

/// What a statement runs in.
#[derive(Clone)]
pub struct QueryContext {
    pub relations: Arc<dyn Relations>,
    /// `current_user`: whose privileges count.
    pub user: String,
    /// `current_role`: who owns what is made.
    pub role: String,
    /// `session_user`: who has logged in.
    pub session_user: String,
    /// Values of functions such as `current_database()`, `current_schema()`.
    pub database: String,
    pub schema: String,
    /// Where clocks are read: for TIMESTAMPTZ in text, and its casts to TIMESTAMP and DATE.
    pub zone: Zone,
    /// `now()` of the statement, microseconds since the epoch.
    pub now: i64,
    /// Read every table as of this moment (microseconds since the epoch).
    pub as_of: Option<i64>,
    /// The block whose uncommitted writes the statement sees and adds to.
    pub transaction: Option<TransactionId>,
    pub cancel: Cancel,
}

/// The parameter types and result columns of a statement.
#[derive(Clone, Debug)]
pub struct Description {
    pub params: Vec<SqlType>,
    /// `None` for statements without rows.
    pub columns: Option<SchemaRef>,
}

/// A statement that writes rows of one table.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    Insert(&'a Insert),
    Update(&'a Update),
    Delete(&'a Delete),
    Merge(&'a Merge),
}

impl Write<'_> {
    /// The table as the statement names it.
    pub fn table(&self) -> &QualifiedName {
        match self {
            Write::Insert(insert) => &insert.table,
            Write::Update(update) => &update.table,
            Write::Delete(delete) => &delete.table,
            Write::Merge(merge) => &merge.table,
        }
    }
}

/// What a write did.
pub struct Written {
    pub rows: u64,
    /// Rows of RETURNING.
    pub returning: Option<RowStream>,
}

/// An ALTER TABLE under way. It holds the table until it is dropped, which undoes what is not committed.
#[async_trait]
pub trait Alteration: Send {
    /// Changes the table's files and their schema, in one commit.
    async fn commit(&mut self) -> Result<()>;
    /// The catalog has the changed row: what was planned on the old one does not commit any more. Rows that came with the
    /// alteration are appended, in another commit.
    ///
    /// # Errors
    /// Of that commit, 40001 when another writer of the log has come between the two.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// What the commit of staged rows leaves in the table, so that they are added once.
#[derive(Clone, Debug)]
pub enum Once {
    /// An application id: of two appends with the same the second adds nothing.
    Key(String),
    /// An append that would leave a mark which is there is refused.
    Marks(Marks),
}

/// Names that an append leaves in the table with its commit, so that others see that it was made.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    pub names: Vec<String>,
    /// The append is refused when one of them was left after this moment (microseconds since the epoch).
    pub since: i64,
}

/// Staged rows that an alteration brings along.
#[derive(Clone, Copy, Debug)]
pub struct RowsAlong<'a> {
    pub parts: &'a [StagedRows],
    pub marks: &'a Marks,
}

/// Outcome of [`Engine::append`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub rows: u64,
    pub bytes: u64,
}

/// Rows in files of a table that no reader sees yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedRows {
    /// What the engine must know of the files: text of its own, kept with a job's progress.
    pub files: String,
    pub rows: u64,
    pub bytes: u64,
}

/// A data file of a table, in the table's folder. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Relative to the folder.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    /// `stats` of the Delta protocol; what is not known is read from the file.
    pub stats: Option<String>,
}

/// A table as of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableVersion {
    /// Number in the table's log.
    pub version: u64,
    /// When it was committed (microseconds since the epoch), if the log still has that commit.
    pub at: Option<i64>,
    /// Its columns, as `schemaString` of the Delta protocol.
    pub schema: String,
    pub files: Vec<TableFile>,
}

/// What one commit made of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRevision {
    /// Number in the table's log.
    pub version: u64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// As [`TableVersion::schema`], when the commit changed it.
    pub schema: Option<String>,
    pub added: Vec<TableFile>,
    /// Paths.
    pub removed: Vec<String>,
}

/// What [`Engine::upkeep`] shall do.
#[derive(Clone)]
pub struct Upkeep {
    /// Delete what no moment needs that may be read.
    pub vacuum: bool,
    /// No moment from here on (microseconds since the epoch) loses what it needs.
    pub keep_since: i64,
    /// Fires when the server stops.
    pub shutdown: CancellationToken,
}

/// What [`Engine::upkeep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpkeepDone {
    /// Small files that became few.
    pub merged_files: u64,
    pub checkpoints: u64,
    /// Data files, and those of writes that were never finished.
    pub deleted_files: u64,
    pub deleted_entries: u64,
}

/// A query engine over Delta tables.
///
/// Parameters are Arrow arrays of one value each, of the types of [`Description::params`].
/// Every method stops soon after `cancel` fires, with 57014, and leaves nothing half done.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Writes version 0 of a new table.
    async fn create_table(&self, table: &TableHandle) -> Result<()>;
    /// Deletes the files of a table that was dropped, or never published, and forgets it.
    async fn delete_table(&self, table: TableId, store: &Arc<dyn ObjectStore>) -> Result<()>;
    /// The names under which the table's files have held a column at any time.
    async fn stored_names(&self, table: &TableHandle) -> Result<Vec<String>>;
    /// Prepares to make the table's columns those of `changed`, which are told apart by stored name: checks rows, stages
    /// the new ones, and holds the table. Nothing is seen of it before it is committed. `rows` are staged for the changed
    /// table, and may be appended to it.
    ///
    /// # Errors
    /// 23502 where NULLs stand in the way, 40001 when `table` is not the table as it is now; for rows as
    /// [`Engine::append_staged`].
    async fn alter_table(
        &self,
        table: &TableHandle,
        changed: &Arc<model::Table>,
        rows: Option<RowsAlong<'_>>,
    ) -> Result<Box<dyn Alteration>>;
    /// The columns of one of users' own files, of a format that only the engine reads.
    ///
    /// # Errors
    /// 22P04 for what is no such file; the storage's.
    async fn file_columns(&self, files: &Arc<FileSet>, file: usize) -> Result<SchemaRef>;
    /// Removes every row, and voids the marks of appends, in a commit of its own, without reading any.
    async fn truncate(&self, table: &TableHandle, cancel: &Cancel) -> Result<()>;

    /// The tables that have been written often enough since their last upkeep to need it. Costs no I/O.
    fn due_for_upkeep(&self) -> Vec<TableId>;
    /// Keeps a table fast and small: merges small files, writes a checkpoint, deletes what is not needed any more.
    /// Readers and writers go on meanwhile, and rows, history and change data stay as they are.
    async fn upkeep(&self, table: &TableHandle, upkeep: &Upkeep) -> Result<UpkeepDone>;

    /// The table as of a moment that has passed (microseconds since the epoch). Commits under way are waited for, so that
    /// the answer stays what it is.
    ///
    /// # Errors
    /// 42P01 when the table did not exist then, or its history does not reach back.
    async fn table_at(&self, table: &TableHandle, moment: i64) -> Result<TableVersion>;
    /// What the commits after a version (from the first one without it), up to another, made of the table, oldest first.
    ///
    /// # Errors
    /// 42P01 when the log does not have them any more.
    async fn revisions(&self, table: &TableHandle, after: Option<u64>, until: u64) -> Result<Vec<TableRevision>>;
    /// The columns of a schema, as [`TableVersion::schema`] has it.
    ///
    /// # Errors
    /// XX001 for a text that is none.
    fn columns_of(&self, schema: &str) -> Result<Vec<model::Column>>;
    /// Writes version 0 of a new table, with files that lie in its folder already.
    ///
    /// # Errors
    /// As [`Engine::columns_of`].
    async fn create_table_of(&self, table: &TableHandle, schema: &str, files: &[TableFile]) -> Result<()>;

    /// Types of a SELECT's parameters and columns. `declared` are the types the client gave, by position.
    async fn describe(&self, cx: &QueryContext, sql: &str, declared: &[Option<SqlType>]) -> Result<Description>;
    async fn query(&self, cx: &QueryContext, sql: &str, params: &[ArrayRef]) -> Result<RowStream>;

    /// Types of a write's parameters and of the columns of its RETURNING.
    async fn describe_write(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        write: Write<'_>,
        declared: &[Option<SqlType>],
    ) -> Result<Description>;
    async fn write(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        write: Write<'_>,
        params: &[ArrayRef],
    ) -> Result<Written>;

    /// Appends rows whose columns are named and typed as the table's, in any order; a missing column takes its default.
    /// All rows or none. Checks NOT NULL (23502) and the primary key (23505, within the rows and against the table).
    /// Bounded memory: rows go to files as they come. In a block, or else in one commit of its own.
    async fn append(
        &self,
        table: &TableHandle,
        rows: RowStream,
        transaction: Option<TransactionId>,
        cancel: &Cancel,
    ) -> Result<Appended>;
    /// The marks that appends have left in the table after a moment (microseconds since the epoch), and since it was last
    /// emptied. They are kept for [`MARKS_DAYS`](lakeport_base::limits::MARKS_DAYS).
    async fn marks(&self, table: &TableHandle, since: i64) -> Result<HashSet<String>>;
    /// Voids them with the block's commit.
    async fn void_marks(&self, table: &TableHandle, transaction: TransactionId, cancel: &Cancel) -> Result<()>;
    /// What an append with this key has added, if it was committed.
    async fn appended(&self, table: &TableHandle, key: &str) -> Result<Option<Appended>>;
    /// Writes rows, as [`Engine::append`] takes them, to files that outlive the process and that nobody reads.
    async fn stage(&self, table: &TableHandle, rows: RowStream, cancel: &Cancel) -> Result<StagedRows>;
    /// Appends what was staged, in one commit. The files stay whatever becomes of it, so that it can be tried again.
    ///
    /// # Errors
    /// As [`Engine::append`]; 40001 when files are gone, or a mark is there.
    async fn append_staged(
        &self,
        table: &TableHandle,
        parts: &[StagedRows],
        once: &Once,
        cancel: &Cancel,
    ) -> Result<Appended>;
    /// Deletes what was staged, unless an append with this key has committed it.
    async fn discard_staged(&self, table: &TableHandle, parts: &[StagedRows], key: &str) -> Result<()>;

    /// Opens a transaction block: its writes to one table are seen by its own statements and by nobody else.
    async fn begin(&self) -> Result<TransactionId>;
    /// A mark of what the block has written so far; it costs nothing, and may be kept as long as the block.
    fn savepoint(&self, transaction: TransactionId) -> Result<usize>;
    /// Undoes what the block has written since the mark, which stays. Marks made since are of no use any more.
    fn rollback_to(&self, transaction: TransactionId, savepoint: usize) -> Result<()>;
    /// Makes the block's writes one commit. 40001 when another writer changed the rows that it read or rewrote.
    async fn commit(&self, transaction: TransactionId, cancel: &Cancel) -> Result<()>;
    async fn rollback(&self, transaction: TransactionId);
}
