//! The operators of JSONB as calls of functions.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};
use lakeport_base::SqlType;
use lakeport_core::rows::sql_type;
use sqlparser::ast::BinaryOperator;

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

/// Whether an expression is JSONB and not a text that may be meant so.
fn is_document(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| sql_type(&field) == SqlType::Jsonb)
}
