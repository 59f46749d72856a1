//! Dates and times: days and microseconds since 1970-01-01, proleptic Gregorian calendar.

use std::fmt::{self, Write};

use lakeport_base::{SqlType, Sqlstate};

use super::{Span, ValueError, Zone};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;
/// Times 400 years before year 0 in which no day lies that is printed.
const PAST_ERAS: i64 = 60_000;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Days since the epoch of a date.
pub(super) fn parse_date(text: &str, ty: &SqlType) -> Result<i32, ValueError> {
    if let Some(days) = iso_date(text.as_bytes()) {
        return Ok(days);
    }
    let moment = Moment::parse(text, ty)?;
    i32::try_from(moment.days).map_err(|_| field_overflow(text, ty))
}

/// Days since the epoch of `2024-01-02`, the form of nearly all dates; what has another form or is no date is left to
/// [`Moment`].
fn iso_date(text: &[u8]) -> Option<i32> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&[a, b, c, d])?, number(&[e, f])?, number(&[g, h])?);
    let exists = year > 0 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    exists.then(|| days_from_civil(year, month, day) as i32)
}

/// Microseconds since the epoch of a timestamp. For TIMESTAMPTZ a clock of the zone that the text names, else of `zone`,
/// shows it; for TIMESTAMP a zone in the text is passed over.
pub(super) fn parse_timestamp(text: &str, ty: &SqlType, zone: Zone) -> Result<i64, ValueError> {
    let moment = Moment::parse(text, ty)?;
    let local = moment.days.checked_mul(MICROS_PER_DAY).and_then(|midnight| midnight.checked_add(moment.micros));
    let zone = if *ty == SqlType::TimestampTz { moment.zone.unwrap_or(zone) } else { Zone::UTC };
    local.and_then(|local| zone.to_moment(local)).ok_or_else(|| field_overflow(text, ty))
}

fn field_overflow(text: &str, ty: &SqlType) -> ValueError {
    ValueError::unparsable(Sqlstate::DATETIME_FIELD_OVERFLOW, text, ty)
}

/// A date with a time of day and the zone that the text names.
struct Moment {
    days: i64,
    micros: i64,
    zone: Option<Zone>,
}

/// Why a text is no moment.
enum Refusal {
    Form,
    /// A field beyond its range, such as a 30th of February.
    Field,
}

