//! Appending a stream of rows: INSERT, COPY, IMPORT, CREATE TABLE AS.

use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::kernel::{Add, AddCDCFile};
use deltalake::table::state::DeltaTableState;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use lakeport_base::Point;
use lakeport_core::Result;
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{Appended, Engine, Marks, TableHandle, TransactionId};
use lakeport_core::rows::RowStream;
use object_store::ObjectStore;
use serde_json::Value;

use crate::DataFusionEngine;
use crate::delta::entry::{BYTES_KEY, Changes, Entry, ROWS_KEY};
use crate::delta::log::Log;
use crate::delta::marks::application;
use crate::delta::snapshot::Snapshot;
use crate::delta::staging::Staging;
use crate::error::{conflict, from_delta};
use crate::insert::{Targets, complete};
use crate::stage::ChangeWriter;
use crate::writing::Writing;

/// Commits searched for the counts of an append that was done before.
const HISTORY_MAX: u64 = 10_000;
/// Rows up to this size wait in memory, to share a file with those of other writers.
const FEW_BYTES: usize = 1 << 20;

/// The rows of one append on their way to a group's commit.
pub(crate) enum Incoming {
    Few(Vec<RecordBatch>),
    Staged(Staged),
}

impl Incoming {
    /// Takes rows as they come, without holding up other writers of the table.
    pub async fn collect(
        log: &Log,
        table: &TableHandle,
        mut rows: BoxStream<'_, Result<RecordBatch>>,
    ) -> Result<Incoming> {
        let (mut few, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            bytes += batch.get_array_memory_size();
            if batch.num_rows() > 0 {
                few.push(batch);
            }
            if bytes > FEW_BYTES {
                let all = stream::iter(few.into_iter().map(Ok)).chain(rows);
                return Ok(Incoming::Staged(Staged::collect(log, table, false, all).await?));
            }
        }
        Ok(Incoming::Few(few))
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        match self {
            Incoming::Few(few) => few.iter().map(|batch| batch.num_rows() as u64).sum(),
            Incoming::Staged(staged) => staged.rows,
        }
    }

    /// The rows in memory.
    pub fn few(&self) -> &[RecordBatch] {
        match self {
            Incoming::Few(few) => few,
            Incoming::Staged(_) => &[],
        }
    }

    /// The rows in files.
    pub fn staged(&self) -> Option<&Staged> {
        match self {
            Incoming::Few(_) => None,
            Incoming::Staged(staged) => Some(staged),
        }
    }
}

/// Rows of a table in staged files.
pub(crate) struct Staged {
    pub staging: Staging,
    pub adds: Vec<Add>,
    pub change_files: Vec<AddCDCFile>,
    pub rows: u64,
}

impl Staged {
    /// Writes rows to files as they come, without holding up other writers of the table. In a block they are change
    /// data as well, since the block's one commit may remove rows too.
    pub async fn collect(
        log: &Log,
        table: &TableHandle,
        in_block: bool,
        mut rows: impl Stream<Item = Result<RecordBatch>> + Unpin,
    ) -> Result<Staged> {
        let staging = log.staging(&table.store);
        let mut writer = staging.data_writer(&table.row)?;
        let mut changes = in_block.then(|| ChangeWriter::new(&staging, &table.row)).transpose()?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            count += batch.num_rows() as u64;
            writer.write(&batch).await?;
            if let Some(changes) = &mut changes {
                changes.write(&batch, "insert").await?;
            }
        }
        let adds = writer.close().await?;
        let change_files = match changes {
            Some(changes) if count > 0 => changes.close().await?,
            _ => Vec::new(),
        };
        Ok(Staged { staging, adds, change_files, rows: count })
    }

    /// Size of the data files.
    pub fn bytes(&self) -> u64 {
        self.adds.iter().map(|add| add.size.max(0) as u64).sum()
    }
}

impl DataFusionEngine {
    /// The rows with every column of the table.
    pub(crate) fn completed(
        &self,
        table: &TableHandle,
        rows: RowStream,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let names: Vec<String> = rows.schema.fields().iter().map(|field| field.name().clone()).collect();
        let targets = Arc::new(Targets::new(&table.row, &names, names.len())?);
        let session = Arc::new(self.sessions.open_internal()?);
        let table = Arc::clone(&table.row);
        let complete = move |batch: Result<RecordBatch>| {
            let (session, table, targets) = (Arc::clone(&session), Arc::clone(&table), Arc::clone(&targets));
            async move { complete(&session, &table, &targets, &batch?).await }
        };
        Ok(rows.batches.then(complete).boxed())
    }

    /// Appends in a block or together with other writers.
    pub(crate) async fn add_rows(
        &self,
        table: &TableHandle,
        rows: BoxStream<'_, Result<RecordBatch>>,
        transaction: Option<TransactionId>,
        cancel: &Cancel,
    ) -> Result<Appended> {
        let log = self.log(table);
        if transaction.is_none() {
            return self.append_together(table, Incoming::collect(&log, table, rows).await?, cancel).await;
        }
        let staged = Staged::collect(&log, table, true, rows).await?;
        let appended = Appended { rows: staged.rows, bytes: staged.bytes() };
        let mut writing = self.start_writing(table, transaction, cancel).await?;
        writing.staging = staged.staging;
        self.check_keys(table, &staged.adds, &writing.files).await?;
        let changes = Changes { adds: staged.adds, change_files: staged.change_files, ..Changes::default() };
        self.finish_writing(writing, changes).await?;
        Ok(appended)
    }

