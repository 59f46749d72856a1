//! Subqueries that stand for a value.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::functions_aggregate::all_default_aggregate_functions;
use lakeport_base::QualifiedName;
use sqlparser::ast::{
    self, BinaryOperator, Expr, Function, FunctionArguments, GroupByExpr, Ident, Join, JoinOperator, LambdaFunction,
    LambdaFunctionParameter, LambdaSyntax, LimitClause, ObjectNamePart, OneOrManyWithParens, OrderByExpr, OrderByKind,
    Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{correlation, last_name, number, parse};
use crate::functions::SINGLE_VALUE;

/// A subquery of a system table that is always empty, which may refer to the outer query in any way.
pub(super) fn of_nothing(query: &Query) -> Option<Expr> {
    let (select, _) = plain_select(query)?;
    let empty = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args: None, .. } => {
            let part = |part: &ObjectNamePart| part.as_ident().map(|name| name.value.to_ascii_lowercase());
            let parts = name.0.iter().filter_map(part).collect();
            lakeport_core::show::is_always_empty(&QualifiedName { parts })
        }
        _ => false,
    };
    select.from.iter().any(|source| empty(&source.relation) && all_inner(source)).then(|| parse("NULL"))?
}

/// Whether the rows of a source are at most those of its first table with others.
fn all_inner(source: &TableWithJoins) -> bool {
    let keeps_left = |join: &Join| {
        matches!(
            join.join_operator,
            JoinOperator::Join(_)
                | JoinOperator::Inner(_)
                | JoinOperator::CrossJoin(_)
                | JoinOperator::Left(_)
                | JoinOperator::LeftOuter(_)
        )
    };
    source.joins.iter().all(keeps_left)
}

/// `(SELECT x ...)` as an aggregate, without which a subquery that refers to the outer query cannot be planned.
/// With `LIMIT 1` the first value in order, else the only one.
pub(super) fn single_value(query: &Query) -> Option<Expr> {
    match &query.limit_clause {
        None => aggregated(query, SINGLE_VALUE, &[]),
        Some(limit) if is_one(limit) && correlation::refers_outside(query) => {
            aggregated(query, "first_value", &order_keys(query)?)
        }
        Some(_) => None,
    }
}

/// A subquery whose value is an aggregate already.
pub(super) fn of_aggregate(query: &Query) -> Option<Expr> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    correlation::name_keys(select).then(|| Expr::Subquery(Box::new(query)))
}

/// `x = ANY (SELECT ...)` as IN. In other comparisons the subquery keeps its rows.
pub(super) fn compared_rows(expr: &mut Expr) {
    let (is_all, left, op, right) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => (false, left, compare_op, right),
        Expr::AllOp { left, compare_op, right } => (true, left, compare_op, right),
        _ => return,
    };
    let Expr::Subquery(subquery) = right.as_mut() else { return };
    let negated = match (is_all, &op) {
        (false, BinaryOperator::Eq) => false,
        (true, BinaryOperator::NotEq) => true,
        _ => return keep_rows(subquery),
    };
    *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated };
}

/// Gives the value of a subquery a name that no table's column has: planning puts what it is compared with beside it,
/// where the name of the outer query's table would stand for the subquery's own. The empty clause has [`single_value`]
/// leave it alone.
fn keep_rows(subquery: &mut Query) {
    let Some(named) = with_named_value(subquery).or_else(|| in_from(subquery)) else { return };
    let no_limit = LimitClause::LimitOffset { limit: None, offset: None, limit_by: Vec::new() };
    *subquery = Query { limit_clause: Some(no_limit), ..named };
}

/// A SELECT whose value nothing else names.
fn with_named_value(query: &Query) -> Option<Query> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if query.limit_clause.is_some() || select.distinct.is_some() || is_grouped(select) {
        return None;
    }
    let mut select = select.clone();
    let (expr, alias) = (own_column(&select)?.clone(), Ident::with_quote('"', " value"));
    select.projection = vec![SelectItem::ExprWithAlias { expr, alias }];
    Some(Query { body: Box::new(SetExpr::Select(select)), order_by: None, ..query.clone() })
}

fn in_from(query: &Query) -> Option<Query> {
    match parse(&format!("(SELECT * FROM ({query}) AS \" rows\")"))? {
        Expr::Subquery(rows) => Some(*rows),
        _ => None,
    }
}

