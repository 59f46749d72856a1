//! Deleting what no moment that may be read needs.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake::checkpoints::cleanup_expired_logs_for;
use deltalake::table::state::DeltaTableState;
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_base::{Point, Sqlstate};
use lakeport_core::Result;
use lakeport_core::engine::TableHandle;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use crate::delta::log::Log;
use crate::delta::snapshot::Snapshot;
use crate::error::{from_delta, from_store};

/// No write takes longer from its first file to its commit, in milliseconds. Younger files that nothing names may be
/// those of another server's write.
const WRITE_MAX_MS: i64 = 24 * 3600 * 1000;
/// Log entries are kept at least this long, in milliseconds: who has looked since need not list the log.
const ENTRIES_MIN_MS: i64 = 3600 * 1000;

/// What was deleted.
#[derive(Default)]
pub(super) struct Vacuumed {
    pub files: u64,
    pub entries: u64,
}

/// Deletes the files and log entries that only moments before `keep_since` (microseconds since the epoch) need.
pub(super) async fn run(log: &Log, table: &TableHandle, keep_since: i64) -> Result<Vacuumed> {
    let oldest = match log.as_of(table, keep_since).await {
        Ok(oldest) => oldest,
        // The table is younger than that moment, or its history is.
        Err(error) if error.code() == Sqlstate::UNDEFINED_TABLE => return Ok(Vacuumed::default()),
        Err(error) => return Err(error),
    };
    let files = delete_files(log, table, keep_since / 1000, &oldest).await?;
    log.fault(Point::VacuumEntries)?;
    let entries_before = (keep_since / 1000).min(log.now_ms() - ENTRIES_MIN_MS);
    let store = log.store(Arc::clone(&table.store));
    let entries = cleanup_expired_logs_for(oldest.version(), store.as_ref(), entries_before, None);
    let entries = entries.await.map_err(from_delta)? as u64;
    log.forget_times_before(oldest.version());
    log.fault(Point::VacuumDone)?;
    Ok(Vacuumed { files, entries })
}

/// Deletes files that were removed before a moment, and files that no commit has named for too long.
async fn delete_files(log: &Log, table: &TableHandle, before_ms: i64, oldest: &Snapshot) -> Result<u64> {
    let old: Vec<ObjectMeta> = table
        .store
        .list(None)
        .try_filter(|file| std::future::ready(is_data(file) && written_ms(file) < before_ms))
        .try_collect()
        .await
        .map_err(from_store)?;
    if old.is_empty() {
        return Ok(0);
    }
    // In this order: a file is staged, then committed, so that it is found in one of the two.
    let staged = log.staged_files();
    let needed = Needed::find(log, table, before_ms, oldest).await?;
    let orphans_before = before_ms.min(log.now_ms() - WRITE_MAX_MS);
    let is_garbage = |file: &ObjectMeta| {
        let path = file.location.as_ref();
        let is_change = path.starts_with("_change_data/");
        let unnamed_before = if is_change { before_ms - WRITE_MAX_MS } else { orphans_before };
        !needed.files.contains(path)
            && !staged.contains(&file.location)
            && (needed.removed.contains(path) || written_ms(file) < unnamed_before)
    };
    let garbage: Vec<Path> = old.into_iter().filter(is_garbage).map(|file| file.location).collect();
    let count = garbage.len() as u64;
    log.fault(Point::VacuumFiles)?;
    let mut deleted = table.store.delete_stream(stream::iter(garbage.into_iter().map(Ok)).boxed());
    while let Some(outcome) = deleted.next().await {
        match outcome {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(from_store(error)),
        }
    }
    Ok(count)
}

/// What the log says of old files.
struct Needed {
    /// Files of versions that may be read.
    files: HashSet<String>,
    /// Files of older versions only.
    removed: HashSet<String>,
}

impl Needed {
    async fn find(log: &Log, table: &TableHandle, before_ms: i64, oldest: &Snapshot) -> Result<Needed> {
        let store = log.store(Arc::clone(&table.store));
        let state = DeltaTableState::try_new(&store, None).await.map_err(from_delta)?;
        let latest = Snapshot::of(&state)?;
        let present = latest.files.iter().chain(oldest.files.iter());
        let mut needed = Needed { files: present.map(|file| file.path.to_string()).collect(), removed: HashSet::new() };
        let mut tombstones = state.all_tombstones(store.as_ref());
        while let Some(tombstone) = tombstones.next().await {
            let tombstone = tombstone.map_err(from_delta)?;
            let gone = tombstone.deletion_timestamp().is_some_and(|at| at < before_ms);
            let names = if gone { &mut needed.removed } else { &mut needed.files };
            names.insert(tombstone.path().into_owned());
        }
        Ok(needed)
    }
}

fn is_data(file: &ObjectMeta) -> bool {
    !file.location.as_ref().starts_with("_delta_log/")
}

fn written_ms(file: &ObjectMeta) -> i64 {
    file.last_modified.timestamp_millis()
}
