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

    /// Makes all commits to come later than a moment, such as one before the process began, if the clock was set back since.
    pub fn pass(&self, moment: i64) {
        self.last.fetch_max(moment, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn commits_are_later_than_those_before_a_clock_was_set_back() {
        let clock = Clock::new(Env::with_clock(|| DateTime::from_timestamp_micros(1_000).unwrap()));
        assert_eq!([clock.next(), clock.next()], [1_000, 1_001]);
        clock.pass(5_000);
        clock.pass(4_000);
        assert_eq!([clock.next(), clock.next()], [5_001, 5_002]);
    }
}
