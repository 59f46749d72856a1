//! From a moment to the version that was the latest then.

use std::sync::{Arc, PoisonError};

use deltalake::kernel::Version;
use futures::TryStreamExt;
use lakeport_base::Sqlstate;
use lakeport_core::engine::TableHandle;
use lakeport_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use super::log::{Log, Snapshot, TIMESTAMP_KEY};
use crate::error::from_store;

impl Log {
    /// The table as of `moment`, in microseconds since the epoch.
    pub async fn as_of(&self, table: &TableHandle, moment: i64) -> Result<Snapshot> {
        let latest = self.latest(&table.store).await?;
        let version = latest.version();
        if self.time_of(&table.store, version).await?.is_none_or(|at| at <= moment) {
            return Ok(latest);
        }
        let version = self.version_at(&table.store, version, moment).await?;
        let version = version.ok_or_else(|| no_table_then(&table.row.name))?;
        self.at(&table.store, version).await.map_err(|error| gone(&table.row.name).with_source(error))
    }

    /// The last version before `end` that was committed by `moment`. Commit times grow with versions.
    async fn version_at(&self, store: &Arc<dyn ObjectStore>, end: Version, moment: i64) -> Result<Option<Version>> {
        let (mut low, mut high) = (0, end);
        while low < high {
            let middle = low + (high - low) / 2;
            // A commit whose log entry is gone lies far back, before any checkpoint kept.
            match self.time_of(store, middle).await? {
                Some(at) if at > moment => high = middle,
                _ => low = middle + 1,
            }
        }
        match low.checked_sub(1) {
            Some(version) if self.time_of(store, version).await?.is_some() => Ok(Some(version)),
            _ => Ok(None),
        }
    }

    /// When a version was committed; `None` when its log entry has been cleaned up.
    async fn time_of(&self, store: &Arc<dyn ObjectStore>, version: Version) -> Result<Option<i64>> {
        if let Some(at) = self.times.lock().unwrap_or_else(PoisonError::into_inner).get(&version) {
            return Ok(Some(*at));
        }
        let entry = match store.get(&Path::from(format!("_delta_log/{version:020}.json"))).await {
            Ok(entry) => entry,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(from_store(error)),
        };
        let Some(at) = commit_time(entry.into_stream()).await? else { return Ok(None) };
        self.times.lock().unwrap_or_else(PoisonError::into_inner).insert(version, at);
        Ok(Some(at))
    }
}

/// The time in the `commitInfo` of a log entry: ours in microseconds, another writer's in milliseconds.
async fn commit_time(entry: impl futures::Stream<Item = object_store::Result<bytes::Bytes>>) -> Result<Option<i64>> {
    let text: Vec<u8> = entry.map_ok(|bytes| bytes.to_vec()).try_concat().await.map_err(from_store)?;
    let lines = text.split(|byte| *byte == b'\n');
    let info = lines
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find_map(|mut action| action.get_mut("commitInfo").map(Value::take));
    let Some(info) = info else { return Ok(None) };
    let ours = info[TIMESTAMP_KEY].as_i64();
    let theirs = info["inCommitTimestamp"].as_i64().or_else(|| info["timestamp"].as_i64());
    Ok(ours.or_else(|| theirs?.checked_mul(1000)))
}

fn no_table_then(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, format!("relation {name:?} does not exist at that time"))
        .with_hint("read as of a moment after the table was created")
}

fn gone(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, format!("the history of relation {name:?} does not reach back to that time"))
        .with_hint("read as of a later moment; gc.ttl says how long the past is kept")
}