fn is_grouped(select: &Select) -> bool {
    !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
}

/// `x op ANY (list)` by ALL, which answers NULL where a NULL of the list may be what is looked for.
pub(super) fn any_by_all(left: &Expr, op: &BinaryOperator, list: &str) -> Option<Expr> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let opposite = match op {
        Eq => NotEq,
        NotEq => Eq,
        Lt => GtEq,
        GtEq => Lt,
        Gt => LtEq,
        LtEq => Gt,
        _ => return None,
    };
    parse(&format!("NOT (({left}) {opposite} ALL({list}))"))
}

/// A comparison with a list as a value, which is to tell what is false from what is not known; one with the rows of a
/// subquery too.
pub(super) fn compared_list(expr: &Expr) -> Option<Expr> {
    let list = |right: &Expr| match right {
        Expr::Subquery(query) => format!("ARRAY({query})"),
        list => list.to_string(),
    };
    match expr {
        Expr::InSubquery { expr, subquery, negated: false } => {
            any_by_all(expr, &BinaryOperator::Eq, &format!("ARRAY({subquery})"))
        }
        Expr::InSubquery { expr, subquery, negated: true } => parse(&format!("({expr}) <> ALL(ARRAY({subquery}))")),
        Expr::AnyOp { left, compare_op, right, .. } => any_by_all(left, compare_op, &list(right)),
        Expr::AllOp { left, compare_op, right } if matches!(right.as_ref(), Expr::Subquery(_)) => {
            parse(&format!("({left}) {compare_op} ALL({})", list(right)))
        }
        _ => None,
    }
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
    let whole = query.limit_clause.is_none();
    let plain = whole.then(|| aggregated(query, "array_agg", &order_keys(query)?)).flatten();
    let values = plain.or_else(|| gathered(query, "array_agg"))?;
    parse(&format!("coalesce({values}, make_array())"))
}

/// EXISTS as a value, not as a condition of WHERE.
pub(super) fn exists(query: &Query, negated: bool) -> Option<Expr> {
    let compared = if negated { "= 0" } else { "> 0" };
    match plain_select(query) {
        Some((select, _)) if query.limit_clause.is_none() && correlation::refers_outside(query) => {
            let counted = conditioned(with_value(query, select, "count(*)")?)?;
            parse(&format!("coalesce({counted}, 0) {compared}"))
        }
        _ => parse(&format!(
            "(SELECT count(*) {compared} FROM (SELECT 1 FROM ({query}) AS \" rows\" LIMIT 1) AS \" rows\")"
        )),
    }
}

/// The values of a plain SELECT under an aggregate function.
fn aggregated(query: &Query, function: &str, order: &[OrderByExpr]) -> Option<Expr> {
    let (select, value) = plain_select(query)?;
    if holds_query(value) {
        return layered(query, select, function, order);
    }
    conditioned(with_value(query, select, &call(function, &value.to_string(), order))?)
}

fn call(function: &str, value: &str, order: &[OrderByExpr]) -> String {
    let keys = order.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if keys.is_empty() { format!("{function}({value})") } else { format!("{function}({value} ORDER BY {keys})") }
}

/// The same where the value is made of subqueries, which cannot be planned within an aggregate: they go to a subquery
/// in FROM, whose columns are the value, what it is ordered by and what the outer query compares.
fn layered(query: &Query, select: &Select, function: &str, order: &[OrderByExpr]) -> Option<Expr> {
    if query.with.is_some() {
        return None;
    }
    let mut inner = select.clone();
    let condition = correlation::relieve(&mut inner);
    let compared = correlation::take_equalities(&mut inner);
    let mut columns = vec![format!("{} AS \" value\"", own_column(&inner)?)];
    let mut keys = order.to_vec();
    for (number, key) in keys.iter_mut().enumerate() {
        columns.push(format!("{} AS \" order {number}\"", key.expr));
        key.expr = parse(&format!("\" order {number}\""))?;
    }
    let mut conditions = vec!["true".to_string()];
    for (number, (outer, inner)) in compared.iter().enumerate() {
        columns.push(format!("{inner} AS \" key {number}\""));
        conditions.push(format!("\" key {number}\" = {outer}"));
    }
    inner.projection = columns.iter().map(|column| select_item(column)).collect::<Option<_>>()?;
    let (call, conditions) = (call(function, "\" value\"", &keys), conditions.join(" AND "));
    guarded(condition, &format!("(SELECT {call} FROM ({inner}) AS \" rows\" WHERE {conditions})"))
}

