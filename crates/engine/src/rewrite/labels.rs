//! Labels on what planning does not tell apart by name: it leaves casts and parentheses out of an expression's name, and
//! a subquery's name is its column's.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, OrderBy, Query, Select, SelectItem, SetExpr, Value, VisitMut, VisitorMut,
};

use super::{call, number, subquery};
use crate::functions::LABELLED;

/// Labels the expressions of a query where two groups, aggregates or windows of it would have one name.
pub(super) fn tell_apart(query: &mut Query) {
    tell_apart_in(&mut query.body, &mut query.order_by);
}

fn tell_apart_in(body: &mut SetExpr, order_by: &mut Option<OrderBy>) {
    match body {
        SetExpr::Select(select) => {
            let clashes = has_clash(select, order_by);
            let _ = clashes.then(|| visit_parts(select, order_by, &mut Labels::default()));
        }
        SetExpr::SetOperation { left, right, .. } => {
            tell_apart_in(left, &mut None);
            tell_apart_in(right, &mut None);
        }
        _ => {}
    }
}

/// Visits what is evaluated after grouping, and the groups.
fn visit_parts<V: VisitorMut>(
    select: &mut Select,
    order_by: &mut Option<OrderBy>,
    visitor: &mut V,
) -> ControlFlow<V::Break> {
    select.projection.visit(visitor)?;
    select.group_by.visit(visitor)?;
    select.having.visit(visitor)?;
    select.named_window.visit(visitor)?;
    order_by.visit(visitor)
}

fn has_clash(select: &mut Select, order_by: &mut Option<OrderBy>) -> bool {
    let mut calls = Calls::default();
    let _ = visit_parts(select, order_by, &mut calls);
    let mut names = HashMap::new();
    let mut named = calls.found.into_iter().chain(groups(select));
    named.any(|expr| {
        let text = expr.to_string();
        names.entry(name(expr)).or_insert_with(|| text.clone()) != &text
    })
}

/// What the rows are grouped by, and in full what numbers and names of columns stand for.
fn groups(select: &Select) -> Vec<Expr> {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return Vec::new() };
    let keys = keys.iter().flat_map(|key| match key {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => sets.iter().flatten().collect::<Vec<_>>(),
        key => vec![key],
    });
    keys.flat_map(|key| std::iter::once(key).chain(column(select, key)).cloned()).collect()
}

/// The column of the select list that a key stands for.
fn column<'a>(select: &'a Select, key: &Expr) -> Option<&'a Expr> {
    let place = number(key).and_then(|digits| digits.parse::<usize>().ok());
    select.projection.iter().enumerate().find_map(|(index, item)| match item {
        SelectItem::UnnamedExpr(expr) => (place == Some(index + 1)).then_some(expr),
        SelectItem::ExprWithAlias { expr, alias } => {
            let is_named = matches!(key, Expr::Identifier(name) if name.value == alias.value);
            (place == Some(index + 1) || is_named).then_some(expr)
        }
        _ => None,
    })
}

/// An expression's name, as far as planning tells it from others.
fn name(mut expr: Expr) -> String {
    let _ = ast::visit_expressions_mut(&mut expr, |expr| {
        let kept = match expr {
            Expr::Cast { expr: inner, .. } | Expr::Nested(inner) => inner.as_ref().clone(),
            Expr::Subquery(_) => Expr::Identifier(Ident::new("subquery")),
            _ => return ControlFlow::<()>::Continue(()),
        };
        *expr = kept;
        ControlFlow::Continue(())
    });
    expr.to_string()
}

/// The calls of aggregate and window functions outside of subqueries.
#[derive(Default)]
struct Calls {
    depth: usize,
    found: Vec<Expr>,
}

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && self.depth == 0
            && subquery::aggregates(function)
        {
            self.found.push(expr.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Labels casts, subqueries and operators in parentheses outside of subqueries.
#[derive(Default)]
struct Labels {
    depth: usize,
}

impl VisitorMut for Labels {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let is_named_otherwise = match expr {
            Expr::Cast { .. } | Expr::Subquery(_) => true,
            Expr::Nested(inner) => matches!(inner.as_ref(), Expr::BinaryOp { .. }),
            _ => false,
        };
        if is_named_otherwise && self.depth == 0 {
            let label = Expr::value(Value::SingleQuotedString(expr.to_string()));
            *expr = call(&format!("\"{LABELLED}\""), vec![expr.clone(), label]).unwrap_or_else(|| expr.clone());
        }
        ControlFlow::Continue(())
    }
}
