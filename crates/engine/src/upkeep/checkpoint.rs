//! Checkpoints, from which a version is replayed faster than from the first entry on.

use std::sync::Arc;

use deltalake::DeltaTable;
use deltalake::checkpoints::create_checkpoint;
use deltalake::kernel::Version;
use lakeport_base::Point;
use lakeport_core::engine::TableHandle;
use lakeport_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use crate::delta::log::{Log, UpkeepTurn};
use crate::error::{from_delta, from_store};

/// Fewest entries after a checkpoint that are worth the next.
const ENTRIES_MIN: u64 = 100;
/// A checkpoint lists all files, so that with many files the next waits for more entries: one in so many files.
const FILES_PER_ENTRY: u64 = 8;

/// Writes a checkpoint when enough entries lie after the last.
pub(super) async fn write_if_due(log: &Log, table: &TableHandle, turn: &Arc<UpkeepTurn>) -> Result<bool> {
    let latest = log.latest(&table.store).await?;
    let due = ENTRIES_MIN.max(latest.files.len() as u64 / FILES_PER_ENTRY);
    if latest.version() < due || latest.version() - last_checkpoint(&table.store).await?.unwrap_or(0) < due {
        return Ok(false);
    }
    log.fault(Point::CheckpointWrite)?;
    let store = log.store(Arc::clone(&table.store));
    let runtime = tokio::runtime::Handle::current();
    let turn = Arc::clone(turn);
    // It replays the log and encodes all of it, which is work for a thread that may wait. Cancelling does not stop it.
    let written = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        runtime.block_on(async {
            let mut replayed = DeltaTable::new(store);
            replayed.load_version(latest.version()).await?;
            create_checkpoint(&replayed, None).await
        })
    });
    written.await.map_err(Error::internal)?.map_err(from_delta)?;
    log.fault(Point::CheckpointWritten)?;
    Ok(true)
}

/// The version of the last checkpoint.
async fn last_checkpoint(store: &Arc<dyn ObjectStore>) -> Result<Option<Version>> {
    let text = match store.get(&Path::from("_delta_log/_last_checkpoint")).await {
        Ok(found) => found.bytes().await.map_err(from_store)?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(from_store(error)),
    };
    Ok(serde_json::from_slice::<Value>(&text).ok().and_then(|hint| hint["version"].as_u64()))
}
