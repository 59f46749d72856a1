//! Parameters of a statement, each as an Arrow array of one value.

use arrow_array::ArrayRef;
use arrow_cast::{CastOptions, cast_with_options};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::ColumnBuilder;
use lakeport_core::{Error, Result};

use crate::message::invalid_utf8;
use crate::types::BINARY;

/// Reads a parameter that the statement takes as `wanted`. A binary value has the form of the type that the client
/// `declared`, such as INT2 for a column of INT8.
pub(crate) fn read(value: Option<&[u8]>, format: i16, declared: &SqlType, wanted: &SqlType) -> Result<ArrayRef> {
    let same_family = matches!((declared, wanted), (SqlType::Decimal(..), SqlType::Decimal(..)));
    let ty = if format == BINARY && !same_family { declared } else { wanted };
    let mut column = ColumnBuilder::new(ty, 1);
    match value {
        None => column.append_null(),
        Some(bytes) if format == BINARY => column.append_binary(bytes)?,
        Some(bytes) => column.append_text(str::from_utf8(bytes).map_err(|_| invalid_utf8())?)?,
    }
    let array = column.finish();
    if ty == wanted { Ok(array) } else { converted(&array, ty, wanted) }
}

fn converted(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, &arrow_type(to), &exact).map_err(|error| {
        let message = format!("cannot take a parameter of type {from} as {to}");
        Error::new(Sqlstate::DATATYPE_MISMATCH, message.to_lowercase()).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Decimal128Type, Int64Type};

    use super::*;
    use crate::types::TEXT;

    #[test]
    fn binary_values_widen() {
        let array = read(Some(&[0, 7]), BINARY, &SqlType::Int2, &SqlType::Int8).unwrap();
        assert_eq!(array.as_primitive::<Int64Type>().value(0), 7);
        let error = read(Some(&[7]), BINARY, &SqlType::Int8, &SqlType::Int8).unwrap_err();
        assert_eq!(error.code(), Sqlstate::INVALID_BINARY_REPRESENTATION);
    }

    #[test]
    fn text_values_take_the_wanted_type() {
        let decimal = SqlType::Decimal(10, 2);
        let array = read(Some(b"1.005"), TEXT, &SqlType::Decimal(38, 10), &decimal).unwrap();
        assert_eq!(array.as_primitive::<Decimal128Type>().value(0), 101);
        assert_eq!(read(Some(b"\xff"), TEXT, &SqlType::Text, &SqlType::Text).unwrap_err().code().code(), "22021");
        assert!(read(None, TEXT, &SqlType::Text, &SqlType::Text).unwrap().is_null(0));
    }
}
