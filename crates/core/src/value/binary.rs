//! Values in PostgreSQL's binary form, as its `*_recv` functions read them. All numbers big-endian.

use std::fmt::Write;

use lakeport_base::{SqlType, Sqlstate};

use super::{Span, ValueError, parse, type_name};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's calendar starts.
pub const EPOCH_SHIFT_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const EPOCH_SHIFT_MICROS: i64 = 86_400_000_000 * EPOCH_SHIFT_DAYS as i64;
/// Sign word of a negative NUMERIC.
pub const NUMERIC_NEGATIVE: u16 = 0x4000;
/// Version byte before a JSONB document.
pub const JSONB_VERSION: u8 = 1;

/// Decimal digits in one digit of NUMERIC.
const NUMERIC_DIGIT_WIDTH: i32 = 4;

/// 22P03: the bytes are not the type's binary form.
pub(super) fn form(ty: &SqlType) -> ValueError {
    let message = format!("incorrect binary data format for type {}", type_name(ty));
    ValueError::new(Sqlstate::INVALID_BINARY_REPRESENTATION, message)
}

/// Exactly so many bytes, for numbers.
pub(super) fn fixed<const N: usize>(bytes: &[u8], ty: &SqlType) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| form(ty))
}

/// Text that must be UTF-8.
pub(super) fn text<'a>(bytes: &'a [u8], ty: &SqlType) -> Result<&'a str, ValueError> {
    str::from_utf8(bytes).map_err(|_| {
        let message = format!("invalid byte sequence for encoding \"UTF8\" in a value of type {}", type_name(ty));
        ValueError::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
    })
}

/// Days since 1970-01-01.
pub(super) fn date(bytes: &[u8], ty: &SqlType) -> Result<i32, ValueError> {
    let days = i32::from_be_bytes(fixed(bytes, ty)?);
    days.checked_add(EPOCH_SHIFT_DAYS).filter(|_| days != i32::MIN).ok_or_else(|| out_of_range(ty))
}

/// Microseconds since 1970-01-01.
pub(super) fn timestamp(bytes: &[u8], ty: &SqlType) -> Result<i64, ValueError> {
    let micros = i64::from_be_bytes(fixed(bytes, ty)?);
    micros.checked_add(EPOCH_SHIFT_MICROS).filter(|_| micros != i64::MIN).ok_or_else(|| out_of_range(ty))
}

/// Microseconds, days and months.
pub(super) fn interval(bytes: &[u8], ty: &SqlType) -> Result<Span, ValueError> {
    let [a, b, c, d, e, f, g, h, days @ .., i, j, k, l] = fixed::<16>(bytes, ty)?;
    let days = i64::from(i32::from_be_bytes(days));
    let months = i64::from(i32::from_be_bytes([i, j, k, l]));
    Ok(Span { months, days, micros: i64::from_be_bytes([a, b, c, d, e, f, g, h]) })
}

fn out_of_range(ty: &SqlType) -> ValueError {
    let message = format!("binary value is out of range for type {}", type_name(ty));
    ValueError::new(Sqlstate::DATETIME_FIELD_OVERFLOW, message)
}

/// The narrowest DECIMAL that holds a NUMERIC with the digits after the point that it is to be shown with.
pub(super) fn decimal_type(bytes: &[u8]) -> Option<SqlType> {
    let weight = i32::from(i16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let scale = i32::from(u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]));
    let precision = ((weight + 1) * NUMERIC_DIGIT_WIDTH).max(1) + scale;
    (precision <= 38).then_some(SqlType::Decimal(precision as u8, scale as u8))
}

/// A NUMERIC as a whole number of the type's smallest unit: count of digits, weight of the first, sign, digits after
/// the point, then digits of base 10000.
pub(super) fn decimal(bytes: &[u8], ty: &SqlType) -> Result<i128, ValueError> {
    let (header, digits) = bytes.split_first_chunk::<8>().ok_or_else(|| form(ty))?;
    let (digits, []) = digits.as_chunks::<2>() else { return Err(form(ty)) };
    let [count_high, count_low, weight_high, weight_low, sign_high, sign_low, ..] = *header;
    let weight = i32::from(i16::from_be_bytes([weight_high, weight_low]));
    let negative = match u16::from_be_bytes([sign_high, sign_low]) {
        0 => false,
        NUMERIC_NEGATIVE => true,
        _ => return Err(ValueError::range("NaN or infinity", ty)),
    };
    if usize::from(u16::from_be_bytes([count_high, count_low])) != digits.len() {
        return Err(form(ty));
    }
    let mut text = String::from(if negative { "-0" } else { "0" });
    for digit in digits {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:04}", u16::from_be_bytes(*digit));
    }
    let exponent = (weight + 1 - digits.len() as i32) * NUMERIC_DIGIT_WIDTH;
    let _ = write!(text, "e{exponent}");
    parse::decimal(&text, ty)
}

/// The canonical text of sixteen bytes.
pub(super) fn uuid(bytes: &[u8], ty: &SqlType) -> Result<parse::UuidText, ValueError> {
    let bytes: [u8; 16] = fixed(bytes, ty)?;
    parse::uuid(&format!("{:032x}", u128::from_be_bytes(bytes)), ty)
}

/// JSON text: JSONB has a version byte before it, JSON has not.
pub(super) fn json<'a>(bytes: &'a [u8], ty: &SqlType) -> Result<&'a str, ValueError> {
    text(bytes.strip_prefix(&[JSONB_VERSION]).unwrap_or(bytes), ty)
}

/// The elements of an array of one dimension, `None` for NULL.
pub(super) fn elements<'a>(bytes: &'a [u8], ty: &SqlType) -> Result<Vec<Option<&'a [u8]>>, ValueError> {
    let mut scan = Scan { rest: bytes };
    let items = scan.elements().ok_or_else(|| form(ty))?;
    if scan.rest.is_empty() { Ok(items) } else { Err(form(ty)) }
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    fn int(&mut self) -> Option<i32> {
        let (int, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(i32::from_be_bytes(*int))
    }

    /// Dimensions, whether NULLs occur, element type, then length, first index and elements.
    fn elements(&mut self) -> Option<Vec<Option<&'a [u8]>>> {
        let dimensions = self.int()?;
        let (_has_null, _element_type) = (self.int()?, self.int()?);
        if dimensions == 0 {
            return Some(Vec::new());
        }
        let length = self.int()?;
        let _first_index = self.int()?;
        // An element takes at least its length word.
        let fits = dimensions == 1 && usize::try_from(length).is_ok_and(|length| length <= self.rest.len() / 4);
        fits.then(|| (0..length).map(|_| self.element()).collect::<Option<_>>())?
    }

    fn element(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.int()?;
        if length == -1 {
            return Some(None);
        }
        let (element, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(Some(element))
    }
}
