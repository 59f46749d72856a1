//! Advisory locks: names that sessions lock among themselves, for what no table's own rules cover. They are kept in
//! memory: a lock ends with its session or its block, and nothing outlives the server.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lakeport_base::Sqlstate;
use lakeport_base::limits::ADVISORY_LOCKS_MAX;
use tokio::sync::Notify;

use crate::error::{Error, Result};

/// A lock's name. Names of one number and of two never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    One(i64),
    Two(i32, i32),
}

/// What a session wants of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub key: Key,
    /// Others may share it; otherwise nobody else has it.
    pub shared: bool,
    /// Until the end of the transaction block, not of the session.
    pub of_block: bool,
}

/// A lock that a session holds, as often as it has taken it.
struct Held {
    session: u32,
    shared: bool,
    of_block: bool,
    count: usize,
}

#[derive(Default)]
struct Table {
    held: HashMap<Key, Vec<Held>>,
    /// What sessions wait for; one may wait for several.
    waiting: Vec<(u32, Request)>,
    /// Locks held by all sessions.
    count: usize,
}

/// The locks of a server, by the numbers of its sessions.
#[derive(Default)]
pub(crate) struct AdvisoryLocks {
    table: Mutex<Table>,
    released: Notify,
}

impl AdvisoryLocks {
    /// Takes a lock if it is free. A session may take its own again, and gives it back as often.
    ///
    /// # Errors
    /// 53200 when there are too many locks.
    pub fn try_lock(&self, session: u32, request: Request) -> Result<bool> {
        self.table().take(session, request)
    }

    /// Takes a lock as soon as it is free.
    ///
    /// # Errors
    /// 53200 when there are too many locks, 40P01 when its holder waits for the session in turn.
    pub async fn lock(&self, session: u32, request: Request) -> Result<()> {
        let _waiting = Waiting { locks: self, session, request };
        loop {
            let mut released = pin!(self.released.notified());
            // From here on no release is missed.
            released.as_mut().enable();
            if self.take_or_wait(session, request)? {
                return Ok(());
            }
            released.await;
        }
    }

    fn take_or_wait(&self, session: u32, request: Request) -> Result<bool> {
        let mut table = self.table();
        if table.take(session, request)? {
            return Ok(true);
        }
        if table.closes_circle(session, request) {
            return Err(Error::new(Sqlstate::DEADLOCK_DETECTED, "deadlock detected")
                .with_detail("the holder of the advisory lock waits for a lock of this session"));
        }
        if !table.waiting.contains(&(session, request)) {
            table.waiting.push((session, request));
        }
        Ok(false)
    }

    /// Gives a session's lock back once; `false` when it does not have it.
    pub fn unlock(&self, session: u32, key: Key, shared: bool) -> bool {
        let unlocked = self.table().give_back(session, key, shared);
        self.released.notify_waiters();
        unlocked
    }

    /// Gives back all locks that a session has until its end.
    pub fn unlock_all(&self, session: u32) {
        self.release(|held| held.session == session && !held.of_block);
    }

    /// The session's block is over.
    pub fn end_block(&self, session: u32) {
        self.release(|held| held.session == session && held.of_block);
    }

    /// The session is over.
    pub fn end_session(&self, session: u32) {
        self.release(|held| held.session == session);
    }

