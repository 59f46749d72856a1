//! `to_char(time, pattern)`: a time as a pattern of PostgreSQL shows it.

use arrow_array::Array;
use chrono::{Datelike, NaiveDateTime};
use datafusion::common::Result;
use lakeport_base::SqlType;
use lakeport_core::value::{Span, Zone};
use lakeport_core::{Error, Result as CoreResult};

use super::calendar::{DAY_MICROS, HOUR_MICROS, SECOND_MICROS, Times, fields, micros};
use super::scalar::{Call, Scalar, failed};

/// The function; TIMESTAMPTZ shows as clocks of the zone do.
pub(super) fn function(zone: Zone) -> Scalar {
    Scalar::of_any("to_char", &[2], SqlType::Text, move |call| {
        let times = times(call, zone)?;
        let patterns = call.texts(1)?;
        call.each_row(|row| {
            if times.is_null(row) || patterns.is_null(row) {
                return Ok(None);
            }
            let shown = match &times {
                Times::Clocks(clocks) => Shown::of_clock(clocks.value(row), None),
                Times::Moments(moments) => Shown::of_moment(moments.value(row), zone),
                Times::Spans(spans) => Shown::of_span(Span::of(spans.value(row))),
            };
            Ok(Some(shown.map_err(failed)?.filled(patterns.value(row))))
        })
    })
}

fn times(call: &Call<'_>, zone: Zone) -> Result<Times> {
    if call.column(0).data_type().is_numeric() {
        let error = Error::unsupported("to_char() of a number is not supported");
        return Err(failed(error.with_hint("round(value, digits)::TEXT, or format()")));
    }
    Times::of(call.column(0), zone).map_err(failed)
}

/// What patterns show.
struct Shown {
    /// Years, months and so on as they stand; an interval has some that no date has.
    year: i64,
    month: i64,
    day: i64,
    micros: i64,
    /// For names and numbers of days and weeks; not for an interval.
    date: Option<NaiveDateTime>,
    /// The zone with the seconds that its clock is ahead of UTC; only for TIMESTAMPTZ.
    zone: Option<(Zone, i32)>,
}

impl Shown {
    fn of_clock(clock: i64, zone: Option<(Zone, i32)>) -> CoreResult<Shown> {
        let date = fields(clock)?;
        Ok(Shown {
            year: date.year().into(),
            month: date.month().into(),
            day: date.day().into(),
            micros: clock.rem_euclid(DAY_MICROS),
            date: Some(date),
            zone,
        })
    }

    fn of_moment(moment: i64, zone: Zone) -> CoreResult<Shown> {
        let offset = zone.offset_at(moment);
        Shown::of_clock(moment.saturating_add(i64::from(offset) * SECOND_MICROS), Some((zone, offset)))
    }

    fn of_span(span: Span) -> CoreResult<Shown> {
        let (year, month) = (span.months / 12, span.months % 12);
        Ok(Shown { year, month, day: span.days, micros: span.micros, date: None, zone: None })
    }

