//! Texts of scalar values, read as PostgreSQL reads them. Space around a value is no part of it, save in strings.

use std::num::IntErrorKind;
use std::str::FromStr;

use lakeport_base::SqlType;
use serde::de::IgnoredAny;

use super::ValueError;

/// Digits of a decimal that are kept exactly; one more may not fit 128 bits. The rest only rounds.
const MANTISSA_LIMIT: u128 = 10u128.pow(37);

/// Any unambiguous beginning of `true`, `false`, `yes`, `no`, `on`, `off`; `1` and `0`.
pub(super) fn boolean(text: &str, ty: &SqlType) -> Result<bool, ValueError> {
    const WORDS: [(&str, usize, bool); 8] = [
        ("true", 1, true),
        ("false", 1, false),
        ("yes", 1, true),
        ("no", 1, false),
        ("on", 2, true),
        ("off", 2, false),
        ("1", 1, true),
        ("0", 1, false),
    ];
    let word = text.trim();
    WORDS
        .iter()
        .find(|(full, shortest, _)| {
            word.len() >= *shortest && full.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        })
        .map(|(_, _, value)| *value)
        .ok_or_else(|| ValueError::form(text, ty))
}

/// A whole number of any width.
pub(super) fn integer<T: FromStr<Err = std::num::ParseIntError>>(text: &str, ty: &SqlType) -> Result<T, ValueError> {
    text.trim().parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => ValueError::range(text, ty),
        _ => ValueError::form(text, ty),
    })
}

/// A single-precision number, `NaN` or `[-]Infinity`.
pub(super) fn float4(text: &str, ty: &SqlType) -> Result<f32, ValueError> {
    let value: f32 = text.trim().parse().map_err(|_| ValueError::form(text, ty))?;
    if value.is_infinite() && has_digit(text) { Err(ValueError::range(text, ty)) } else { Ok(value) }
}

/// A double-precision number, `NaN` or `[-]Infinity`.
pub(super) fn float8(text: &str, ty: &SqlType) -> Result<f64, ValueError> {
    let value: f64 = text.trim().parse().map_err(|_| ValueError::form(text, ty))?;
    if value.is_infinite() && has_digit(text) { Err(ValueError::range(text, ty)) } else { Ok(value) }
}

/// Tells a number too large for its type from a written infinity.
fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// A decimal as a whole number of its smallest unit, rounded half away from zero.
pub(super) fn decimal(text: &str, ty: &SqlType) -> Result<i128, ValueError> {
    let &SqlType::Decimal(precision, scale) = ty else { return Err(ValueError::form(text, ty)) };
    let number = Number::parse(text.trim()).ok_or_else(|| ValueError::form(text, ty))?;
    number.to_units(precision, scale).ok_or_else(|| ValueError::range(text, ty))
}

/// The narrowest DECIMAL that holds every digit of a number; `None` for what no DECIMAL holds.
pub(super) fn decimal_type(text: &str) -> Option<SqlType> {
    let number = Number::parse(text.trim())?;
    let digits = i64::from(number.mantissa.checked_ilog10().map_or(1, |log| log + 1));
    let scale = (-number.exponent).max(0);
    let precision = (digits + number.exponent.max(0)).max(scale + 1);
    (precision <= 38).then_some(SqlType::Decimal(precision as u8, scale as u8))
}

/// A decimal number as written: `mantissa * 10^exponent`.
struct Number {
    negative: bool,
    mantissa: u128,
    exponent: i64,
    /// Whether the first digit beyond the mantissa rounds it up.
    rest_rounds_up: bool,
}

