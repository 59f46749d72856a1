//! The query engine: DataFusion over Delta tables, behind core's [`Engine`].
//!
//! Reading: `query` plans SELECTs in a session of `context`, over scans that `delta` makes of a table's files.
//! Writing: a statement opens a [`writing::Writing`] (the table's lock, version and staged files), computes rows
//! (`insert`, `change`, `merge`, `append`), stages them as Parquet files and change data, and becomes one commit of the log, or
//! part of a transaction block (`transaction`). Rows that are only added need no turn of their own: writers that wait
//! share a commit (`group`).

mod alter;
mod analysis;
mod append;
mod casts;
mod change;
mod clock;
mod coerce;
mod comparison;
mod conjuncts;
mod constant;
mod context;
mod ddl;
mod delta;
mod error;
mod functions;
mod group;
mod held;
mod history;
mod in_place;
mod insert;
mod kept;
mod key;
mod literal;
mod lookup;
mod merge;
mod multiset;
mod order;
mod params;
mod query;
mod recent;
mod relations;
mod returning;
mod rewrite;
mod row_set;
mod scope;
mod sql;
mod stage;
mod staged;
mod transaction;
mod types;
mod upkeep;
mod upsert;
mod workers;
mod writing;
mod zero;
mod zoned;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use lakeport_base::id::TableId;
use lakeport_base::limits::PIECES_FRACTION;
use lakeport_base::{Env, SqlType};
use lakeport_catalog::model::{Column, Table};
use lakeport_core::Result;
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{
    Alteration, Appended, Description, Engine, Once, QueryContext, RowsAlong, StagedRows, TableFile, TableHandle,
    TableRevision, TableVersion, TransactionId, Upkeep, UpkeepDone, Write, Written,
};
use lakeport_core::in_place::FileSet;
use lakeport_core::rows::RowStream;
use object_store::ObjectStore;

pub use context::EngineOptions;

use crate::clock::Clock;
use crate::context::Sessions;
use crate::delta::log::Log;
use crate::delta::schema::delta_fields;
use crate::error::conflict;
use crate::in_place::Known;
use crate::kept::Kept;
use crate::lookup::Pages;
use crate::transaction::Transactions;

/// Runs statements with DataFusion on Delta tables.
pub struct DataFusionEngine {
    sessions: Arc<Sessions>,
    transactions: Transactions,
    kept: Kept,
    pages: Pages,
    known: Arc<Known>,
    logs: Mutex<HashMap<TableId, Arc<Log>>>,
    clock: Arc<Clock>,
}

impl DataFusionEngine {
    /// An engine with its memory and its folder to spill to.
    ///
    /// # Errors
    /// A spill folder that cannot be used.
    pub fn new(options: EngineOptions, env: Env) -> Result<DataFusionEngine> {
        Ok(DataFusionEngine {
            sessions: Arc::new(Sessions::new(&options, env.clone())?),
            transactions: Transactions::default(),
            kept: Kept::default(),
            pages: Pages::default(),
            known: Arc::new(Known::new(options.memory_bytes / PIECES_FRACTION)),
            logs: Mutex::default(),
            clock: Arc::new(Clock::new(env)),
        })
    }

    /// The log of a table; one per table and process, so that its writers queue.
    pub(crate) fn log(&self, table: &TableHandle) -> Arc<Log> {
        self.log_of(table.row.id)
    }

    pub(crate) fn log_of(&self, id: TableId) -> Arc<Log> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(logs.entry(id).or_insert_with(|| Arc::new(Log::new(id, Arc::clone(&self.clock)))))
    }

    /// The logs that are open.
    pub(crate) fn open_logs(&self) -> Vec<(TableId, Arc<Log>)> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.iter().map(|(id, log)| (*id, Arc::clone(log))).collect()
    }

    /// The outcome of a write, or 40001 as soon as its table is dropped.
    async fn until_dropped<T>(&self, table: &TableHandle, write: impl Future<Output = Result<T>>) -> Result<T> {
        let log = self.log(table);
        tokio::select! {
            biased;
            () = log.dropped().cancelled() => Err(conflict()),
            outcome = write => outcome,
        }
    }

    pub(crate) fn forget(&self, table: TableId) -> Option<Arc<Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).remove(&table)
    }
}

#[async_trait]
impl Engine for DataFusionEngine {
    async fn create_table(&self, table: &TableHandle) -> Result<()> {
        self.log(table).create(table, delta_fields(&table.row.columns)?, Vec::new()).await
    }

    async fn delete_table(&self, table: TableId, store: &Arc<dyn ObjectStore>) -> Result<()> {
        self.delete_files(table, store).await
    }

    async fn stored_names(&self, table: &TableHandle) -> Result<Vec<String>> {
        self.field_names(table).await
    }

    async fn alter_table(
        &self,
        table: &TableHandle,
        changed: &Arc<Table>,
        rows: Option<RowsAlong<'_>>,
    ) -> Result<Box<dyn Alteration>> {
        Ok(Box::new(self.until_dropped(table, self.prepare_alteration(table, changed, rows)).await?))
    }

