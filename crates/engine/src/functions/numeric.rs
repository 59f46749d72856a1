//! Division of NUMERIC, with as many digits as PostgreSQL gives, and casts to NUMERIC of no declared scale.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Int32Array, Int64Array};
use arrow_schema::DataType;
use datafusion::arrow::compute::kernels::arity::try_binary;
use datafusion::arrow::datatypes::i256;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::value::Zone;
use sqlparser::ast::BinaryOperator;

use super::arithmetic::divided;
use super::scalar::{Call, Scalar, failed};
use crate::coerce::cast_to;
use crate::literal::shown_type;

/// Digits of every NUMERIC that has no declared precision.
const PRECISION: u8 = 38;
/// Least and most digits behind the point of a quotient.
const QUOTIENT_SCALES: std::ops::RangeInclusive<i16> = 16..=20;
/// Digits behind the point of what was a float or a text.
const CAST_SCALE: i8 = 15;

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    vec![numeric(), width_bucket(), percentile_place(), div()]
}

/// `div(a, b)`: the quotient without its fraction.
fn div() -> Scalar {
    let body = |call: &Call<'_>| {
        let quotients = quotients(call.column(0), call.column(1), &DataType::Decimal128(PRECISION, 16))?;
        let whole =
            quotients.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(|units| units / 10_i128.pow(16));
        Ok(Arc::new(whole.with_precision_and_scale(PRECISION, 0)?) as ArrayRef)
    };
    let exact = DataType::Decimal128(PRECISION, 0);
    Scalar::of_any("div", &[2], SqlType::Decimal(PRECISION, 0), body).returning(move |_| exact.clone())
}

/// `width_bucket(value, low, high, count)`: which of `count` equal parts of the range a value falls in, from 1.
fn width_bucket() -> Scalar {
    let floats = vec![DataType::Float64, DataType::Float64, DataType::Float64, DataType::Int64];
    Scalar::new("width_bucket", floats, SqlType::Int4, |call| {
        let bounds = [0, 1, 2].map(|index| call.column(index).as_primitive::<Float64Type>());
        let counts = call.column(3).as_primitive::<Int64Type>();
        let bucket = |row: usize| {
            let [value, low, high] = bounds.map(|column| column.is_valid(row).then(|| column.value(row)));
            let count = counts.is_valid(row).then(|| counts.value(row));
            match (value, low, high, count) {
                (Some(value), Some(low), Some(high), Some(count)) => bucket(value, low, high, count).map(Some),
                _ => Ok(None),
            }
        };
        Ok(Arc::new((0..call.rows).map(bucket).collect::<Result<Int32Array>>()?))
    })
}

/// Name of the function that says where in a sorted list the value of a percentile stands.
pub(crate) const PERCENTILE_PLACE: &str = "percentile_place";

/// `percentile_place(fraction, count)`: the first place, from 1, that so large a part of the list does not come after.
fn percentile_place() -> Scalar {
    Scalar::new(PERCENTILE_PLACE, vec![DataType::Float64, DataType::Int64], SqlType::Int8, |call| {
        let fractions = call.column(0).as_primitive::<Float64Type>();
        let counts = call.column(1).as_primitive::<Int64Type>();
        let place = |row: usize| {
            if fractions.is_null(row) || counts.is_null(row) {
                return Ok(None);
            }
            let fraction = fractions.value(row);
            if !(0.0..=1.0).contains(&fraction) {
                let message = format!("percentile value {fraction} is not between 0 and 1");
                return Err(failed(Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)));
            }
            Ok(Some(((fraction * counts.value(row) as f64).ceil() as i64).max(1)))
        };
        Ok(Arc::new((0..call.rows).map(place).collect::<Result<Int64Array>>()?))
    })
}

fn bucket(value: f64, low: f64, high: f64, count: i64) -> Result<i32> {
    let count = i32::try_from(count).ok().filter(|count| *count > 0 && low != high);
    let count =
        count.ok_or_else(|| failed(Error::invalid("width_bucket() takes a count above 0 and unequal bounds")))?;
    let place = (value - low) / (high - low);
    Ok(match place {
        before if before < 0.0 => 0,
        after if after >= 1.0 => count + 1,
        within => (within * f64::from(count)) as i32 + 1,
    })
}

/// `numeric(x)`: a cast without a declared precision, which keeps the digits that there are.
fn numeric() -> Scalar {
    let body = |call: &Call<'_>| {
        let (source, target) = (lakeport_core::rows::sql_type(&call.fields[0]), numeric_type(call.returns));
        cast_to(call.column(0), &source, &target, Zone::UTC).map_err(failed)
    };
    let unconstrained = SqlType::Decimal(PRECISION, CAST_SCALE as u8);
    Scalar::of_any("numeric", &[1], unconstrained, body).returning(|args| {
        let (precision, scale) = form(args.arg_fields[0].data_type()).unwrap_or((PRECISION, CAST_SCALE));
        DataType::Decimal128(precision, scale)
    })
}

