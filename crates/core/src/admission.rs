//! Who runs and who waits: statements that read or write rows take one of a bounded number of places.
//!
//! A place is held while the server works for the statement. One whose client takes no rows or sends none rests, and
//! after [`STATEMENT_REST_MAX`] its place goes to whoever waits; when it goes on, it waits for a place again. So neither
//! slow readers nor open cursors nor a client that uses two sessions at once can bring the server to a stand.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakeport_base::Sqlstate;
use lakeport_base::limits::{STATEMENT_REST_MAX, STATEMENT_WAIT_MAX, STATEMENTS_PER_PROCESSOR, STATEMENTS_WAITING_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::{Error, Result};

/// The places of a server.
pub(crate) struct Admission {
    running_max: usize,
    wait_max: Duration,
    rest_max: Duration,
    places: Arc<Semaphore>,
    /// One permit for each statement that may wait for its first place.
    queue: Semaphore,
    /// What the statements that were let in hold, by their numbers.
    held: Mutex<BTreeMap<u64, Held>>,
}

struct Held {
    /// `None` while another statement has the place.
    permit: Option<OwnedSemaphorePermit>,
    /// Since when the server waits for the client.
    resting: Option<Instant>,
}

/// A statement that has been let in. Dropping it ends its part.
pub(crate) struct Place {
    number: u64,
    admission: Arc<Admission>,
}

impl Admission {
    /// Places for a machine of so many processors.
    pub fn new(processors: usize) -> Arc<Admission> {
        let running_max = processors * STATEMENTS_PER_PROCESSOR;
        Arc::new(Admission::of(running_max, STATEMENTS_WAITING_MAX, STATEMENT_WAIT_MAX, STATEMENT_REST_MAX))
    }

    fn of(running_max: usize, waiting_max: usize, wait_max: Duration, rest_max: Duration) -> Admission {
        Admission {
            running_max,
            wait_max,
            rest_max,
            places: Arc::new(Semaphore::new(running_max)),
            queue: Semaphore::new(waiting_max),
            held: Mutex::default(),
        }
    }

    /// Lets a statement in, at once or in its turn.
    ///
    /// # Errors
    /// 53000: at once when too many wait, or when its turn does not come.
    pub async fn enter(self: &Arc<Self>) -> Result<Place> {
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let mut held = self.held();
        let number = held.last_key_value().map_or(0, |(last, _)| last + 1);
        held.insert(number, Held { permit: Some(permit), resting: None });
        drop(held);
        Ok(Place { number, admission: Arc::clone(self) })
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit> {
        let _queued = self.queue.try_acquire().map_err(|_| self.refusal("too many statements run and wait"))?;
        match tokio::time::timeout(self.wait_max, self.acquire()).await {
            Ok(permit) => permit,
            Err(_) => Err(self.refusal(&format!("the statement has waited {:?} for its turn", self.wait_max))),
        }
    }

    /// Waits for a place in turn. Whoever waits looks for statements that have rested for too long.
    async fn acquire(&self) -> Result<OwnedSemaphorePermit> {
        let mut turn = pin!(Arc::clone(&self.places).acquire_owned());
        loop {
            self.take_from_resting();
            tokio::select! {
                biased;
                permit = &mut turn => return permit.map_err(Error::internal),
                () = tokio::time::sleep(self.rest_max / 4) => {}
            }
        }
    }

    fn take_from_resting(&self) {
        for held in self.held().values_mut() {
            if held.resting.is_some_and(|since| since.elapsed() >= self.rest_max) {
                held.permit = None;
            }
        }
    }

    fn refusal(&self, message: &str) -> Error {
        let hint = format!("try again later: the server runs {} statements at a time", self.running_max);
        Error::new(Sqlstate::INSUFFICIENT_RESOURCES, message).with_hint(hint)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Says that the server works for the statement again; waits for a place if another has got the old one.
    pub async fn work(&self) -> Result<()> {
        if !self.is_lost() {
            return Ok(());
        }
        let permit = self.admission.acquire().await?;
        if let Some(held) = self.admission.held().get_mut(&self.number) {
            held.permit = Some(permit);
        }
        Ok(())
    }

    /// Whether another statement has got the place; if not, it is safe from now on.
    fn is_lost(&self) -> bool {
        let mut held = self.admission.held();
        let Some(held) = held.get_mut(&self.number) else { return false };
        held.resting = None;
        held.permit.is_none()
    }

    /// Says that the server waits for the client from now on.
    pub fn rest(&self) {
        if let Some(held) = self.admission.held().get_mut(&self.number) {
            held.resting = Some(Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.held().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn admission(waiting_max: usize, wait_max: Duration, rest_max: Duration) -> Arc<Admission> {
        Arc::new(Admission::of(1, waiting_max, wait_max, rest_max))
    }

    #[tokio::test]
    async fn too_many_are_refused_at_once() {
        let admission = admission(1, LONG, LONG);
        let running = admission.enter().await.unwrap();
        let waiting = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter().await }
        });
        while admission.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = admission.enter().await.err().unwrap();
        assert_eq!((refused.code(), refused.hint().is_some()), (Sqlstate::INSUFFICIENT_RESOURCES, true));
        drop(running);
        assert!(waiting.await.unwrap().is_ok());
        assert!(admission.enter().await.is_ok());
    }

    #[tokio::test]
    async fn a_wait_has_an_end() {
        let admission = admission(1, Duration::from_millis(1), LONG);
        let running = admission.enter().await.unwrap();
        assert_eq!(admission.enter().await.err().unwrap().code(), Sqlstate::INSUFFICIENT_RESOURCES);
        drop(running);
        assert!(admission.enter().await.is_ok());
    }

    #[tokio::test]
    async fn a_resting_statement_makes_room_and_comes_back() {
        let admission = admission(1, LONG, Duration::from_millis(1));
        let slow = admission.enter().await.unwrap();
        slow.rest();
        let quick = admission.enter().await.unwrap();
        assert!(slow.is_lost());
        drop(quick);
        slow.work().await.unwrap();
        assert!(!slow.is_lost());
        drop(slow);
        assert!(admission.enter().await.is_ok());
    }
}
