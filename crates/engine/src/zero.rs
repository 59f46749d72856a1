//! -0.0 where values are sorted, or hashed by their bits: 0.0 is put in its place, which it equals.

use arrow_schema::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{InList, Sort};
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;

use crate::analysis::rewrite_node;

/// Shorter IN lists become comparisons, which know that zeros are equal.
const COMPARED_MAX: usize = 3;

/// Adds 0.0, once all types are known, to floats that are sort keys, distinct arguments or looked for in a list.
#[derive(Debug)]
pub(crate) struct OneZero;

impl AnalyzerRule for OneZero {
    fn name(&self) -> &str {
        "one_zero"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            rewrite_node(plan, |expr, schema| expr.transform_up(|expr| Ok(in_expression(expr, schema))))?
                .transform_data(|plan| Ok(in_node(plan)))
        });
        Ok(rewritten?.data)
    }
}

fn in_node(mut plan: LogicalPlan) -> Transformed<LogicalPlan> {
    let changed = match &mut plan {
        LogicalPlan::Sort(sort) => keys(&mut sort.expr, sort.input.schema()),
        LogicalPlan::Distinct(Distinct::On(distinct)) => {
            let schema = distinct.input.schema();
            add(&mut distinct.on_expr, schema) | distinct.sort_expr.as_mut().is_some_and(|sort| keys(sort, schema))
        }
        _ => false,
    };
    Transformed::new_transformed(plan, changed)
}

fn in_expression(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let changed = match &mut expr {
        Expr::InList(InList { expr, list, .. }) if list.len() > COMPARED_MAX => {
            add(list.iter_mut().chain([expr.as_mut()]), schema)
        }
        Expr::AggregateFunction(call) => {
            let params = &mut call.params;
            keys(&mut params.order_by, schema) | (params.distinct && add(&mut params.args, schema))
        }
        Expr::WindowFunction(call) => {
            let params = &mut call.params;
            let sorted = keys(&mut params.order_by, schema) | add(&mut params.partition_by, schema);
            sorted | (params.distinct && add(&mut params.args, schema))
        }
        _ => false,
    };
    Transformed::new_transformed(expr, changed)
}

fn keys(keys: &mut [Sort], schema: &DFSchema) -> bool {
    add(keys.iter_mut().map(|key| &mut key.expr), schema)
}

/// Adds 0.0 to the floats among some expressions; whether there are any.
fn add<'a>(exprs: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) -> bool {
    let mut changed = false;
    for expr in exprs {
        let zero = match expr.get_type(schema) {
            Ok(DataType::Float64) => lit(0.0_f64),
            Ok(DataType::Float32) => lit(0.0_f32),
            _ => continue,
        };
        *expr = binary_expr(std::mem::take(expr), Operator::Plus, zero);
        changed = true;
    }
    changed
}
