//! Savepoints: marks in a transaction block that it can go back to.

use std::sync::{Arc, Weak};

use lakeport_base::Sqlstate;
use lakeport_base::limits::SAVEPOINTS_MAX;

use super::{OpenBlock, Session, State};
use crate::error::{Error, Result};
use crate::stmt::fetch::OpenCursor;

/// What the block had done when it made the mark. Of equal names the last one counts.
pub(super) struct Savepoint {
    name: String,
    /// The engine's mark of what was written.
    written: usize,
    /// How many variables it had changed.
    pub(super) changes: usize,
    cursors: Vec<Weak<OpenCursor>>,
}

impl State {
    /// # Errors
    /// 3B001
    fn savepoint(&self, name: &str) -> Result<usize> {
        let unknown = || Error::new(Sqlstate::INVALID_SAVEPOINT, format!("savepoint {name:?} does not exist"));
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name).ok_or_else(unknown)
    }
}

impl Session {
    /// # Errors
    /// 53400 when the block has too many.
    pub(crate) fn set_savepoint(&self, block: OpenBlock, name: &str) -> Result<()> {
        let written = self.server.config.engine.savepoint(block.id)?;
        let mut state = self.state();
        if state.savepoints.len() == SAVEPOINTS_MAX {
            let message = format!("savepoint {name:?} not made: the block has {SAVEPOINTS_MAX} savepoints");
            return Err(Error::new(Sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message).with_hint("RELEASE some first"));
        }
        let changes = state.changes.len();
        let cursors = self.cursors().values().map(Arc::downgrade).collect();
        state.savepoints.push(Savepoint { name: name.to_string(), written, changes, cursors });
        Ok(())
    }

    /// Forgets a savepoint and those made since.
    ///
    /// # Errors
    /// 3B001
    pub(crate) fn release_savepoint(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        let index = state.savepoint(name)?;
        state.savepoints.truncate(index);
        Ok(())
    }

    /// Undoes what the block has done since a savepoint, which stays. A failed block goes on.
    ///
    /// # Errors
    /// 3B001
    pub(crate) fn roll_back_to(&self, block: OpenBlock, name: &str) -> Result<()> {
        let mut state = self.state();
        let index = state.savepoint(name)?;
        let Savepoint { written, changes, .. } = state.savepoints[index];
        self.server.config.engine.rollback_to(block.id, written)?;
        let before = &state.savepoints[index].cursors;
        self.cursors().retain(|_, cursor| before.iter().any(|known| known.as_ptr() == Arc::as_ptr(cursor)));
        state.savepoints.truncate(index + 1);
        state.block = Some(OpenBlock { failed: false, ..block });
        let undone = state.changes.split_off(changes);
        drop(state);
        self.undo(undone);
        Ok(())
    }
}
