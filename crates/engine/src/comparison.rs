//! Values beside each other, in comparisons, branches, lists and unions, that PostgreSQL takes for other types than DataFusion
//! would: [`common_type`] says which, and a text compared with a UUID is one, however it is spelt. `min` and `max` compare
//! too.

use std::sync::Arc;

use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{InList, InSubquery};
use datafusion::logical_expr::expr_schema::cast_subquery;
use datafusion::logical_expr::{
    Between, BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Union, cast,
};
use datafusion::optimizer::AnalyzerRule;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::value::ColumnBuilder;

use crate::analysis::rewrite_node;
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
        let mut changed = false;
        let settled = plan.transform_up_with_subqueries(|plan| {
            let plan = rewrite_node(plan, settled)?.transform_data(|plan| joined(plan, changed))?;
            changed |= plan.transformed;
            if changed { plan.map_data(LogicalPlan::recompute_schema) } else { Ok(plan) }
        });
        Ok(settled?.data)
    }
}

fn settled(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let expr = extreme(expr, schema)?.transform_data(|expr| Ok(compared(expr, schema)))?;
        expr.transform_data(|expr| Ok(beside(expr, schema)))?.transform_data(|expr| in_subquery(expr, schema))
    })
}

/// The type that values of several types become beside each other, where it is another than DataFusion's: a FLOAT8 of
/// floats and exact numbers, and microseconds of dates and times, since nanoseconds end in 2262.
pub(crate) fn common_type<'a>(types: impl Iterator<Item = &'a DataType> + Clone) -> Option<DataType> {
    if types.clone().any(DataType::is_floating) && types.clone().any(DataType::is_decimal) {
        return Some(DataType::Float64);
    }
    let mut times = types.filter(|ty| is_time(ty));
    let first = times.clone().next()?;
    if times.clone().all(|ty| ty == first) {
        return None;
    }
    let zone = times.find_map(|ty| match ty {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    });
    Some(DataType::Timestamp(TimeUnit::Microsecond, zone))
}

fn is_time(ty: &DataType) -> bool {
    matches!(ty, DataType::Date32 | DataType::Timestamp(..))
}

/// Whether a value is cast to the common type; what is neither a float nor exact, or no time, is left to DataFusion.
fn gives_way(ty: &DataType, common: &DataType) -> bool {
    ty != common && (if is_time(common) { is_time(ty) } else { ty.is_floating() || ty.is_decimal() })
}

/// Casts values beside each other to their common type; whether there is one.
fn cast_to_common(values: Vec<(&mut Expr, DataType)>) -> bool {
    let Some(common) = common_type(values.iter().map(|(_, ty)| ty)) else { return false };
    for (value, _) in values.into_iter().filter(|(_, ty)| gives_way(ty, &common)) {
        *value = cast(std::mem::take(value), common.clone());
    }
    true
}

fn cast_all<'a>(values: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) -> bool {
    let typed = |value: &'a mut Expr| {
        let ty = value.get_type(schema).unwrap_or(DataType::Null);
        (value, ty)
    };
    cast_to_common(values.into_iter().map(typed).collect())
}

fn compared(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let mut operands: Vec<&mut Expr> = match &mut expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => vec![left, right],
        Expr::Between(Between { expr, low, high, .. }) => vec![expr, low, high],
        Expr::InList(InList { expr, list, .. }) => list.iter_mut().chain([expr.as_mut()]).collect(),
        _ => return Transformed::no(expr),
    };
    let changed = if operands.iter().any(|operand| is_uuid(operand, schema)) {
        operands.into_iter().map(as_uuid).filter(|changed| *changed).count() > 0
    } else {
        cast_all(operands.iter_mut().map(|operand| &mut **operand), schema)
    };
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

/// Functions whose arguments stand beside each other.
const OF_ONE_TYPE: [&str; 6] = ["coalesce", "greatest", "least", "make_array", "nullif", "nvl"];

/// Values one of which is the result, or which are subtracted.
fn beside(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let changed = match &mut expr {
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let (whens, thens): (Vec<_>, Vec<_>) =
                when_then_expr.iter_mut().map(|(when, then)| (when.as_mut(), then.as_mut())).unzip();
            let results = cast_all(thens.into_iter().chain(else_expr.as_deref_mut()), schema);
            let compares = expr.is_some() && cast_all(whens.into_iter().chain(expr.as_deref_mut()), schema);
            results || compares
        }
        Expr::ScalarFunction(call) if OF_ONE_TYPE.contains(&call.func.name()) => cast_all(&mut call.args, schema),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right })
            if [&left, &right].iter().all(|side| side.get_type(schema).is_ok_and(|ty| is_time(&ty))) =>
        {
            cast_all([left.as_mut(), right.as_mut()], schema)
        }
        _ => false,
    };
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

fn in_subquery(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::InSubquery(InSubquery { expr: mut value, mut subquery, negated }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let (ty, rows) = (value.get_type(schema)?, subquery.subquery.schema().field(0).data_type().clone());
    let common = common_type([&ty, &rows].into_iter());
    if let Some(common) = &common {
        value = Box::new(value.cast_to(common, schema)?);
        subquery = cast_subquery(subquery, common)?;
    }
    let is_changed = common.is_some();
    Ok(Transformed::new_transformed(Expr::InSubquery(InSubquery::new(value, subquery, negated)), is_changed))
}

/// Sides of a join and inputs of a union; a union takes its types from its first input, which may have changed.
fn joined(plan: LogicalPlan, inputs_changed: bool) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Union(union) => united(union, inputs_changed),
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                let types = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
                changed |= cast_to_common(vec![(left, types.0), (right, types.1)]);
            }
            Ok(Transformed::new_transformed(LogicalPlan::Join(join), changed))
        }
        plan => Ok(Transformed::no(plan)),
    }
}

fn united(union: Union, inputs_changed: bool) -> Result<Transformed<LogicalPlan>> {
    let of_column = |column: usize| {
        common_type(union.inputs.iter().filter_map(|input| Some(input.schema().fields().get(column)?.data_type())))
    };
    let common: Vec<_> = (0..union.schema.fields().len()).map(of_column).collect();
    if !inputs_changed && common.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union.inputs.into_iter().map(|input| with_types(input, &common)).collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// The plan with some of its columns cast.
fn with_types(plan: Arc<LogicalPlan>, wanted: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    let mut changed = false;
    let columns = plan.schema().iter().zip(wanted).map(|((relation, field), wanted)| {
        let column = Expr::Column(Column::from((relation, field)));
        match wanted {
            Some(wanted) if gives_way(field.data_type(), wanted) => {
                changed = true;
                cast(column, wanted.clone()).alias_qualified(relation.cloned(), field.name())
            }
            _ => column,
        }
    });
    let columns: Vec<_> = columns.collect();
    if !changed {
        return Ok(plan);
    }
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, plan)?)))
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
