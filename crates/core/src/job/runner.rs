//! The jobs of one node: making, adopting, running and forgetting them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lakeport_base::id::{ConnectionId, JobId, ScheduleId};
use lakeport_base::limits::JOBS_RUNNING_MAX;
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Job, JobState};
use lakeport_sql::stmt::job::Control;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Payload, state, supervisor};
use crate::error::Result;
use crate::schedule;
use crate::server::Server;
use crate::setting;

/// How long a lease lasts; a dead node's jobs wait that long for another.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// How often a node looks for jobs of other nodes. Its own jobs wake it.
const ADOPT_PERIOD: Duration = Duration::from_secs(5);
/// How often finished jobs that are too old are forgotten.
const SWEEP_PERIOD: Duration = Duration::from_secs(3600);
/// Low bits of an id that tell apart the jobs of one moment.
const ID_SPARE_BITS: u32 = 15;

/// The jobs of one node.
pub struct Jobs {
    node: i64,
    /// Counts changes that this node made, so that those who wait look again.
    changes: watch::Sender<u64>,
    last_id: AtomicI64,
    /// Fires when the server stops.
    stopping: CancellationToken,
}

/// A job to be.
pub struct NewJob {
    pub payload: Payload,
    pub owner: String,
    /// The statement without secrets.
    pub description: String,
    pub connections: Vec<ConnectionId>,
}

impl Jobs {
    /// The jobs of a node. None runs before [`Jobs::run`].
    pub fn new(node_id: i64) -> Jobs {
        Jobs {
            node: node_id,
            changes: watch::Sender::new(0),
            last_id: AtomicI64::new(0),
            stopping: CancellationToken::new(),
        }
    }

    /// Runs jobs until `shutdown` fires; then hands them back and returns when the last has stopped.
    pub async fn run(server: Arc<Server>, shutdown: CancellationToken) {
        let mut runner = Runner { server, running: JoinSet::new(), ids: HashMap::new(), sweep_at: Instant::now() };
        let mut changes = runner.server.jobs.changes.subscribe();
        loop {
            runner.sweep().await;
            runner.adopt().await;
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = changes.changed() => {}
                Some(ended) = runner.running.join_next_with_id() => runner.forget(ended),
                () = tokio::time::sleep(ADOPT_PERIOD) => {}
            }
        }
        runner.server.jobs.stopping.cancel();
        while let Some(ended) = runner.running.join_next_with_id().await {
            runner.forget(ended);
        }
    }

    /// Writes a new job, in the schedule whose run it is too, and wakes the runner.
    pub(crate) async fn submit(&self, server: &Server, new: NewJob, schedule: Option<ScheduleId>) -> Result<JobId> {
        let now = server.config.env.now_micros();
        let (payload, secrets) = new.payload.encode()?;
        let job = Job {
            owner: new.owner,
            description: new.description,
            payload,
            secrets,
            connections: new.connections,
            ..Job::pending(self.next_id(now), new.payload.job_type(), now)
        };
        let mut tx = server.config.catalog.write().await?;
        tx.insert_job(&job).await?;
        // With the job or not at all, so that no crash makes a run twice.
        if let Some(schedule) = schedule {
            schedule::note_job(tx.as_mut(), schedule, job.id).await?;
        }
        tx.commit().await?;
        self.wake();
        Ok(job.id)
    }

    /// The next id of a job or a schedule. Ids grow with time (10 microseconds apart) and never repeat on this node; the node fills the low bits.
    pub(crate) fn next_id(&self, now: i64) -> JobId {
        let step = 1 << ID_SPARE_BITS;
        let fresh = (now / 10).saturating_mul(step) | (self.node & (step - 1));
        let advance = |last: i64| Some(fresh.max(last.saturating_add(step)));
        let last = self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance).unwrap_or_default();
        JobId(fresh.max(last.saturating_add(step)))
    }

    /// Asks every unfinished job that uses a connection to stop for good, once `tx` is committed and
    /// [`Jobs::wake`] called.
    pub(crate) async fn cancel_users_of(tx: &mut dyn Tx, connection: ConnectionId, now: i64) -> Result<()> {
        for mut job in tx.unfinished_jobs().await? {
            if job.connections.contains(&connection) && state::request(&mut job, Control::Cancel, None, now).is_ok() {
                tx.update_job(&job).await?;
            }
        }
        Ok(())
    }

    /// Makes runner, supervisors and waiting statements look at the catalog again.
    pub(crate) fn wake(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Changes a job that this node has the lease of; `None`, and no change, when it has not.
    pub(super) async fn update_leased(
        &self,
        server: &Server,
        id: JobId,
        change: impl FnOnce(&mut Job) + Send,
    ) -> Result<Option<Job>> {
        let mut tx = server.config.catalog.write().await?;
        let Some(job) = self.update_leased_in(tx.as_mut(), server, id, change).await? else { return Ok(None) };
        tx.commit().await?;
        Ok(Some(job))
    }

    /// As [`Jobs::update_leased`], as part of a transaction.
    pub(super) async fn update_leased_in(
        &self,
        tx: &mut dyn Tx,
        server: &Server,
        id: JobId,
        change: impl FnOnce(&mut Job) + Send,
    ) -> Result<Option<Job>> {
        let job = tx.job(id).await?;
        let Some(mut job) = job.filter(|job| job.lease.is_some_and(|lease| lease.node == self.node)) else {
            return Ok(None);
        };
        change(&mut job);
        job.modified = server.config.env.now_micros();
        tx.update_job(&job).await?;
        Ok(Some(job))
    }

    /// Takes or renews a lease; answers its end if it is this node's now.
    pub(super) async fn lease(&self, server: &Server, id: JobId) -> Result<Option<i64>> {
        let now = server.config.env.now_micros();
        let until = now.saturating_add(LEASE.as_micros() as i64);
        let mut tx = server.config.catalog.write().await?;
        let taken = tx.lease_job(id, self.node, now, until).await?;
        tx.commit().await?;
        Ok(taken.then_some(until))
    }

    pub(super) async fn release(&self, server: &Server, id: JobId) -> Result<()> {
        let mut tx = server.config.catalog.write().await?;
        tx.release_job(id, self.node).await?;
        Ok(tx.commit().await?)
    }
}

