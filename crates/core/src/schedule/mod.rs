//! Schedules: backups made from time to time, as their owners.
//!
//! A schedule is a row of the catalog with a BACKUP that is DETACHED, so that each run leaves a job and needs nobody to
//! wait for it. [`Scheduler`] looks at the rows: it begins what is due, and heeds how the jobs ended (`life`).
//!
//! A run is noted in the row before it begins, and its job together with the job itself. So what a killed server had begun
//! is begun again exactly if it had not got as far as the job: no backup is made twice, and none is left out.

mod life;
mod recurrence;
mod runner;

use std::sync::atomic::{AtomicU64, Ordering};

use lakeport_base::id::{JobId, ScheduleId};
use lakeport_catalog::Tx;
use lakeport_catalog::model::Schedule;
use lakeport_connect::ExternalRef;
use lakeport_sql::Statement;
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::backup::{Backup, Encryption};

use self::life::End;
use crate::error::{Error, Result};
pub(crate) use recurrence::Recurrence;
pub use runner::Scheduler;

/// Runs of schedules that have ended since the server started.
#[derive(Debug, Default)]
pub struct RunCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl RunCounts {
    /// By outcome.
    pub fn read(&self) -> [(&'static str, u64); 2] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("succeeded", count(&self.succeeded)), ("failed", count(&self.failed))]
    }

    fn add(&self, end: &End) {
        let count = match end {
            End::Succeeded => &self.succeeded,
            End::Failed(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The statement that each run executes.
///
/// # Errors
/// Internal, for a statement that is not one of ours.
pub(crate) fn backup_of(schedule: &Schedule) -> Result<Backup> {
    match lakeport_sql::parse_one(&schedule.plan.statement)?.statement {
        Statement::Backup(backup) => Ok(backup),
        _ => Err(Error::internal(format!("schedule {} is for no backup", schedule.id))),
    }
}

/// Notes the job of a run in the transaction that makes it.
///
/// # Errors
/// The catalog's.
pub(crate) async fn note_job(tx: &mut dyn Tx, schedule: ScheduleId, job: JobId) -> Result<()> {
    // It may have been dropped meanwhile.
    let Some(mut schedule) = tx.schedule(schedule).await? else { return Ok(()) };
    life::started(&mut schedule, job);
    Ok(tx.update_schedule(&schedule).await?)
}

/// Whether a schedule goes through a connection.
///
/// # Errors
/// As [`backup_of`].
pub(crate) fn uses(schedule: &Schedule, connection: &str) -> Result<bool> {
    let backup = backup_of(schedule)?;
    let keys = match &backup.options.encryption {
        Encryption::Kms(keys) => keys.0.as_slice(),
        _ => &[],
    };
    Ok(backup.collection.0.iter().chain(keys).any(|uri| names(uri, connection)))
}

fn names(uri: &Text, connection: &str) -> bool {
    let Text::Literal(uri) = uri else { return false };
    matches!(ExternalRef::parse(uri), Ok(Some(reference)) if reference.name == connection)
}