    /// Appends together with other writers.
    pub(crate) async fn append_together(
        &self,
        table: &TableHandle,
        incoming: Incoming,
        cancel: &Cancel,
    ) -> Result<Appended> {
        self.clock.fault(Point::AppendCollected)?;
        let appended = Appended { rows: incoming.rows(), bytes: incoming.staged().map_or(0, Staged::bytes) };
        self.commit_append(table, incoming, cancel).await?;
        Ok(appended)
    }

    /// Appends in a commit that carries the key, unless one does already.
    pub(crate) async fn append_once(
        &self,
        table: &TableHandle,
        staged: Staged,
        key: &str,
        cancel: &Cancel,
    ) -> Result<Appended> {
        let appended = Appended { rows: staged.rows, bytes: staged.bytes() };
        let info = vec![(ROWS_KEY.into(), Value::from(appended.rows)), (BYTES_KEY.into(), Value::from(appended.bytes))];
        let changes = Changes { adds: staged.adds, application: Some(key.to_string()), info, ..Changes::default() };
        let (changes, staging) = (Arc::new(changes), Arc::new(staged.staging));
        self.retrying(table, || async {
            let writing = self.start_writing(table, None, cancel).await?;
            // Again, now that no other statement can commit: another job runner may have made the same append.
            if let Some(done) = self.done_before(table, key).await? {
                return Ok(done);
            }
            self.check_keys(table, &changes.adds, &writing.files).await?;
            writing.commit(Arc::clone(&changes), Arc::clone(&staging)).await?;
            Ok(appended)
        })
        .await
    }

    /// Appends in a commit that leaves marks, unless one of them is there.
    ///
    /// # Errors
    /// 40001 when it is.
    pub(crate) async fn append_marked(
        &self,
        table: &TableHandle,
        staged: Staged,
        marks: &Marks,
        cancel: &Cancel,
    ) -> Result<Appended> {
        let appended = Appended { rows: staged.rows, bytes: staged.bytes() };
        let changes = Arc::new(self.marked(table, staged.adds, marks).await?);
        let staging = Arc::new(staged.staging);
        let committed = self.retrying(table, || async {
            let writing = self.start_writing(table, None, cancel).await?;
            if !self.may_append(&writing, &changes, marks).await? {
                return Ok(false);
            }
            writing.commit(Arc::clone(&changes), Arc::clone(&staging)).await.map(|_| true)
        });
        if committed.await? { Ok(appended) } else { Err(conflict()) }
    }

    /// What adds staged files and leaves marks.
    pub(crate) async fn marked(&self, table: &TableHandle, adds: Vec<Add>, marks: &Marks) -> Result<Changes> {
        // Read ahead of the table's turn, so that little is left for it.
        self.marks(table, marks.since).await?;
        let applications = marks.names.iter().map(|name| application(name)).collect();
        Ok(Changes { adds, marks: applications, ..Changes::default() })
    }

    /// Whether none of the marks is there, now that no other statement can commit.
    ///
    /// # Errors
    /// 23505 when a key is taken.
    pub(crate) async fn may_append(&self, writing: &Writing, changes: &Changes, marks: &Marks) -> Result<bool> {
        let table = &writing.table;
        let known = self.log(table).marks(&table.store, writing.base.version()).await?.since(marks.since);
        if marks.names.iter().any(|name| known.contains(name)) {
            return Ok(false);
        }
        self.check_keys(table, &changes.adds, &writing.files).await?;
        Ok(true)
    }

    /// What an append with this key added, if it is in the table already.
    pub(crate) async fn done_before(&self, table: &TableHandle, key: &str) -> Result<Option<Appended>> {
        let log = self.log(table);
        let latest = log.latest(&table.store).await?;
        let store = log.store(Arc::clone(&table.store));
        let state = DeltaTableState::try_new(&store, Some(latest.version())).await.map_err(from_delta)?;
        if state.transaction_version(&store, key).await.map_err(from_delta)?.is_none() {
            return Ok(None);
        }
        Ok(Some(counts_of(&table.store, &latest, key).await?.unwrap_or(Appended { rows: 0, bytes: 0 })))
    }
}

/// The counts in the commit that carries the key.
async fn counts_of(store: &Arc<dyn ObjectStore>, base: &Snapshot, key: &str) -> Result<Option<Appended>> {
    let newest = base.version();
    for version in (newest.saturating_sub(HISTORY_MAX)..=newest).rev() {
        let Some(entry) = Entry::read(store, version).await? else { return Ok(None) };
        if entry.is_append_of(key) {
            let count = |name: &str| entry.count(name).unwrap_or(0);
            return Ok(Some(Appended { rows: count(ROWS_KEY), bytes: count(BYTES_KEY) }));
        }
    }
    Ok(None)
}
