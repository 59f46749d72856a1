//! Appending a stream of rows: COPY, IMPORT, CREATE TABLE AS.

use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::kernel::{Add, AddCDCFile};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use lakeport_core::Result;
use lakeport_core::engine::{Append, Appended, TableHandle};
use lakeport_core::rows::RowStream;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use crate::DataFusionEngine;
use crate::delta::log::{BYTES_KEY, Changes, ROWS_KEY, Snapshot};
use crate::delta::staging::Staging;
use crate::error::{from_delta, from_store};
use crate::insert::{Targets, complete};
use crate::query::until_cancelled;
use crate::stage::ChangeWriter;
use crate::writing::Writing;

/// Commits searched for the counts of an append that was done before.
const HISTORY_MAX: u64 = 10_000;

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
        table: &TableHandle,
        in_block: bool,
        mut rows: impl Stream<Item = Result<RecordBatch>> + Unpin,
        mut keep: Option<&mut Vec<RecordBatch>>,
    ) -> Result<Staged> {
        let staging = Staging::new(Arc::clone(&table.store));
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
                changes.write(std::slice::from_ref(&batch), "insert").await?;
            }
            if let Some(keep) = &mut keep {
                keep.push(batch);
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
    pub(crate) async fn append_rows(&self, table: &TableHandle, rows: RowStream, options: Append) -> Result<Appended> {
        if let Some(key) = &options.idempotency_key
            && let Some(done) = self.done_before(table, key).await?
        {
            return Ok(done);
        }
        let rows = self.completed(table, rows)?;
        let collect = Staged::collect(table, options.transaction.is_some(), rows, None);
        let staged = until_cancelled(&options.cancel, collect).await?;
        self.append_files(table, staged, options).await
    }

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

    /// Makes staged files rows of the table.
    pub(crate) async fn append_files(&self, table: &TableHandle, staged: Staged, options: Append) -> Result<Appended> {
        let appended = Appended { rows: staged.rows, bytes: staged.bytes() };
        let counts = [(ROWS_KEY, appended.rows), (BYTES_KEY, appended.bytes)];
        let info = match options.idempotency_key {
            None => Vec::new(),
            Some(_) => counts.map(|(key, count)| (key.to_string(), Value::from(count))).into(),
        };
        let application = options.idempotency_key;
        let Staged { staging, adds, change_files, .. } = staged;
        let changes = Changes { adds, change_files, application, info, ..Changes::default() };
        let writing = until_cancelled(&options.cancel, self.start_writing(table, options.transaction)).await?;
        // Again, now that nobody else can commit: the same append may have been made by another job runner.
        if let Some(key) = &changes.application
            && let Some(done) = self.done_before(table, key).await?
        {
            return Ok(done);
        }
        until_cancelled(&options.cancel, self.add_staged(writing, staging, changes)).await?.await?;
        Ok(appended)
    }

    /// Checks keys and gives back the commit, which is not to be cancelled.
    pub(crate) async fn add_staged(
        &self,
        mut writing: Writing,
        staging: Staging,
        changes: Changes,
    ) -> Result<impl Future<Output = Result<()>>> {
        writing.staging = staging;
        self.check_keys(&writing, &changes.adds, Arc::clone(&writing.files)).await?;
        Ok(self.finish_writing(writing, changes))
    }

    /// What an append with this key added, if it is in the table already.
    pub(crate) async fn done_before(&self, table: &TableHandle, key: &str) -> Result<Option<Appended>> {
        let log = self.log(table);
        let latest = log.latest(&table.store).await?;
        let store = log.store(Arc::clone(&table.store));
        let version = latest.state.transaction_version(&store, key).await.map_err(from_delta)?;
        if version.is_none() {
            return Ok(None);
        }
        Ok(Some(counts_of(&table.store, &latest, key).await?.unwrap_or(Appended { rows: 0, bytes: 0 })))
    }
}

/// The counts in the commit that carries the key.
async fn counts_of(store: &Arc<dyn ObjectStore>, base: &Snapshot, key: &str) -> Result<Option<Appended>> {
    let newest = base.version();
    for version in (newest.saturating_sub(HISTORY_MAX)..=newest).rev() {
        let entry = match store.get(&Path::from(format!("_delta_log/{version:020}.json"))).await {
            Ok(entry) => entry,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(from_store(error)),
        };
        let text: Vec<u8> =
            entry.into_stream().map_ok(|bytes| bytes.to_vec()).try_concat().await.map_err(from_store)?;
        let actions: Vec<Value> =
            text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        if actions.iter().any(|action| action["txn"]["appId"] == key) {
            let count = |name: &str| actions.iter().find_map(|action| action["commitInfo"][name].as_u64()).unwrap_or(0);
            return Ok(Some(Appended { rows: count(ROWS_KEY), bytes: count(BYTES_KEY) }));
        }
    }
    Ok(None)
}
