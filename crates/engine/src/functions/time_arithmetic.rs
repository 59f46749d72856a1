//! Arithmetic with dates, times and intervals, as PostgreSQL defines it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, IntervalMonthDayNanoType, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Decimal128Array, IntervalMonthDayNanoArray, PrimitiveArray};
use arrow_schema::{DataType, IntervalUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Operator, ScalarUDF, binary_expr};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::{Span, Zone};
use lakeport_core::{Error, Result as CoreResult};
use sqlparser::ast::BinaryOperator;

use super::calendar::{DAY_MICROS, Times, after, after_moment};
use super::scalar::{Call, Scalar, failed};
use crate::zoned::exactly;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
/// Microseconds of the longest interval take 22 digits.
const LENGTH_DIGITS: u8 = 24;

/// Plans such operators by the types of their sides.
#[derive(Debug)]
pub(super) struct TimeArithmetic {
    after: Arc<ScalarUDF>,
    before: Arc<ScalarUDF>,
    times: Arc<ScalarUDF>,
    divided: Arc<ScalarUDF>,
    length: Arc<ScalarUDF>,
}

impl TimeArithmetic {
    pub fn new(zone: Zone) -> TimeArithmetic {
        let scale = |name, by: fn(f64) -> CoreResult<f64>| {
            let function = Scalar::of_any(name, &[2], SqlType::Text, move |call| scaled(call, by));
            Arc::new(function.returning(|_| INTERVAL).into())
        };
        let shift = |name, back| {
            let function = Scalar::of_any(name, &[2], SqlType::Timestamp, move |call| shifted(call, zone, back));
            let function = function.returning(|args| match args.arg_fields[0].data_type() {
                DataType::Timestamp(_, Some(_)) => arrow_type(&SqlType::TimestampTz),
                _ => arrow_type(&SqlType::Timestamp),
            });
            Arc::new(function.into())
        };
        TimeArithmetic {
            after: shift("time_after", false),
            before: shift("time_before", true),
            times: scale("interval_times", Ok),
            divided: scale("interval_divided", inverse),
            length: Arc::new(
                Scalar::of_any("interval_length", &[1], SqlType::Decimal(LENGTH_DIGITS, 0), lengths).into(),
            ),
        }
    }

    /// Intervals compare by their length, in which a month has 30 days and a day 24 hours.
    fn compared(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let operator = match expr.op {
            BinaryOperator::Eq => Operator::Eq,
            BinaryOperator::NotEq => Operator::NotEq,
            BinaryOperator::Lt => Operator::Lt,
            BinaryOperator::LtEq => Operator::LtEq,
            BinaryOperator::Gt => Operator::Gt,
            BinaryOperator::GtEq => Operator::GtEq,
            _ => return None,
        };
        let length = |side: &Expr| match side.get_type(schema) {
            Ok(DataType::Interval(_) | DataType::Duration(_)) => {
                let call = ScalarFunction::new_udf(Arc::clone(&self.length), vec![side.clone()]);
                Some(Expr::ScalarFunction(call))
            }
            _ => None,
        };
        Some(binary_expr(length(&expr.left)?, operator, length(&expr.right)?))
    }

    fn planned(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let (left, right) = (expr.left.get_type(schema).ok()?, expr.right.get_type(schema).ok()?);
        let pair = || (expr.left.clone(), expr.right.clone());
        match (&expr.op, &left, &right) {
            (BinaryOperator::Plus, DataType::Interval(_), time) if is_time(time) => {
                Some(call(&self.after, expr.right.clone(), expr.left.clone()))
            }
            (BinaryOperator::Plus, time, DataType::Interval(_) | DataType::Duration(_)) if is_time(time) => {
                Some(call(&self.after, expr.left.clone(), expr.right.clone()))
            }
            (BinaryOperator::Minus, time, DataType::Interval(_) | DataType::Duration(_)) if is_time(time) => {
                Some(call(&self.before, expr.left.clone(), expr.right.clone()))
            }
            (BinaryOperator::Minus, DataType::Date32, DataType::Date32) => {
                let (left, right) = pair();
                Some(binary_expr(days(left), Operator::Minus, days(right)))
            }
            (BinaryOperator::Plus | BinaryOperator::Minus, DataType::Date32, number) if number.is_integer() => {
                let operator = if expr.op == BinaryOperator::Plus { Operator::Plus } else { Operator::Minus };
                Some(as_type(
                    binary_expr(days(expr.left.clone()), operator, days(expr.right.clone())),
                    DataType::Date32,
                ))
            }
            (BinaryOperator::Plus, number, DataType::Date32) if number.is_integer() => {
                let (left, right) = pair();
                Some(as_type(binary_expr(days(left), Operator::Plus, days(right)), DataType::Date32))
            }
            (BinaryOperator::Multiply, DataType::Interval(_) | DataType::Duration(_), number)
                if number.is_numeric() =>
            {
                Some(call(&self.times, expr.left.clone(), expr.right.clone()))
            }
            (BinaryOperator::Multiply, number, DataType::Interval(_) | DataType::Duration(_))
                if number.is_numeric() =>
            {
                Some(call(&self.times, expr.right.clone(), expr.left.clone()))
            }
            (BinaryOperator::Divide, DataType::Interval(_) | DataType::Duration(_), number) if number.is_numeric() => {
                Some(call(&self.divided, expr.left.clone(), expr.right.clone()))
            }
            _ => None,
        }
    }
}

