//! The operators of JSONB as calls of functions.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, ScalarUDF, cast};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::rows::{arrow_field, sql_type};
use sqlparser::ast::BinaryOperator;

use super::scalar::failed;
use super::{json, json_edit};

/// Plans the operators of documents and of texts that stand for them.
#[derive(Debug)]
pub(super) struct JsonOperators {
    functions: Vec<Arc<ScalarUDF>>,
}

impl JsonOperators {
    pub fn new() -> JsonOperators {
        let functions = json::functions().into_iter().chain(json_edit::functions());
        JsonOperators { functions: functions.map(|function| Arc::new(function.into())).collect() }
    }

    fn call(&self, name: &str, args: Vec<Expr>) -> Option<Expr> {
        let function = self.functions.iter().find(|function| function.name() == name)?;
        Some(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args)))
    }
}

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let expr = match of_fields(expr, schema)? {
            PlannerResult::Original(expr) => beside_truth(expr, schema),
            planned @ PlannerResult::Planned(_) => return Ok(planned),
        };
        let name = match &expr.op {
            BinaryOperator::Arrow => json::GET,
            BinaryOperator::LongArrow => json::GET_TEXT,
            BinaryOperator::HashArrow => json::GET_PATH,
            BinaryOperator::HashLongArrow => json::GET_PATH_TEXT,
            BinaryOperator::AtArrow | BinaryOperator::ArrowAt => json::CONTAINS,
            BinaryOperator::Question => json::EXISTS,
            BinaryOperator::QuestionPipe => json::EXISTS_ANY,
            BinaryOperator::QuestionAnd => json::EXISTS_ALL,
            BinaryOperator::HashMinus => json_edit::DELETE_PATH,
            BinaryOperator::Minus if is_document(&expr.left, schema) => json_edit::DELETE,
            BinaryOperator::StringConcat if is_document(&expr.left, schema) || is_document(&expr.right, schema) => {
                json_edit::CONCAT
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let reversed = expr.op == BinaryOperator::ArrowAt;
        let document = if reversed { &expr.right } else { &expr.left };
        let (_, field) = document.to_field(schema)?;
        if !matches!(sql_type(&field), SqlType::Jsonb | SqlType::Text) {
            return Ok(PlannerResult::Original(expr));
        }
        let args = if reversed {
            vec![expr.right.clone(), expr.left.clone()]
        } else {
            vec![expr.left.clone(), expr.right.clone()]
        };
        Ok(self.call(name, args).map_or(PlannerResult::Original(expr), PlannerResult::Planned))
    }
}

/// `structure -> 'field'` and `list -> number`, as which subscripts of parts of JSON come too.
///
/// # Errors
/// 42804 for an item of a list by name.
fn of_fields(expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
    let (BinaryOperator::Arrow, Ok(ty)) = (&expr.op, expr.left.get_type(schema)) else {
        return Ok(PlannerResult::Original(expr));
    };
    let Expr::Literal(key, _) = &expr.right else { return Ok(PlannerResult::Original(expr)) };
    Ok(match (ty, key) {
        (DataType::Struct(_) | DataType::Map(..), ScalarValue::Utf8(Some(name))) => {
            let name = name.clone();
            PlannerResult::Planned(get_field(expr.left, name))
        }
        (DataType::List(_), number) if number.data_type().is_integer() => {
            PlannerResult::Planned(array_element(expr.left, expr.right))
        }
        (DataType::List(_), key) => {
            let message = format!("an item of an array has no name, such as '{key}'");
            let error = Error::new(Sqlstate::DATATYPE_MISMATCH, message);
            return Err(failed(error.with_hint("items are numbered from 1, as in items[1]")));
        }
        _ => PlannerResult::Original(expr),
    })
}

/// A comparison of a document with a truth value, which is a document too.
fn beside_truth(mut expr: RawBinaryExpr, schema: &DFSchema) -> RawBinaryExpr {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    if !matches!(expr.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return expr;
    }
    let is_truth = |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::Boolean));
    let truth = match (is_truth(&expr.left), is_truth(&expr.right)) {
        (true, false) if is_document(&expr.right, schema) => &mut expr.left,
        (false, true) if is_document(&expr.left, schema) => &mut expr.right,
        _ => return expr,
    };
    let text = cast(std::mem::take(truth), DataType::Utf8);
    *truth = Expr::Cast(Cast::new_from_field(Box::new(text), Arc::new(arrow_field("", &SqlType::Jsonb, true))));
    expr
}

/// Whether an expression is JSONB and not a text that may be meant so.
fn is_document(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| sql_type(&field) == SqlType::Jsonb)
}
