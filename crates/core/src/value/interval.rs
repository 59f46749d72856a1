//! Intervals and their texts: `1 year 2 mons 3 days 04:05:06.5`, `1.5 hours ago`, `P1Y2M3DT4H5M6S`.

use arrow_array::types::IntervalMonthDayNano;
use lakeport_base::Sqlstate;

use super::ValueError;

const SECOND_MICROS: i64 = 1_000_000;
const HOUR_MICROS: i64 = 3600 * SECOND_MICROS;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;
const MICRO_NANOS: i64 = 1000;

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub months: i64,
    pub days: i64,
    pub micros: i64,
}

impl Span {
    const ZERO: Span = Span { months: 0, days: 0, micros: 0 };

    /// As Arrow holds it; parts of a microsecond are cut.
    pub fn of(value: IntervalMonthDayNano) -> Span {
        let (months, days) = (i64::from(value.months), i64::from(value.days));
        Span { months, days, micros: value.nanoseconds / MICRO_NANOS }
    }

    /// A length of time in days and less.
    pub fn of_micros(micros: i64) -> Span {
        Span { months: 0, days: micros / DAY_MICROS, micros: micros % DAY_MICROS }
    }

    /// For Arrow to hold.
    ///
    /// # Errors
    /// 22008 beyond its range.
    pub fn value(self) -> Result<IntervalMonthDayNano, ValueError> {
        let value = || {
            let (months, days) = (i32::try_from(self.months).ok()?, i32::try_from(self.days).ok()?);
            Some(IntervalMonthDayNano::new(months, days, self.micros.checked_mul(MICRO_NANOS)?))
        };
        value().ok_or_else(out_of_range)
    }

    /// The same, back in time.
    pub fn negated(self) -> Span {
        Span { months: -self.months, days: -self.days, micros: -self.micros }
    }

    /// The span times a number; what is left of a month becomes days of 30, of a day hours.
    ///
    /// # Errors
    /// 22008 when the number is infinite or none.
    pub fn times(self, factor: f64) -> Result<Span, ValueError> {
        if !factor.is_finite() {
            return Err(out_of_range());
        }
        let months = self.months as f64 * factor;
        let days = self.days as f64 * factor + (months - months.trunc()) * 30.0;
        // Thirds of a month and the like leave what is nearly a whole day.
        let days = (days * 1e9).round() / 1e9;
        let micros = self.micros as f64 * factor + (days - days.trunc()) * DAY_MICROS as f64;
        Ok(Span { months: months as i64, days: days as i64, micros: micros.round() as i64 })
    }

    /// Reads an interval.
    ///
    /// # Errors
    /// 22007 for another text, 22008 beyond the range of intervals.
    pub fn parse(text: &str) -> Result<Span, ValueError> {
        let trimmed = text.trim();
        let parsed = match trimmed.strip_prefix(['P', 'p']) {
            Some(iso) => iso_8601(iso),
            None => words(trimmed),
        };
        parsed.ok_or_else(|| {
            let message = format!("invalid input syntax for type interval: {text:?}");
            ValueError::new(Sqlstate::INVALID_DATETIME_FORMAT, message)
        })?
    }

    /// As a text of which no part is mixed, which every reader of intervals takes.
    pub fn plain_text(self) -> String {
        let Span { months, days, micros } = self;
        format!("{months} months {days} days {micros} microseconds")
    }

    fn plus(self, other: Span) -> Option<Span> {
        Some(Span {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            micros: self.micros.checked_add(other.micros)?,
        })
    }
}

fn out_of_range() -> ValueError {
    ValueError::new(Sqlstate::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// A unit of the calendar, or another part of a time that EXTRACT knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
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
    pub fn parse(name: &str) -> Option<Unit> {
        let known = UNITS.iter().find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name.trim())));
        known.map(|(unit, _)| *unit)
    }

    /// One of the unit; `None` for what is no length of time.
    pub fn span(self) -> Option<Span> {
        let months = |months| Span { months, ..Span::ZERO };
        let days = |days| Span { days, ..Span::ZERO };
        let micros = |micros| Span { micros, ..Span::ZERO };
        Some(match self {
            Unit::Microsecond => micros(1),
            Unit::Millisecond => micros(1000),
            Unit::Second => micros(SECOND_MICROS),
            Unit::Minute => micros(60 * SECOND_MICROS),
            Unit::Hour => micros(HOUR_MICROS),
            Unit::Day => days(1),
            Unit::Week => days(7),
            Unit::Month => months(1),
            Unit::Quarter => months(3),
            Unit::Year => months(12),
            Unit::Decade => months(120),
            Unit::Century => months(1200),
            Unit::Millennium => months(12_000),
            _ => return None,
        })
    }
}

