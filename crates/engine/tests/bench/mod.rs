//! One table in memory and the engine on it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use async_trait::async_trait;
use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt};
use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_base::{Env, QualifiedName, SqlType};
use lakeport_catalog::model::{Column, Table};
use lakeport_core::Result;
use lakeport_core::engine::{Engine, QueryContext, Relation, Relations, TableHandle, Upkeep, UpkeepDone, Write};
use lakeport_engine::{DataFusionEngine, EngineOptions};
use lakeport_sql::Statement;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// id, grp, name.
pub type Row = (i64, Option<i64>, Option<String>);
/// Rows by id.
pub type Rows = BTreeMap<i64, Row>;

/// An engine and its table `t (id INT8 PRIMARY KEY, grp INT4, name STRING)`.
pub struct Bench {
    engine: DataFusionEngine,
    table: TableHandle,
    _spill: tempfile::TempDir,
}

struct OneTable(TableHandle);

#[async_trait]
impl Relations for OneTable {
    async fn find(&self, name: &QualifiedName) -> Result<Option<Relation>> {
        Ok((name.name() == self.0.row.name).then(|| Relation::Table(self.0.clone())))
    }
}

impl Bench {
    pub async fn new() -> Bench {
        let table = TableHandle { row: Arc::new(table_row()), store: Arc::new(InMemory::new()) };
        let bench = Bench::on(table, Env::system());
        bench.engine.create_table(&bench.table).await.expect("a step of the test");
        bench
    }

    fn on(table: TableHandle, env: Env) -> Bench {
        let spill = tempfile::tempdir().expect("a step of the test");
        let options = EngineOptions { memory_bytes: 256 << 20, spill_dir: spill.path().to_path_buf(), parallelism: 2 };
        let engine = DataFusionEngine::new(options, env).expect("a step of the test");
        Bench { engine, table, _spill: spill }
    }

    /// Another process on the same table; its clock is so far ahead.
    pub fn beside(&self, ahead: TimeDelta) -> Bench {
        let env = Env::system();
        Bench::on(self.table.clone(), Env::with_clock(move || env.now() + ahead))
    }

    /// Looks after the table; with `keep` also deletes what no moment of so long back needs.
    pub async fn upkeep(&self, ahead: TimeDelta, keep: Option<TimeDelta>) -> UpkeepDone {
        let since = Env::system().now() + ahead - keep.unwrap_or_default();
        let upkeep =
            Upkeep { vacuum: keep.is_some(), keep_since: since.timestamp_micros(), shutdown: Default::default() };
        self.engine.upkeep(&self.table, &upkeep).await.expect("a step of the test")
    }

    /// Looks after the table without deleting anything.
    pub async fn try_upkeep(&self) -> Result<UpkeepDone> {
        let upkeep = Upkeep { vacuum: false, keep_since: 0, shutdown: Default::default() };
        self.engine.upkeep(&self.table, &upkeep).await
    }

    pub async fn drop_table(&self) {
        self.engine.delete_table(self.table.row.id, &self.table.store).await.expect("a step of the test");
    }

    /// The log's entries that are there.
    pub async fn commits(&self) -> usize {
        self.log().await.len()
    }

    /// The data files that are there, change data aside.
    pub async fn data_files(&self) -> usize {
        let files: Vec<_> = self.table.store.list(None).try_collect().await.expect("a step of the test");
        files.iter().filter(|file| !file.location.as_ref().starts_with('_')).count()
    }