    fn release(&self, gone: impl Fn(&Held) -> bool) {
        let mut table = self.table();
        if table.count == 0 {
            return;
        }
        table.held.retain(|_, holders| {
            holders.retain(|held| !gone(held));
            !holders.is_empty()
        });
        table.count = table.held.values().map(Vec::len).sum();
        drop(table);
        self.released.notify_waiters();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The sessions that keep a session from having what it wants.
    fn in_the_way(&self, session: u32, request: Request) -> impl Iterator<Item = u32> {
        let holders = self.held.get(&request.key).into_iter().flatten();
        let others = holders.filter(move |held| held.session != session && !(held.shared && request.shared));
        others.map(|held| held.session)
    }

    fn take(&mut self, session: u32, request: Request) -> Result<bool> {
        if self.in_the_way(session, request).next().is_some() {
            return Ok(false);
        }
        let Request { key, shared, of_block } = request;
        let same = |held: &&mut Held| (held.session, held.shared, held.of_block) == (session, shared, of_block);
        if let Some(held) = self.held.get_mut(&key).and_then(|holders| holders.iter_mut().find(same)) {
            held.count += 1;
            return Ok(true);
        }
        if self.count == ADVISORY_LOCKS_MAX {
            let message = format!("the server holds {ADVISORY_LOCKS_MAX} advisory locks");
            return Err(Error::new(Sqlstate::OUT_OF_MEMORY, message).with_hint("unlock some first"));
        }
        self.held.entry(key).or_default().push(Held { session, shared, of_block, count: 1 });
        self.count += 1;
        Ok(true)
    }

    fn give_back(&mut self, session: u32, key: Key, shared: bool) -> bool {
        let Some(holders) = self.held.get_mut(&key) else { return false };
        let own = |held: &Held| held.session == session && held.shared == shared && !held.of_block;
        let Some(index) = holders.iter().position(own) else { return false };
        holders[index].count -= 1;
        if holders[index].count == 0 {
            holders.swap_remove(index);
            self.count -= 1;
        }
        if holders.is_empty() {
            self.held.remove(&key);
        }
        true
    }

    /// Whether those that a session would wait for wait for it, directly or through others.
    fn closes_circle(&self, session: u32, request: Request) -> bool {
        let mut reached: Vec<u32> = self.in_the_way(session, request).collect();
        let mut next = 0;
        while let Some(&other) = reached.get(next) {
            next += 1;
            let wants = self.waiting.iter().filter(|(waiting, _)| *waiting == other);
            for blocker in wants.flat_map(|(_, request)| self.in_the_way(other, *request)).collect::<Vec<_>>() {
                if blocker == session {
                    return true;
                }
                if !reached.contains(&blocker) {
                    reached.push(blocker);
                }
            }
        }
        false
    }
}

/// A session's wait, which ends with the statement at the latest.
struct Waiting<'a> {
    locks: &'a AdvisoryLocks,
    session: u32,
    request: Request,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.locks.table().waiting.retain(|waiting| *waiting != (self.session, self.request));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const A: Request = Request { key: Key::One(1), shared: false, of_block: false };
    const B: Request = Request { key: Key::Two(0, 1), ..A };

    fn shared(request: Request) -> Request {
        Request { shared: true, ..request }
    }

    #[test]
    fn a_lock_is_held_as_often_as_it_was_taken() {
        let locks = AdvisoryLocks::default();
        assert!(locks.try_lock(1, A).unwrap() && locks.try_lock(1, A).unwrap());
        assert!(!locks.try_lock(2, A).unwrap());
        assert!(locks.try_lock(2, B).unwrap(), "another name");
        assert!(!locks.unlock(1, A.key, true), "not a shared one");
        assert!(locks.unlock(1, A.key, false) && !locks.try_lock(2, A).unwrap());
        assert!(locks.unlock(1, A.key, false) && !locks.unlock(1, A.key, false));
        assert!(locks.try_lock(2, A).unwrap());
    }

    #[test]
    fn shared_locks_keep_others_out() {
        let locks = AdvisoryLocks::default();
        assert!(locks.try_lock(1, shared(A)).unwrap() && locks.try_lock(2, shared(A)).unwrap());
        assert!(!locks.try_lock(1, A).unwrap());
        locks.unlock_all(2);
        assert!(locks.try_lock(1, A).unwrap() && !locks.try_lock(2, shared(A)).unwrap());
        locks.end_session(1);
        assert!(locks.table().held.is_empty() && locks.table().count == 0);
    }

    #[test]
    fn locks_of_a_block_end_with_it() {
        let locks = AdvisoryLocks::default();
        let of_block = Request { of_block: true, ..A };
        assert!(locks.try_lock(1, of_block).unwrap() && !locks.unlock(1, A.key, false));
        locks.unlock_all(1);
        assert!(!locks.try_lock(2, A).unwrap());
        locks.end_block(1);
        assert!(locks.try_lock(2, A).unwrap());
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_release() {
        let locks = Arc::new(AdvisoryLocks::default());
        assert!(locks.try_lock(1, A).unwrap());
        let waits = {
            let locks = Arc::clone(&locks);
            tokio::spawn(async move { locks.lock(2, A).await })
        };
        tokio::task::yield_now().await;
        assert_eq!(locks.table().waiting.len(), 1);
        locks.end_session(1);
        waits.await.unwrap().unwrap();
        assert!(locks.table().waiting.is_empty() && !locks.try_lock(1, A).unwrap());
    }

    #[tokio::test]
    async fn a_circle_of_waits_is_refused() {
        let locks = Arc::new(AdvisoryLocks::default());
        assert!(locks.try_lock(1, A).unwrap() && locks.try_lock(2, B).unwrap());
        let waits = {
            let locks = Arc::clone(&locks);
            tokio::spawn(async move { locks.lock(2, A).await })
        };
        tokio::task::yield_now().await;
        let refused = locks.lock(1, B).await.unwrap_err();
        assert_eq!(refused.code(), Sqlstate::DEADLOCK_DETECTED);
        waits.abort();
        assert!(waits.await.is_err() && locks.table().waiting.is_empty());
    }
}
