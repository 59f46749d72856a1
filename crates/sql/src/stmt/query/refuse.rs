//! What may not stand in a query or an expression.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Visit, Visitor};

use super::breadth;
use super::rewrite::Rewritten;
use crate::cursor::Result;
use crate::error::SyntaxError;

/// # Errors
/// 0A000 for something in the part that writes, 54001 for a part that reads too many relations.
pub(super) fn unfit<T: Visit>(part: &T, start: usize) -> Result<()> {
    match part.visit(&mut Writes) {
        ControlFlow::Continue(()) => breadth::check(part, start),
        ControlFlow::Break(what) => Err(SyntaxError::unsupported(format!("{what} is not supported"), start)),
    }
}

/// Whether a query stands somewhere in the part.
pub(super) fn has_subquery<T: Visit>(part: &T) -> bool {
    part.visit(&mut Subqueries).is_break()
}

/// Whether the part computes over several rows, by what it says itself.
pub(super) fn has_window<T: Visit>(part: &T) -> bool {
    part.visit(&mut Windows).is_break()
}

/// # Errors
/// 42601 for a `[SHOW ...]`, or for files, that were read as something other than a table, such as an alias.
pub(super) fn stray_sources(query: &ast::Query, rewritten: &Rewritten, start: usize) -> Result<()> {
    let mut tables = Tables::default();
    let _ = query.visit(&mut tables);
    if rewritten.shows.iter().any(|(name, _)| !tables.0.contains(name)) {
        return Err(SyntaxError::syntax("a statement in brackets stands where no table can stand", start));
    }
    if rewritten.files.iter().any(|(name, _)| !tables.0.contains(name)) {
        return Err(SyntaxError::syntax("files stand where no table can stand", start));
    }
    Ok(())
}

/// Names of the tables that a query reads.
#[derive(Default)]
struct Tables(HashSet<String>);

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
        self.0.insert(relation.to_string());
        ControlFlow::Continue(())
    }
}

struct Writes;

impl Visitor for Writes {
    /// What is not supported.
    type Break = &'static str;

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Self::Break> {
        if select.into.is_some() { ControlFlow::Break("SELECT INTO") } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_statement(&mut self, _: &ast::Statement) -> ControlFlow<Self::Break> {
        ControlFlow::Break("a statement that writes inside a query")
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Self::Break> {
        match expr {
            ast::Expr::Cast { data_type, .. } if is_modified(data_type) => {
                ControlFlow::Break("a type of this name with modifiers")
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Whether a type that has no modifiers in PostgreSQL, or does not exist there, has some.
fn is_modified(ty: &ast::DataType) -> bool {
    match ty {
        ast::DataType::Custom(_, modifiers) => !modifiers.is_empty(),
        ast::DataType::Array(
            ast::ArrayElemTypeDef::AngleBracket(inner)
            | ast::ArrayElemTypeDef::SquareBracket(inner, _)
            | ast::ArrayElemTypeDef::Parenthesis(inner),
        ) => is_modified(inner),
        _ => false,
    }
}

struct Subqueries;

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

struct Windows;

impl Visitor for Windows {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        match expr {
            ast::Expr::Function(function) if function.over.is_some() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
