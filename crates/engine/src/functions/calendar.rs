//! Times as the functions of time see them: columns of clocks, moments and spans, the units of the calendar, and
//! arithmetic with spans.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMicrosecondType, IntervalMonthDayNano, IntervalMonthDayNanoType};
use arrow_array::{Array, ArrayRef, IntervalMonthDayNanoArray, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike, Days, Months, NaiveDateTime};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};

use crate::zoned::{exactly, is_text, parsed};

pub(super) const SECOND_MICROS: i64 = 1_000_000;
pub(super) const HOUR_MICROS: i64 = 3600 * SECOND_MICROS;
pub(super) const DAY_MICROS: i64 = 24 * HOUR_MICROS;
const MICRO_NANOS: i64 = 1000;

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
            DataType::Duration(_) => {
                let durations = exactly(column, &DataType::Duration(TimeUnit::Microsecond))?;
                let span = |micros| Span { months: 0, days: micros / DAY_MICROS, micros: micros % DAY_MICROS }.value();
                let durations = durations.as_primitive::<DurationMicrosecondType>();
                Ok(Times::Spans(durations.try_unary::<_, IntervalMonthDayNanoType, _>(span)?))
            }
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

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub months: i64,
    pub days: i64,
    pub micros: i64,
}

impl Span {
    pub fn of(value: IntervalMonthDayNano) -> Span {
        let (months, days) = (i64::from(value.months), i64::from(value.days));
        Span { months, days, micros: value.nanoseconds / MICRO_NANOS }
    }

    /// As Arrow holds it.
    ///
    /// # Errors
    /// 22008 beyond its range.
    pub fn value(self) -> Result<IntervalMonthDayNano> {
        let value = || {
            let (months, days) = (i32::try_from(self.months).ok()?, i32::try_from(self.days).ok()?);
            Some(IntervalMonthDayNano::new(months, days, self.micros.checked_mul(MICRO_NANOS)?))
        };
        value().ok_or_else(|| out_of_range("interval"))
    }

    pub fn negated(self) -> Span {
        Span { months: -self.months, days: -self.days, micros: -self.micros }
    }

    /// The span times a number; what is left of a month becomes days of 30, of a day hours.
    pub fn times(self, factor: f64) -> Result<Span> {
        if !factor.is_finite() {
            return Err(out_of_range("interval"));
        }
        let months = self.months as f64 * factor;
        let days = self.days as f64 * factor + (months - months.trunc()) * 30.0;
        // Thirds of a month and the like leave what is nearly a whole day.
        let days = (days * 1e9).round() / 1e9;
        let micros = self.micros as f64 * factor + (days - days.trunc()) * DAY_MICROS as f64;
        Ok(Span { months: months as i64, days: days as i64, micros: micros.round() as i64 })
    }

    /// From an earlier clock to a later one in whole years, months and days, then hours and less; all negative when it
    /// goes back. A month that is borrowed has the days of the earlier clock's.
    pub fn between(later: i64, earlier: i64) -> Result<Span> {
        if later < earlier {
            return Span::between(earlier, later).map(Span::negated);
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
    pub fn after(self, clock: i64) -> Result<i64> {
        let later = self.after_date(clock)?.checked_add(self.micros);
        later.ok_or_else(|| out_of_range("timestamp"))
    }

    /// A moment after the span: months and days are those of the zone's calendar, hours and less pass everywhere alike.
    pub fn after_moment(self, moment: i64, zone: Zone) -> Result<i64> {
        let date = match (self.months, self.days) {
            (0, 0) => Some(moment),
            _ => match zone.to_local(moment) {
                Some(local) => zone.to_moment(self.after_date(local)?),
                None => None,
            },
        };
        date.and_then(|date| date.checked_add(self.micros)).ok_or_else(|| out_of_range("timestamp"))
    }

    fn after_date(self, clock: i64) -> Result<i64> {
        let later = || {
            let start = fields(clock).ok()?;
            let months = Months::new(u32::try_from(self.months.unsigned_abs()).ok()?);
            let days = Days::new(self.days.unsigned_abs());
            let month =
                if self.months < 0 { start.checked_sub_months(months) } else { start.checked_add_months(months) };
            if self.days < 0 { month?.checked_sub_days(days) } else { month?.checked_add_days(days) }
        };
        later().map(micros).ok_or_else(|| out_of_range("timestamp"))
    }
}

/// A unit of the calendar, or another part of a time that EXTRACT knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Epoch,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

/// Units by PostgreSQL's names.
const UNITS: &[(Unit, &[&str])] = &[
    (Unit::Microsecond, &["microseconds", "microsecond", "us", "usec", "usecs", "usecond", "useconds"]),
    (Unit::Millisecond, &["milliseconds", "millisecond", "ms", "msec", "msecs", "msecond", "mseconds"]),
    (Unit::Second, &["second", "seconds", "s", "sec", "secs"]),
    (Unit::Minute, &["minute", "minutes", "m", "min", "mins"]),
    (Unit::Hour, &["hour", "hours", "h", "hr", "hrs"]),
    (Unit::Day, &["day", "days", "d"]),
    (Unit::Week, &["week", "weeks", "w"]),
    (Unit::Month, &["month", "months", "mon", "mons"]),
    (Unit::Quarter, &["quarter", "qtr"]),
    (Unit::Year, &["year", "years", "y", "yr", "yrs"]),
    (Unit::Decade, &["decade", "decades", "dec", "decs"]),
    (Unit::Century, &["century", "centuries", "c", "cent"]),
    (Unit::Millennium, &["millennium", "millennia", "mil", "mils"]),
    (Unit::DayOfWeek, &["dow"]),
    (Unit::IsoDayOfWeek, &["isodow"]),
    (Unit::DayOfYear, &["doy"]),
    (Unit::IsoYear, &["isoyear"]),
    (Unit::Epoch, &["epoch"]),
    (Unit::Timezone, &["timezone"]),
    (Unit::TimezoneHour, &["timezone_hour"]),
    (Unit::TimezoneMinute, &["timezone_minute"]),
];

impl Unit {
    /// The unit of a name in any case.
    ///
    /// # Errors
    /// 22023 for an unknown one.
    pub fn parse(name: &str) -> Result<Unit> {
        let known = UNITS.iter().find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name.trim())));
        known.map(|(unit, _)| *unit).ok_or_else(|| unknown_unit(name))
    }
}

/// 22023
pub(super) fn unknown_unit(name: &str) -> Error {
    Error::invalid(format!("unit {name:?} not recognized"))
}