    async fn file_columns(&self, files: &Arc<FileSet>, file: usize) -> Result<SchemaRef> {
        in_place::file_schema(files, file).await
    }

    async fn truncate(&self, table: &TableHandle, cancel: &Cancel) -> Result<()> {
        self.remove_all_rows(table, cancel).await
    }

    async fn table_at(&self, table: &TableHandle, moment: i64) -> Result<TableVersion> {
        self.version_at(table, moment).await
    }

    async fn revisions(&self, table: &TableHandle, after: Option<u64>, until: u64) -> Result<Vec<TableRevision>> {
        self.revisions_between(table, after, until).await
    }

    fn columns_of(&self, schema: &str) -> Result<Vec<Column>> {
        Ok(history::columns(&history::fields(schema)?))
    }

    async fn create_table_of(&self, table: &TableHandle, schema: &str, files: &[TableFile]) -> Result<()> {
        let now_ms = self.clock.now() / 1000;
        let adds = history::adds(&table.store, files, now_ms).await?;
        self.log(table).create(table, history::fields(schema)?, adds).await
    }

    fn due_for_upkeep(&self) -> Vec<TableId> {
        self.busy_tables()
    }

    async fn upkeep(&self, table: &TableHandle, upkeep: &Upkeep) -> Result<UpkeepDone> {
        self.keep_up(table, upkeep).await
    }

    async fn describe(&self, cx: &QueryContext, sql: &str, declared: &[Option<SqlType>]) -> Result<Description> {
        cx.cancel.until_cancelled(self.describe_query(cx, sql, declared)).await
    }

    async fn query(&self, cx: &QueryContext, sql: &str, params: &[ArrayRef]) -> Result<RowStream> {
        cx.cancel.until_cancelled(self.run_query(cx, sql, params)).await
    }

    async fn describe_write(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        write: Write<'_>,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        match write {
            Write::Insert(insert) => self.plan_insert(cx, table, insert, declared).await,
            Write::Update(update) => self.plan_update(cx, table, update, declared).await,
            Write::Delete(delete) => self.plan_delete(cx, table, delete, declared).await,
            Write::Merge(merge) => self.plan_merge(cx, table, merge, declared).await,
        }
    }

    async fn write(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        write: Write<'_>,
        params: &[ArrayRef],
    ) -> Result<Written> {
        let written = async {
            match write {
                Write::Insert(insert) => self.run_insert(cx, table, insert, params).await,
                Write::Update(update) => self.run_update(cx, table, update, params).await,
                Write::Delete(delete) => self.run_delete(cx, table, delete, params).await,
                Write::Merge(merge) => self.run_merge(cx, table, merge, params).await,
            }
        };
        cx.cancel.until_cancelled(self.until_dropped(table, written)).await
    }

    async fn append(
        &self,
        table: &TableHandle,
        rows: RowStream,
        transaction: Option<TransactionId>,
        cancel: &Cancel,
    ) -> Result<Appended> {
        let append = async { self.add_rows(table, self.completed(table, rows)?, transaction, cancel).await };
        self.until_dropped(table, cancel.until_cancelled(append)).await
    }

    async fn appended(&self, table: &TableHandle, key: &str) -> Result<Option<Appended>> {
        self.done_before(table, key).await
    }

    async fn marks(&self, table: &TableHandle, since: i64) -> Result<HashSet<String>> {
        let log = self.log(table);
        let latest = log.latest(&table.store).await?;
        Ok(log.marks(&table.store, latest.version()).await?.since(since))
    }

    async fn void_marks(&self, table: &TableHandle, transaction: TransactionId, cancel: &Cancel) -> Result<()> {
        self.void_marks_in_block(table, transaction, cancel).await
    }

    async fn stage(&self, table: &TableHandle, rows: RowStream, cancel: &Cancel) -> Result<StagedRows> {
        self.stage_rows(table, rows, cancel).await
    }

    async fn append_staged(
        &self,
        table: &TableHandle,
        parts: &[StagedRows],
        once: &Once,
        cancel: &Cancel,
    ) -> Result<Appended> {
        self.until_dropped(table, self.append_parts(table, parts, once, cancel)).await
    }

    async fn discard_staged(&self, table: &TableHandle, parts: &[StagedRows], key: &str) -> Result<()> {
        self.discard_parts(table, parts, key).await
    }

    async fn begin(&self) -> Result<TransactionId> {
        Ok(self.transactions.begin())
    }

    fn savepoint(&self, transaction: TransactionId) -> Result<usize> {
        self.transactions.written(transaction)
    }

    fn rollback_to(&self, transaction: TransactionId, savepoint: usize) -> Result<()> {
        self.transactions.undo(transaction, savepoint)
    }

    async fn commit(&self, transaction: TransactionId, cancel: &Cancel) -> Result<()> {
        self.commit_block(transaction, cancel).await
    }

    async fn rollback(&self, transaction: TransactionId) {
        self.roll_back_block(transaction).await;
    }
}
