//! What a job does, and what it does it with.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lakeport_base::Point;
use lakeport_base::id::JobId;
use lakeport_catalog::Tx;
use lakeport_catalog::model::Job;

use super::Checkpoint;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::server::Server;

/// The work of one type of job.
///
/// A run may be cut off at any moment, by a kill too, and then starts again from the last checkpoint, perhaps on another
/// node: whatever it does must bear being done twice.
#[async_trait]
pub trait Task: Send + Sync {
    /// Does the work. Stops soon after `cx.cancel` fires; a run that starts after it has fired only finds out whether
    /// the work is done already.
    async fn run(&self, cx: &TaskContext) -> Result<Done>;

    /// Undoes what runs of a failed or cancelled job left behind.
    async fn revert(&self, cx: &TaskContext) -> Result<()>;
}

/// What a job has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub rows: u64,
    pub bytes: u64,
}

/// What a run works with.
pub struct TaskContext {
    pub server: Arc<Server>,
    pub id: JobId,
    /// On whose behalf it runs; its rights are those the owner has now.
    pub owner: String,
    /// Fires when the run shall stop: PAUSE, CANCEL, a stopping server or a lost lease.
    pub cancel: Cancel,
    pub progress: Arc<Progress>,
}

impl TaskContext {
    /// How far earlier runs have got.
    ///
    /// # Errors
    /// The catalog's, or XX001 for a checkpoint that cannot be read.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let job = self.server.config.catalog.read().await?.job(self.id).await?;
        job.and_then(|job| job.checkpoint).map(|text| Checkpoint::decode(&text)).transpose()
    }

    /// Makes known how far the work has got, so that no later run does it again.
    ///
    /// # Errors
    /// The catalog's, or 55000 when another node has the job now.
    pub async fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        let checkpoint = checkpoint.encode()?;
        let saved = self.server.jobs.update_leased(&self.server, self.id, |job| job.checkpoint = Some(checkpoint));
        saved.await?.map(|_| ()).ok_or_else(|| lost_lease(self.id))
    }

    /// As [`save`](Self::save), together with the work itself: neither is there without the other.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub(crate) async fn save_in(&self, tx: &mut dyn Tx, checkpoint: &Checkpoint) -> Result<()> {
        let checkpoint = checkpoint.encode()?;
        let change = |job: &mut Job| job.checkpoint = Some(checkpoint);
        let saved = self.server.jobs.update_leased_in(tx, &self.server, self.id, change);
        saved.await?.map(|_| ()).ok_or_else(|| lost_lease(self.id))
    }

    /// Reaches a fault point.
    ///
    /// # Errors
    /// What a test has planned.
    pub(crate) fn fault(&self, point: Point) -> Result<()> {
        Ok(self.server.config.env.fault(point)?)
    }
}

fn lost_lease(id: JobId) -> Error {
    Error::new(
        lakeport_base::Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("job {id} is run by another node now"),
    )
}

/// How far a run has got; the supervisor writes it to the catalog now and then.
#[derive(Default)]
pub struct Progress(Mutex<Snapshot>);

/// One state of [`Progress`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// 0 to 1.
    pub fraction: f64,
    pub status: Option<String>,
}

/// Goes on where another run has stopped.
impl From<Snapshot> for Progress {
    fn from(snapshot: Snapshot) -> Progress {
        Progress(Mutex::new(snapshot))
    }
}

impl Progress {
    /// Reports the done part of the work, 0 to 1.
    pub fn set_fraction(&self, fraction: f64) {
        self.lock().fraction = fraction.clamp(0.0, 1.0);
    }

    /// Says what is being done now.
    pub fn set_status(&self, status: impl Into<String>) {
        self.lock().status = Some(status.into());
    }

    /// Says so, or nothing; answers what was said before.
    pub fn replace_status(&self, status: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.lock().status, status)
    }

    /// The state now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
