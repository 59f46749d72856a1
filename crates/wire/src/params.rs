//! Parameters of a statement, each as an Arrow array of one value.

use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, cast_with_options};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{ColumnBuilder, Zone, decimal_of_binary, decimal_of_text, format_value};
use lakeport_core::{Error, Result};

use crate::message::invalid_utf8;
use crate::types::BINARY;

/// Reads a parameter that the statement takes as `wanted`. A binary value has the form of the type that the client
/// `declared`, such as INT2 for a column of INT8. A TIMESTAMPTZ in text that names no zone is in `zone`.
pub(crate) fn read(
    value: Option<&[u8]>,
    format: i16,
    declared: &SqlType,
    wanted: &SqlType,
    zone: Zone,
) -> Result<ArrayRef> {
    let same_family = matches!((declared, wanted), (SqlType::Decimal(..), SqlType::Decimal(..)));
    let ty = if format == BINARY && !same_family { declared } else { wanted };
    let own_digits = match value {
        Some(bytes) if *ty == SqlType::DECIMAL => decimal_of(bytes, format),
        _ => None,
    };
    // What is free to have any precision keeps the value's own.
    let (ty, wanted) = own_digits.as_ref().map_or((ty, wanted), |own| (own, if ty == wanted { own } else { wanted }));
    let mut column = ColumnBuilder::in_zone(ty, 1, zone);
    match value {
        None => column.append_null(),
        Some(bytes) if format == BINARY => column.append_binary(bytes)?,
        Some(bytes) => column.append_text(str::from_utf8(bytes).map_err(|_| invalid_utf8())?)?,
    }
    let array = column.finish();
    if ty == wanted { Ok(array) } else { converted(&array, ty, wanted) }
}

fn decimal_of(bytes: &[u8], format: i16) -> Option<SqlType> {
    match format {
        BINARY => decimal_of_binary(bytes),
        _ => str::from_utf8(bytes).ok().and_then(decimal_of_text),
    }
}

fn converted(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    if is_text(from) && is_text(to) {
        return retold(array, from, to);
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, &arrow_type(to), &exact).map_err(|error| {
        let message = format!("cannot take a parameter of type {from} as {to}");
        Error::new(Sqlstate::DATATYPE_MISMATCH, message.to_lowercase()).with_source(error)
    })
}

/// Whether values are held as texts, which a cast would take over unchecked.
fn is_text(ty: &SqlType) -> bool {
    match ty {
        SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb => true,
        SqlType::Array(element) => is_text(element),
        _ => false,
    }
}

/// The value by its text.
fn retold(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let mut column = ColumnBuilder::new(to, 1);
    if array.is_null(0) {
        column.append_null();
    } else {
        let mut text = String::new();
        format_value(array, 0, from, &mut text).map_err(Error::internal)?;
        column.append_text(&text)?;
    }
    Ok(column.finish())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Decimal128Type, Int64Type};

    use super::*;
    use crate::types::TEXT;

    #[test]
    fn binary_values_widen() {
        let array = read(Some(&[0, 7]), BINARY, &SqlType::Int2, &SqlType::Int8, Zone::UTC).unwrap();
        assert_eq!(array.as_primitive::<Int64Type>().value(0), 7);
        let error = read(Some(&[7]), BINARY, &SqlType::Int8, &SqlType::Int8, Zone::UTC).unwrap_err();
        assert_eq!(error.code(), Sqlstate::INVALID_BINARY_REPRESENTATION);
    }

    #[test]
    fn texts_are_checked_for_the_wanted_type() {
        let texts = SqlType::Array(Box::new(SqlType::Text));
        for (bytes, declared, wanted, code) in [
            (&b"no uuid"[..], &SqlType::Text, SqlType::Uuid, "22P02"),
            (b"{", &SqlType::Text, SqlType::Jsonb, "22P02"),
            (b"abcd", &SqlType::Text, SqlType::Varchar(3), "22001"),
            (b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x01x", &texts, SqlType::Jsonb, "22P02"),
        ] {
            let error = read(Some(bytes), BINARY, declared, &wanted, Zone::UTC).unwrap_err();
            assert_eq!(error.code().code(), code, "{wanted}");
        }
        let array = read(Some(b"[1, 2]"), BINARY, &SqlType::Text, &SqlType::Jsonb, Zone::UTC).unwrap();
        assert_eq!(array.as_string::<i32>().value(0), "[1, 2]");
    }

    #[test]
    fn text_values_take_the_wanted_type() {
        let decimal = SqlType::Decimal(10, 2);
        let array = read(Some(b"1.005"), TEXT, &SqlType::Decimal(38, 10), &decimal, Zone::UTC).unwrap();
        assert_eq!(array.as_primitive::<Decimal128Type>().value(0), 101);
        assert_eq!(
            read(Some(b"\xff"), TEXT, &SqlType::Text, &SqlType::Text, Zone::UTC).unwrap_err().code().code(),
            "22021"
        );
        for (number, shown) in [("1.5", (2, 1)), ("-0.001", (4, 3)), ("1e3", (4, 0)), ("100", (3, 0)), ("0", (1, 0))] {
            let array = read(Some(number.as_bytes()), TEXT, &SqlType::DECIMAL, &SqlType::DECIMAL, Zone::UTC).unwrap();
            let (precision, scale) = shown;
            assert_eq!(*array.data_type(), arrow_type(&SqlType::Decimal(precision, scale)), "{number}");
        }
        assert!(read(None, TEXT, &SqlType::Text, &SqlType::Text, Zone::UTC).unwrap().is_null(0));
    }
}
