//! INTERSECT ALL and EXCEPT ALL, in which equal rows count. DataFusion plans them as joins that only ask whether the
//! other side has such a row; here the first of equal rows meets the first, the second the second, and so on.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder};

/// The plan of a statement, fresh from SQL, with such rows counted.
pub(crate) fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let counted = plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) if is_of_multisets(&join) => counting(join).map(Transformed::yes),
        other => Ok(Transformed::no(other)),
    });
    counted.map(|plan| plan.data)
}

/// Whether a join is a set operation whose left side may have equal rows. Joins of SQL find no NULL equal.
fn is_of_multisets(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

fn counting(mut join: Join) -> Result<LogicalPlan> {
    let columns = join.left.schema().columns();
    let (left, left_number) = numbered(join.left.as_ref().clone(), " left number")?;
    let (right, right_number) = numbered(join.right.as_ref().clone(), " right number")?;
    join.on.push((left_number, right_number));
    let Join { on, filter, join_type, join_constraint, null_equality, null_aware, .. } = join;
    let (left, right) = (Arc::new(left), Arc::new(right));
    let join = Join::try_new(left, right, on, filter, join_type, join_constraint, null_equality, null_aware)?;
    LogicalPlanBuilder::from(LogicalPlan::Join(join)).project(columns.into_iter().map(Expr::Column))?.build()
}

/// The rows with the number of each among its equals.
fn numbered(rows: LogicalPlan, name: &str) -> Result<(LogicalPlan, Expr)> {
    let columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    let number = row_number().partition_by(columns.clone()).build()?;
    let column = Expr::Column(Column::from_name(number.schema_name().to_string())).alias(name);
    let rows =
        LogicalPlanBuilder::from(rows).window([number])?.project(columns.into_iter().chain([column]))?.build()?;
    Ok((rows, Expr::Column(Column::from_name(name))))
}
