//! An engine that keeps what is appended in memory, and a server around it. For tests.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use chrono::DateTime;
use futures::TryStreamExt;
use lakeport_base::env::Fault;
use lakeport_base::id::TableId;
use lakeport_base::{Env, Point, SqlType, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_catalog::{Catalog, MasterKey, SqliteCatalog};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cancel::Cancel;
use crate::engine::{
    Alteration, Appended, Description, Engine, Once, QueryContext, RowsAlong, StagedRows, TableFile, TableHandle,
    TableRevision, TableVersion, TransactionId, Upkeep, UpkeepDone, Write, Written,
};
use crate::error::{Error, Result};
use crate::in_place::FileSet;
use crate::job::Jobs;
use crate::outcome::{Outcome, SessionEvent};
use crate::rows::{RowStream, sql_type};
use crate::server::{Server, ServerConfig};
use crate::session::{Session, Startup};
use crate::value::TextColumn;

/// Appends to memory; answers queries with batches given beforehand.
pub(crate) struct StubEngine {
    pub appended: Mutex<Vec<RecordBatch>>,
    /// Rows of each append that had a key.
    keys: Mutex<HashMap<String, Appended>>,
    /// What appends have left in any table.
    pub marks: Mutex<HashSet<String>>,
    /// What any query answers.
    pub answer: Mutex<Vec<Result<RecordBatch>>>,
    pub answer_schema: Mutex<Option<SchemaRef>>,
    /// While true, appends wait before they read.
    pub held: watch::Sender<bool>,
    /// While true, appends panic.
    pub panics: AtomicBool,
    /// Staged batches by number.
    pub staged: Mutex<BTreeMap<u64, Vec<RecordBatch>>>,
    /// Parts staged so far.
    pub stagings: AtomicU64,
    /// Tables whose files were deleted.
    pub deleted: Mutex<Vec<TableId>>,
    /// Names of the tables that were to be emptied, in turn.
    pub truncated: Mutex<Vec<String>>,
    /// When the last version of any table was committed.
    pub committed: AtomicI64,
    /// Columns by the schema that stands for them.
    columns: Mutex<HashMap<String, Vec<Column>>>,
    /// The table whose next truncation finds the catalog changed.
    pub overtaken: Mutex<Option<(String, Arc<dyn Catalog>)>>,
}

impl StubEngine {
    pub fn new() -> StubEngine {
        StubEngine {
            appended: Mutex::default(),
            keys: Mutex::default(),
            marks: Mutex::default(),
            answer: Mutex::default(),
            answer_schema: Mutex::default(),
            held: watch::Sender::new(false),
            panics: AtomicBool::new(false),
            staged: Mutex::default(),
            stagings: AtomicU64::new(0),
            deleted: Mutex::default(),
            truncated: Mutex::default(),
            committed: AtomicI64::new(0),
            columns: Mutex::default(),
            overtaken: Mutex::default(),
        }
    }

    /// Makes queries answer these rows.
    pub fn answer_with(&self, batches: Vec<RecordBatch>) {
        *self.answer_schema.lock().unwrap() = Some(batches[0].schema());
        *self.answer.lock().unwrap() = batches.into_iter().map(Ok).collect();
    }

    /// The rows appended so far as texts, sorted.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<_> = self.appended.lock().unwrap().iter().flat_map(texts).collect();
        rows.sort();
        rows
    }

    async fn collect(&self, rows: RowStream, cancel: &Cancel) -> Result<Vec<RecordBatch>> {
        assert!(!self.panics.load(Ordering::Relaxed), "as the test wants it");
        let collected = async {
            let mut held = self.held.subscribe();
            held.wait_for(|held| !held).await.map_err(Error::internal)?;
            // An engine may wrap what comes out of the stream.
            rows.batches.try_collect().await.map_err(|error: Error| Error::internal(error))
        };
        cancel.until_cancelled(collected).await
    }

    /// Makes batches rows of the table, once for each key.
    fn add(&self, batches: Vec<RecordBatch>) -> Appended {
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let appended = Appended { rows, bytes: rows * 10 };
        self.appended.lock().unwrap().extend(batches);
        appended
    }
}

