//! Comparisons of floats with exact numbers, which PostgreSQL makes between floats. DataFusion would turn each float into
//! a decimal.

use arrow_schema::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::analysis::rewrite_expressions;

/// Casts the decimals of such comparisons, before types are settled.
#[derive(Debug)]
pub(crate) struct FloatComparisons;

impl AnalyzerRule for FloatComparisons {
    fn name(&self) -> &str {
        "float_comparisons"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_expressions(plan, |expr, schema| expr.transform_up(|expr| Ok(compared(expr, schema))))
    }
}

fn compared(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let operands: Vec<&mut Expr> = match &mut expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => vec![left, right],
        Expr::Between(Between { expr, low, high, .. }) => vec![expr, low, high],
        Expr::InList(InList { expr, list, .. }) => list.iter_mut().chain([expr.as_mut()]).collect(),
        _ => return Transformed::no(expr),
    };
    let types: Vec<_> = operands.iter().map(|operand| operand.get_type(schema).unwrap_or(DataType::Null)).collect();
    if !types.iter().any(DataType::is_floating) || !types.iter().any(DataType::is_decimal) {
        return Transformed::no(expr);
    }
    for (operand, _) in operands.into_iter().zip(types).filter(|(_, ty)| ty.is_decimal()) {
        *operand = cast(std::mem::take(operand), DataType::Float64);
    }
    Transformed::yes(expr)
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}