type Ended = std::result::Result<(tokio::task::Id, ()), tokio::task::JoinError>;

/// The supervisors at work.
struct Runner {
    server: Arc<Server>,
    running: JoinSet<()>,
    ids: HashMap<tokio::task::Id, JobId>,
    /// When to forget old jobs next.
    sweep_at: Instant,
}

impl Runner {
    /// Takes up jobs that nobody has, oldest first, while there is room.
    async fn adopt(&mut self) {
        if self.running.len() >= JOBS_RUNNING_MAX {
            return;
        }
        if let Err(error) = self.try_adopt().await {
            tracing::warn!(%error, "cannot look for jobs");
        }
    }

    async fn try_adopt(&mut self) -> Result<()> {
        let jobs = self.server.config.catalog.read().await?.unfinished_jobs().await?;
        let mine: HashSet<JobId> = self.ids.values().copied().collect();
        let (node, now) = (self.server.jobs.node, self.server.config.env.now_micros());
        let is_free = |job: &Job| job.lease.is_none_or(|lease| lease.node == node || lease.until <= now);
        let free = jobs.iter().filter(|job| job.state != JobState::Paused && !mine.contains(&job.id) && is_free(job));
        for job in free {
            if self.running.len() >= JOBS_RUNNING_MAX {
                return Ok(());
            }
            let Some(until) = self.server.jobs.lease(&self.server, job.id).await? else { continue };
            let task = self.running.spawn(supervisor::supervise(self.server.clone(), job.id, until));
            self.ids.insert(task.id(), job.id);
        }
        Ok(())
    }

    fn forget(&mut self, ended: Ended) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a job's supervisor died");
                error.id()
            }
        };
        self.ids.remove(&id);
    }

    async fn sweep(&mut self) {
        if Instant::now() < self.sweep_at {
            return;
        }
        self.sweep_at = Instant::now() + SWEEP_PERIOD;
        match self.try_sweep().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old jobs forgotten"),
            Err(error) => tracing::warn!(%error, "cannot forget old jobs"),
        }
    }

    async fn try_sweep(&self) -> Result<u64> {
        let kept = setting::JOBS_RETENTION.duration(self.server.directory().await?.as_ref());
        let kept_micros = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
        let until = self.server.config.env.now_micros().saturating_sub(kept_micros);
        let mut tx = self.server.config.catalog.write().await?;
        let count = tx.delete_finished_jobs(until).await?;
        tx.commit().await?;
        Ok(count)
    }
}
