//! Schedules: backups made from time to time, as their owners.
//!
//! A schedule is a row of the catalog with a BACKUP that is DETACHED, so that each run leaves a job and needs nobody to
//! wait for it. [`Scheduler`] looks at the rows: it begins what is due, and heeds how the jobs ended (`life`).
//!
//! A run is noted in the row before it begins, and what came of it afterwards. What a killed server had begun is begun
//! again, since it may not have got as far as the job: a backup may be made twice then, but none is left out.

mod life;
mod recurrence;
mod runner;

use std::sync::atomic::{AtomicU64, Ordering};

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
