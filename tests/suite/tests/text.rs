//! PostgreSQL's binary values as the text that the simple protocol would have sent: a second, independent decoder, so
//! that running one SQL file over both protocols compares the server's two encoders.

use std::fmt::Write;

use tokio_postgres::types::{FromSql, Kind, Type};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i64 = 10_957;
const DAY_MICROS: i64 = 86_400_000_000;

/// Any value, in text form; `None` is NULL.
pub struct Text(pub Option<String>);

impl<'a> FromSql<'a> for Text {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Text, Box<dyn std::error::Error + Sync + Send>> {
        decode(ty, raw).map(|text| Text(Some(text))).ok_or_else(|| format!("{ty} value {raw:02x?}").into())
    }

    fn from_sql_null(_: &Type) -> Result<Text, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Text(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(ty: &Type, raw: &[u8]) -> Option<String> {
    if let Kind::Array(element) = ty.kind() {
        return array(element, raw);
    }
    Some(match *ty {
        Type::BOOL => if *raw.first()? == 0 { "f" } else { "t" }.to_string(),
        Type::INT2 => i16::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::INT4 => i32::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::INT8 => i64::from_be_bytes(raw.try_into().ok()?).to_string(),
        Type::OID | Type::REGCLASS | Type::REGTYPE | Type::REGPROC => {
            u32::from_be_bytes(raw.try_into().ok()?).to_string()
        }
        Type::FLOAT4 => float(f64::from(f32::from_be_bytes(raw.try_into().ok()?)), true),
        Type::FLOAT8 => float(f64::from_be_bytes(raw.try_into().ok()?), false),
        Type::NUMERIC => numeric(raw)?,
        Type::BYTEA => raw.iter().fold("\\x".to_string(), |text, byte| text + &format!("{byte:02x}")),
        Type::DATE => date(i64::from(i32::from_be_bytes(raw.try_into().ok()?)) + EPOCH_DAYS),
        Type::TIMESTAMP => timestamp(i64::from_be_bytes(raw.try_into().ok()?)),
        Type::TIMESTAMPTZ => timestamp(i64::from_be_bytes(raw.try_into().ok()?)) + "+00",
        Type::INTERVAL => interval(raw)?,
        Type::UUID => uuid(raw)?,
        Type::JSONB => String::from_utf8(raw.strip_prefix(&[1])?.to_vec()).ok()?,
        _ => String::from_utf8(raw.to_vec()).ok()?,
    })
}

/// Shortest digits that read back, with an exponent where PostgreSQL writes one.
fn float(value: f64, single: bool) -> String {
    if value.is_nan() || value.is_infinite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_string();
    }
    let scientific = if single { format!("{:e}", value as f32) } else { format!("{value:e}") };
    let (digits, exponent) = scientific.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    match (value == 0.0, (-4..if single { 6 } else { 15 }).contains(&exponent)) {
        (true, _) | (_, true) if single => format!("{}", value as f32),
        (true, _) | (_, true) => format!("{value}"),
        _ => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// Groups of four decimal digits with a weight, a sign and a display scale.
fn numeric(raw: &[u8]) -> Option<String> {
    let words: Vec<i16> = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    let (&[_, weight, sign, scale], groups) = words.split_first_chunk::<4>()?;
    if sign as u16 == 0xC000 {
        return Some("NaN".to_string());
    }
    let group = |at: i16| usize::try_from(at).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    let mut whole = String::new();
    for at in 0..=weight.max(0) {
        write!(whole, "{:04}", if weight < 0 { 0 } else { group(at) }).ok()?;
    }
    let whole = whole.trim_start_matches('0');
    let mut text = if sign == 0x4000 { "-" } else { "" }.to_string() + if whole.is_empty() { "0" } else { whole };
    if scale > 0 {
        let digits: String = (0..=scale / 4).map(|at| format!("{:04}", group(weight + 1 + at))).collect();
        text = text + "." + &digits[..scale as usize];
    }
    Some(text)
}

fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Microseconds since 2000-01-01.
fn timestamp(micros: i64) -> String {
    let (days, rest) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
    format!("{} {}", date(days + EPOCH_DAYS), clock(rest))
}

fn clock(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        text += format!(".{fraction:06}").trim_end_matches('0');
    }
    text
}

/// Microseconds, days and months: units that are not 0, and the clock unless it is 0 beside others.
fn interval(raw: &[u8]) -> Option<String> {
    let micros = i64::from_be_bytes(raw.get(..8)?.try_into().ok()?);
    let days = i32::from_be_bytes(raw.get(8..12)?.try_into().ok()?);
    let months = i32::from_be_bytes(raw.get(12..)?.try_into().ok()?);
    let mut parts: Vec<String> = Vec::new();
    let sign = |parts: &[String], negative: bool| match parts.last().is_some_and(|last| last.starts_with('-')) {
        _ if negative => "-",
        true => "+",
        false => "",
    };
    for (count, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count != 0 {
            let (sign, plural) = (sign(&parts, count < 0), if count == 1 { "" } else { "s" });
            parts.push(format!("{sign}{} {unit}{plural}", count.unsigned_abs()));
        }
    }
    if micros != 0 || parts.is_empty() {
        parts.push(format!("{}{}", sign(&parts, micros < 0), clock(micros.checked_abs()?)));
    }
    Some(parts.join(" "))
}

/// The proleptic Gregorian date of a day counted from 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

fn uuid(raw: &[u8]) -> Option<String> {
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [hex.get(..8)?, hex.get(8..12)?, hex.get(12..16)?, hex.get(16..20)?, hex.get(20..32)?];
    Some(parts.join("-"))
}

/// Dimensions, then each element with its length; only one dimension.
fn array(element: &Type, raw: &[u8]) -> Option<String> {
    let word = |at: usize| Some(i32::from_be_bytes(raw.get(at..at + 4)?.try_into().ok()?));
    if word(0)? == 0 {
        return Some("{}".to_string());
    }
    let mut at = 20;
    let mut values = Vec::new();
    for _ in 0..word(12)? {
        let length = word(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            values.push("NULL".to_string());
            continue;
        };
        values.push(quoted(decode(element, raw.get(at..at + length)?)?));
        at += length;
    }
    Some(format!("{{{}}}", values.join(",")))
}

fn quoted(value: String) -> String {
    let special = |c: char| c.is_whitespace() || "{},\"\\".contains(c);
    if value.is_empty() || value.eq_ignore_ascii_case("null") || value.contains(special) {
        return format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    value
}
