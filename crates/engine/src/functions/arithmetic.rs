//! Arithmetic that fails where DataFusion's wraps around or answers an infinity.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, ArrowNumericType, PrimitiveArray};
use arrow_schema::{ArrowError, DataType};
use datafusion::arrow::compute::kernels::arity::try_binary;
use datafusion::arrow::compute::kernels::numeric::{add, div, mul, neg, rem, sub};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;
use lakeport_base::Sqlstate;
use lakeport_core::Error;

use super::scalar::failed;
use crate::analysis::rewrite_expressions;

/// Replaces operators on integers, and divisions of floats, by checked ones once types are settled.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_expressions(plan, checked)
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| {
        let Some((formula, operands)) = Formula::of(&expr, schema) else { return Ok(Transformed::no(expr)) };
        let operands = operands.into_iter().map(|operand| checked(operand, schema).map(|operand| operand.data));
        let call =
            ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(formula)), operands.collect::<Result<Vec<_>>>()?);
        Ok(Transformed::new(Expr::ScalarFunction(call), true, TreeNodeRecursion::Jump))
    })
}

/// Operators on values of one type, which is the type of the result. A whole tree of them is one function, since nested
/// functions take the planner time that grows with the cube of their depth.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Formula {
    /// In reverse Polish notation.
    steps: Vec<Step>,
    ty: DataType,
    /// How the operators would be named.
    schema_name: String,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The next argument.
    Operand,
    Negate,
    Apply(Operator),
}

impl Formula {
    /// The largest formula at the top of an expression, with its operands; `None` where nothing needs a check.
    fn of(expr: &Expr, schema: &DFSchema) -> Option<(Formula, Vec<Expr>)> {
        let ty = first_operand(expr)?.get_type(schema).ok()?;
        if !ty.is_integer() && !matches!(ty, DataType::Float32 | DataType::Float64) {
            return None;
        }
        let (steps, operands) = flattened(expr);
        let needed = |step: &Step| match step {
            Step::Operand => false,
            Step::Negate | Step::Apply(Operator::Plus | Operator::Minus | Operator::Multiply) => ty.is_integer(),
            Step::Apply(_) => !ty.is_integer(),
        };
        let one_type = || operands.iter().all(|operand| operand.get_type(schema).is_ok_and(|other| other == ty));
        if !steps.iter().any(needed) || !one_type() {
            return None;
        }
        let signature = Signature::any(operands.len(), Volatility::Immutable);
        let formula = Formula { steps, ty, schema_name: expr.schema_name().to_string(), signature };
        Some((formula, operands.into_iter().cloned().collect()))
    }

    fn evaluate(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut operands = args.args.iter();
        let mut stack = Vec::new();
        let next = |stack: &mut Vec<ColumnarValue>| stack.pop().ok_or_else(|| failed(Error::internal("no operand")));
        for step in &self.steps {
            let value = match step {
                Step::Operand => operands.next().cloned().ok_or_else(|| failed(Error::internal("no argument")))?,
                Step::Negate => negated(next(&mut stack)?)?,
                Step::Apply(operator) => {
                    let (right, left) = (next(&mut stack)?, next(&mut stack)?);
                    applied(*operator, &left, &right, args.number_rows)?
                }
            };
            stack.push(value);
        }
        next(&mut stack)
    }
}

/// The operator and the operands of a node of a formula, the first operand first.
fn parts(expr: &Expr) -> Option<(Step, [Option<&Expr>; 2])> {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Plus | Minus | Multiply | Divide | Modulo), right }) => {
            Some((Step::Apply(*op), [Some(left), Some(right)]))
        }
        Expr::Negative(operand) => Some((Step::Negate, [Some(operand), None])),
        _ => None,
    }
}

fn first_operand(expr: &Expr) -> Option<&Expr> {
    let (_, [mut first, _]) = parts(expr)?;
    while let Some((_, [inner, _])) = first.and_then(parts) {
        first = inner;
    }
    first
}

/// The steps of an expression and its operands in the order of the steps. Without recursion, however deep it is.
fn flattened(expr: &Expr) -> (Vec<Step>, Vec<&Expr>) {
    let (mut steps, mut operands, mut open) = (Vec::new(), Vec::new(), vec![expr]);
    // From the last step to the first: a node, its last operand, its first operand.
    while let Some(expr) = open.pop() {
        match parts(expr) {
            Some((step, inner)) => {
                steps.push(step);
                open.extend(inner.into_iter().flatten());
            }
            None => {
                steps.push(Step::Operand);
                operands.push(expr);
            }
        }
    }
    steps.reverse();
    operands.reverse();
    (steps, operands)
}

impl ScalarUDFImpl for Formula {
    fn name(&self) -> &str {
        match self.steps.as_slice() {
            [.., Step::Negate] if self.steps.len() == 2 => "negate",
            [.., Step::Apply(operator)] if self.steps.len() == 3 => match operator {
                Operator::Plus => "add",
                Operator::Minus => "subtract",
                Operator::Multiply => "multiply",
                Operator::Divide => "divide",
                _ => "remainder",
            },
            _ => "formula",
        }
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.schema_name.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.ty.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.evaluate(&args).map_err(overflow)
    }
}

/// 22003 for a result that its integer type does not hold.
fn overflow(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::ArrowError(inner, _) if matches!(*inner, ArrowError::ArithmeticOverflow(_)) => {
            failed(Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
        }
        other => other,
    }
}

fn negated(value: ColumnarValue) -> Result<ColumnarValue> {
    match value {
        ColumnarValue::Array(values) => Ok(ColumnarValue::Array(neg(&values)?)),
        ColumnarValue::Scalar(value) => {
            let negated = neg(&value.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&negated, 0)?))
        }
    }
}

fn applied(operator: Operator, left: &ColumnarValue, right: &ColumnarValue, rows: usize) -> Result<ColumnarValue> {
    match operator {
        Operator::Plus => apply(left, right, add),
        Operator::Minus => apply(left, right, sub),
        Operator::Multiply => apply(left, right, mul),
        operator if left.data_type().is_floating() => of_floats(operator, left, right, rows),
        Operator::Divide => apply(left, right, div),
        _ => apply(left, right, rem),
    }
}

fn of_floats(operator: Operator, left: &ColumnarValue, right: &ColumnarValue, rows: usize) -> Result<ColumnarValue> {
    let divides = operator == Operator::Divide;
    let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
    let result: ArrayRef = match left.data_type() {
        DataType::Float32 => Arc::new(divided::<Float32Type>(divides, left.as_primitive(), right.as_primitive())?),
        _ => Arc::new(divided::<Float64Type>(divides, left.as_primitive(), right.as_primitive())?),
    };
    Ok(ColumnarValue::Array(result))
}

/// Quotients, or else remainders.
pub(super) fn divided<T>(
    divides: bool,
    left: &PrimitiveArray<T>,
    right: &PrimitiveArray<T>,
) -> Result<PrimitiveArray<T>>
where
    T: ArrowNumericType,
    T::Native: Copy + Default + PartialEq + std::ops::Div<Output = T::Native> + std::ops::Rem<Output = T::Native>,
{
    let quotient = |dividend: T::Native, divisor: T::Native| match divisor == T::Native::default() {
        true => Err(ArrowError::DivideByZero),
        false if divides => Ok(dividend / divisor),
        false => Ok(dividend % divisor),
    };
    Ok(try_binary(left, right, quotient)?)
}
