//! One job from its lease to its outcome.

use std::sync::Arc;
use std::time::Duration;

use lakeport_base::Sqlstate;
use lakeport_base::id::JobId;
use lakeport_base::limits::{JOB_RETRIES_DENIED_MAX, JOB_RETRIES_MAX};
use lakeport_catalog::model::{Job, JobState};
use tokio::task::JoinHandle;

use super::runner::LEASE;
use super::task::{Done, Progress, Snapshot, Task, TaskContext};
use super::{Payload, payload, state};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::server::Server;

/// How often a supervisor looks at its job's row and writes progress to it.
const BEAT_PERIOD: Duration = Duration::from_secs(1);
/// Left of a lease when it is renewed: a third of it has passed then.
const RENEW_AT_MICROS: i64 = (LEASE.as_micros() as i64) / 3 * 2;
/// How long a run may take to stop before it is cut off.
const STOP_WAIT: Duration = Duration::from_secs(30);
/// How long a job that could not be settled is kept before anybody may adopt it again.
const ADOPT_AGAIN_WAIT: Duration = Duration::from_secs(5);
/// Wait before the first retry; each next is twice as long.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Why a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Pause,
    Cancel,
    /// The server stops.
    HandBack,
    /// Another node has the job, or it is gone.
    Lost,
}

/// Runs a leased job and gives the lease back.
pub(super) async fn supervise(server: Arc<Server>, id: JobId, lease_until: i64) {
    let mut supervisor = Supervisor { server, id, lease_until, written: Snapshot::default() };
    if let Err(error) = supervisor.live().await {
        tracing::error!(job = id.0, %error, source = ?std::error::Error::source(&error), "job left to be adopted");
        tokio::select! {
            () = tokio::time::sleep(ADOPT_AGAIN_WAIT) => {}
            () = supervisor.server.jobs.stopping().cancelled() => {}
        }
    }
    if let Err(error) = supervisor.server.jobs.release(&supervisor.server, id).await {
        tracing::warn!(job = id.0, %error, "lease not released; it runs out");
    }
    supervisor.server.jobs.wake();
}

struct Supervisor {
    server: Arc<Server>,
    id: JobId,
    /// Microseconds since the epoch.
    lease_until: i64,
    /// The progress that the row holds.
    written: Snapshot,
}

impl Supervisor {
    async fn live(&mut self) -> Result<()> {
        let Some(job) = self.enter().await? else { return Ok(()) };
        self.server.jobs.wake();
        let task = match Payload::decode(&job) {
            Ok(payload) => payload.into_task(),
            Err(error) => return self.fail(error).await,
        };
        if job.state == JobState::Reverting {
            return self.revert(task, &job).await;
        }
        let cx = Arc::new(self.context(&job));
        let asked = (job.state == JobState::CancelRequested).then_some(Order::Cancel);
        if asked.is_some() {
            cx.cancel.cancel();
        }
        let work = tokio::spawn(run_with_retries(task.clone(), cx.clone()));
        let (outcome, order) = self.watch(&cx, work, asked).await;
        match (outcome, order) {
            // Work that was done before it could be stopped stays done.
            (Ok(done), _) => self.succeed(done).await,
            (Err(_), Some(Order::Pause)) => self.update(|job, _| job.state = JobState::Paused).await.map(drop),
            (Err(_), Some(Order::HandBack | Order::Lost)) => Ok(()),
            (Err(_), Some(Order::Cancel)) => self.enter_revert(task, None).await,
            (Err(error), None) => self.enter_revert(task, Some(error)).await,
        }
    }

    /// The job ready to run; `None` when it shall not.
    async fn enter(&mut self) -> Result<Option<Job>> {
        let entered = self.update(|job, now| match job.state {
            JobState::Pending => {
                job.state = JobState::Running;
                job.started = Some(now);
            }
            JobState::PauseRequested => job.state = JobState::Paused,
            _ => {}
        });
        let job = entered.await?.filter(|job| !job.state.is_final() && job.state != JobState::Paused);
        if let Some(job) = &job {
            self.written = Snapshot { fraction: job.fraction, status: job.running_status.clone() };
        }
        Ok(job)
    }

    fn context(&self, job: &Job) -> TaskContext {
        TaskContext {
            server: self.server.clone(),
            id: job.id,
            owner: job.owner.clone(),
            cancel: Cancel::default(),
            progress: Arc::new(Progress::from(self.written.clone())),
        }
    }

    /// Waits for the end of a run while it keeps the lease, writes progress and passes on orders.
    async fn watch<T>(
        &mut self,
        cx: &TaskContext,
        mut work: JoinHandle<Result<T>>,
        mut order: Option<Order>,
    ) -> (Result<T>, Option<Order>) {
        let server = self.server.clone();
        let mut changes = server.jobs.subscribe();
        let mut beats = tokio::time::interval(BEAT_PERIOD);
        let stop_limit = stop_limit(cx.cancel.clone());
        tokio::pin!(stop_limit);
        loop {
            tokio::select! {
                ended = &mut work => {
                    return (ended.unwrap_or_else(|error| Err(Error::internal(error))), order);
                }
                () = &mut stop_limit, if !work.is_finished() => {
                    work.abort();
                    return (Err(Error::canceled()), order);
                }
                () = server.jobs.stopping().cancelled(), if order.is_none() => order = Some(Order::HandBack),
                _ = changes.changed() => order = order.or(self.beat(&cx.progress).await),
                _ = beats.tick() => order = order.or(self.beat(&cx.progress).await),
            }
            if order.is_some() {
                cx.cancel.cancel();
            }
        }
    }

