//! Advisory locks of a session, and its statement's place while it waits for one.

use std::sync::{Arc, PoisonError};

use super::Session;
use crate::admission::Place;
use crate::advisory::{Key, Request};
use crate::error::Result;

impl Session {
    /// Takes an advisory lock. While the statement waits for it, its place rests.
    ///
    /// # Errors
    /// 40P01 when the holder waits for this session.
    pub(crate) async fn lock(&self, request: Request) -> Result<()> {
        if self.try_lock(request)? {
            return Ok(());
        }
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(place) = &place {
            place.rest();
        }
        self.server.advisory_locks.lock(self.number, request).await?;
        self.end_lock_without_block(request);
        match &place {
            Some(place) => place.work().await,
            None => Ok(()),
        }
    }

    /// Takes an advisory lock if it is free.
    pub(crate) fn try_lock(&self, request: Request) -> Result<bool> {
        let locked = self.server.advisory_locks.try_lock(self.number, request)?;
        self.end_lock_without_block(request);
        Ok(locked)
    }

    /// Without a block, a lock for the block ends as soon as it is there.
    fn end_lock_without_block(&self, request: Request) {
        if request.of_block && self.open_block().is_none() {
            self.server.advisory_locks.end_block(self.number);
        }
    }

    /// Gives an advisory lock back; `false` when the session does not have it.
    pub(crate) fn unlock(&self, key: Key, shared: bool) -> bool {
        self.server.advisory_locks.unlock(self.number, key, shared)
    }

    /// Gives back all advisory locks but those of the block.
    pub(crate) fn unlock_all(&self) {
        self.server.advisory_locks.unlock_all(self.number);
    }

    /// Notes the place of the statement that runs.
    pub(super) fn note_place(&self, place: &Arc<Place>) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(place);
    }
}
