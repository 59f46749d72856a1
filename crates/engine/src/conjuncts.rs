//! How the conditions of a filter are tried.

use std::sync::Arc;

use arrow_schema::Schema;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

/// Tries the comparisons of numbers with constants first, and all of them on all rows. Where `a AND b` finds few rows
/// that `a` selects, DataFusion copies them for `b` and spreads what comes out over all rows again, which costs more than
/// such a comparison does: `a AND (b AND c)` does it once at most, `(a AND b) AND c` for each that follows.
#[derive(Debug)]
pub(crate) struct ComparisonsTogether;

impl PhysicalOptimizerRule for ComparisonsTogether {
    fn name(&self) -> &str {
        "ComparisonsTogether"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let ordered = plan.transform_up(|plan| {
            let Some(filter) = plan.downcast_ref::<FilterExec>() else { return Ok(Transformed::no(plan)) };
            let Some(predicate) = together(filter.predicate(), &filter.input().schema())? else {
                return Ok(Transformed::no(plan));
            };
            let filter = FilterExecBuilder::from(filter).with_predicate(predicate).build()?;
            Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>))
        });
        Ok(ordered?.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same conditions with the comparisons in one chain before all others. None if they are fewer than need one, or if another
/// one may fail of rows that those before it leave out.
fn together(predicate: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let conditions = split_conjunction(predicate).into_iter().cloned();
    let (mut comparisons, others): (Vec<_>, Vec<_>) =
        conditions.partition(|condition| is_comparison(condition, schema));
    if comparisons.len() + others.len().min(1) < 3 || !others.iter().all(never_fails) {
        return Ok(None);
    }
    let Some(last) = comparisons.pop() else { return Ok(None) };
    let chain = comparisons.into_iter().rev().fold(last, |chain, comparison| {
        Arc::new(BinaryExpr::new(comparison, Operator::And, chain)) as Arc<dyn PhysicalExpr>
    });
    Ok(Some(conjunction([chain].into_iter().chain(others))))
}

/// Whether an expression has a value of each row: casts, functions and sums may have none.
fn never_fails(expr: &Arc<dyn PhysicalExpr>) -> bool {
    use Operator::{And, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq, Or};
    let is_safe = |binary: &BinaryExpr| {
        matches!(binary.op(), And | Eq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom | Lt | LtEq | NotEq | Or)
    };
    let is_plain = expr.is::<Column>()
        || expr.is::<Literal>()
        || expr.is::<LikeExpr>()
        || expr.is::<InListExpr>()
        || expr.is::<IsNullExpr>()
        || expr.is::<IsNotNullExpr>()
        || expr.is::<NotExpr>()
        || expr.downcast_ref::<BinaryExpr>().is_some_and(is_safe);
    is_plain && expr.children().into_iter().all(never_fails)
}

/// Whether a condition compares a column of values of one width with a constant.
fn is_comparison(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let Some(binary) = condition.downcast_ref::<BinaryExpr>() else { return false };
    let (left, right) = (binary.left(), binary.right());
    let column = match (left.downcast_ref::<Literal>(), right.downcast_ref::<Literal>()) {
        (None, Some(_)) => left,
        (Some(_), None) => right,
        _ => return false,
    };
    let column = column.downcast_ref::<Column>().and_then(|column| schema.fields().get(column.index()));
    matches!(binary.op(), Eq | NotEq | Lt | LtEq | Gt | GtEq)
        && column.is_some_and(|field| field.data_type().is_primitive())
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow_schema::{DataType, Field};
    use datafusion::physical_expr::expressions::{binary, cast, col, lit};

    /// How conditions are tried, in the order given: `n > number`, or `t = x` for none.
    fn ordered(conditions: &[Option<i64>]) -> Option<String> {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)]);
        let condition = |number: &Option<i64>| match number {
            Some(number) => binary(col("n", &schema).unwrap(), Operator::Gt, lit(*number), &schema).unwrap(),
            None => binary(col("t", &schema).unwrap(), Operator::Eq, lit("x"), &schema).unwrap(),
        };
        let predicate = conjunction(conditions.iter().map(condition));
        together(&predicate, &schema).unwrap().as_ref().map(nested)
    }

    fn nested(predicate: &Arc<dyn PhysicalExpr>) -> String {
        match predicate.downcast_ref::<BinaryExpr>() {
            Some(and) if *and.op() == Operator::And => format!("({} AND {})", nested(and.left()), nested(and.right())),
            _ => predicate.to_string(),
        }
    }

    #[test]
    fn comparisons_come_first_and_are_one_condition() {
        let ordered = ordered(&[None, Some(1), Some(2), None, Some(3)]).unwrap();
        assert_eq!(ordered, "(((n@0 > 1 AND (n@0 > 2 AND n@0 > 3)) AND t@1 = x) AND t@1 = x)");
    }

    #[test]
    fn what_may_fail_stays_behind_its_guard() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)]);
        let compared = |number: i64| binary(col("n", &schema).unwrap(), Operator::Gt, lit(number), &schema).unwrap();
        let number = cast(col("t", &schema).unwrap(), &schema, DataType::Int64).unwrap();
        let guarded = binary(number, Operator::Gt, lit(1_i64), &schema).unwrap();
        let predicate = conjunction([guarded, compared(1), compared(2), compared(3)]);
        assert!(together(&predicate, &schema).unwrap().is_none());
    }

    #[test]
    fn few_comparisons_stay_where_they_are() {
        for few in [&[Some(1)][..], &[Some(1), Some(2)], &[None, Some(1)], &[None, None, None]] {
            assert_eq!(ordered(few), None);
        }
    }
}