    /// One look at the row; a catalog that does not answer is borne until the lease has run out.
    async fn beat(&mut self, progress: &Progress) -> Option<Order> {
        match self.try_beat(progress.snapshot()).await {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(job = self.id.0, %error, "heartbeat failed");
                (self.server.config.env.now_micros() >= self.lease_until).then_some(Order::Lost)
            }
        }
    }

    async fn try_beat(&mut self, progress: Snapshot) -> Result<Option<Order>> {
        let job = self.server.config.catalog.read().await?.job(self.id).await?;
        let order = match job.map(|job| job.state) {
            Some(JobState::Running | JobState::Reverting) => None,
            Some(JobState::PauseRequested) => Some(Order::Pause),
            Some(JobState::CancelRequested) => Some(Order::Cancel),
            _ => Some(Order::Lost),
        };
        if self.lease_until - self.server.config.env.now_micros() < RENEW_AT_MICROS {
            match self.server.jobs.lease(&self.server, self.id).await? {
                Some(until) => self.lease_until = until,
                None => return Ok(Some(Order::Lost)),
            }
        }
        if progress != self.written {
            let Snapshot { fraction, status } = progress.clone();
            let written = self.update(|job, _| (job.fraction, job.running_status) = (fraction, status));
            if written.await?.is_none() {
                return Ok(Some(Order::Lost));
            }
            self.written = progress;
        }
        Ok(order)
    }

    async fn succeed(&mut self, done: Done) -> Result<()> {
        let result = payload::encode_done(done)?;
        self.update(|job, now| {
            state::finish(job, JobState::Succeeded, now);
            job.fraction = 1.0;
            job.error = None;
            job.result = Some(result);
        })
        .await
        .map(drop)
    }

    /// Fails a job that has nothing to undo.
    async fn fail(&mut self, error: Error) -> Result<()> {
        self.update(|job, now| {
            record(job, &error);
            state::finish(job, JobState::Failed, now);
        })
        .await
        .map(drop)
    }

    async fn enter_revert(&mut self, task: Arc<dyn Task>, error: Option<Error>) -> Result<()> {
        if let Some(error) = &error {
            tracing::info!(job = self.id.0, %error, source = ?std::error::Error::source(error), "job failed");
        }
        let entered = self.update(|job, _| {
            job.state = JobState::Reverting;
            if let Some(error) = &error {
                record(job, error);
            }
        });
        match entered.await? {
            Some(job) => self.revert(task, &job).await,
            None => Ok(()),
        }
    }

    /// Undoes a job: then it is `failed` if it has an error, else `canceled`.
    async fn revert(&mut self, task: Arc<dyn Task>, job: &Job) -> Result<()> {
        let cx = Arc::new(self.context(job));
        let work = tokio::spawn({
            let cx = cx.clone();
            async move { task.revert(&cx).await }
        });
        match self.watch(&cx, work, None).await {
            // Whoever has the job next undoes it.
            (Err(_), Some(Order::HandBack | Order::Lost)) => return Ok(()),
            (outcome, _) => outcome?,
        }
        self.update(|job, now| {
            let state = if job.error_code.is_some() { JobState::Failed } else { JobState::Canceled };
            state::finish(job, state, now);
        })
        .await
        .map(drop)
    }

    async fn update(&self, change: impl FnOnce(&mut Job, i64) + Send) -> Result<Option<Job>> {
        let now = self.server.config.env.now_micros();
        self.server.jobs.update_leased(&self.server, self.id, |job| change(job, now)).await
    }
}

fn record(job: &mut Job, error: &Error) {
    job.error = Some(match error.detail() {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_string(),
    });
    job.error_code = Some(error.code().code().to_string());
    job.error_hint = error.hint().map(str::to_string);
}

/// Over when a run that was told to stop has had its time.
async fn stop_limit(cancel: Cancel) {
    cancel.cancelled().await;
    tokio::time::sleep(STOP_WAIT).await;
}

/// Runs a task, and again after failures that may pass. What fails before it has got anywhere is not tried again: the
/// storage has retried its requests by then, and a misspelt address shall be told soon.
async fn run_with_retries(task: Arc<dyn Task>, cx: Arc<TaskContext>) -> Result<Done> {
    let (mut runs, mut wait) = (0, RETRY_WAIT);
    loop {
        match task.run(&cx).await {
            Err(error) if runs < retries_max(&error) && has_begun(&cx.progress) && !cx.cancel.is_cancelled() => {
                tracing::info!(job = cx.id.0, %error, "job will be tried again");
                cx.progress.set_status(format!("trying again in {} s after: {error}", wait.as_secs()));
            }
            outcome => return outcome,
        }
        tokio::select! {
            () = cx.cancel.cancelled() => return Err(Error::canceled()),
            () = tokio::time::sleep(wait) => wait *= 2,
        }
        runs += 1;
    }
}

/// Whether the same work may succeed later.
pub(crate) fn may_pass(error: &Error) -> bool {
    retries_max(error) > 0
}

fn has_begun(progress: &Progress) -> bool {
    progress.snapshot().fraction > 0.0
}

/// How often a job that has begun is run again after such a failure: those of the outside or of resources may pass by
/// themselves, and credentials that have expired on the way may be given new ones.
fn retries_max(error: &Error) -> u32 {
    const TEMPORARY: &[Sqlstate] = &[Sqlstate::IO_ERROR, Sqlstate::LOCK_NOT_AVAILABLE, Sqlstate::SERIALIZATION_FAILURE];
    let code = error.code();
    match code {
        Sqlstate::INVALID_AUTHORIZATION => JOB_RETRIES_DENIED_MAX,
        code if TEMPORARY.contains(&code) || ["08", "53"].iter().any(|class| code.code().starts_with(class)) => {
            JOB_RETRIES_MAX
        }
        _ => 0,
    }
}
