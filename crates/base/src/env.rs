//! The only source of wall-clock time, randomness and failure points.

use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rand::RngCore;

use crate::fault::Point;
use crate::hex;

/// What happens at fault points.
pub type Fault = Arc<dyn Fn(Point) -> io::Result<()> + Send + Sync>;

/// Clock, randomness and fault points, shared by all that needs them.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    fault: Option<Fault>,
}

impl Env {
    /// The real clock and no faults.
    pub fn system() -> Env {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        Env { clock: Arc::new(Utc::now), fault: None }
    }

    /// A given clock, for tests.
    pub fn with_clock(clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Env {
        Env { clock: Arc::new(clock), fault: None }
    }

    /// The same environment with a handler for fault points.
    pub fn with_fault(mut self, fault: Fault) -> Env {
        self.fault = Some(fault);
        self
    }

    /// Now, UTC.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// Microseconds since the Unix epoch.
    pub fn now_micros(&self) -> i64 {
        self.now().timestamp_micros()
    }

    /// Fills a buffer from the operating system's generator.
    pub fn random(&self, buffer: &mut [u8]) {
        #[expect(clippy::disallowed_methods, reason = "the one place that draws random bytes")]
        rand::rng().fill_bytes(buffer);
    }

    /// So many random bytes as lower-case hex.
    pub fn random_hex(&self, bytes: usize) -> String {
        let mut buffer = vec![0; bytes];
        self.random(&mut buffer);
        hex::encode(&buffer)
    }

    /// Reaches a point at which tests may inject a failure.
    ///
    /// # Errors
    /// Whatever the installed handler answers; nothing without one.
    pub fn fault(&self, point: Point) -> io::Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault(point))
    }
}
