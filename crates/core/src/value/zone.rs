//! Time zones: what a clock on the wall shows at a moment, and which moment a clock on the wall means.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Farthest moment from 1970 that the zone rules are asked about; they do not change out there.
const RULES_REACH_MICROS: i64 = 8_000_000_000_000_000_000;
/// Largest offset, in hours; PostgreSQL's.
const OFFSET_HOURS_MAX: f64 = 15.99;

/// Abbreviations that are no names of the zone database, in seconds east of UTC.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("BST", 3600),
    ("CEST", 7200),
    ("EEST", 10_800),
    ("MSK", 10_800),
    ("JST", 32_400),
    ("EDT", -14_400),
    ("CST", -21_600),
    ("CDT", -18_000),
    ("MDT", -21_600),
    ("PST", -28_800),
    ("PDT", -25_200),
];

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// Seconds east of UTC, at all times.
    Fixed(i32),
    /// A zone of the IANA database, with its daylight saving.
    Named(Tz),
}

impl Default for Zone {
    fn default() -> Self {
        Zone::UTC
    }
}

impl Zone {
    /// Offset 0.
    pub const UTC: Zone = Zone::Fixed(0);

    /// Reads a name in any case (`Europe/Berlin`), an offset east of UTC (`+02:00`, `-3`, `5.5`), or an abbreviation
    /// with an offset that POSIX counts west (`GMT-02:00`, `UTC+3`).
    pub fn parse(text: &str) -> Option<Zone> {
        let text = text.trim();
        if let Some(zone) = named(text) {
            return Some(zone);
        }
        match text.find(|letter: char| !letter.is_ascii_alphabetic())? {
            0 => Some(Zone::Fixed(offset_seconds(text)?)),
            at => match (named(&text[..at])?, offset_seconds(&text[at..])?) {
                (Zone::Fixed(0), west) => Some(Zone::Fixed(-west)),
                _ => None,
            },
        }
    }

    /// Whether clocks show UTC at all times.
    pub fn is_utc(self) -> bool {
        self == Zone::UTC
    }

    /// Seconds that clocks are ahead of UTC at a moment, given in microseconds since the epoch.
    pub fn offset_at(self, moment: i64) -> i32 {
        match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(tz) => tz.offset_from_utc_datetime(&naive(moment)).fix().local_minus_utc(),
        }
    }

    /// What a clock shows at a moment, both in microseconds since the epoch; `None` beyond 64 bits.
    pub fn to_local(self, moment: i64) -> Option<i64> {
        moment.checked_add(i64::from(self.offset_at(moment)) * MICROS_PER_SECOND)
    }

    /// The moment at which a clock shows `local`. Of the two in autumn it is the later one; a time that spring skips is
    /// read with the offset before the change.
    pub fn to_moment(self, local: i64) -> Option<i64> {
        let seconds = match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Named(tz) => match tz.offset_from_local_datetime(&naive(local)) {
                chrono::LocalResult::Single(offset) => offset.fix().local_minus_utc(),
                chrono::LocalResult::Ambiguous(_, later) => later.fix().local_minus_utc(),
                chrono::LocalResult::None => self.offset_at(local.saturating_sub(MICROS_PER_DAY)),
            },
        };
        local.checked_sub(i64::from(seconds) * MICROS_PER_SECOND)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Zone::Fixed(0) => f.write_str("UTC"),
            Zone::Fixed(seconds) => {
                let (sign, seconds) = (if *seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
                write!(f, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
                if seconds % 60 > 0 { write!(f, ":{:02}", seconds % 60) } else { Ok(()) }
            }
            Zone::Named(tz) => f.write_str(tz.name()),
        }
    }
}

fn naive(micros: i64) -> NaiveDateTime {
    let near = micros.clamp(-RULES_REACH_MICROS, RULES_REACH_MICROS);
    DateTime::from_timestamp_micros(near).map_or_else(NaiveDateTime::default, |moment| moment.naive_utc())
}