fn numeric_type(ty: &DataType) -> SqlType {
    match ty {
        DataType::Decimal128(precision, scale) => SqlType::Decimal(*precision, (*scale).max(0) as u8),
        _ => SqlType::Decimal(PRECISION, CAST_SCALE as u8),
    }
}

/// Precision and scale of an exact number.
fn form(ty: &DataType) -> Option<(u8, i8)> {
    match ty {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Some((5, 0)),
        DataType::UInt16 | DataType::Int32 => Some((10, 0)),
        DataType::UInt32 | DataType::Int64 | DataType::UInt64 => Some((20, 0)),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

/// Plans `/` of exact numbers, one of which at least is a NUMERIC.
#[derive(Debug)]
pub(super) struct NumericDivision {
    function: Arc<ScalarUDF>,
}

impl NumericDivision {
    pub fn new() -> NumericDivision {
        let body = |call: &Call<'_>| quotients(call.column(0), call.column(1), call.returns);
        let function = Scalar::of_any("numeric_div", &[2], SqlType::Decimal(PRECISION, 0), body)
            .returning(|args| quotient_type(args.arg_fields[0].data_type(), args.arg_fields[1].data_type()));
        NumericDivision { function: Arc::new(function.into()) }
    }
}

impl ExprPlanner for NumericDivision {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::Divide {
            return Ok(PlannerResult::Original(expr));
        }
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let exact = form(&left).is_some() && form(&right).is_some();
        if !exact || (left.is_integer() && right.is_integer()) {
            return Ok(PlannerResult::Original(expr));
        }
        let operands = vec![narrowed(expr.left), narrowed(expr.right)];
        let call = ScalarFunction::new_udf(Arc::clone(&self.function), operands);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

/// A whole number as the NUMERIC of its own digits, which leaves more of them to the quotient.
fn narrowed(operand: Expr) -> Expr {
    match operand {
        Expr::Literal(ScalarValue::Int64(Some(number)), metadata) => {
            let digits = number.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
            Expr::Literal(ScalarValue::Decimal128(Some(number.into()), digits as u8, 0), metadata)
        }
        other => other,
    }
}

/// `ratio(sum, count)`: what `avg` is made of. A NUMERIC for exact numbers, else a float.
pub(super) fn ratio() -> Scalar {
    let body = |call: &Call<'_>| match call.returns {
        DataType::Float64 => {
            let counts = arrow_cast::cast(call.column(1), &DataType::Float64)?;
            let result = divided::<Float64Type>(true, call.column(0).as_primitive(), counts.as_primitive())?;
            Ok(Arc::new(result) as ArrayRef)
        }
        DataType::Decimal128(..) => quotients(call.column(0), call.column(1), call.returns),
        other => {
            let message = format!("function avg({}) does not exist", shown_type(other).to_string().to_lowercase());
            Err(failed(Error::new(Sqlstate::UNDEFINED_FUNCTION, message)))
        }
    };
    Scalar::of_any("ratio", &[2], SqlType::Float8, body).returning(|args| match args.arg_fields[0].data_type() {
        sum if form(sum).is_some() => quotient_type(sum, &DataType::Int64),
        sum => sum.clone(),
    })
}

fn quotient_type(dividend: &DataType, divisor: &DataType) -> DataType {
    let (precision, scale) = form(dividend).unwrap_or((PRECISION, 0));
    let (_, divisor_scale) = form(divisor).unwrap_or((PRECISION, 0));
    let whole_digits = i16::from(precision) - i16::from(scale) + i16::from(divisor_scale);
    let scale = (i16::from(PRECISION) - whole_digits).clamp(*QUOTIENT_SCALES.start(), *QUOTIENT_SCALES.end());
    DataType::Decimal128(PRECISION, scale as i8)
}

fn quotients(dividends: &ArrayRef, divisors: &ArrayRef, returns: &DataType) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = returns else { return Ok(Arc::clone(dividends)) };
    let (dividends, dividend_scale) = units(dividends)?;
    let (divisors, divisor_scale) = units(divisors)?;
    let quotient = |dividend, divisor| {
        quotient((dividend, dividend_scale), (divisor, divisor_scale), i32::from(*scale)).map_err(Into::into)
    };
    let quotients: Decimal128Array = try_binary(&dividends, &divisors, quotient)?;
    Ok(Arc::new(quotients.with_precision_and_scale(*precision, *scale)?))
}

/// Exact numbers in units of their last digit.
fn units(values: &ArrayRef) -> Result<(Decimal128Array, i32)> {
    let (precision, scale) = form(values.data_type()).unwrap_or((PRECISION, 0));
    let values = match values.data_type() {
        DataType::Int64 => Arc::new(values.as_primitive::<Int64Type>().unary::<_, Decimal128Type>(i128::from)),
        _ => arrow_cast::cast(values, &DataType::Decimal128(precision, scale))?,
    };
    Ok((values.as_primitive::<Decimal128Type>().clone(), i32::from(scale)))
}

/// The quotient in units of `10^-scale`, rounded to PostgreSQL's number of digits if `scale` has room for them.
fn quotient(dividend: (i128, i32), divisor: (i128, i32), scale: i32) -> Result<i128, DataFusionError> {
    if divisor.0 == 0 {
        return Err(failed(Error::new(Sqlstate::DIVISION_BY_ZERO, "division by zero")));
    }
    let digits = shown_digits(dividend, divisor).min(scale);
    let shift = digits + divisor.1 - dividend.1;
    rounded_quotient(dividend.0, divisor.0, shift)
        .and_then(|units| units.checked_mul(power(scale - digits)?))
        .filter(|units| units.unsigned_abs() < 10_u128.pow(PRECISION.into()))
        .ok_or_else(|| failed(Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")))
}

/// Digits behind the point that PostgreSQL gives a quotient: 16 significant ones at least.
fn shown_digits(dividend: (i128, i32), divisor: (i128, i32)) -> i32 {
    const SIGNIFICANT_DIGITS: i32 = 16;
    let ((weight, first), (divisor_weight, divisor_first)) = (leading_group(dividend), leading_group(divisor));
    let weight = weight - divisor_weight - i32::from(first <= divisor_first);
    (SIGNIFICANT_DIGITS - GROUP_DIGITS * weight).max(dividend.1).max(divisor.1)
}

/// PostgreSQL counts in groups of so many decimal digits.
const GROUP_DIGITS: i32 = 4;

/// Position and value of a number's first group of digits that is not 0.
fn leading_group((units, scale): (i128, i32)) -> (i32, u128) {
    let Some(digits) = units.unsigned_abs().checked_ilog10() else { return (0, 0) };
    let weight = (digits as i32 - scale).div_euclid(GROUP_DIGITS);
    let shift = scale + GROUP_DIGITS * weight;
    let one = 10_u128.pow(shift.unsigned_abs());
    (weight, if shift >= 0 { units.unsigned_abs() / one } else { units.unsigned_abs() * one })
}

/// `dividend * 10^shift / divisor`, halves away from zero.
fn rounded_quotient(dividend: i128, divisor: i128, shift: i32) -> Option<i128> {
    let narrow = match shift {
        0.. => power(shift).and_then(|power| Some((dividend.checked_mul(power)?, divisor))),
        _ => power(-shift).and_then(|power| Some((dividend, divisor.checked_mul(power)?))),
    };
    let negative = (dividend < 0) != (divisor < 0);
    if let Some((dividend, divisor)) = narrow {
        let (dividend, divisor) = (dividend.unsigned_abs(), divisor.unsigned_abs());
        let (quotient, rest) = (dividend / divisor, dividend % divisor);
        let magnitude = i128::try_from(quotient + u128::from(rest >= divisor - rest)).ok()?;
        return Some(if negative { -magnitude } else { magnitude });
    }
    let wide_power = i256::from_i128(10).checked_pow(shift.unsigned_abs())?;
    let (mut dividend, mut divisor) =
        (i256::from_i128(dividend).wrapping_abs(), i256::from_i128(divisor).wrapping_abs());
    match shift {
        0.. => dividend = dividend.checked_mul(wide_power)?,
        _ => divisor = divisor.checked_mul(wide_power)?,
    }
    let (quotient, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    let magnitude = quotient.to_i128()?.checked_add(i128::from(rest >= divisor.wrapping_sub(rest)))?;
    Some(if negative { -magnitude } else { magnitude })
}

fn power(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dividend: (i128, i32), divisor: (i128, i32)) -> String {
        let units = quotient(dividend, divisor, 20).unwrap();
        let one = 10_i128.pow(20);
        let fraction = format!("{:020}", (units % one).abs());
        let sign = if units < 0 { "-" } else { "" };
        format!("{sign}{}.{}", (units / one).abs(), fraction.trim_end_matches('0'))
    }

    #[test]
    fn divides_to_the_digits_of_postgresql() {
        assert_eq!(text((2, 0), (30, 1)), "0.66666666666666666667");
        assert_eq!(text((10, 0), (30, 1)), "3.3333333333333333");
        assert_eq!(text((1_000_000, 0), (3, 0)), "333333.333333333333");
        assert_eq!(text((-10, 0), (3, 0)), "-3.3333333333333333");
        assert_eq!(text((1, 0), (8, 0)), "0.125");
        assert_eq!(text((500, 2), (-200, 2)), "-2.5");
        assert_eq!(text((10_i128.pow(37), 20), (7, 0)), "14285714285714285.71428571428571428571");
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        assert!(quotient((1, 0), (0, 0), 16).is_err());
        assert!(quotient((10_i128.pow(37), 0), (1, 10), 16).is_err());
    }
}
