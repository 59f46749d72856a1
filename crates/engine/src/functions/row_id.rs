//! `unique_rowid()`, the default of SERIAL columns: numbers that no other row has, and that grow with time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::{ArrayRef, Int64Array};
use lakeport_base::{Env, SqlType};

use super::scalar::{Call, Scalar};

/// Microseconds from 1970 to 2015, where the numbers begin.
const START_MICROS: i64 = 1_420_070_400_000_000;
const TICK_MICROS: i64 = 10;
/// Numbers of one tick: so many that they never run ahead of the clock, which would repeat them after a restart.
const TICK_NUMBERS: i64 = 1 << 15;

/// The function.
pub(super) fn function(env: Env) -> Scalar {
    let numbers = RowNumbers { env, last: AtomicI64::new(0) };
    let body = move |call: &Call<'_>| {
        let first = numbers.take(call.rows as i64);
        Ok(Arc::new(Int64Array::from_iter_values(first..first + call.rows as i64)) as ArrayRef)
    };
    Scalar::of_any("unique_rowid", &[0], SqlType::Int8, body).volatile()
}

struct RowNumbers {
    env: Env,
    last: AtomicI64,
}

impl RowNumbers {
    /// The first of so many numbers, all greater than those before.
    fn take(&self, count: i64) -> i64 {
        let now = (self.env.now_micros() - START_MICROS) / TICK_MICROS * TICK_NUMBERS;
        let first = |last: i64| now.max(last + 1);
        let advance = |last: i64| Some(first(last) + count - 1);
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        first(last.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_without_repeating() {
        let numbers = RowNumbers { env: Env::system(), last: AtomicI64::new(0) };
        let (first, second, third) = (numbers.take(8192), numbers.take(1), numbers.take(1));
        assert!(first > 0 && second >= first + 8192 && third > second);
        // A clock that went back.
        numbers.last.store(i64::MAX / 2, Ordering::Relaxed);
        assert_eq!(numbers.take(3), i64::MAX / 2 + 1);
        assert_eq!(numbers.take(1), i64::MAX / 2 + 4);
    }
}