/// The same of any query, which goes to FROM as it is; what it is ordered by stands beside its value there.
fn gathered(query: &Query, function: &str) -> Option<Expr> {
    let mut rows = query.clone();
    let mut keys = sort_keys(query)?.to_vec();
    let mut columns = vec!["\" value\"".to_string()];
    for (number, key) in keys.iter_mut().enumerate() {
        let mut column = columns[0].clone();
        if !is_own_column(&key.expr, &query.body) {
            column = format!("\" order {number}\"");
            let SetExpr::Select(select) = rows.body.as_mut() else { return None };
            select.projection.push(select_item(&format!("{} AS {column}", key.expr))?);
            columns.push(column.clone());
        }
        key.expr = parse(&column)?;
    }
    let call = call(function, &columns[0], &keys);
    parse(&format!("(SELECT {call} FROM ({rows}) AS \" rows\" ({}))", columns.join(", ")))
}

fn select_item(text: &str) -> Option<SelectItem> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_select_item().ok()
}

/// Whether an expression holds a subquery.
fn holds_query(expr: &Expr) -> bool {
    let query = |expr: &Expr| match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    ast::visit_expressions(expr, query).is_break()
}

/// A SELECT of one value that is neither grouped nor an aggregate.
fn plain_select(query: &Query) -> Option<(&Select, &Expr)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let value = own_column(select)?;
    let other = is_grouped(select) || select.having.is_some() || select.distinct.is_some() || select.from.is_empty();
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

/// What a query is ordered by; its own column, by number or by name, in full.
fn order_keys(query: &Query) -> Option<Vec<OrderByExpr>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let key = |key: &OrderByExpr| match is_own_column(&key.expr, &query.body) {
        true => Some(OrderByExpr { expr: own_column(select)?.clone(), ..key.clone() }),
        false => Some(key.clone()),
    };
    sort_keys(query)?.iter().map(key).collect()
}

fn sort_keys(query: &Query) -> Option<&[OrderByExpr]> {
    match query.order_by.as_ref().map(|order| &order.kind) {
        None => Some(&[]),
        Some(OrderByKind::Expressions(keys)) => Some(keys),
        Some(OrderByKind::All(_)) => None,
    }
}

/// Whether a key of ORDER BY is the one column of its query.
fn is_own_column(key: &Expr, body: &SetExpr) -> bool {
    let is_named = |name: &Ident| matches!(key, Expr::Identifier(key) if key.value == name.value);
    number(key) == Some("1")
        || match body {
            SetExpr::Select(select) => match select.projection.as_slice() {
                [SelectItem::ExprWithAlias { expr, alias }] => is_named(alias) || key == expr,
                [SelectItem::UnnamedExpr(expr)] => key == expr,
                _ => false,
            },
            _ => matches!(key, Expr::Identifier(_)),
        }
}

fn own_column(select: &Select) -> Option<&Expr> {
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
        _ => None,
    }
}

fn is_one(limit: &LimitClause) -> bool {
    match limit {
        LimitClause::LimitOffset { limit: Some(limit), offset: None, .. } => number(limit) == Some("1"),
        _ => false,
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
    let names = functions
        .iter()
        .flat_map(|function| [function.name().to_string()].into_iter().chain(function.aliases().to_vec()));
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

/// Whether a call is that of an aggregate or window function.
pub(super) fn aggregates(function: &Function) -> bool {
    let name = last_name(&function.name.0).map(str::to_ascii_lowercase);
    function.over.is_some() || name.is_some_and(|name| AGGREGATES.contains(&name))
}

/// The subquery with conditions that can be planned.
fn conditioned(mut query: Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let condition = correlation::relieve(select);
    correlation::name_keys(select);
    guarded(condition, &Expr::Subquery(Box::new(query)).to_string())
}

/// A subquery whose answer counts under a condition on the outer query only.
fn guarded(condition: Option<Expr>, subquery: &str) -> Option<Expr> {
    match condition {
        Some(condition) => parse(&format!("CASE WHEN {condition} THEN {subquery} END")),
        None => parse(subquery),
    }
}