/// The rows of a batch as texts; NULL is `NULL`.
pub(crate) fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let fields = batch.schema_ref().fields().iter();
    let columns: Vec<_> =
        fields.zip(batch.columns()).map(|(field, array)| TextColumn::new(array, &sql_type(field))).collect();
    let text = |column: &TextColumn, row| {
        let mut text = String::new();
        column.write(row, &mut text).unwrap();
        if column.is_null(row) { "NULL".to_string() } else { text }
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| text(column, row)).collect()).collect()
}

fn not_in_the_stub<T>() -> Result<T> {
    Err(Error::unsupported("not in the stub engine"))
}

#[async_trait]
impl Engine for StubEngine {
    async fn create_table(&self, _: &TableHandle) -> Result<()> {
        Ok(())
    }
    async fn delete_table(&self, table: TableId, _: &Arc<dyn ObjectStore>) -> Result<()> {
        self.deleted.lock().unwrap().push(table);
        Ok(())
    }
    async fn table_at(&self, table: &TableHandle, _: i64) -> Result<TableVersion> {
        let (schema, at) = (table.row.id.to_string(), Some(self.committed.load(Ordering::Relaxed)));
        self.columns.lock().unwrap().insert(schema.clone(), table.row.columns.clone());
        Ok(TableVersion { version: 0, at, schema, files: Vec::new() })
    }

    async fn revisions(&self, _: &TableHandle, _: Option<u64>, _: u64) -> Result<Vec<TableRevision>> {
        Ok(Vec::new())
    }

    fn columns_of(&self, schema: &str) -> Result<Vec<Column>> {
        Ok(self.columns.lock().unwrap().get(schema).cloned().unwrap_or_default())
    }

    async fn create_table_of(&self, _: &TableHandle, _: &str, _: &[TableFile]) -> Result<()> {
        Ok(())
    }

    fn due_for_upkeep(&self) -> Vec<TableId> {
        Vec::new()
    }

    async fn upkeep(&self, _: &TableHandle, _: &Upkeep) -> Result<UpkeepDone> {
        Ok(UpkeepDone::default())
    }

    async fn stored_names(&self, _: &TableHandle) -> Result<Vec<String>> {
        not_in_the_stub()
    }
    async fn alter_table(
        &self,
        _: &TableHandle,
        _: &Arc<Table>,
        _: Option<RowsAlong<'_>>,
    ) -> Result<Box<dyn Alteration>> {
        not_in_the_stub()
    }
    async fn file_columns(&self, _: &Arc<FileSet>, _: usize) -> Result<SchemaRef> {
        not_in_the_stub()
    }
    async fn truncate(&self, table: &TableHandle, _: &Cancel) -> Result<()> {
        self.truncated.lock().unwrap().push(table.row.name.clone());
        let overtaken = self.overtaken.lock().unwrap().take_if(|(name, _)| *name == table.row.name);
        let Some((_, catalog)) = overtaken else { return Ok(()) };
        let mut tx = catalog.write().await?;
        tx.put_setting("of another statement", "1").await?;
        tx.commit().await?;
        Err(Error::new(Sqlstate::SERIALIZATION_FAILURE, "the table was changed"))
    }
    async fn describe(&self, _: &QueryContext, _: &str, _: &[Option<SqlType>]) -> Result<Description> {
        not_in_the_stub()
    }
    async fn query(&self, _: &QueryContext, _: &str, _: &[ArrayRef]) -> Result<RowStream> {
        let schema = self.answer_schema.lock().unwrap().clone().ok_or_else(|| Error::internal("no answer"))?;
        let batches = std::mem::take(&mut *self.answer.lock().unwrap());
        Ok(RowStream { schema, batches: Box::pin(futures::stream::iter(batches)) })
    }
    async fn describe_write(
        &self,
        _: &QueryContext,
        _: &TableHandle,
        _: Write<'_>,
        _: &[Option<SqlType>],
    ) -> Result<Description> {
        not_in_the_stub()
    }
    async fn write(&self, _: &QueryContext, _: &TableHandle, _: Write<'_>, _: &[ArrayRef]) -> Result<Written> {
        not_in_the_stub()
    }
    async fn append(
        &self,
        _: &TableHandle,
        rows: RowStream,
        _: Option<TransactionId>,
        cancel: &Cancel,
    ) -> Result<Appended> {
        let batches = self.collect(rows, cancel).await?;
        Ok(self.add(batches))
    }

