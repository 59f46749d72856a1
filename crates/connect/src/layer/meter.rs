//! Counts requests, bytes and errors per kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What one kind has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests made.
    pub requests: u64,
    /// Requests failed, absent files not counted.
    pub errors: u64,
    /// Bytes received.
    pub bytes_read: u64,
    /// Bytes sent.
    pub bytes_written: u64,
}

/// Counters shared by all stores of a server.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    kinds: Arc<Mutex<BTreeMap<&'static str, Usage>>>,
}

impl Meter {
    /// The counters of each kind used so far.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Usage> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the counters of a kind.
    pub(super) fn count(&self, kind: &'static str, change: impl FnOnce(&mut Usage)) {
        change(self.kinds.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default());
    }
}