impl ExprPlanner for TimeArithmetic {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        type_literals(&mut expr, schema);
        Ok(match self.planned(&expr, schema).or_else(|| self.compared(&expr, schema)) {
            Some(planned) => PlannerResult::Planned(planned),
            None => PlannerResult::Original(expr),
        })
    }
}

/// A text literal beside an interval is one, as it is where it is added to a time; else it is of the time's type.
fn type_literals(expr: &mut RawBinaryExpr, schema: &DFSchema) {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, Minus, NotEq, Plus};
    let adds = matches!(expr.op, Plus);
    if !adds && !matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq | Minus) {
        return;
    }
    let (left, right) = (expr.left.get_type(schema), expr.right.get_type(schema));
    for (side, other) in [(&mut expr.left, right), (&mut expr.right, left)] {
        let Ok(other) = other else { continue };
        if !matches!(side, Expr::Literal(ScalarValue::Utf8(Some(_)), _)) {
            continue;
        }
        if matches!(other, DataType::Interval(_) | DataType::Duration(_)) || (adds && is_time(&other)) {
            *side = as_type(side.clone(), INTERVAL);
        } else if is_time(&other) {
            *side = as_type(side.clone(), other);
        }
    }
}

fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Date32 | DataType::Timestamp(..))
}

fn call(function: &Arc<ScalarUDF>, first: Expr, second: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), vec![first, second]))
}

fn as_type(expr: Expr, ty: DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), ty))
}

/// A date as its number of days, or a number.
fn days(expr: Expr) -> Expr {
    as_type(expr, DataType::Int32)
}

/// Times after (or before, with `back`) intervals.
fn shifted(call: &Call<'_>, zone: Zone, back: bool) -> Result<ArrayRef> {
    let times = Times::of(call.column(0), zone).map_err(failed)?;
    let spans = spans(call.column(1))?;
    let span = |row| if back { Span::of(spans.value(row)).negated() } else { Span::of(spans.value(row)) };
    let shift = |row: usize| match &times {
        _ if times.is_null(row) || spans.is_null(row) => Ok(None),
        Times::Clocks(clocks) => after(span(row), clocks.value(row)).map(Some),
        Times::Moments(moments) => after_moment(span(row), moments.value(row), zone).map(Some),
        Times::Spans(_) => Ok(None),
    };
    let shifted = (0..call.rows).map(shift).collect::<CoreResult<PrimitiveArray<TimestampMicrosecondType>>>();
    let shifted = shifted.map_err(failed)?;
    Ok(Arc::new(if let Times::Moments(_) = times { shifted.with_timezone("UTC") } else { shifted }))
}

/// An argument as intervals.
pub(super) fn spans(column: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
    match Times::of(column, Zone::UTC).map_err(failed)? {
        Times::Spans(spans) => Ok(spans),
        _ => Err(failed(Error::new(Sqlstate::DATATYPE_MISMATCH, "an interval is wanted"))),
    }
}

fn lengths(call: &Call<'_>) -> Result<ArrayRef> {
    let spans = spans(call.column(0))?;
    let length = |row| {
        let Span { months, days, micros } = Span::of(spans.value(row));
        i128::from(months * 30 + days) * i128::from(DAY_MICROS) + i128::from(micros)
    };
    let lengths = (0..call.rows).map(|row| spans.is_valid(row).then(|| length(row)));
    Ok(Arc::new(lengths.collect::<Decimal128Array>().with_precision_and_scale(LENGTH_DIGITS, 0)?))
}

fn inverse(number: f64) -> CoreResult<f64> {
    match number {
        0.0 => Err(Error::new(Sqlstate::DIVISION_BY_ZERO, "division by zero")),
        number => Ok(1.0 / number),
    }
}

/// Intervals times what `by` makes of numbers.
fn scaled(call: &Call<'_>, by: fn(f64) -> CoreResult<f64>) -> Result<ArrayRef> {
    let spans = spans(call.column(0))?;
    let numbers = exactly(call.column(1), &DataType::Float64).map_err(failed)?;
    let numbers = numbers.as_primitive::<Float64Type>();
    let scale = |row: usize| match spans.is_null(row) || numbers.is_null(row) {
        true => Ok(None),
        false => Ok(Some(Span::of(spans.value(row)).times(by(numbers.value(row))?)?.value()?)),
    };
    let scaled = (0..call.rows).map(scale).collect::<CoreResult<PrimitiveArray<IntervalMonthDayNanoType>>>();
    Ok(Arc::new(scaled.map_err(failed)?))
}
