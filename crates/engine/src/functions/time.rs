//! Functions that tell the time of a statement.

use chrono::{DateTime, TimeZone, Utc};
use datafusion::common::ScalarValue;
use lakeport_base::{Env, SqlType};
use lakeport_core::engine::QueryContext;

use super::scalar::Scalar;

/// Nanoseconds of a microsecond.
const MICRO_NANOS: i128 = 1_000;

/// The functions for one statement. Every one but `clock_timestamp` answers its start.
pub(super) fn functions(cx: &QueryContext) -> Vec<Scalar> {
    let local = local_micros(cx.now, &cx.time_zone);
    let days = i32::try_from(local.div_euclid(DAY_MICROS)).ok();
    vec![
        Scalar::constant("now", &[0], SqlType::TimestampTz, instant(cx.now)).with_aliases(&[
            "current_timestamp",
            "transaction_timestamp",
            "statement_timestamp",
            "follower_read_timestamp",
        ]),
        clock_timestamp(),
        Scalar::constant(
            "localtimestamp",
            &[0],
            SqlType::Timestamp,
            ScalarValue::TimestampMicrosecond(Some(local), None),
        ),
        Scalar::constant("current_date", &[0], SqlType::Date, ScalarValue::Date32(days)).with_aliases(&["today"]),
        cluster_logical_timestamp(cx.now),
    ]
}

const DAY_MICROS: i64 = 86_400_000_000;

fn instant(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
}

fn clock_timestamp() -> Scalar {
    let env = Env::system();
    Scalar::of_any("clock_timestamp", &[0], SqlType::TimestampTz, move |call| {
        instant(env.now_micros()).to_array_of_size(call.rows)
    })
    .volatile()
}

/// The start of the statement as CockroachDB writes it: nanoseconds, and a counter that is always 0 here.
fn cluster_logical_timestamp(now: i64) -> Scalar {
    const COUNTER_DIGITS: u8 = 10;
    let scaled = i128::from(now) * MICRO_NANOS * 10_i128.pow(COUNTER_DIGITS.into());
    let value = ScalarValue::Decimal128(Some(scaled), 38, COUNTER_DIGITS as i8);
    Scalar::constant("cluster_logical_timestamp", &[0], SqlType::Decimal(38, COUNTER_DIGITS), value)
}

/// What a clock on the wall of a zone shows, as microseconds; UTC for a zone that is not known.
fn local_micros(now: i64, zone: &str) -> i64 {
    let shown = |now: DateTime<Utc>| match zone.parse::<arrow_array::timezone::Tz>() {
        Ok(zone) => zone.from_utc_datetime(&now.naive_utc()).naive_local().and_utc().timestamp_micros(),
        Err(_) => now.timestamp_micros(),
    };
    DateTime::from_timestamp_micros(now).map_or(now, shown)
}
