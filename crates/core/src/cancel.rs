//! What ends a statement early, and when nothing may any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::error::{Error, Result};

/// Cancels one statement. A statement that commits is past cancelling: what has been written cannot be taken back, and
/// its client must not be told that it was.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Somebody wants the statement to end.
    asked: CancellationToken,
    /// It ends: it was asked to, and nothing holds that back.
    fired: CancellationToken,
    /// Parts under way, or done for good, that nothing cuts short.
    holds: Mutex<usize>,
}

impl Cancel {
    /// Ends the statement; does nothing once it has committed.
    pub fn cancel(&self) {
        let holds = self.holds();
        self.0.asked.cancel();
        self.fire(*holds);
    }

    /// Whether the statement shall end.
    pub fn is_cancelled(&self) -> bool {
        self.0.fired.is_cancelled()
    }

    /// Waits until the statement shall end.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.0.fired.cancelled()
    }

    /// Waits until somebody wants the statement to end, even while that is held back.
    pub fn asked(&self) -> WaitForCancellationFuture<'_> {
        self.0.asked.cancelled()
    }

    /// The outcome of a part of the statement, or 57014 as soon as that shall end.
    ///
    /// # Errors
    /// 57014, and those of the work.
    pub async fn until_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(Error::canceled()),
            outcome = work => outcome,
        }
    }

    /// Holds cancelling back until what is returned is dropped.
    ///
    /// # Errors
    /// 57014 when the statement is cancelled already.
    pub fn hold(&self) -> Result<Hold> {
        let mut holds = self.holds();
        if self.is_cancelled() {
            return Err(Error::canceled());
        }
        *holds += 1;
        Ok(Hold(self.clone()))
    }

    /// Makes what the statement has done durable. If that succeeds, the statement cannot be cancelled any more.
    ///
    /// # Errors
    /// 57014 when the statement is cancelled already, and those of the work.
    pub async fn commit<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let hold = self.hold()?;
        let done = work.await?;
        hold.keep();
        Ok(done)
    }

    fn fire(&self, holds: usize) {
        if holds == 0 && self.0.asked.is_cancelled() {
            self.0.fired.cancel();
        }
    }

    fn holds(&self) -> MutexGuard<'_, usize> {
        self.0.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of a statement that cancelling does not cut short.
#[derive(Debug)]
pub struct Hold(Cancel);

impl Hold {
    /// Holds cancelling back for good: the statement has committed.
    pub fn keep(self) {
        *self.0.holds() += 1;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.0.holds();
        *holds -= 1;
        self.0.fire(*holds);
    }
}

#[cfg(test)]
mod tests {
    use lakeport_base::Sqlstate;

    use super::*;

    #[tokio::test]
    async fn a_commit_that_has_begun_is_not_cancelled() {
        let cancel = Cancel::default();
        let committed = cancel.commit(async {
            cancel.cancel();
            Ok(cancel.is_cancelled())
        });
        assert!(!committed.await.unwrap());
        assert!(!cancel.is_cancelled(), "it has committed");
    }

    #[tokio::test]
    async fn a_commit_that_fails_lets_the_statement_be_cancelled() {
        let cancel = Cancel::default();
        let failed = cancel.commit(async {
            cancel.cancel();
            Err::<(), _>(Error::internal("disk"))
        });
        assert_eq!(failed.await.unwrap_err().code(), Sqlstate::INTERNAL_ERROR);
        assert!(cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_cancelled_statement_does_not_commit() {
        let cancel = Cancel::default();
        cancel.cancel();
        let refused = cancel.commit(async { Ok(()) }).await;
        assert_eq!(refused.unwrap_err().code(), Sqlstate::QUERY_CANCELED);
    }
}
