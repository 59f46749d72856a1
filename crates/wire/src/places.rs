//! Who may be connected: clients on their way in, and sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lakeport_base::Sqlstate;
use lakeport_base::limits::HANDSHAKES_MAX;
use lakeport_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The sessions that may be open, some of them kept for members of admin.
pub(crate) struct Places {
    all: usize,
    reserved: usize,
    open: Arc<Semaphore>,
    kept: Arc<Semaphore>,
}

impl Places {
    pub(crate) fn new(all: usize, reserved: usize) -> Places {
        let (open, kept) = (Semaphore::new(all - reserved), Semaphore::new(reserved));
        Places { all, reserved, open: Arc::new(open), kept: Arc::new(kept) }
    }

    /// A place for a session, held until the permit is dropped.
    ///
    /// # Errors
    /// 53300
    pub(crate) fn take(&self, is_admin: bool) -> Result<OwnedSemaphorePermit> {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let place = take(&self.open).or_else(|| is_admin.then(|| take(&self.kept)).flatten());
        place.ok_or_else(|| {
            let hint = format!("the server takes {} connections, {} of them from admins only", self.all, self.reserved);
            Error::new(Sqlstate::TOO_MANY_CONNECTIONS, "sorry, too many clients already").with_hint(hint)
        })
    }
}

/// The clients between connecting and their first statement. When there are too many, the one that has taken longest
/// goes: whoever opens connections and says nothing keeps nobody else out.
#[derive(Default)]
pub(crate) struct Handshakes(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

/// A client on its way in; it has arrived, or is gone, when this is dropped.
pub(crate) struct Turn {
    waiting: Arc<Mutex<Waiting>>,
    number: u64,
    out: CancellationToken,
}

impl Handshakes {
    /// Lets a client begin.
    pub(crate) fn enter(&self) -> Turn {
        let out = CancellationToken::new();
        let mut waiting = lock(&self.0);
        let number = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(number, out.clone());
        if waiting.by_age.len() > HANDSHAKES_MAX
            && let Some((_, oldest)) = waiting.by_age.pop_first()
        {
            oldest.cancel();
        }
        drop(waiting);
        Turn { waiting: Arc::clone(&self.0), number, out }
    }
}

impl Turn {
    /// Resolves when the client must make room for others.
    pub(crate) fn over(&self) -> WaitForCancellationFutureOwned {
        self.out.clone().cancelled_owned()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.waiting).by_age.remove(&self.number);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn admins_get_in_when_nobody_else_does() {
        let places = Places::new(3, 1);
        let taken: Vec<_> = (0..2).map(|_| places.take(false).unwrap()).collect();
        assert_eq!(places.take(false).unwrap_err().code(), Sqlstate::TOO_MANY_CONNECTIONS);
        let admin = places.take(true).unwrap();
        assert_eq!(places.take(true).unwrap_err().code(), Sqlstate::TOO_MANY_CONNECTIONS);
        drop(taken);
        assert!(places.take(false).is_ok());
        drop(admin);
    }

    #[test]
    fn the_oldest_handshake_makes_room() {
        let handshakes = Handshakes::default();
        let mut turns: Vec<_> = (0..HANDSHAKES_MAX).map(|_| handshakes.enter()).collect();
        // One that has arrived no longer counts.
        turns.remove(0);
        let arrived = handshakes.enter();
        assert!(turns[0].over().now_or_never().is_none());
        let newcomer = handshakes.enter();
        assert!(turns[0].over().now_or_never().is_some());
        assert!(turns[1].over().now_or_never().is_none());
        drop((arrived, newcomer));
    }
}
