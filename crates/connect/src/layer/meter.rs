//! Counts requests, bytes and errors per kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use std::sync::Mutex;

/// What one kind has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests made.
    pub requests: u64,
    /// Requests failed.
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
        self.kinds.lock().map(|kinds| kinds.clone()).unwrap_or_default()
    }
}
