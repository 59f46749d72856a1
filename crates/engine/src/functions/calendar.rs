//! Times as the functions of time see them: columns of clocks, moments and spans, and what the calendar makes of a span.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, IntervalMonthDayNanoArray, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike, Days, Months, NaiveDateTime};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{Span, Unit, Zone};
use lakeport_core::{Error, Result};

use crate::zoned::{exactly, intervals, is_text, parsed};

pub(super) const SECOND_MICROS: i64 = 1_000_000;
pub(super) const HOUR_MICROS: i64 = 3600 * SECOND_MICROS;
pub(super) const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// A column of times, in microseconds since the epoch.
pub(super) enum Times {
    /// TIMESTAMP and DATE: what a clock shows.
    Clocks(TimestampMicrosecondArray),
    /// TIMESTAMPTZ.
    Moments(TimestampMicrosecondArray),
    /// INTERVAL.
    Spans(IntervalMonthDayNanoArray),
}

impl Times {
    /// The times of an argument; a text is a TIMESTAMPTZ.
    ///
    /// # Errors
    /// 42883 for what is no time.
    pub fn of(column: &ArrayRef, zone: Zone) -> Result<Times> {
        let moment = arrow_type(&SqlType::TimestampTz);
        match column.data_type() {
            DataType::Timestamp(_, None) | DataType::Date32 => {
                let clocks = exactly(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                Ok(Times::Clocks(clocks.as_primitive().clone()))
            }
            DataType::Timestamp(_, Some(_)) => Ok(Times::Moments(exactly(column, &moment)?.as_primitive().clone())),
            DataType::Interval(_) => {
                let spans = exactly(column, &DataType::Interval(IntervalUnit::MonthDayNano))?;
                Ok(Times::Spans(spans.as_primitive().clone()))
            }
            DataType::Duration(_) => intervals(column).map(Times::Spans),
            text if is_text(text) => {
                let texts: StringArray = exactly(column, &DataType::Utf8)?.as_string().clone();
                Ok(Times::Moments(parsed(&texts, &SqlType::TimestampTz, zone)?.as_primitive().clone()))
            }
            other => Err(no_time(other)),
        }
    }

    /// Whether a row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Times::Clocks(values) | Times::Moments(values) => values.is_null(row),
            Times::Spans(values) => values.is_null(row),
        }
    }
}

/// 42883
fn no_time(found: &DataType) -> Error {
    let found = crate::literal::shown_type(found);
    Error::new(Sqlstate::UNDEFINED_FUNCTION, format!("a value of type {found} is no time"))
        .with_hint("cast it to TIMESTAMP, TIMESTAMPTZ, DATE or INTERVAL")
}

/// 22008
pub(super) fn out_of_range(what: &str) -> Error {
    Error::new(Sqlstate::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

/// The fields of what a clock shows.
pub(super) fn fields(clock: i64) -> Result<NaiveDateTime> {
    let moment = DateTime::from_timestamp_micros(clock).ok_or_else(|| out_of_range("timestamp"))?;
    Ok(moment.naive_utc())
}

/// What a clock shows, from its fields.
pub(super) fn micros(fields: NaiveDateTime) -> i64 {
    fields.and_utc().timestamp_micros()
}

/// From an earlier clock to a later one in whole years, months and days, then hours and less; all negative when it
/// goes back. A month that is borrowed has the days of the earlier clock's.
pub(super) fn between(later: i64, earlier: i64) -> Result<Span> {
    if later < earlier {
        return between(earlier, later).map(Span::negated);
    }
    let (to, from) = (fields(later)?, fields(earlier)?);
    let mut months = i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month());
    let mut days = i64::from(to.day()) - i64::from(from.day());
    let mut micros = later.rem_euclid(DAY_MICROS) - earlier.rem_euclid(DAY_MICROS);
    if micros < 0 {
        (micros, days) = (micros + DAY_MICROS, days - 1);
    }
    if days < 0 {
        (days, months) = (days + i64::from(from.num_days_in_month()), months - 1);
    }
    Ok(Span { months, days, micros })
}

/// A clock after the span. A day that its new month lacks becomes the month's last.
pub(super) fn after(span: Span, clock: i64) -> Result<i64> {
    let later = after_date(span, clock)?.checked_add(span.micros);
    later.ok_or_else(|| out_of_range("timestamp"))
}

/// A moment after the span: months and days are those of the zone's calendar, hours and less pass everywhere alike.
pub(super) fn after_moment(span: Span, moment: i64, zone: Zone) -> Result<i64> {
    let date = match (span.months, span.days) {
        (0, 0) => Some(moment),
        _ => match zone.to_local(moment) {
            Some(local) => zone.to_moment(after_date(span, local)?),
            None => None,
        },
    };
    date.and_then(|date| date.checked_add(span.micros)).ok_or_else(|| out_of_range("timestamp"))
}

fn after_date(span: Span, clock: i64) -> Result<i64> {
    let later = || {
        let start = fields(clock).ok()?;
        let months = Months::new(u32::try_from(span.months.unsigned_abs()).ok()?);
        let days = Days::new(span.days.unsigned_abs());
        let month = if span.months < 0 { start.checked_sub_months(months) } else { start.checked_add_months(months) };
        if span.days < 0 { month?.checked_sub_days(days) } else { month?.checked_add_days(days) }
    };
    later().map(micros).ok_or_else(|| out_of_range("timestamp"))
}

/// The unit of a name.
///
/// # Errors
/// 22023 for an unknown one.
pub(super) fn unit_named(name: &str) -> Result<Unit> {
    Unit::parse(name).ok_or_else(|| Error::invalid(format!("unit {name:?} not recognized")))
}
