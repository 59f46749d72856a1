//! Conditions by which a subquery refers to the outer query. Planning takes equalities with inner columns only.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Ident, Query, Select, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{last_name, parse};

/// Whether a column's qualifier names no table of the query.
pub(super) fn refers_outside(query: &Query) -> bool {
    let names = Qualifiers::of(query);
    !names.used.is_subset(&names.tables)
}

/// Makes the conditions of a subquery fit for planning, where they are not: an outer column that equals an inner one
/// is replaced by it in the other conditions, and conditions on the outer query alone are taken out and answered.
pub(super) fn relieve(select: &mut Select) -> Option<Expr> {
    let tables = Qualifiers::of(&select.from).tables;
    let mut conditions = Vec::new();
    conjuncts(select.selection.take()?, &mut conditions);
    for index in 0..conditions.len() {
        if let Some((outer, inner)) = equality(&conditions[index], &tables) {
            for (_, condition) in conditions.iter_mut().enumerate().filter(|(other, _)| *other != index) {
                let _ = VisitMut::visit(condition, &mut Replace { outer: &outer, inner: &inner });
            }
        }
    }
    let (outer, inner) = conditions.into_iter().partition(|condition| is_outer(condition, &tables));
    select.selection = all(inner);
    all(outer)
}

/// Takes out the equalities of inner and outer columns: pairs, outer first.
pub(super) fn take_equalities(select: &mut Select) -> Vec<(Expr, Expr)> {
    let tables = Qualifiers::of(&select.from).tables;
    let mut conditions = Vec::new();
    select.selection.take().into_iter().for_each(|selection| conjuncts(selection, &mut conditions));
    let (pairs, rest): (Vec<_>, Vec<_>) =
        conditions.into_iter().partition(|condition| equality(condition, &tables).is_some());
    select.selection = all(rest);
    pairs.iter().filter_map(|pair| equality(pair, &tables)).collect()
}

/// Gives names of their own to inner columns that outer ones are compared with and that share their name with another
/// such column: planning tells them apart by name only. Answers whether there were any.
pub(super) fn name_keys(select: &mut Select) -> bool {
    let tables = Qualifiers::of(&select.from).tables;
    let mut conditions = Vec::new();
    select.selection.take().into_iter().for_each(|selection| conjuncts(selection, &mut conditions));
    let mut taken = HashSet::new();
    let mut renamed = false;
    for (number, condition) in conditions.iter_mut().enumerate() {
        let Some((outer, inner)) = equality(condition, &tables) else { continue };
        let Expr::CompoundIdentifier(parts) = &inner else { continue };
        let [.., table, column] = parts.as_slice() else { continue };
        if taken.insert(column.value.to_ascii_lowercase()) {
            continue;
        }
        if let Some(key) = add_column(&mut select.from, table, column, number) {
            *condition = Expr::BinaryOp { left: Box::new(key), op: BinaryOperator::Eq, right: Box::new(outer) };
            renamed = true;
        }
    }
    select.selection = all(conditions);
    renamed
}

/// Adds a column to a table of FROM under a name of its own.
fn add_column(from: &mut [TableWithJoins], table: &Ident, column: &Ident, number: usize) -> Option<Expr> {
    let factors = from.iter_mut().flat_map(|source| {
        [&mut source.relation].into_iter().chain(source.joins.iter_mut().map(|join| &mut join.relation))
    });
    let mut named = factors.filter(|factor| Qualifiers::of(*factor).tables.contains(&table.value.to_ascii_lowercase()));
    let factor = named.next().filter(|factor| matches!(factor, TableFactor::Table { args: None, .. }))?;
    let derived = format!("(SELECT *, {column} AS \" key {number}\" FROM {factor}) AS {table}");
    *factor = Parser::new(&PostgreSqlDialect {}).try_with_sql(&derived).ok()?.parse_table_factor().ok()?;
    parse(&format!("{table}.\" key {number}\""))
}

fn conjuncts(condition: Expr, into: &mut Vec<Expr>) {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(*left, into);
            conjuncts(*right, into);
        }
        Expr::Nested(inner) => conjuncts(*inner, into),
        other => into.push(other),
    }
}

fn all(conditions: Vec<Expr>) -> Option<Expr> {
    conditions.into_iter().map(|condition| Expr::Nested(Box::new(condition))).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })
}

/// The columns of `inner = outer`, outer first. A column without qualifier beside an outer one is an inner one.
fn equality(condition: &Expr, tables: &HashSet<String>) -> Option<(Expr, Expr)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let is_outer = |expr: &Expr| qualifier(expr).is_some_and(|table| !tables.contains(&table));
    let is_column = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    match (is_outer(left), is_outer(right)) {
        (true, false) if is_column(right) => Some((*left.clone(), *right.clone())),
        (false, true) if is_column(left) => Some((*right.clone(), *left.clone())),
        _ => None,
    }
}

fn qualifier(expr: &Expr) -> Option<String> {
    match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., table, _] => Some(table.value.to_ascii_lowercase()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a condition names columns of the outer query and no others.
fn is_outer(condition: &Expr, tables: &HashSet<String>) -> bool {
    let names = Qualifiers::of(condition);
    !names.bare && !names.used.is_empty() && names.used.is_disjoint(tables) && names.tables.is_empty()
}

struct Replace<'a> {
    outer: &'a Expr,
    inner: &'a Expr,
}

impl VisitorMut for Replace<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if expr == self.outer {
            *expr = self.inner.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Names of tables, and the qualifiers of columns.
#[derive(Default)]
struct Qualifiers {
    tables: HashSet<String>,
    used: HashSet<String>,
    /// There are columns without qualifiers.
    bare: bool,
}

impl Qualifiers {
    fn of(node: &impl Visit) -> Qualifiers {
        let mut names = Qualifiers::default();
        let _ = node.visit(&mut names);
        names
    }
}

impl Visitor for Qualifiers {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let (alias, name) = match factor {
            TableFactor::Table { name, alias, .. } => (alias.as_ref(), last_name(&name.0)),
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => (alias.as_ref(), None),
            _ => (None, None),
        };
        self.tables.extend(alias.map(|alias| alias.name.value.as_str()).or(name).map(str::to_ascii_lowercase));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.bare |= matches!(expr, Expr::Identifier(_));
        self.used.extend(qualifier(expr));
        ControlFlow::Continue(())
    }
}
