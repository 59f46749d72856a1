//! When tables are looked after: those that are written soon after, all of them from time to time. What is left of tables
//! that were never finished, or dropped, goes first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakeport_base::id::TableId;
use lakeport_catalog::model::{Leftover, Table};
use object_store::ObjectStore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::engine::{Upkeep, UpkeepDone};
use crate::error::Result;
use crate::server::Server;
use crate::setting;

/// How often the engine is asked for tables that were written a lot.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How often every table is looked after, and what is not needed any more is deleted.
const SWEEP_PERIOD: Duration = Duration::from_secs(3600);
/// Wait after the start before the first sweep. Sweeps are `gc.ttl` apart when that is short.
const SWEEP_WAIT: Duration = Duration::from_secs(60);
/// The least between sweeps.
const SWEEP_WAIT_MIN: Duration = Duration::from_secs(2);

/// What upkeep has done since the server started.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpkeepCounts {
    /// Tables looked after, one for each time.
    pub runs: u64,
    pub failures: u64,
    pub done: UpkeepDone,
}

/// The upkeep of one server's tables.
#[derive(Default)]
pub struct Housekeeping {
    counts: Mutex<UpkeepCounts>,
    /// Folders of dropped tables that something still reads.
    postponed: Mutex<Vec<(TableId, Arc<dyn ObjectStore>)>>,
}

impl Housekeeping {
    /// What was done so far.
    pub fn counts(&self) -> UpkeepCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes what earlier servers have left, then looks after tables, one at a time, until `shutdown` fires.
    pub async fn run(server: Arc<Server>, leftovers: Vec<Leftover>, shutdown: CancellationToken) {
        let first = shutdown.run_until_cancelled(server.delete_leftovers(leftovers));
        let Some(mut leftovers) = first.await else { return };
        let mut sweep_at = Instant::now() + first_wait(&server).await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_PERIOD) => {}
            }
            let round = if Instant::now() < sweep_at {
                look(&server, &shutdown).await
            } else {
                let again = shutdown.run_until_cancelled(server.delete_leftovers(leftovers));
                leftovers = again.await.unwrap_or_default();
                sweep(&server, &shutdown).await.map(|wait| sweep_at = Instant::now() + wait)
            };
            if let Err(error) = round {
                tracing::warn!(%error, "tables not looked after");
            }
        }
    }

    /// Leaves a folder to be deleted later.
    pub(crate) fn postpone(&self, table: TableId, store: Arc<dyn ObjectStore>) {
        self.postponed().push((table, store));
    }

    fn postponed(&self) -> MutexGuard<'_, Vec<(TableId, Arc<dyn ObjectStore>)>> {
        self.postponed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: Option<UpkeepDone>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.runs += 1;
        match outcome {
            None => counts.failures += 1,
            Some(done) => {
                counts.done.merged_files += done.merged_files;
                counts.done.checkpoints += done.checkpoints;
                counts.done.deleted_files += done.deleted_files;
                counts.done.deleted_entries += done.deleted_entries;
            }
        }
    }
}

async fn first_wait(server: &Server) -> Duration {
    server.directory().await.map_or(SWEEP_WAIT, |directory| sweep_wait(&directory).min(SWEEP_WAIT))
}

fn sweep_wait(directory: &Directory) -> Duration {
    setting::GC_TTL.duration(directory).clamp(SWEEP_WAIT_MIN, SWEEP_PERIOD)
}

/// Looks after the tables that have been written a lot, and tries again to delete what was postponed.
async fn look(server: &Arc<Server>, shutdown: &CancellationToken) -> Result<()> {
    let postponed = std::mem::take(&mut *server.housekeeping.postponed());
    for (table, store) in postponed {
        if let Err(error) = server.delete_leftover(table, Arc::clone(&store)).await {
            tracing::warn!(%table, %error, "files of a dropped table not deleted yet");
            server.housekeeping.postpone(table, store);
        }
    }
    let due = server.config.engine.due_for_upkeep();
    if due.is_empty() {
        return Ok(());
    }
    let directory = server.directory().await?;
    for table in due.iter().filter_map(|id: &TableId| directory.tables.get(id)) {
        look_after(server, &directory, table, false, shutdown).await;
    }
    Ok(())
}

/// Looks after every table; answers when to do so again.
async fn sweep(server: &Arc<Server>, shutdown: &CancellationToken) -> Result<Duration> {
    let directory = server.directory().await?;
    for table in directory.tables.values() {
        look_after(server, &directory, table, true, shutdown).await;
    }
    Ok(sweep_wait(&directory))
}

async fn look_after(
    server: &Arc<Server>,
    directory: &Directory,
    table: &Arc<Table>,
    vacuum: bool,
    shutdown: &CancellationToken,
) {
    if shutdown.is_cancelled() {
        return;
    }
    let ttl_micros = i64::try_from(setting::GC_TTL.duration(directory).as_micros()).unwrap_or(i64::MAX);
    let kept_since = server.config.env.now_micros().saturating_sub(ttl_micros);
    let keep_since = match server.protected_since(table.id).await {
        Ok(protected) => protected.map_or(kept_since, |since| since.min(kept_since)),
        // Without an answer nothing is safe to delete.
        Err(_) => i64::MIN,
    };
    let upkeep = Upkeep { vacuum, keep_since, shutdown: shutdown.clone() };
    let outcome = match server.table_handle(directory, table).await {
        Ok(handle) => server.config.engine.upkeep(&handle, &upkeep).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() && (shutdown.is_cancelled() || is_dropped(server, table).await) {
        return;
    }
    match &outcome {
        Ok(done) if *done == UpkeepDone::default() => {}
        Ok(done) => tracing::info!(table = %table.id, ?done, "table looked after"),
        Err(error) => {
            let source = std::error::Error::source(error);
            tracing::warn!(table = %table.id, %error, source = ?source, "table not looked after");
        }
    }
    server.housekeeping.count(outcome.ok());
}

async fn is_dropped(server: &Server, table: &Table) -> bool {
    server.directory().await.is_ok_and(|directory| !directory.tables.contains_key(&table.id))
}