    /// The pattern with its fields filled in; what is no field stands for itself, as does what is in double quotes.
    fn filled(&self, pattern: &str) -> String {
        let mut text = String::with_capacity(pattern.len() + 16);
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or(quoted.len());
                text.push_str(&quoted[..end]);
                rest = quoted.get(end + 1..).unwrap_or_default();
                continue;
            }
            let (trim, after_prefix) = match rest.get(..2) {
                Some(prefix) if prefix.eq_ignore_ascii_case("FM") => (true, &rest[2..]),
                _ => (false, rest),
            };
            let Some((name, field)) = FIELDS.iter().find(|(name, _)| starts_with(after_prefix, name)) else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            };
            let spelt = &after_prefix[..name.len()];
            rest = &after_prefix[name.len()..];
            let mut value = field(self, spelt);
            if trim {
                value = trimmed(&value);
            }
            if let Some(suffix) = rest.get(..2).filter(|suffix| suffix.eq_ignore_ascii_case("TH")) {
                value.push_str(&ordinal(&value, suffix));
                rest = &rest[2..];
            }
            text.push_str(&value);
        }
        text
    }

    fn hour(&self) -> i64 {
        self.micros / HOUR_MICROS
    }

    fn half_day_hour(&self) -> i64 {
        match self.hour().rem_euclid(12) {
            0 => 12,
            hour => hour,
        }
    }

    /// Digits of the fraction of a second.
    fn fraction(&self, digits: usize) -> String {
        let micros = format!("{:06}", self.micros.rem_euclid(SECOND_MICROS));
        micros[..digits].to_string()
    }

    fn number(&self, of_date: impl Fn(NaiveDateTime) -> i64, width: usize) -> String {
        let number = self.date.map_or(0, of_date);
        format!("{number:0width$}")
    }

    fn offset(&self) -> i32 {
        self.zone.map_or(0, |(_, offset)| offset)
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

type Field = fn(&Shown, &str) -> String;

/// The fields by name, longer names before those that begin them. They get the name as the pattern spells it.
const FIELDS: &[(&str, Field)] = &[
    ("HH24", |at, _| format!("{:02}", at.hour())),
    ("HH12", |at, _| format!("{:02}", at.half_day_hour())),
    ("HH", |at, _| format!("{:02}", at.half_day_hour())),
    ("MI", |at, _| format!("{:02}", at.micros / (60 * SECOND_MICROS) % 60)),
    ("SSSSS", |at, _| (at.micros / SECOND_MICROS).to_string()),
    ("SSSS", |at, _| (at.micros / SECOND_MICROS).to_string()),
    ("SS", |at, _| format!("{:02}", at.micros / SECOND_MICROS % 60)),
    ("FF1", |at, _| at.fraction(1)),
    ("FF2", |at, _| at.fraction(2)),
    ("FF3", |at, _| at.fraction(3)),
    ("FF4", |at, _| at.fraction(4)),
    ("FF5", |at, _| at.fraction(5)),
    ("FF6", |at, _| at.fraction(6)),
    ("MS", |at, _| at.fraction(3)),
    ("US", |at, _| at.fraction(6)),
    ("A.M.", half_of_day),
    ("P.M.", half_of_day),
    ("AM", half_of_day),
    ("PM", half_of_day),
    ("IYYY", |at, _| at.number(|date| date.iso_week().year().into(), 4)),
    ("IDDD", |at, _| at.number(|date| i64::from(date.iso_week().week0() * 7 + date.weekday().number_from_monday()), 3)),
    ("ID", |at, _| at.number(|date| date.weekday().number_from_monday().into(), 1)),
    ("IW", |at, _| at.number(|date| date.iso_week().week().into(), 2)),
    ("Y,YYY", |at, _| format!("{},{:03}", at.year / 1000, at.year.rem_euclid(1000))),
    ("YYYY", |at, _| format!("{:04}", at.year)),
    ("YYY", |at, _| format!("{:03}", at.year.rem_euclid(1000))),
    ("YY", |at, _| format!("{:02}", at.year.rem_euclid(100))),
    ("Y", |at, _| at.year.rem_euclid(10).to_string()),
    ("MONTH", |at, spelt| named(&MONTHS, month(at), spelt, NAME_WIDTH)),
    ("MON", |at, spelt| named(&MONTHS, month(at), spelt, SHORT_WIDTH)),
    ("MM", |at, _| format!("{:02}", at.month)),
    ("DAY", |at, spelt| named(&DAYS, weekday(at), spelt, NAME_WIDTH)),
    ("DY", |at, spelt| named(&DAYS, weekday(at), spelt, SHORT_WIDTH)),
    ("DDD", |at, _| at.number(|date| date.ordinal().into(), 3)),
    ("DD", |at, _| format!("{:02}", at.day)),
    ("D", |at, _| at.number(|date| i64::from(date.weekday().num_days_from_sunday()) + 1, 1)),
    ("WW", |at, _| at.number(|date| i64::from(date.ordinal0() / 7) + 1, 2)),
    ("W", |at, _| at.number(|date| i64::from(date.day0() / 7) + 1, 1)),
    ("CC", |at, _| format!("{:02}", (at.year + 99).div_euclid(100))),
    ("Q", |at, _| at.number(|date| i64::from(date.month0() / 3) + 1, 1)),
    ("J", |at, _| at.number(|date| micros(date).div_euclid(DAY_MICROS) + JULIAN_EPOCH_DAYS, 1)),
    ("TZH", |at, _| format!("{}{:02}", sign(at.offset()), at.offset().abs() / 3600)),
    ("TZM", |at, _| format!("{:02}", at.offset().abs() / 60 % 60)),
    ("TZ", zone_name),
    ("OF", offset_text),
];

/// Days from the start of the Julian calendar's count to 1970-01-01.
const JULIAN_EPOCH_DAYS: i64 = 2_440_588;

/// Characters of the longest name, and of a short one.
const NAME_WIDTH: usize = 9;
const SHORT_WIDTH: usize = 3;

/// A name of a month or a day in the case of the pattern, cut or filled up to a width.
fn named(names: &[&str], index: Option<u32>, spelt: &str, width: usize) -> String {
    let name = index.and_then(|index| names.get(index as usize)).copied().unwrap_or_default();
    let name = if width == SHORT_WIDTH { &name[..name.len().min(width)] } else { name };
    let name = match spelt.as_bytes() {
        [first, second, ..] if first.is_ascii_uppercase() && second.is_ascii_uppercase() => name.to_uppercase(),
        [first, ..] if first.is_ascii_uppercase() => name.to_string(),
        _ => name.to_lowercase(),
    };
    format!("{name:width$}")
}

fn month(at: &Shown) -> Option<u32> {
    at.date.map(|date| date.month0())
}

fn weekday(at: &Shown) -> Option<u32> {
    at.date.map(|date| date.weekday().num_days_from_sunday())
}

fn half_of_day(at: &Shown, spelt: &str) -> String {
    let letter = if at.hour().rem_euclid(24) < 12 { 'A' } else { 'P' };
    let text = if spelt.contains('.') { format!("{letter}.M.") } else { format!("{letter}M") };
    if spelt.starts_with(|first: char| first.is_ascii_lowercase()) { text.to_lowercase() } else { text }
}

fn zone_name(at: &Shown, spelt: &str) -> String {
    let name = match at.zone {
        None => String::new(),
        Some((Zone::Named(zone), _)) => at.date.map_or_else(String::new, |date| {
            use chrono::TimeZone;
            let utc = date - chrono::Duration::seconds(at.offset().into());
            zone.offset_from_utc_datetime(&utc).to_string()
        }),
        Some((zone, _)) => zone.to_string(),
    };
    if spelt.starts_with(|first: char| first.is_ascii_lowercase()) { name.to_lowercase() } else { name }
}

fn offset_text(at: &Shown, _: &str) -> String {
    let (hours, minutes) = (at.offset().abs() / 3600, at.offset().abs() / 60 % 60);
    let minutes = if minutes > 0 { format!(":{minutes:02}") } else { String::new() };
    format!("{}{hours:02}{minutes}", sign(at.offset()))
}

fn sign(number: i32) -> char {
    if number < 0 { '-' } else { '+' }
}

fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// Without the zeros before a number and the blanks after a name.
fn trimmed(value: &str) -> String {
    let name = value.trim_end();
    match name.trim_start_matches('0') {
        "" if !name.is_empty() => "0".to_string(),
        number => number.to_string(),
    }
}

/// `st`, `nd`, `rd` or `th`, in the case of `spelt`.
fn ordinal(number: &str, spelt: &str) -> String {
    let teen = number.len() > 1 && number.as_bytes()[number.len() - 2] == b'1';
    let suffix = match number.bytes().last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    };
    if spelt.starts_with('T') { suffix.to_uppercase() } else { suffix.to_string() }
}
