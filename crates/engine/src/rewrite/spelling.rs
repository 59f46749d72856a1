//! PostgreSQL's spellings as others that DataFusion plans, and refusals of what it would leave out in silence.

use std::ops::ControlFlow;

use lakeport_core::{Error, Result};
use sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Fetch, Function, Ident, LimitClause, NonBlock, ObjectNamePart, Query, Statement,
    Subscript, TableFactor, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::{arguments, parse};

/// Rewrites a whole statement.
///
/// # Errors
/// 0A000 for TABLESAMPLE and its like.
pub(crate) fn respell(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Spellings) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Spellings;

impl VisitorMut for Spellings {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if query.locks.iter().any(|lock| matches!(lock.nonblock, Some(NonBlock::SkipLocked))) {
            return refused("SKIP LOCKED", "no row is ever locked: leave it out");
        }
        match query.fetch.take() {
            Some(Fetch { with_ties: true, .. }) => refused("FETCH ... WITH TIES", "filter by rank()"),
            Some(Fetch { percent: true, .. }) => refused("FETCH ... PERCENT", "use LIMIT"),
            Some(Fetch { quantity, .. }) => {
                limit(query, quantity);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        match factor {
            TableFactor::Table { sample: Some(_), .. } => {
                refused("TABLESAMPLE", "filter with a condition such as random() < 0.1")
            }
            TableFactor::Table { with_ordinality: true, .. } | TableFactor::UNNEST { with_ordinality: true, .. } => {
                refused("WITH ORDINALITY", "number the rows with row_number() OVER ()")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Some(respelled) = respelled(expr) {
            *expr = respelled;
        }
        ControlFlow::Continue(())
    }
}

fn refused(construct: &str, hint: &str) -> ControlFlow<Error> {
    ControlFlow::Break(Error::unsupported(format!("{construct} is not supported")).with_hint(hint))
}

/// `FETCH FIRST n ROWS ONLY` as LIMIT.
fn limit(query: &mut Query, quantity: Option<Expr>) {
    let rows = quantity.or_else(|| parse("1"));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit, .. }) => *limit = rows,
        clause => *clause = Some(LimitClause::LimitOffset { limit: rows, offset: None, limit_by: Vec::new() }),
    }
}

fn respelled(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Custom(name), right } => {
            let op = ending_in_minus(name)?;
            let right = Expr::UnaryOp { op: UnaryOperator::Minus, expr: right.clone() };
            Some(Expr::BinaryOp { left: left.clone(), op, right: Box::new(right) })
        }
        Expr::SimilarTo { negated, expr, pattern, escape_char } => {
            let escape = escape_char.as_ref().map(|escape| format!(", {escape}")).unwrap_or_default();
            let operator = if *negated { "!~" } else { "~" };
            parse(&format!("({expr}) {operator} similar_to_escape({pattern}{escape})"))
        }
        Expr::Substring { expr, substring_from: Some(pattern), substring_for: None, .. } if is_text(pattern) => {
            parse(&format!("(regexp_match({expr}, {pattern}))[1]"))
        }
        Expr::CompoundFieldAccess { root, access_chain } => member(root, access_chain),
        Expr::Function(function) => called(function),
        _ => None,
    }
}

/// The operator of `->-1`: PostgreSQL takes a minus at the end of an operator for the operand's sign.
fn ending_in_minus(name: &str) -> Option<BinaryOperator> {
    match name.strip_suffix('-')? {
        "->" => Some(BinaryOperator::Arrow),
        "->>" => Some(BinaryOperator::LongArrow),
        _ => None,
    }
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(_), .. }))
}

/// `document['key']['other']`: only documents have texts for subscripts.
fn member(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let mut path = root.to_string();
    let mut is_document = false;
    for access in chain {
        let AccessExpr::Subscript(Subscript::Index { index }) = access else { return None };
        is_document |= is_text(index);
        path = format!("({path} -> {index})");
    }
    if is_document { parse(&path) } else { None }
}

/// Functions that are others here: name, number of arguments, and the other's name.
const OTHER_NAMES: &[(&str, usize, &str)] = &[
    ("array_remove", 2, "array_remove_all"),
    ("array_replace", 3, "array_replace_all"),
    ("every", 1, "bool_and"),
    ("sign", 1, "signum"),
    ("variance", 1, "var_samp"),
];

fn called(function: &Function) -> Option<Expr> {
    let name = function.name.0.last()?.as_ident()?.value.to_ascii_lowercase();
    let arguments = arguments(function)?;
    match (name.as_str(), arguments.as_slice()) {
        ("mod", [dividend, divisor]) => return parse(&format!("(({dividend}) % ({divisor}))")),
        // A number of digits that is written out is part of the result's type.
        ("round" | "trunc", [_, digits]) if is_number(digits) => return Some(renamed(function, &format!("{name}_to"))),
        _ => {}
    }
    let found = OTHER_NAMES.iter().find(|(known, count, _)| *known == name && *count == arguments.len());
    found.map(|(_, _, other)| renamed(function, other))
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(..), .. }) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_number(expr),
        _ => false,
    }
}

fn renamed(function: &Function, name: &str) -> Expr {
    let mut function = function.clone();
    function.name.0 = vec![ObjectNamePart::Identifier(Ident::new(name))];
    Expr::Function(function)
}
