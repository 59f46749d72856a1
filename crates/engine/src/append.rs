//! Appending a stream of rows: COPY, IMPORT, CREATE TABLE AS.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use lakeport_core::engine::{Append, Appended, TableHandle};
use lakeport_core::rows::RowStream;
use lakeport_core::Result;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use crate::DataFusionEngine;
use crate::delta::log::{BYTES_KEY, Changes, ROWS_KEY, Snapshot};
use crate::error::{from_delta, from_store};
use crate::insert::{Targets, complete};
use crate::stage::ChangeWriter;
use crate::writing::Writing;

/// Commits searched for the counts of an append that was done before.
const HISTORY_MAX: u64 = 10_000;

impl DataFusionEngine {
    pub(crate) async fn append_rows(
        &self,
        table: &TableHandle,
        mut rows: RowStream,
        options: Append,
    ) -> Result<Appended> {
        let names: Vec<String> = rows.schema.fields().iter().map(|field| field.name().clone()).collect();
        let targets = Targets::new(&table.row, &names, names.len())?;
        let session = self.sessions.open_internal()?;
        let staged = self.start_writing(table, options.transaction).await?;
        if let Some(done) = self.done_before(&staged, options.idempotency_key.as_deref()).await? {
            return Ok(done);
        }
        let mut writer = staged.staging.data_writer(&table.row)?;
        let mut changes = staged.transaction.map(|_| ChangeWriter::new(&staged)).transpose()?;
        let mut appended = Appended { rows: 0, bytes: 0 };
        while let Some(batch) = rows.batches.next().await {
            let batch = complete(&session, &table.row, &targets, &batch?).await?;
            appended.rows += batch.num_rows() as u64;
            writer.write(&batch).await?;
            if let Some(changes) = &mut changes {
                changes.write(&[batch], "insert").await?;
            }
        }
        let adds = writer.close().await?;
        appended.bytes = adds.iter().map(|add| add.size.max(0) as u64).sum();
        let change_files = match changes {
            Some(changes) if appended.rows > 0 => changes.close().await?,
            _ => Vec::new(),
        };
        let info = options.idempotency_key.iter().flat_map(|_| {
            [(ROWS_KEY.to_string(), Value::from(appended.rows)), (BYTES_KEY.to_string(), Value::from(appended.bytes))]
        });
        let info = info.collect();
        self.check_keys(&staged, &adds, Arc::clone(&staged.files)).await?;
        let changes = Changes { adds, change_files, application: options.idempotency_key, info, ..Changes::default() };
        self.finish_writing(staged, changes).await?;
        Ok(appended)
    }

    /// What an append with this key added, if it is in the table already.
    async fn done_before(&self, writing: &Writing, key: Option<&str>) -> Result<Option<Appended>> {
        let Some(key) = key else { return Ok(None) };
        let store = writing.log().store(Arc::clone(&writing.table.store));
        let version = writing.base.state.transaction_version(&store, key).await.map_err(from_delta)?;
        if version.is_none() {
            return Ok(None);
        }
        Ok(Some(counts_of(&writing.table.store, &writing.base, key).await?.unwrap_or(Appended { rows: 0, bytes: 0 })))
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
        let actions: Vec<Value> = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        if actions.iter().any(|action| action["txn"]["appId"] == key) {
            let count = |name: &str| actions.iter().find_map(|action| action["commitInfo"][name].as_u64()).unwrap_or(0);
            return Ok(Some(Appended { rows: count(ROWS_KEY), bytes: count(BYTES_KEY) }));
        }
    }
    Ok(None)
}