    /// The rows at a moment, in microseconds since the epoch.
    pub async fn rows_at(&self, moment: i64) -> Result<usize> {
        let cx = QueryContext { as_of: Some(moment), ..self.context(None) };
        let found = self.engine.query(&cx, "SELECT id FROM t", &[]).await?;
        let batches: Vec<RecordBatch> = found.batches.try_collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    fn context(&self, transaction: Option<u64>) -> QueryContext {
        QueryContext {
            relations: Arc::new(OneTable(self.table.clone())),
            user: "root".to_string(),
            role: "root".to_string(),
            session_user: "root".to_string(),
            database: "defaultdb".to_string(),
            schema: "public".to_string(),
            zone: Default::default(),
            now: 0,
            as_of: None,
            transaction,
            cancel: Default::default(),
        }
    }

    /// Runs an INSERT, UPSERT, UPDATE, DELETE or MERGE.
    pub async fn write(&self, sql: &str, block: Option<u64>) -> Result<u64> {
        let cx = self.context(block);
        let statement = lakeport_sql::parse_one(sql).expect("a step of the test").statement;
        let write = match &statement {
            Statement::Insert(insert) => Write::Insert(insert),
            Statement::Update(update) => Write::Update(update),
            Statement::Delete(delete) => Write::Delete(delete),
            Statement::Merge(merge) => Write::Merge(merge),
            other => panic!("{other:?} is no write"),
        };
        Ok(self.engine.write(&cx, &self.table, write, &[]).await?.rows)
    }

    pub async fn begin(&self) -> u64 {
        self.engine.begin().await.expect("a step of the test")
    }

    pub async fn commit(&self, block: u64) -> Result<()> {
        self.engine.commit(block, &Default::default()).await
    }

    pub fn savepoint(&self, block: u64) -> usize {
        self.engine.savepoint(block).expect("a step of the test")
    }

    pub fn rollback_to(&self, block: u64, savepoint: usize) {
        self.engine.rollback_to(block, savepoint).expect("a step of the test");
    }

    pub async fn rollback(&self, block: u64) {
        self.engine.rollback(block).await;
    }

    /// The table as a statement sees it.
    pub async fn rows(&self, block: Option<u64>) -> Rows {
        let found = self
            .engine
            .query(&self.context(block), "SELECT id, grp, name FROM t", &[])
            .await
            .expect("a step of the test");
        let batches: Vec<RecordBatch> = found.batches.try_collect().await.expect("a step of the test");
        let rows: Vec<Row> = batches.iter().flat_map(rows_of).collect();
        let count = rows.len();
        let rows: Rows = rows.into_iter().map(|row| (row.0, row)).collect();
        assert_eq!(rows.len(), count, "a key occurs twice");
        rows
    }

    /// Replays the change data of every version: what came minus what went is the table.
    pub async fn check_change_data(&self, expected: &Rows) {
        let mut counts: HashMap<Row, i64> = HashMap::new();
        for actions in self.log().await {
            let changes: Vec<&Value> = actions.iter().filter_map(|action| action.get("cdc")).collect();
            for (file, sign) in change_sources(&actions, &changes) {
                for batch in self.parquet(&file).await {
                    let kinds = batch.column_by_name("_change_type").cloned();
                    for (index, row) in rows_of(&batch).into_iter().enumerate() {
                        let sign =
                            kinds.as_ref().map_or(sign, |kinds| kind_sign(kinds.as_string::<i32>().value(index)));
                        *counts.entry(row).or_default() += sign;
                    }
                }
            }
        }
        counts.retain(|_, count| *count != 0);
        let expected: HashMap<Row, i64> = expected.values().map(|row| (row.clone(), 1)).collect();
        assert_eq!(counts, expected);
    }

    /// Every file of the folder is named by the log.
    pub async fn check_files(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let mut named = BTreeSet::new();
        for actions in self.log().await {
            for action in &actions {
                let path = ["add", "cdc"].iter().find_map(|kind| action[*kind]["path"].as_str());
                named.extend(path.map(str::to_string));
            }
        }
        let files: Vec<_> = self.table.store.list(None).try_collect().await.expect("a step of the test");
        let files = files.iter().map(|file| file.location.to_string()).filter(|file| !file.starts_with("_delta_log"));
        let strangers: Vec<String> = files.filter(|file| !named.contains(file)).collect();
        assert_eq!(strangers, Vec::<String>::new());
    }

    async fn log(&self) -> Vec<Vec<Value>> {
        let mut entries = Vec::new();
        let listed: Vec<_> = self.table.store.list(Some(&Path::from("_delta_log"))).collect().await;
        let mut paths: Vec<Path> =
            listed.into_iter().map(|entry| entry.expect("a step of the test").location).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.as_ref().ends_with(".json")) {
            let bytes = self
                .table
                .store
                .get(path)
                .await
                .expect("a step of the test")
                .bytes()
                .await
                .expect("a step of the test");
            let lines = std::str::from_utf8(&bytes)
                .expect("a step of the test")
                .lines()
                .map(|line| serde_json::from_str(line).expect("a step of the test"));
            entries.push(lines.collect());
        }
        entries
    }

    async fn parquet(&self, path: &str) -> Vec<RecordBatch> {
        let bytes = self
            .table
            .store
            .get(&Path::from(path))
            .await
            .expect("a step of the test")
            .bytes()
            .await
            .expect("a step of the test");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .expect("a step of the test")
            .build()
            .expect("a step of the test");
        reader.map(|batch| batch.expect("a step of the test")).collect()
    }
}

/// The files that tell a version's changes: its change data or, without any, the files it added and removed.
fn change_sources(actions: &[Value], changes: &[&Value]) -> Vec<(String, i64)> {
    let path = |value: &Value| value["path"].as_str().map(str::to_string);
    if !changes.is_empty() {
        return changes.iter().filter_map(|change| Some((path(change)?, 1))).collect();
    }
    let signed =
        |kind: &'static str, sign: i64| actions.iter().filter_map(move |action| Some((path(action.get(kind)?)?, sign)));
    signed("add", 1).chain(signed("remove", -1)).collect()
}

fn kind_sign(kind: &str) -> i64 {
    match kind {
        "insert" | "update_postimage" => 1,
        "delete" | "update_preimage" => -1,
        other => panic!("unknown change type {other}"),
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| Arc::clone(batch.column_by_name(name).expect("a step of the test"));
    let (ids, groups, names) = (column("id"), column("grp"), column("name"));
    let (ids, groups) = (ids.as_primitive::<Int64Type>(), groups.as_primitive::<Int32Type>());
    let names = names.as_string::<i32>();
    let row = |index: usize| {
        let grp = groups.is_valid(index).then(|| i64::from(groups.value(index)));
        let name = names.is_valid(index).then(|| names.value(index).to_string());
        (ids.value(index), grp, name)
    };
    (0..batch.num_rows()).map(row).collect()
}

fn table_row() -> Table {
    let column = |name: &str, ty: SqlType, nullable: bool| Column {
        name: name.to_string(),
        stored_name: name.to_string(),
        ty,
        nullable,
        default: None,
        comment: None,
    };
    Table {
        id: TableId(104),
        schema: SchemaId(101),
        database: DatabaseId(100),
        name: "t".to_string(),
        owner: "root".to_string(),
        version: 1,
        columns: vec![
            column("id", SqlType::Int8, false),
            column("grp", SqlType::Int4, true),
            column("name", SqlType::Text, true),
        ],
        primary_key: vec!["id".to_string()],
        comment: None,
        created: 0,
    }
}
