//! `round`, `trunc`, `ceil` and `floor`, which keep the type that they are given; a NUMERIC keeps no more digits than
//! were asked for.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Float64Array, Int64Array};
use arrow_schema::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ReturnFieldArgs;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;

use super::scalar::{Call, Scalar, failed};
use crate::zoned::exactly;

/// Digits that an operation of this file may count in either direction from the point.
const DIGITS_MAX: i64 = 38;

#[derive(Clone, Copy)]
enum Mode {
    Round,
    Trunc,
    Ceil,
    Floor,
}

/// Every function of this file. Those that end in `_to` have their digits written out.
pub(super) fn functions() -> Vec<Scalar> {
    let one = |name, mode| function(name, &[1], mode);
    let several = |name, mode| function(name, &[1, 2], mode);
    vec![
        several("round", Mode::Round),
        function("round_to", &[2], Mode::Round),
        several("trunc", Mode::Trunc),
        function("trunc_to", &[2], Mode::Trunc),
        one("ceil", Mode::Ceil).with_aliases(&["ceiling"]),
        one("floor", Mode::Floor),
    ]
}

fn function(name: &'static str, counts: &[usize], mode: Mode) -> Scalar {
    let body = move |call: &Call<'_>| rounded(call, mode);
    Scalar::of_any(name, counts, SqlType::Float8, body).returning(result_type)
}

fn result_type(args: &ReturnFieldArgs<'_>) -> DataType {
    let digits = match args.scalar_arguments.get(1) {
        None => Some(0),
        Some(Some(ScalarValue::Int64(Some(digits)))) => Some(*digits),
        Some(_) => None,
    };
    match args.arg_fields[0].data_type() {
        DataType::Decimal128(precision, scale) => {
            let digits = digits.map_or(*scale, |digits| digits.clamp(0, DIGITS_MAX) as i8);
            let whole = i16::from(*precision) - i16::from(*scale) + 1;
            let precision = (whole + i16::from(digits)).clamp(1, DIGITS_MAX as i16);
            DataType::Decimal128(precision as u8, digits)
        }
        DataType::Float32 => DataType::Float32,
        integer if integer.is_integer() => integer.clone(),
        _ => DataType::Float64,
    }
}

fn rounded(call: &Call<'_>, mode: Mode) -> Result<ArrayRef> {
    let digits = match call.columns().get(1) {
        None => Int64Array::from(vec![0; call.rows]),
        Some(digits) => arrow_cast::cast(digits, &DataType::Int64)?.as_primitive().clone(),
    };
    let values = call.column(0);
    let result: ArrayRef = match values.data_type() {
        DataType::Decimal128(_, scale) => of_decimals(values, i64::from(*scale), &digits, mode)?,
        integer if integer.is_integer() => {
            let values = exactly(values, &DataType::Decimal128(20, 0)).map_err(failed)?;
            of_decimals(&values, 0, &digits, mode)?
        }
        _ => {
            let values = exactly(values, &DataType::Float64).map_err(failed)?;
            let pairs = values.as_primitive::<Float64Type>().iter().zip(&digits);
            Arc::new(pairs.map(|(value, digits)| Some(of_float(value?, digits?, mode))).collect::<Float64Array>())
        }
    };
    exactly(&result, call.returns).map_err(failed)
}

fn of_decimals(values: &ArrayRef, scale: i64, digits: &Int64Array, mode: Mode) -> Result<ArrayRef> {
    let rows = values.as_primitive::<Decimal128Type>().iter().zip(digits);
    let overflow = || failed(Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"));
    let units = rows.map(|row| match row {
        (Some(units), Some(digits)) => of_units(units, scale - digits, mode).ok_or_else(overflow).map(Some),
        _ => Ok(None),
    });
    let units = units.collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(units.with_precision_and_scale(DIGITS_MAX as u8, scale as i8)?))
}

/// Units with so many digits at their end made 0.
fn of_units(units: i128, dropped: i64, mode: Mode) -> Option<i128> {
    if dropped <= 0 {
        return Some(units);
    }
    let one = 10_i128.checked_pow(u32::try_from(dropped.min(DIGITS_MAX)).ok()?)?;
    let whole = match mode {
        Mode::Round => units / one + (units % one) / (one / 2),
        Mode::Trunc => units / one,
        Mode::Ceil => units.div_euclid(one) + i128::from(units.rem_euclid(one) > 0),
        Mode::Floor => units.div_euclid(one),
    };
    whole.checked_mul(one)
}

/// Of two equally near floats the one with an even digit, as PostgreSQL rounds.
fn of_float(value: f64, digits: i64, mode: Mode) -> f64 {
    const FLOAT_DIGITS_MAX: i64 = 300;
    let one = 10_f64.powi(digits.clamp(-FLOAT_DIGITS_MAX, FLOAT_DIGITS_MAX) as i32);
    let scaled = value * one;
    if !scaled.is_finite() {
        return value;
    }
    let whole = match mode {
        Mode::Round => scaled.round_ties_even(),
        Mode::Trunc => scaled.trunc(),
        Mode::Ceil => scaled.ceil(),
        Mode::Floor => scaled.floor(),
    };
    whole / one
}
