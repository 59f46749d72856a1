//! Tasks of a job that are waited for when it ends early.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How long work under way may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Tasks that copy files. A file that one of them finishes after its job has cleaned up would stay for ever, so they are
/// told to stop, and then waited for.
pub(super) struct Crew<T> {
    tasks: JoinSet<Result<T>>,
    stop: CancellationToken,
}

impl<T> Default for Crew<T> {
    fn default() -> Crew<T> {
        Crew { tasks: JoinSet::new(), stop: CancellationToken::new() }
    }
}

impl<T: Send + 'static> Crew<T> {
    /// Starts a task, which heeds the token between two steps.
    pub fn spawn<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.tasks.spawn(task(self.stop.clone()));
    }

    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// What the next task to end has done; `None` when all have ended.
    pub async fn next(&mut self) -> Option<Result<T>> {
        let ended = self.tasks.join_next().await?;
        Some(ended.map_err(Error::internal).flatten())
    }

    /// Stops all work; answers whether none is under way any more.
    pub async fn stop(&mut self) -> bool {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(STOP_WAIT, ended).await.is_ok()
    }
}
