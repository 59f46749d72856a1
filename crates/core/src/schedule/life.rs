//! What time and the ends of jobs make of a schedule.

use lakeport_base::id::JobId;
use lakeport_catalog::model::{OnFailure, OnRunning, Schedule};

use super::Recurrence;
use crate::error::Result;

/// Wait before another try of a run that failed, in microseconds.
const RETRY_WAIT_MICROS: i64 = 60 * 1_000_000;

/// How a run ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    Succeeded,
    Failed(String),
}

/// Begins a run if its time has come or a killed server has begun it; answers whether it did.
///
/// # Errors
/// A recurrence without a next time.
pub(super) fn begin(schedule: &mut Schedule, now: i64) -> Result<bool> {
    let was_begun = std::mem::take(&mut schedule.run.starting);
    let Some(due) = schedule.next_run.filter(|at| was_begun || *at <= now) else { return Ok(false) };
    let next = Recurrence::parse(&schedule.plan.recurrence)?.after(now)?;
    match (schedule.run.jobs.first(), schedule.plan.on_running) {
        (Some(job), OnRunning::Wait) => {
            schedule.run.state = format!("waiting for job {job}");
            // Also after a start that began this run already.
            schedule.next_run = Some(due.min(now));
            return Ok(false);
        }
        (Some(job), OnRunning::Skip) => {
            schedule.run.state = format!("a time was skipped: job {job} was still running");
            schedule.next_run = Some(next);
            return Ok(false);
        }
        _ => {}
    }
    schedule.next_run = Some(next);
    schedule.run.starting = true;
    schedule.run.state.clear();
    Ok(true)
}

/// Notes the job of a run that was begun.
pub(super) fn started(schedule: &mut Schedule, job: JobId) {
    schedule.run.starting = false;
    schedule.run.jobs.push(job);
}

/// Notes why a run that was begun has no job, if it has none.
pub(super) fn not_started(schedule: &mut Schedule, why: String, now: i64) {
    if std::mem::take(&mut schedule.run.starting) {
        fail(schedule, why, now);
    }
}

/// Notes the end of a job of the schedule.
pub(super) fn settle(schedule: &mut Schedule, job: JobId, end: End, now: i64) {
    schedule.run.jobs.retain(|running| *running != job);
    match end {
        End::Succeeded => schedule.run.state.clear(),
        End::Failed(why) => fail(schedule, why, now),
    }
}

fn fail(schedule: &mut Schedule, why: String, now: i64) {
    schedule.run.state = why;
    match schedule.plan.on_failure {
        OnFailure::Reschedule => {}
        OnFailure::Retry => schedule.next_run = schedule.next_run.map(|next| next.min(now + RETRY_WAIT_MICROS)),
        OnFailure::Pause => schedule.next_run = None,
    }
}
