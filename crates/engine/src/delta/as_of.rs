//! From a moment to the version that was the latest then.

use std::sync::{Arc, PoisonError};

use deltalake::kernel::Version;
use lakeport_base::Sqlstate;
use lakeport_core::engine::TableHandle;
use lakeport_core::{Error, Result};
use object_store::ObjectStore;

use super::entry::Entry;
use super::log::Log;
use super::snapshot::Snapshot;

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

    /// Forgets the commit times of versions whose log entries may be gone.
    pub fn forget_times_before(&self, version: Version) {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).retain(|known, _| *known >= version);
    }

    /// When a version was committed; `None` when its log entry has been cleaned up.
    pub async fn time_of(&self, store: &Arc<dyn ObjectStore>, version: Version) -> Result<Option<i64>> {
        if let Some(at) = self.times.lock().unwrap_or_else(PoisonError::into_inner).get(&version) {
            return Ok(Some(*at));
        }
        let Some(at) = Entry::read(store, version).await?.and_then(|entry| entry.time()) else { return Ok(None) };
        self.times.lock().unwrap_or_else(PoisonError::into_inner).insert(version, at);
        Ok(Some(at))
    }
}

fn no_table_then(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, format!("relation {name:?} does not exist at that time"))
        .with_hint("read as of a moment after the table was created")
}

fn gone(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, format!("the history of relation {name:?} does not reach back to that time"))
        .with_hint("read as of a later moment; gc.ttl says how long the past is kept")
}
