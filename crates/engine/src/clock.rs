//! The one source of commit times.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};

use lakeport_base::{Env, Point};

/// Wall-clock microseconds that never repeat and never go back.
pub(crate) struct Clock {
    env: Env,
    last: AtomicI64,
}

impl Clock {
    pub fn new(env: Env) -> Clock {
        Clock { env, last: AtomicI64::new(i64::MIN) }
    }

    /// The time of the next commit, later than all before.
    pub fn next(&self) -> i64 {
        let now = self.env.now_micros();
        let advance = |last: i64| Some(now.max(last.saturating_add(1)));
        let previous = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, advance).unwrap_or(now);
        now.max(previous.saturating_add(1))
    }

    /// An id that no other commit has.
    pub fn random_id(&self) -> String {
        self.env.random_hex(16)
    }

    /// Reaches a fault point.
    pub fn fault(&self, point: Point) -> io::Result<()> {
        self.env.fault(point)
    }

    /// The wall clock.
    pub fn now(&self) -> i64 {
        self.env.now_micros()
    }
}