impl Moment {
    fn parse(text: &str, ty: &SqlType) -> Result<Moment, ValueError> {
        let trimmed = text.trim();
        match trimmed.to_ascii_lowercase().as_str() {
            "epoch" => return Ok(Moment { days: 0, micros: 0, zone: Some(Zone::UTC) }),
            "infinity" | "+infinity" | "-infinity" => {
                let message = format!("infinite values of type {} are not supported", super::type_name(ty));
                return Err(ValueError::new(Sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
            _ => {}
        }
        Moment::read(trimmed).map_err(|refusal| match refusal {
            Refusal::Form => ValueError::unparsable(Sqlstate::INVALID_DATETIME_FORMAT, text, ty),
            Refusal::Field => field_overflow(text, ty),
        })
    }

    fn read(text: &str) -> Result<Moment, Refusal> {
        let (text, before_christ) = match text.strip_suffix(" BC").or_else(|| text.strip_suffix(" bc")) {
            Some(text) => (text, true),
            None => (text, false),
        };
        let mut scan = Scan { rest: text.as_bytes() };
        let (year, month, day) = scan.date()?;
        let year = if before_christ { 1 - year } else { year };
        if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
            return Err(Refusal::Field);
        }
        let micros = scan.time_of_day()?;
        let zone = scan.zone()?;
        Ok(Moment { days: days_from_civil(year, month, day), micros, zone })
    }
}

/// Reads a moment from its text, piece by piece.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    /// `2024-01-02`, `2024/1/2`, `20240102`, `1/2/2024` (month first), `Jan 2, 2024`, `2 Jan 2024`.
    fn date(&mut self) -> Result<(i64, i64, i64), Refusal> {
        if let Some(month) = self.month_name() {
            self.skip(b" ");
            let day = self.number()?.0;
            self.skip(b", ");
            return Ok((self.number()?.0, month, day));
        }
        let (first, digits) = self.number()?;
        if digits == 8 {
            return Ok((first / 10_000, first / 100 % 100, first % 100));
        }
        let separator = self.take_any(b"-/ ").ok_or(Refusal::Form)?;
        if let Some(month) = self.month_name() {
            self.skip(b"-/ ,");
            let (last, _) = self.number()?;
            return Ok(if digits > 2 { (first, month, last) } else { (last, month, first) });
        }
        let (second, _) = self.number()?;
        self.take_any(&[separator]).ok_or(Refusal::Form)?;
        let (third, _) = self.number()?;
        match digits {
            1 | 2 => Ok((third, first, second)),
            _ => Ok((first, second, third)),
        }
    }

    /// Microseconds of `[T]hh:mm[:ss[.ffffff]][ AM| PM]`, 0 when there is none.
    fn time_of_day(&mut self) -> Result<i64, Refusal> {
        let before = self.rest;
        self.skip(b" Tt");
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            self.rest = before;
            return Ok(0);
        }
        let mut hour = self.number()?.0;
        self.take_any(b":").ok_or(Refusal::Form)?;
        let minute = self.number()?.0;
        let (mut second, mut fraction) = (0, 0);
        if self.take_any(b":").is_some() {
            second = self.number()?.0;
            fraction = if self.take_any(b".,").is_some() { self.fraction_micros() } else { 0 };
        }
        hour = self.half_of_day(hour)?;
        let within_day = hour < 24 || (hour == 24 && minute == 0 && second == 0 && fraction == 0);
        if !within_day || minute > 59 || second > 60 {
            return Err(Refusal::Field);
        }
        Ok((hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + fraction)
    }

    /// The hour of 24 when `AM` or `PM` follows.
    fn half_of_day(&mut self, hour: i64) -> Result<i64, Refusal> {
        let noon = match self.word_after_space() {
            Some(word) if word.eq_ignore_ascii_case(b"am") => 0,
            Some(word) if word.eq_ignore_ascii_case(b"pm") => 12,
            _ => return Ok(hour),
        };
        self.rest = &self.rest.trim_ascii_start()[2..];
        if (1..=12).contains(&hour) { Ok(hour % 12 + noon) } else { Err(Refusal::Field) }
    }

    /// The zone that takes the rest of the text: a name, or `{+|-}hh[[:]mm[:ss]]`.
    fn zone(&mut self) -> Result<Option<Zone>, Refusal> {
        let Ok(rest) = str::from_utf8(self.rest.trim_ascii()) else { return Err(Refusal::Form) };
        let is_offset = rest.starts_with(['+', '-']) && rest.len() > 1;
        match Zone::parse(rest) {
            _ if rest.is_empty() => Ok(None),
            Some(zone) if is_offset || rest.starts_with(|first: char| first.is_ascii_alphabetic()) => Ok(Some(zone)),
            None if is_offset => Err(Refusal::Field),
            _ => Err(Refusal::Form),
        }
    }

    /// The number of a month that is written as its name, of three letters or in full.
    fn month_name(&mut self) -> Option<i64> {
        let letters = self.rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (name, rest) = self.rest.split_at(letters);
        let start = name.get(..3)?;
        let at = MONTHS.iter().position(|month| start.eq_ignore_ascii_case(month.as_bytes()))?;
        self.rest = rest;
        Some(at as i64 + 1)
    }

    /// The letters after the spaces, left in place.
    fn word_after_space(&self) -> Option<&[u8]> {
        let word = self.rest.trim_ascii_start();
        let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        (letters > 0).then_some(&word[..letters])
    }

    /// A number of at most eight digits, and how many it had.
    fn number(&mut self) -> Result<(i64, usize), Refusal> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=8).contains(&digits) {
            return Err(Refusal::Form);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        Ok((number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), digits))
    }

    /// Microseconds of the digits after the point; a seventh digit rounds.
    fn fraction_micros(&mut self) -> i64 {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let digit = |at: usize| fraction.get(at).map_or(0, |digit| i64::from(digit - b'0'));
        (0..6).fold(0, |micros, at| micros * 10 + digit(at)) + i64::from(digit(6) >= 5)
    }

    fn take_any(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        wanted.contains(first).then(|| self.rest = rest)?;
        Some(*first)
    }

    fn skip(&mut self, unwanted: &[u8]) {
        while self.take_any(unwanted).is_some() {}
    }
}

/// Writes a date as `2024-01-02`.
pub(super) fn write_date(days: i64, out: &mut impl Write) -> fmt::Result {
    let (year, month, day) = civil_from_days(days);
    write_day(year, month, day, out)?;
    write_era(year, out)
}

/// Writes a timestamp as `2024-01-02 03:04:05.123`, and a moment as a clock of `zone` shows it, with its offset.
pub(super) fn write_timestamp(micros: i64, zone: Option<Zone>, out: &mut impl Write) -> fmt::Result {
    let offset = zone.map(|zone| i64::from(zone.offset_at(micros)));
    let micros = micros.saturating_add(offset.unwrap_or(0) * MICROS_PER_SECOND);
    let (year, month, day) = civil_from_days(micros.div_euclid(MICROS_PER_DAY));
    write_day(year, month, day, out)?;
    out.write_char(' ')?;
    write_clock(micros.rem_euclid(MICROS_PER_DAY), out)?;
    if let Some(offset) = offset {
        write_offset(offset, out)?;
    }
    write_era(year, out)
}

