//! Arithmetic that fails where DataFusion's wraps around or answers an infinity.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, ArrowNumericType, PrimitiveArray};
use arrow_schema::{ArrowError, DataType};
use datafusion::arrow::compute::kernels::arity::try_binary;
use datafusion::arrow::compute::kernels::numeric::{add, mul, sub};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use lakeport_base::Sqlstate;
use lakeport_core::Error;

use super::scalar::failed;

/// Replaces operators on integers and floats by their checked forms, once types are settled.
#[derive(Debug)]
pub(super) struct CheckedArithmetic {
    functions: Vec<Arc<ScalarUDF>>,
}

impl CheckedArithmetic {
    pub fn new() -> CheckedArithmetic {
        let functions = FORMS.iter().map(|(_, _, name)| Arc::new(ScalarUDF::new_from_impl(Checked::new(name))));
        CheckedArithmetic { functions: functions.collect() }
    }

    fn call(&self, operator: Operator, integers: bool, left: Expr, right: Expr) -> Option<Expr> {
        let form = FORMS.iter().position(|(known, of_integers, _)| *known == operator && *of_integers == integers)?;
        let function = Arc::clone(&self.functions[form]);
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right])))
    }
}

/// Operators whose kernel does not fail where PostgreSQL does, on integers or else floats, and the function instead.
const FORMS: &[(Operator, bool, &str)] = &[
    (Operator::Plus, true, "add"),
    (Operator::Minus, true, "subtract"),
    (Operator::Multiply, true, "multiply"),
    (Operator::Divide, false, "divide"),
    (Operator::Modulo, false, "remainder"),
];

impl FunctionRewrite for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        let (operator, left, right) = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => (*op, left.as_ref(), right.as_ref().clone()),
            Expr::Negative(operand) => (Operator::Minus, operand.as_ref(), operand.as_ref().clone()),
            _ => return Ok(Transformed::no(expr)),
        };
        if !FORMS.iter().any(|(known, ..)| *known == operator) {
            return Ok(Transformed::no(expr));
        }
        let Ok(ty) = left.get_type(schema) else { return Ok(Transformed::no(expr)) };
        let left = match &expr {
            Expr::Negative(_) if ty.is_integer() => Expr::Literal(ScalarValue::new_zero(&ty)?, None),
            _ => left.clone(),
        };
        let kind = (ty.is_integer(), matches!(ty, DataType::Float32 | DataType::Float64));
        let call = match kind {
            (true, _) => self.call(operator, true, left, right),
            (_, true) if !matches!(expr, Expr::Negative(_)) => self.call(operator, false, left, right),
            _ => None,
        };
        Ok(call.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }
}

/// One operator on two values of one type, which is the type of the result.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    name: &'static str,
    signature: Signature,
}

impl Checked {
    fn new(name: &'static str) -> Checked {
        Checked { name, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    /// As the operator's, so that a grouping set, which cannot be renamed, keeps its columns.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let form = FORMS.iter().find(|(_, _, name)| *name == self.name);
        let operator = form.map_or_else(|| self.name.to_string(), |(operator, ..)| operator.to_string());
        Ok(format!("{} {operator} {}", arguments[0].schema_name(), arguments[1].schema_name()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (left, right) = (&args.args[0], &args.args[1]);
        let result = match self.name {
            "add" => apply(left, right, add),
            "subtract" => apply(left, right, sub),
            "multiply" => apply(left, right, mul),
            name => of_floats(name, left, right, args.number_rows),
        };
        result.map_err(overflow)
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

fn of_floats(name: &str, left: &ColumnarValue, right: &ColumnarValue, rows: usize) -> Result<ColumnarValue> {
    let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
    let result: ArrayRef = match left.data_type() {
        DataType::Float32 => Arc::new(divided::<Float32Type>(name, left.as_primitive(), right.as_primitive())?),
        _ => Arc::new(divided::<Float64Type>(name, left.as_primitive(), right.as_primitive())?),
    };
    Ok(ColumnarValue::Array(result))
}

pub(super) fn divided<T>(name: &str, left: &PrimitiveArray<T>, right: &PrimitiveArray<T>) -> Result<PrimitiveArray<T>>
where
    T: ArrowNumericType,
    T::Native: Copy + Default + PartialEq + std::ops::Div<Output = T::Native> + std::ops::Rem<Output = T::Native>,
{
    let divides = name == "divide";
    let quotient = |dividend: T::Native, divisor: T::Native| match divisor == T::Native::default() {
        true => Err(ArrowError::DivideByZero),
        false if divides => Ok(dividend / divisor),
        false => Ok(dividend % divisor),
    };
    Ok(try_binary(left, right, quotient)?)
}
