//! Subqueries that stand for a value.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::functions_aggregate::all_default_aggregate_functions;
use sqlparser::ast::{
    self, Expr, Function, FunctionArguments, GroupByExpr, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax,
    LimitClause, OneOrManyWithParens, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, Value, ValueWithSpan, Visit, Visitor,
};

use super::{correlation, last_name, parse};
use crate::functions::SINGLE_VALUE;

/// `(SELECT x ...)` as an aggregate, without which a subquery that refers to the outer query cannot be planned.
/// With `LIMIT 1` the first value in order, else the only one.
pub(super) fn single_value(query: &Query) -> Option<Expr> {
    let (select, value) = plain_select(query)?;
    let aggregate = match &query.limit_clause {
        None => format!("{SINGLE_VALUE}({value})"),
        Some(limit) if is_one(limit) && correlation::refers_outside(query) => format!("first_value({value}{})", order(query, value)?),
        Some(_) => return None,
    };
    conditioned(with_value(query, select, &aggregate)?)
}

/// `ARRAY(SELECT x ...)`: the values in order, an empty array without rows.
pub(super) fn array(function: &Function) -> Option<Expr> {
    let FunctionArguments::Subquery(query) = &function.args else { return None };
    if !last_name(&function.name.0).is_some_and(|name| name.eq_ignore_ascii_case("array")) {
        return None;
    }
    if let Some(transformed) = transformed(query) {
        return Some(transformed);
    }
    let (select, value) = plain_select(query).filter(|_| query.limit_clause.is_none())?;
    let aggregate = format!("array_agg({value}{})", order(query, value)?);
    let aggregated = conditioned(with_value(query, select, &aggregate)?)?;
    parse(&format!("coalesce({aggregated}, make_array())"))
}

/// A SELECT of one value that is neither grouped nor an aggregate.
fn plain_select(query: &Query) -> Option<(&Select, &Expr)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] = select.projection.as_slice()
    else {
        return None;
    };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let other = grouped || select.having.is_some() || select.distinct.is_some() || select.from.is_empty();
    let aggregated = value.visit(&mut AggregateFinder::default()).is_break();
    (!other && !aggregated && query.fetch.is_none()).then_some((select, value))
}

/// The query with another value in its select list and without ORDER BY and LIMIT.
fn with_value(query: &Query, select: &Select, value: &str) -> Option<Query> {
    let mut select = select.clone();
    let expr = parse(value)?;
    match select.projection.first_mut()? {
        SelectItem::ExprWithAlias { expr: old, .. } => *old = expr,
        item => *item = SelectItem::UnnamedExpr(expr),
    }
    let body = Box::new(SetExpr::Select(Box::new(select)));
    Some(Query { body, order_by: None, limit_clause: None, ..query.clone() })
}

/// The ORDER BY clause of a query as an argument of an aggregate.
fn order(query: &Query, value: &Expr) -> Option<String> {
    let Some(order) = &query.order_by else { return Some(String::new()) };
    let OrderByKind::Expressions(keys) = &order.kind else { return None };
    let written = keys.iter().map(|key| {
        let first = matches!(number(&key.expr), Some("1"));
        let expr = if first { value.clone() } else { key.expr.clone() };
        OrderByExpr { expr, ..key.clone() }.to_string()
    });
    Some(format!(" ORDER BY {}", written.collect::<Vec<_>>().join(", ")))
}

fn is_one(limit: &LimitClause) -> bool {
    match limit {
        LimitClause::LimitOffset { limit: Some(limit), offset: None, .. } => number(limit) == Some("1"),
        _ => false,
    }
}

fn number(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => Some(digits),
        _ => None,
    }
}

/// `ARRAY(SELECT f(x) FROM unnest(a) AS x)`, which may refer to the outer query, as a function of `a`.
fn transformed(query: &Query) -> Option<Expr> {
    let (select, value) = plain_select(query)?;
    let [source] = select.from.as_slice() else { return None };
    let TableFactor::UNNEST { alias: Some(alias), array_exprs, .. } = &source.relation else { return None };
    let [array] = array_exprs.as_slice() else { return None };
    if select.selection.is_some() || query.order_by.is_some() || !source.joins.is_empty() {
        return None;
    }
    let lambda = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter { name: item_name(alias), data_type: None }),
        body: Box::new(value.clone()),
        syntax: LambdaSyntax::Arrow,
    });
    let Expr::Function(mut call) = parse(&format!("array_transform({array}, NULL)"))? else { return None };
    let FunctionArguments::List(list) = &mut call.args else { return None };
    *list.args.last_mut()? = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(lambda));
    Some(Expr::Function(call))
}

fn item_name(alias: &TableAlias) -> Ident {
    alias.columns.first().map_or_else(|| alias.name.clone(), |column| column.name.clone())
}

static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = all_default_aggregate_functions();
    let names = functions.iter().flat_map(|function| [function.name().to_string()].into_iter().chain(function.aliases().to_vec()));
    names.chain([SINGLE_VALUE.to_string()]).collect()
});

/// Stops at a call of an aggregate or window function outside of further subqueries.
#[derive(Default)]
struct AggregateFinder {
    depth: usize,
}

impl Visitor for AggregateFinder {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) if self.depth == 0 && aggregates(function) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn aggregates(function: &Function) -> bool {
    let name = last_name(&function.name.0).map(str::to_ascii_lowercase);
    function.over.is_some() || name.is_some_and(|name| AGGREGATES.contains(&name))
}

/// The subquery with conditions that can be planned.
fn conditioned(mut query: Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let outer = correlation::relieve(select);
    let subquery = Expr::Subquery(Box::new(query));
    match outer {
        Some(condition) => parse(&format!("CASE WHEN {condition} THEN {subquery} END")),
        None => Some(subquery),
    }
}