fn named(text: &str) -> Option<Zone> {
    if ["utc", "gmt", "z", "zulu", "uct"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some(Zone::UTC);
    }
    let exact = Tz::from_str(text).ok();
    let folded = || TZ_VARIANTS.iter().copied().find(|tz| tz.name().eq_ignore_ascii_case(text));
    if let Some(tz) = exact.or_else(folded) {
        return Some(Zone::Named(tz));
    }
    let known = ABBREVIATIONS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
    known.map(|(_, seconds)| Zone::Fixed(*seconds))
}

/// Seconds of `+02`, `-3`, `5.5`, `+0530`, `-03:30`, `+00:53:28`.
fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.starts_with(|digit: char| digit.is_ascii_digit()) {
        return None;
    }
    let hours = match digits.split(':').collect::<Vec<_>>().as_slice() {
        [hhmm] if hhmm.len() == 4 && hhmm.bytes().all(|byte| byte.is_ascii_digit()) => {
            clock_hours(&[&hhmm[..2], &hhmm[2..]])?
        }
        [hours] => hours.parse().ok()?,
        parts => clock_hours(parts)?,
    };
    (hours <= OFFSET_HOURS_MAX).then(|| sign * (hours * 3600.0).round() as i32)
}

fn clock_hours(parts: &[&str]) -> Option<f64> {
    let mut hours = 0.0;
    for (index, part) in parts.iter().enumerate() {
        let value = part.parse::<u8>().ok().filter(|value| index == 0 || *value < 60)?;
        hours += f64::from(value) / [1.0, 60.0, 3600.0].get(index)?;
    }
    Some(hours)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-03-31 00:00 UTC; clocks of Berlin go from 02:00 to 03:00 an hour later.
    const SPRING: i64 = 1_711_843_200 * MICROS_PER_SECOND;
    /// 2024-10-27 00:00 UTC; clocks of Berlin go from 03:00 to 02:00 an hour later.
    const AUTUMN: i64 = 1_729_987_200 * MICROS_PER_SECOND;
    const HOUR: i64 = 3600 * MICROS_PER_SECOND;

    fn berlin() -> Zone {
        Zone::parse("europe/berlin").unwrap()
    }

    #[test]
    fn names_and_offsets() {
        for (text, shown) in [
            ("Utc", "UTC"),
            ("Europe/BERLIN", "Europe/Berlin"),
            ("+02:00", "+02:00"),
            ("-3", "-03:00"),
            ("5.5", "+05:30"),
            ("+0530", "+05:30"),
            ("GMT-02:00", "+02:00"),
            ("UTC+3", "-03:00"),
            ("PST", "-08:00"),
            ("+00:53:28", "+00:53:28"),
        ] {
            let zone = Zone::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(zone.to_string(), shown, "{text}");
            assert_eq!(Zone::parse(shown), Some(zone), "{shown}");
        }
        for text in ["", "Mars/Olympus", "+", "+16", "2:60", "1:2:3:4", "CET+2", "nan", "+inf", "1e1x"] {
            assert_eq!(Zone::parse(text), None, "{text}");
        }
    }

    #[test]
    fn clocks_change() {
        assert_eq!(berlin().to_local(SPRING), Some(SPRING + HOUR));
        assert_eq!(berlin().to_local(SPRING + HOUR), Some(SPRING + 3 * HOUR));
        assert_eq!(berlin().to_local(0), Some(HOUR));
    }

    #[test]
    fn skipped_and_repeated_times() {
        assert_eq!(berlin().to_moment(SPRING + 5 * HOUR / 2), Some(SPRING + 3 * HOUR / 2));
        assert_eq!(berlin().to_moment(AUTUMN + 5 * HOUR / 2), Some(AUTUMN + 3 * HOUR / 2));
        assert_eq!(berlin().to_moment(AUTUMN + 3 * HOUR / 2), Some(AUTUMN - HOUR / 2));
    }

    #[test]
    fn far_times_do_not_fail() {
        for moment in [i64::MIN, i64::MAX] {
            let _ = (berlin().to_local(moment), berlin().to_moment(moment));
            assert_eq!(Zone::UTC.to_local(moment), Some(moment));
        }
    }
}