/// Numbers with units, and clocks, in any order. `None` is a text of another form.
fn words(text: &str) -> Option<Result<Span, ValueError>> {
    let text = text.strip_prefix('@').unwrap_or(text).trim_start();
    let (text, ago) = match text.get(text.len().saturating_sub(4)..) {
        Some(end) if end.eq_ignore_ascii_case(" ago") => (&text[..text.len() - 4], true),
        _ => (text, false),
    };
    let mut words = text.split_ascii_whitespace().flat_map(number_and_unit).peekable();
    words.peek()?;
    let mut sum = Span::ZERO;
    while let Some(word) = words.next() {
        let span = if word.contains(':') {
            clock(word)?
        } else {
            let number: f64 = word.parse().ok().filter(|number: &f64| number.is_finite())?;
            let named = words.next_if(|unit| unit.starts_with(|first: char| first.is_ascii_alphabetic()));
            // A number alone counts seconds, and only at the end.
            let unit = named.or_else(|| words.peek().is_none().then_some("second"))?;
            match Unit::parse(unit)?.span()?.times(number) {
                Ok(span) => span,
                Err(error) => return Some(Err(error)),
            }
        };
        sum = sum.plus(span)?;
    }
    Some(Ok(if ago { sum.negated() } else { sum }))
}

/// Parts `3days` into its number and its unit.
fn number_and_unit(word: &str) -> impl Iterator<Item = &str> {
    let number = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+');
    let at = if word.contains(':') { 0 } else { word.bytes().take_while(|byte| number(*byte)).count() };
    let (number, unit) = word.split_at(at);
    [number, unit].into_iter().filter(|part| !part.is_empty())
}

/// `[{+|-}]hh:mm[:ss[.ffffff]]`
fn clock(text: &str) -> Option<Span> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let parts: Vec<&str> = digits.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] => (hours, minutes, &"0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let minutes: u8 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    let seconds: f64 = seconds.parse().ok().filter(|seconds| (0.0..60.0).contains(seconds))?;
    let micros = i64::from(minutes) * 60 * SECOND_MICROS + (seconds * SECOND_MICROS as f64).round() as i64;
    let micros = i64::from(hours.parse::<u32>().ok()?).checked_mul(HOUR_MICROS)?.checked_add(micros)?;
    Some(Span { micros: if negative { -micros } else { micros }, ..Span::ZERO })
}

/// What follows `P`: numbers with the letters `YMWD`, and after `T` with `HMS`.
fn iso_8601(text: &str) -> Option<Result<Span, ValueError>> {
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, ""));
    let mut sum = Span::ZERO;
    for (part, units) in [
        (date, [('Y', Unit::Year), ('M', Unit::Month), ('W', Unit::Week), ('D', Unit::Day)].as_slice()),
        (time, [('H', Unit::Hour), ('M', Unit::Minute), ('S', Unit::Second)].as_slice()),
    ] {
        let mut rest = part;
        while !rest.is_empty() {
            let end = rest.find(|letter: char| letter.is_ascii_alphabetic())?;
            let (number, letter) = (rest[..end].parse::<f64>().ok()?, rest[end..].chars().next()?);
            let (_, unit) = units.iter().find(|(known, _)| letter.eq_ignore_ascii_case(known))?;
            match unit.span()?.times(number) {
                Ok(span) => sum = sum.plus(span)?,
                Err(error) => return Some(Err(error)),
            }
            rest = &rest[end + 1..];
        }
    }
    (!text.is_empty()).then_some(Ok(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_intervals() {
        let clock = |hours: i64, minutes: i64, micros: i64| hours * HOUR_MICROS + minutes * 60 * SECOND_MICROS + micros;
        for (text, months, days, micros) in [
            ("14 months 3 days 04:05:06.5", 14, 3, clock(4, 5, 6_500_000)),
            ("1 year 2 mons -3 days +04:05", 14, -3, clock(4, 5, 0)),
            ("1 day 02:00", 0, 1, clock(2, 0, 0)),
            ("-1:30", 0, 0, -clock(1, 30, 0)),
            ("1.5 months", 1, 15, 0),
            ("1.5 days ago", 0, -1, -DAY_MICROS / 2),
            ("@ 2 weeks", 0, 14, 0),
            ("3d 5h", 0, 3, clock(5, 0, 0)),
            ("90", 0, 0, clock(0, 1, 30_000_000)),
            ("P1Y2M3DT4H5M6.5S", 14, 3, clock(4, 5, 6_500_000)),
            ("PT0.25S", 0, 0, 250_000),
        ] {
            assert_eq!(Span::parse(text).unwrap(), Span { months, days, micros }, "{text}");
        }
        for text in
            ["", "soon", "1 fortnight", "1 day 2 3 days", "1:60", "P", "1:2:3:4", "day", "é", "P1é", "ago", "nan s"]
        {
            assert_eq!(Span::parse(text).unwrap_err().code.code(), "22007", "{text}");
        }
        assert_eq!(Span::parse("1e300 years").unwrap_err().code.code(), "22007");
    }
}
