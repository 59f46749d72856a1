//! When a schedule runs: cron expressions, in UTC.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::error::{Error, Result};

/// Longest expression: each field may list all its values.
const TEXT_BYTES_MAX: usize = 512;

/// Minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
pub(crate) struct Recurrence {
    text: String,
    cron: Cron,
}

impl Recurrence {
    /// Reads an expression.
    ///
    /// # Errors
    /// 22023
    pub fn parse(text: &str) -> Result<Recurrence> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = if text.len() <= TEXT_BYTES_MAX { parser.parse(text).ok() } else { None };
        let refused = || {
            let shown: String = text.chars().take(TEXT_BYTES_MAX).collect();
            let message = format!("error parsing schedule expression: {shown:?}; it must be a valid cron expression");
            Error::invalid(message)
                .with_hint("minute, hour, day of month, month, day of week; such as '5 4 * * *' or @daily")
        };
        Ok(Recurrence { text: text.to_string(), cron: cron.ok_or_else(refused)? })
    }

    /// The first time after a moment, both in microseconds since the epoch.
    ///
    /// # Errors
    /// 22023 when there is none, as for the 30th of February.
    pub fn after(&self, moment: i64) -> Result<i64> {
        let next = DateTime::<Utc>::from_timestamp_micros(moment)
            .and_then(|moment| self.cron.find_next_occurrence(&moment, false).ok());
        let never = || Error::invalid(format!("the schedule expression {:?} has no next time", self.text));
        Ok(next.ok_or_else(never)?.timestamp_micros())
    }

    /// Microseconds between the next two times.
    ///
    /// # Errors
    /// As [`Recurrence::after`].
    pub fn period_micros(&self, moment: i64) -> Result<i64> {
        let first = self.after(moment)?;
        Ok(self.after(first)? - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first time after the second of a Tuesday.
    fn after(text: &str) -> String {
        let moment = DateTime::parse_from_rfc3339("2026-06-30T23:59:30Z").unwrap().timestamp_micros();
        let next = Recurrence::parse(text).unwrap().after(moment).unwrap();
        DateTime::from_timestamp_micros(next).unwrap().format("%F %T").to_string()
    }

    #[test]
    fn times_are_those_of_cron() {
        for (text, next) in [
            ("@hourly", "2026-07-01 00:00:00"),
            ("@daily", "2026-07-01 00:00:00"),
            ("@weekly", "2026-07-05 00:00:00"),
            ("@monthly", "2026-07-01 00:00:00"),
            ("@yearly", "2027-01-01 00:00:00"),
            ("5 4 * * *", "2026-07-01 04:05:00"),
            ("*/20 1-3 * * sun", "2026-07-05 01:00:00"),
            ("0 0 29 2 *", "2028-02-29 00:00:00"),
            // Either day will do when both are named.
            ("0 12 20 * FRI", "2026-07-03 12:00:00"),
        ] {
            assert_eq!(after(text), next, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_or_never_comes_is_refused() {
        let list = vec!["1"; 1000].join(",");
        for text in ["", "daily", "@reboot", "* * * *", "* * * * * *", "60 * * * *", "* * * * mo", "🐋 * * * *", &list]
        {
            assert_eq!(Recurrence::parse(text).err().unwrap().code().code(), "22023", "{text}");
        }
        let never = Recurrence::parse("0 0 30 2 *").unwrap();
        assert_eq!(never.after(0).unwrap_err().code().code(), "22023");
        assert_eq!(Recurrence::parse("@hourly").unwrap().after(i64::MAX).unwrap_err().code().code(), "22023");
    }

    #[test]
    fn rubbish_does_no_harm() {
        let pieces =
            ["*", "/", "-", ",", "0", "7", "59", "L", "W", "#", "?", "+", "@", "MON", "FEB", " ", "99999", "\u{0}"];
        let mut number = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text += pieces[(number >> 33) as usize % pieces.len()];
            }
            if let Ok(recurrence) = Recurrence::parse(&text) {
                let _ = recurrence.after(0);
            }
        }
    }
}