    async fn appended(&self, _: &TableHandle, key: &str) -> Result<Option<Appended>> {
        Ok(self.keys.lock().unwrap().get(key).copied())
    }

    async fn stage(&self, _: &TableHandle, rows: RowStream, cancel: &Cancel) -> Result<StagedRows> {
        let batches = self.collect(rows, cancel).await?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let number = self.stagings.fetch_add(1, Ordering::Relaxed);
        self.staged.lock().unwrap().insert(number, batches);
        Ok(StagedRows { files: number.to_string(), rows, bytes: rows * 10 })
    }

    async fn marks(&self, _: &TableHandle, _: i64) -> Result<HashSet<String>> {
        Ok(self.marks.lock().unwrap().clone())
    }

    async fn void_marks(&self, _: &TableHandle, _: TransactionId, _: &Cancel) -> Result<()> {
        not_in_the_stub()
    }

    async fn append_staged(&self, _: &TableHandle, parts: &[StagedRows], once: &Once, _: &Cancel) -> Result<Appended> {
        match once {
            Once::Key(key) => {
                if let Some(appended) = self.keys.lock().unwrap().get(key) {
                    return Ok(*appended);
                }
            }
            Once::Marks(marks) => self.marks.lock().unwrap().extend(marks.names.iter().cloned()),
        }
        let mut batches = Vec::new();
        for part in parts {
            let gone = || Error::new(Sqlstate::SERIALIZATION_FAILURE, "staged rows are gone");
            batches.extend(self.staged.lock().unwrap().remove(&part.files.parse().unwrap()).ok_or_else(gone)?);
        }
        let appended = self.add(batches);
        if let Once::Key(key) = once {
            self.keys.lock().unwrap().insert(key.clone(), appended);
        }
        Ok(appended)
    }

    async fn discard_staged(&self, _: &TableHandle, parts: &[StagedRows], key: &str) -> Result<()> {
        if !self.keys.lock().unwrap().contains_key(key) {
            let mut staged = self.staged.lock().unwrap();
            parts.iter().for_each(|part| drop(staged.remove(&part.files.parse().unwrap())));
        }
        Ok(())
    }

    async fn begin(&self) -> Result<TransactionId> {
        Ok(1)
    }
    fn savepoint(&self, _: TransactionId) -> Result<usize> {
        Ok(0)
    }
    fn rollback_to(&self, _: TransactionId, _: usize) -> Result<()> {
        Ok(())
    }
    async fn commit(&self, _: TransactionId, _: &Cancel) -> Result<()> {
        Ok(())
    }
    async fn rollback(&self, _: TransactionId) {}
}

/// A server over a catalog and an external directory in a temporary folder.
pub(crate) struct StubServer {
    pub server: Arc<Server>,
    pub engine: Arc<StubEngine>,
    /// Microseconds that the server's clock is ahead.
    pub ahead: Arc<AtomicI64>,
    /// Asked at each fault point.
    pub fault: Arc<Mutex<Option<Fault>>>,
    pub folder: TempDir,
    stop: CancellationToken,
}

/// A moment in 2026, in microseconds.
const START_MICROS: i64 = 1_780_000_000_000_000;

impl StubServer {
    /// A server whose jobs run.
    pub async fn start() -> StubServer {
        let stub = StubServer::without_jobs().await;
        tokio::spawn(Jobs::run(stub.server.clone(), stub.stop.clone()));
        stub
    }

