//! Functions that tell the time of a statement.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::cast::as_float64_array;
use datafusion::common::{Result, ScalarValue};
use lakeport_base::{Env, SqlType};
use lakeport_core::Error;
use lakeport_core::value::Zone;

use super::calendar::{DAY_MICROS, SECOND_MICROS, Times, between, out_of_range};
use super::scalar::{Call, Scalar, failed};
use crate::scope::Moment;
use crate::zoned;

/// Nanoseconds of a microsecond.
const MICRO_NANOS: i128 = 1_000;

/// The functions for one statement. Every one but `clock_timestamp` answers its start.
pub(super) fn functions(moment: &Moment) -> Vec<Scalar> {
    let Moment { zone, now } = *moment;
    let local = zone.to_local(now).unwrap_or(now);
    let today = local.div_euclid(DAY_MICROS);
    let days = i32::try_from(today).ok();
    vec![
        Scalar::constant("now", &[0], SqlType::TimestampTz, instant(now)).with_aliases(&[
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
        cluster_logical_timestamp(now),
        current_time(local),
        age(zone, today * DAY_MICROS),
        to_timestamp(),
    ]
}

fn instant(micros: i64) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()))
}

/// The time of day. There is no column type for it; it shows as text.
fn current_time(local: i64) -> Scalar {
    let value = ScalarValue::Time64Microsecond(Some(local.rem_euclid(DAY_MICROS)));
    Scalar::constant("current_time", &[0], SqlType::Text, value)
        .with_aliases(&["localtime"])
        .returning(|_| DataType::Time64(TimeUnit::Microsecond))
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
    // With 38 it would be a DECIMAL without scale, whose zeros are not shown.
    const DIGITS: u8 = 37;
    let scaled = i128::from(now) * MICRO_NANOS * 10_i128.pow(COUNTER_DIGITS.into());
    let value = ScalarValue::Decimal128(Some(scaled), DIGITS, COUNTER_DIGITS as i8);
    Scalar::constant("cluster_logical_timestamp", &[0], SqlType::Decimal(DIGITS, COUNTER_DIGITS), value)
}

/// `to_timestamp(seconds)`: seconds since the epoch as a moment.
fn to_timestamp() -> Scalar {
    Scalar::new("to_timestamp", vec![DataType::Float64], SqlType::TimestampTz, |call| {
        let seconds = as_float64_array(call.column(0))?;
        let micros = |seconds: f64| {
            let micros = (seconds * SECOND_MICROS as f64).round();
            let in_range = micros.abs() < i64::MAX as f64;
            in_range.then_some(micros as i64).ok_or_else(|| failed(out_of_range("timestamp")))
        };
        let moments = seconds.try_unary::<_, TimestampMicrosecondType, _>(micros)?;
        Ok(Arc::new(moments.with_timezone("UTC")))
    })
}

/// `age(later, earlier)` and `age(earlier)`, which counts from the start of today: years, months and days between
/// clocks.
fn age(zone: Zone, today: i64) -> Scalar {
    let body = move |call: &Call<'_>| {
        let clocks = |index: usize| -> Result<TimestampMicrosecondArray> {
            match Times::of(call.column(index), zone).map_err(failed)? {
                Times::Clocks(clocks) => Ok(clocks),
                Times::Moments(moments) => {
                    let moments: ArrayRef = Arc::new(moments.with_timezone("UTC"));
                    Ok(zoned::clocks(&moments, zone).map_err(failed)?.as_primitive().clone())
                }
                Times::Spans(_) => Err(failed(Error::unsupported("an interval has no age"))),
            }
        };
        let first = clocks(0)?;
        let second = call.columns().get(1).map(|_| clocks(1)).transpose()?;
        let span = |row: usize| {
            let (later, earlier) = match &second {
                Some(second) => {
                    (first.is_valid(row).then(|| first.value(row))?, second.is_valid(row).then(|| second.value(row))?)
                }
                None => (today, first.is_valid(row).then(|| first.value(row))?),
            };
            Some(between(later, earlier).and_then(|span| Ok(span.value()?)).map_err(failed))
        };
        let spans = (0..call.rows).map(|row| span(row).transpose()).collect::<Result<IntervalMonthDayNanoArray>>()?;
        Ok(Arc::new(spans) as ArrayRef)
    };
    Scalar::of_any("age", &[1, 2], SqlType::Text, body).returning(|_| DataType::Interval(IntervalUnit::MonthDayNano))
}
