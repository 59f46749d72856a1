//! How much of the files of a job is copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::job::Progress;

/// Counts bytes, and tells the job which part of all that is.
#[derive(Default)]
pub(super) struct Meter {
    progress: Arc<Progress>,
    bytes: AtomicU64,
    total: u64,
}

impl Meter {
    /// `bytes` of `total` are copied already.
    pub fn new(progress: Arc<Progress>, bytes: u64, total: u64) -> Meter {
        Meter { progress, bytes: AtomicU64::new(bytes), total }
    }

    pub fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.progress.set_fraction(bytes as f64 / self.total.max(1) as f64);
    }
}