    pub async fn without_jobs() -> StubServer {
        let folder = tempfile::tempdir().unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let started = tokio::time::Instant::now();
        let clock = ahead.clone();
        let env = Env::with_clock(move || {
            let passed = started.elapsed().as_micros() as i64 + clock.load(Ordering::Relaxed);
            DateTime::from_timestamp_micros(START_MICROS + passed).unwrap()
        });
        let fault: Arc<Mutex<Option<Fault>>> = Arc::default();
        let asked = fault.clone();
        let env = env.with_fault(Arc::new(move |point| {
            let fault = asked.lock().unwrap().clone();
            fault.map_or(Ok(()), |fault| fault(point))
        }));
        let catalog = folder.path().join("catalog.db");
        let key = MasterKey::from_bytes(&[7; 32]).unwrap();
        let catalog = SqliteCatalog::open(&catalog, |_| Ok(key), env.clone()).await.unwrap();
        let engine = Arc::new(StubEngine::new());
        let extern_dir = folder.path().join("extern");
        std::fs::create_dir(&extern_dir).unwrap();
        let config = config(Arc::new(catalog), engine.clone(), env, 1, extern_dir);
        StubServer { server: Server::new(config), engine, ahead, fault, folder, stop: CancellationToken::new() }
    }

    /// Fails requests at the fault points that `fault` answers with an error.
    pub fn fail_at(&self, fault: impl Fn(Point) -> std::io::Result<()> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Some(Arc::new(fault));
    }

    /// Another node on the same catalog, clock and engine.
    pub fn other_node(&self, node_id: i64) -> Arc<Server> {
        let ours = &self.server.config;
        let dir = self.folder.path().join("extern");
        Server::new(config(ours.catalog.clone(), ours.engine.clone(), ours.env.clone(), node_id, dir))
    }

    /// Stops the jobs as a stopping server does.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Writes a file below nodelocal.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join("extern").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The names of the files in a folder below nodelocal, sorted.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("extern").join(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join("extern").join(path)).unwrap()
    }

    /// A session of a user.
    pub async fn session(&self, user: &str) -> Client {
        let start = Startup {
            user: user.to_string(),
            database: None,
            parameters: Vec::new(),
            client_addr: ([127, 0, 0, 1], 1).into(),
            secure: false,
            schedule: None,
        };
        let (session, events) = self.server.open_session(start).await.unwrap();
        Client { session, events }
    }
}

fn config(
    catalog: Arc<dyn Catalog>,
    engine: Arc<dyn Engine>,
    env: Env,
    node_id: i64,
    external_io_dir: PathBuf,
) -> ServerConfig {
    ServerConfig {
        catalog,
        engine,
        env,
        warehouse: Arc::new(InMemory::new()),
        node_id,
        external_io_dir: Some(external_io_dir),
        external_io_http_disabled: false,
        external_io_implicit_disabled: false,
        external_io_metadata_allowed: false,
        insecure: true,
    }
}

/// A session and what it is told.
pub(crate) struct Client {
    pub session: Arc<Session>,
    pub events: tokio::sync::mpsc::Receiver<SessionEvent>,
}

impl Client {
    /// Runs statements; the rows of the last one as texts, or its tag as a row of its own.
    pub async fn run(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        for parsed in self.session.parse(sql).await? {
            rows = match self.session.execute(&parsed, &[]).await? {
                Outcome::Rows { rows, .. } => {
                    let batches: Vec<_> = rows.batches.try_collect().await?;
                    batches.iter().flat_map(texts).collect()
                }
                Outcome::Done { tag } => vec![vec![tag]],
                _ => Vec::new(),
            };
        }
        Ok(rows)
    }

    /// As [`Client::run`], for statements that work.
    pub async fn ok(&self, sql: &str) -> Vec<Vec<String>> {
        self.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {} {error}", error.code().code()))
    }

    /// The code and message of a statement that fails.
    pub async fn error(&self, sql: &str) -> (String, String) {
        let error = self.run(sql).await.map(|rows| panic!("{sql}: {rows:?}")).unwrap_err();
        (error.code().code().to_string(), error.message().to_string())
    }
}
