//! Comparisons that PostgreSQL makes between other types than DataFusion would: a float and an exact number are compared as
//! floats, and a text beside a UUID is one, however it is spelt. `min` and `max` compare too.

use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast};
use datafusion::optimizer::AnalyzerRule;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::value::ColumnBuilder;

use crate::analysis::rewrite_expressions;
use crate::error::type_name;
use crate::functions::failed;

/// Settles what such comparisons compare, before all other types are settled.
#[derive(Debug)]
pub(crate) struct Comparisons;

impl AnalyzerRule for Comparisons {
    fn name(&self) -> &str {
        "comparisons"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_expressions(plan, |expr, schema| {
            expr.transform_up(|expr| extreme(expr, schema)?.transform_data(|expr| Ok(compared(expr, schema))))
        })
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
    let changed = if types.iter().any(DataType::is_floating) && types.iter().any(DataType::is_decimal) {
        let decimals = operands.into_iter().zip(types).filter(|(_, ty)| ty.is_decimal());
        decimals.for_each(|(decimal, _)| *decimal = cast(std::mem::take(decimal), DataType::Float64));
        true
    } else if operands.iter().any(|operand| is_uuid(operand, schema)) {
        operands.into_iter().map(as_uuid).filter(|changed| *changed).count() > 0
    } else {
        false
    };
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

/// `min` and `max` of lists, which lose on their way what tells the type of their items.
///
/// # Errors
/// 42883 for values that have no order.
fn extreme(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (name, arguments) = match &mut expr {
        Expr::AggregateFunction(aggregate) => (aggregate.func.name().to_string(), &mut aggregate.params.args),
        Expr::WindowFunction(window) => (window.fun.name().to_string(), &mut window.params.args),
        _ => return Ok(Transformed::no(expr)),
    };
    let ("min" | "max", [argument]) = (name.as_str(), arguments.as_mut_slice()) else {
        return Ok(Transformed::no(expr));
    };
    match argument.get_type(schema)? {
        ty if !has_order(&ty) => Err(failed(without_order(&name, &ty))),
        DataType::List(item) if !item.metadata().is_empty() => {
            *argument = cast(std::mem::take(argument), DataType::new_list(item.data_type().clone(), true));
            Ok(Transformed::yes(expr))
        }
        _ => Ok(Transformed::no(expr)),
    }
}

/// Whether the greatest of some values can be told.
fn has_order(ty: &DataType) -> bool {
    match ty {
        DataType::Map(..) | DataType::Union(..) => false,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            !item.data_type().is_nested()
        }
        DataType::Struct(fields) => !fields.iter().any(|field| field.data_type().is_nested()),
        _ => true,
    }
}

fn without_order(function: &str, ty: &DataType) -> Error {
    let message = format!("function {function}({}) does not exist", type_name(ty));
    let hint = "values of this type have no order: cast them first, such as to STRING";
    Error::new(Sqlstate::UNDEFINED_FUNCTION, message).with_hint(hint)
}

pub(crate) fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_uuid(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr, Expr::Column(_)) && expr.to_field(schema).is_ok_and(|(_, field)| sql_type(&field) == SqlType::Uuid)
}

/// Spells a text as UUIDs are stored; what is none is left, and equals none.
fn as_uuid(expr: &mut Expr) -> bool {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr else { return false };
    let mut uuid = ColumnBuilder::new(&SqlType::Uuid, 1);
    if uuid.append_text(text).is_err() {
        return false;
    }
    let stored = uuid.finish();
    let stored: &StringArray = stored.as_string();
    let changed = stored.value(0) != text;
    *text = stored.value(0).to_string();
    changed
}