/// Writes seconds east of UTC as `+02` or `+05:30`.
fn write_offset(seconds: i64, out: &mut impl Write) -> fmt::Result {
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    write!(out, "{sign}{:02}", seconds / 3600)?;
    if seconds % 3600 > 0 {
        write!(out, ":{:02}", seconds / 60 % 60)?;
    }
    if seconds % 60 > 0 { write!(out, ":{:02}", seconds % 60) } else { Ok(()) }
}

/// Writes microseconds of at least 0 as `03:04:05.123`.
pub(super) fn write_clock(micros: i64, out: &mut impl Write) -> fmt::Result {
    let seconds = micros / MICROS_PER_SECOND;
    if seconds < 100 * 3600 {
        let ([a, b], [c, d], [e, f]) = (digits(seconds / 3600), digits(seconds / 60 % 60), digits(seconds % 60));
        write_ascii(&[a, b, b':', c, d, b':', e, f], out)?;
    } else {
        write!(out, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    }
    let mut fraction = micros % MICROS_PER_SECOND;
    if fraction == 0 {
        return Ok(());
    }
    let mut width = 6;
    while fraction % 10 == 0 {
        (fraction, width) = (fraction / 10, width - 1);
    }
    write!(out, ".{fraction:0width$}")
}

/// Writes an interval as PostgreSQL does: `1 year 2 mons 3 days 04:05:06`.
pub(super) fn write_interval(span: Span, out: &mut impl Write) -> fmt::Result {
    let Span { months, days, micros } = span;
    let (mut space, mut after_negative) = ("", false);
    for (count, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count != 0 {
            let sign = if after_negative && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(out, "{space}{sign}{count} {unit}{plural}")?;
            (space, after_negative) = (" ", count < 0);
        }
    }
    if micros == 0 && !space.is_empty() {
        return Ok(());
    }
    let sign = match micros {
        ..0 => "-",
        _ if after_negative => "+",
        _ => "",
    };
    write!(out, "{space}{sign}")?;
    write_clock(micros.unsigned_abs().min(i64::MAX as u64) as i64, out)
}

/// Writes year, month and day; a year before Christ as [`write_era`] counts it.
fn write_day(year: i64, month: i64, day: i64, out: &mut impl Write) -> fmt::Result {
    let year = if year > 0 { year } else { 1 - year };
    if year > 9999 {
        return write!(out, "{year}-{month:02}-{day:02}");
    }
    let ([a, b, c, d], [e, f], [g, h]) = (digits(year), digits(month), digits(day));
    write_ascii(&[a, b, c, d, b'-', e, f, b'-', g, h], out)
}

/// The last `N` decimal digits of a number, which is small and not negative.
fn digits<const N: usize>(number: i64) -> [u8; N] {
    let (mut number, mut text) = (number as u32, [b'0'; N]);
    for digit in text.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    text
}

fn write_ascii(text: &[u8], out: &mut impl Write) -> fmt::Result {
    out.write_str(str::from_utf8(text).expect("digits and marks"))
}

fn write_era(year: i64, out: &mut impl Write) -> fmt::Result {
    out.write_str(if year > 0 { "" } else { " BC" })
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since the epoch of a date. The year is counted from March, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS
}

/// The year (0 is 1 BC), month and day of so many days since the epoch, of which there are less than 2^33. The year is
/// counted from March again; divisions are multiplications by the inverse, whose error is less than a day (Neri and
/// Schneider, "Euclidean affine functions and their application to calendar algorithms").
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    const YEAR_INVERSE: u64 = 2_939_745;
    const MONTH_INVERSE: u32 = 2141;
    let quarters = 4 * (days + EPOCH_DAYS + PAST_ERAS * ERA_DAYS) as u64 + 3;
    let (century, day_of_century) = (quarters / ERA_DAYS as u64, quarters % ERA_DAYS as u64 / 4);
    let years = YEAR_INVERSE * (4 * day_of_century + 3);
    let (year_of_century, day_of_year) = (years >> 32, years as u32 / YEAR_INVERSE as u32 / 4);
    let months = MONTH_INVERSE * day_of_year + 197_913;
    let (month, day) = (i64::from(months >> 16), i64::from(months as u16 / MONTH_INVERSE as u16) + 1);
    let year = (100 * century + year_of_century) as i64 - 400 * PAST_ERAS;
    // January and February are months 13 and 14 of the year before.
    if month > 12 { (year + 1, month - 12, day) } else { (year, month, day) }
}

#[cfg(test)]
mod tests {
    use super::{civil_from_days, days_from_civil, days_of_month};

    #[test]
    fn days_are_those_of_the_calendar() {
        for year in (-5000..12_000).chain([-5_870_000, 5_870_000]) {
            for month in 1..=12 {
                for day in 1..=days_of_month(year, month) {
                    assert_eq!(civil_from_days(days_from_civil(year, month, day)), (year, month, day));
                }
            }
        }
    }
}
