//! Which state follows which.

use lakeport_base::Sqlstate;
use lakeport_catalog::model::{Job, JobState};
use lakeport_sql::stmt::job::Control;

use crate::error::{Error, Result};

/// The state in which a job waits for its supervisor to heed a statement; `None` when there is nothing to do.
///
/// # Errors
/// 55000 for a job that is past it.
pub fn requested(control: Control, state: JobState) -> Result<Option<JobState>> {
    use JobState as S;
    match (control, state) {
        (Control::Pause, S::Pending | S::Running) => Ok(Some(S::PauseRequested)),
        (Control::Pause, S::PauseRequested | S::Paused) => Ok(None),
        (Control::Pause, state) => Err(refused(state, "requested to be paused")),
        (Control::Resume, S::Paused) => Ok(Some(S::Running)),
        (Control::Resume, S::Pending | S::Running | S::Reverting) => Ok(None),
        (Control::Resume, state) => Err(refused(state, "resumed")),
        (Control::Cancel, S::Pending | S::Running | S::Paused | S::PauseRequested) => Ok(Some(S::CancelRequested)),
        (Control::Cancel, S::CancelRequested | S::Canceled) => Ok(None),
        (Control::Cancel, state) => Err(refused(state, "requested to be canceled")),
    }
}

fn refused(state: JobState, action: &str) -> Error {
    Error::new(
        Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("job with state {} cannot be {action}", state.as_str()),
    )
}

/// Writes a request into a job; answers whether it changed. A job that nobody runs yet is cancelled at once.
///
/// # Errors
/// As [`requested`].
pub fn request(job: &mut Job, control: Control, reason: Option<&str>, now: i64) -> Result<bool> {
    let Some(state) = requested(control, job.state)? else { return Ok(false) };
    let is_queued = job.state == JobState::Pending && job.lease.is_none();
    match control {
        Control::Cancel if is_queued => finish(job, JobState::Canceled, now),
        _ => job.state = state,
    }
    job.modified = now;
    job.error = match control {
        Control::Pause => reason.map(|reason| format!("paused: {reason}")),
        Control::Resume | Control::Cancel => None,
    };
    Ok(true)
}

/// Ends a job in a final state. Its secrets and its way there are forgotten.
pub(super) fn finish(job: &mut Job, state: JobState, now: i64) {
    job.state = state;
    job.finished = Some(now);
    job.running_status = None;
    job.secrets = None;
    job.checkpoint = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pausing_twice_is_silent_and_pausing_the_finished_is_refused() {
        assert_eq!(requested(Control::Pause, JobState::Running).unwrap(), Some(JobState::PauseRequested));
        assert_eq!(requested(Control::Pause, JobState::Paused).unwrap(), None);
        let error = requested(Control::Pause, JobState::Succeeded).unwrap_err();
        assert_eq!(error.message(), "job with state succeeded cannot be requested to be paused");
    }

    #[test]
    fn only_what_is_not_final_changes() {
        for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
            for control in [Control::Pause, Control::Resume, Control::Cancel] {
                let silent = control == Control::Cancel && state == JobState::Canceled;
                assert_eq!(requested(control, state).is_ok(), silent, "{control} {state:?}");
            }
        }
    }
}
