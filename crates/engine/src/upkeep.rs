//! Background upkeep of a table: small files are merged, the log gets checkpoints, and what no moment needs is deleted.
//!
//! It never holds the table's lock for longer than a commit of its own takes: files are merged beside the writers, and
//! the merge gives way to whoever changed its input meanwhile. A kill at any moment leaves the table as it was or as it
//! shall be, with files that nothing names, which a later run deletes.

mod checkpoint;
mod merge;
mod vacuum;

use std::sync::Arc;

use lakeport_base::id::TableId;
use lakeport_core::engine::{TableHandle, Upkeep, UpkeepDone};
use lakeport_core::{Error, Result};

use crate::DataFusionEngine;
use crate::delta::log::Log;

/// Commits after which a look at a table is worth it.
const COMMITS_BETWEEN: u64 = 32;

impl DataFusionEngine {
    /// Tables with enough commits since the last look at them.
    pub(crate) fn busy_tables(&self) -> Vec<TableId> {
        let due = self.open_logs().into_iter().filter(|(_, log)| log.commits_since_upkeep() >= COMMITS_BETWEEN);
        due.map(|(id, _)| id).collect()
    }

    pub(crate) async fn keep_up(&self, table: &TableHandle, upkeep: &Upkeep) -> Result<UpkeepDone> {
        let log = self.log(table);
        let was_known = log.is_known();
        let done = tokio::select! {
            biased;
            () = log.dropped().cancelled() => Err(Error::canceled()),
            () = upkeep.shutdown.cancelled() => Err(Error::canceled()),
            done = self.run_upkeep(&log, table, upkeep) => done,
        };
        if !was_known {
            log.rest();
        }
        done
    }

    async fn run_upkeep(&self, log: &Arc<Log>, table: &TableHandle, upkeep: &Upkeep) -> Result<UpkeepDone> {
        let turn = log.start_upkeep().await;
        let merged_files = self.merge_small_files(log, table).await?;
        let checkpoints = u64::from(checkpoint::write_if_due(log, table, &turn).await?);
        let vacuumed = match upkeep.vacuum {
            true => vacuum::run(log, table, upkeep.keep_since).await?,
            false => vacuum::Vacuumed::default(),
        };
        let vacuum::Vacuumed { files: deleted_files, entries: deleted_entries } = vacuumed;
        Ok(UpkeepDone { merged_files, checkpoints, deleted_files, deleted_entries })
    }
}
