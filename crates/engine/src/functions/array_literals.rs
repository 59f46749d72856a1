//! Arrays written as text, such as `'{a,b}'`, beside arrays.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_nested::array_has::{array_has_all, array_has_any};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, binary_expr};
use lakeport_core::rows::sql_type;
use lakeport_core::value::{ColumnBuilder, Zone};
use sqlparser::ast::BinaryOperator;

use super::scalar::failed;

/// Reads a text literal that an array is compared with as an array of the same type, and plans `&&`.
#[derive(Debug)]
pub(super) struct ArrayLiterals {
    /// Of TIMESTAMPTZ that name none.
    pub zone: Zone,
}

impl ExprPlanner for ArrayLiterals {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let plan: fn(Expr, Expr) -> Expr = match &expr.op {
            BinaryOperator::Eq => |left, right| binary_expr(left, Operator::Eq, right),
            BinaryOperator::NotEq => |left, right| binary_expr(left, Operator::NotEq, right),
            BinaryOperator::PGOverlap => array_has_any,
            BinaryOperator::AtArrow => array_has_all,
            BinaryOperator::ArrowAt => |left, right| array_has_all(right, left),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let (left, right) = match (
            self.array_like(&expr.left, &expr.right, schema)?,
            self.array_like(&expr.right, &expr.left, schema)?,
        ) {
            (Some(left), _) => (left, expr.right),
            (_, Some(right)) => (expr.left, right),
            (None, None) if expr.op == BinaryOperator::PGOverlap && is_array(&expr.left, schema) => {
                (expr.left, expr.right)
            }
            (None, None) => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(plan(left, right)))
    }
}

fn is_array(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|ty| matches!(ty, DataType::List(_)))
}

impl ArrayLiterals {
    /// The array that a text literal stands for beside `other`, if that is an array.
    fn array_like(&self, literal: &Expr, other: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = literal else { return Ok(None) };
        let (_, field) = other.to_field(schema)?;
        let DataType::List(_) = field.data_type() else { return Ok(None) };
        let mut values = ColumnBuilder::in_zone(&sql_type(&field), 1, self.zone);
        values.append_text(text).map_err(|error| failed(error.into()))?;
        let values = arrow_cast::cast(&values.finish(), field.data_type())?;
        let list = datafusion::common::cast::as_list_array(&values)?.clone();
        Ok(Some(Expr::Literal(ScalarValue::List(Arc::new(list)), None)))
    }
}
