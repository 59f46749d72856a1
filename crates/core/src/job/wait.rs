//! Waiting for jobs, with progress notices.

use std::sync::Arc;
use std::time::Duration;

use lakeport_base::Sqlstate;
use lakeport_base::id::JobId;
use lakeport_catalog::model::{Job, JobState};
use lakeport_sql::stmt::job::Control;

use super::{Jobs, NewJob, state};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::outcome::Notice;
use crate::server::Server;
use crate::session::Session;

/// How often a waiting statement looks at a job that other nodes may run; also the least time between two notices.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How long a statement waits for its failed job to be undone.
const UNDO_WAIT: Duration = Duration::from_secs(10);

impl Jobs {
    /// Makes a job and waits for its end. Cancelling the statement cancels the job, and waits for that too, so that the
    /// answer tells what became of it.
    ///
    /// # Errors
    /// The job's own; 57014 when it was cancelled; 55000 when it was paused; 57P01 when the server stops.
    pub(crate) async fn run_to_end(
        server: &Arc<Server>,
        session: &Session,
        new: NewJob,
        cancel: &Cancel,
    ) -> Result<Job> {
        let hold = cancel.hold()?;
        let id = server.jobs.submit(server, new, session.schedule).await?;
        let job = tokio::select! {
            job = Jobs::end_of(server, session, id) => job?,
            () = cancel.asked() => {
                server.jobs.cancel(server, id).await?;
                Jobs::until(server, session, id, |job| has_ended(job) || job.state == JobState::Reverting).await?
            }
        };
        let done = outcome_of(job)?;
        hold.keep();
        Ok(done)
    }

    /// The job at its end, or being undone for long: that may take as long as the storage is away.
    async fn end_of(server: &Server, session: &Session, id: JobId) -> Result<Job> {
        let is_over = |job: &Job| has_ended(job) || job.state == JobState::Reverting;
        let job = Jobs::until(server, session, id, is_over).await?;
        let undone = Jobs::until(server, session, id, has_ended);
        tokio::time::timeout(UNDO_WAIT, undone).await.unwrap_or(Ok(job))
    }

    /// Waits until a job is as wanted, sending its progress as notices.
    ///
    /// # Errors
    /// 42704 when there is no such job, 57P01 when the server stops.
    pub(crate) async fn until(
        server: &Server,
        session: &Session,
        id: JobId,
        wanted: impl Fn(&Job) -> bool,
    ) -> Result<Job> {
        let mut changes = server.jobs.subscribe();
        let mut shown = None;
        let mut next_notice = tokio::time::Instant::now();
        loop {
            let job = server.config.catalog.read().await?.job(id).await?.ok_or_else(|| missing(id))?;
            if wanted(&job) {
                return Ok(job);
            }
            let text = progress_text(&job);
            if shown.as_ref() != Some(&text) && tokio::time::Instant::now() >= next_notice {
                if session.variable("job_progress_notices") == "on" {
                    session.notice(Notice::new(text.clone()));
                }
                shown = Some(text);
                next_notice = tokio::time::Instant::now() + LOOK_PERIOD;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_PERIOD) => {}
                () = server.jobs.stopping().cancelled() => return Err(stopping(id)),
            }
        }
    }

    /// Asks an unfinished job to stop for good, unless the server stops: then it goes on after the next start.
    async fn cancel(&self, server: &Server, id: JobId) -> Result<()> {
        if self.stopping().is_cancelled() {
            return Ok(());
        }
        let mut tx = server.config.catalog.write().await?;
        let Some(mut job) = tx.job(id).await?.filter(|job| !job.state.is_final()) else { return Ok(()) };
        let now = server.config.env.now_micros();
        if let Ok(true) = state::request(&mut job, Control::Cancel, None, now) {
            tx.update_job(&job).await?;
            tx.commit().await?;
        }
        self.wake();
        Ok(())
    }
}

fn has_ended(job: &Job) -> bool {
    job.state.is_final() || job.state == JobState::Paused
}

/// `job 123: running, 45.3 % done (reading rides.csv)`
fn progress_text(job: &Job) -> String {
    let status = job.running_status.as_ref().map_or_else(String::new, |status| format!(" ({status})"));
    format!("job {}: {}, {:.1} % done{status}", job.id, job.state.as_str(), job.fraction * 100.0)
}

fn outcome_of(job: Job) -> Result<Job> {
    let id = job.id;
    match job.state {
        JobState::Failed | JobState::Reverting if job.error_code.is_some() => {
            let code = job.error_code.as_deref().and_then(Sqlstate::from_code).unwrap_or(Sqlstate::INTERNAL_ERROR);
            let message = job.error.unwrap_or_else(|| format!("job {id} failed"));
            Err(Error::new(code, message).with_hint_opt(job.error_hint))
        }
        JobState::Canceled | JobState::Failed | JobState::Reverting => {
            Err(Error::new(Sqlstate::QUERY_CANCELED, format!("job {id} was canceled")))
        }
        JobState::Paused => Err(Error::new(
            Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("job {id} was paused before it completed"),
        )
        .with_hint(format!("RESUME JOB {id}, then SHOW JOB WHEN COMPLETE {id}"))),
        _ => Ok(job),
    }
}

/// 42704
pub(crate) fn missing(id: JobId) -> Error {
    Error::new(Sqlstate::UNDEFINED_OBJECT, format!("job with ID {id} does not exist"))
        .with_hint("SHOW JOBS lists the jobs you may see")
}

fn stopping(id: JobId) -> Error {
    Error::new(Sqlstate::ADMIN_SHUTDOWN, format!("the server is stopping; job {id} goes on when it is back"))
        .with_hint(format!("SHOW JOB WHEN COMPLETE {id} waits for it"))
}