impl Number {
    fn parse(text: &str) -> Option<Number> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let mut number = Number { negative, mantissa: 0, exponent: i64::from(exponent), rest_rounds_up: false };
        number.read_digits(digits)?;
        Some(number)
    }

    fn read_digits(&mut self, digits: &str) -> Option<()> {
        let (mut any, mut full, mut in_fraction) = (false, false, false);
        for byte in digits.bytes() {
            match byte {
                b'.' if !in_fraction => in_fraction = true,
                b'0'..=b'9' => {
                    any = true;
                    if self.mantissa < MANTISSA_LIMIT {
                        self.mantissa = self.mantissa * 10 + u128::from(byte - b'0');
                        self.exponent -= i64::from(in_fraction);
                    } else {
                        self.rest_rounds_up |= !full && byte >= b'5';
                        full = true;
                        self.exponent += i64::from(!in_fraction);
                    }
                }
                _ => return None,
            }
        }
        any.then_some(())
    }

    /// The number in units of `10^-scale`; `None` beyond the precision.
    fn to_units(&self, precision: u8, scale: u8) -> Option<i128> {
        let shift = self.exponent + i64::from(scale);
        let units = match u32::try_from(shift.unsigned_abs()) {
            _ if self.mantissa == 0 => 0,
            Ok(0) => self.mantissa + u128::from(self.rest_rounds_up),
            Ok(power) if shift > 0 => self.mantissa.checked_mul(10u128.checked_pow(power)?)?,
            // Divided by a power beyond 128 bits nothing is left.
            power => power.ok().and_then(|power| 10u128.checked_pow(power)).map_or(0, |divisor| {
                let half_up = self.mantissa % divisor >= divisor / 2;
                self.mantissa / divisor + u128::from(half_up)
            }),
        };
        let units = (units < 10u128.pow(u32::from(precision))).then_some(units as i128)?;
        Some(if self.negative { -units } else { units })
    }
}

/// `\x` and hexadecimal digits, or the escape form with `\\` and `\ooo`; the bytes replace what `out` held.
pub(super) fn bytes(text: &str, ty: &SqlType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.clear();
    let decoded = match text.strip_prefix("\\x") {
        Some(digits) => hex_bytes(digits.as_bytes(), out),
        None => escaped_bytes(text.as_bytes(), out),
    };
    decoded.ok_or_else(|| ValueError::form(text, ty))
}

fn hex_bytes(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    for &[high, low] in pairs {
        out.push(hex_digit(high)? << 4 | hex_digit(low)?);
    }
    Some(())
}

fn escaped_bytes(mut text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some((&first, rest)) = text.split_first() {
        text = match (first, rest) {
            (b'\\', [b'\\', rest @ ..]) => {
                out.push(b'\\');
                rest
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            (b'\\', _) => return None,
            _ => {
                out.push(first);
                rest
            }
        };
    }
    Some(())
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// The canonical 36 characters of a UUID.
pub(super) struct UuidText([u8; 36]);

impl UuidText {
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hexadecimal digits and hyphens")
    }
}

/// A UUID in any of PostgreSQL's forms: any case, in braces, hyphens after any group of four digits or none.
pub(super) fn uuid(text: &str, ty: &SqlType) -> Result<UuidText, ValueError> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(trimmed);
    canonical_uuid(inner.as_bytes()).ok_or_else(|| ValueError::form(text, ty))
}

fn canonical_uuid(text: &[u8]) -> Option<UuidText> {
    let mut canonical = [b'-'; 36];
    let (mut count, mut at) = (0, 0);
    for (index, &byte) in text.iter().enumerate() {
        if byte == b'-' {
            let after_group = count % 4 == 0 && (1..32).contains(&count) && text[index - 1] != b'-';
            after_group.then_some(())?;
            continue;
        }
        hex_digit(byte)?;
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        *canonical.get_mut(at)? = byte.to_ascii_lowercase();
        (count, at) = (count + 1, at + 1);
    }
    (count == 32).then_some(UuidText(canonical))
}

/// The canonical text of a JSON document.
pub(super) fn json(text: &str, ty: &SqlType) -> Result<String, ValueError> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| ValueError::form(text, ty))?;
    super::json::canonical(text)
}
