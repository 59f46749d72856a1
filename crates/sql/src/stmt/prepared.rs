//! Statements prepared by SQL text.

use std::fmt;

use lakeport_base::name::quote_ident;

use super::Statement;
use crate::cursor::{Cursor, Result};
use crate::error::SyntaxError;

/// `PREPARE name [(types)] AS statement`
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    pub name: String,
    pub types: Vec<String>,
    pub statement: Box<Statement>,
}

/// `EXECUTE name [(expressions)]`
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    pub name: String,
    /// SQL texts.
    pub arguments: Vec<String>,
}

/// `DEALLOCATE {name | ALL}` (no name is all)
#[derive(Clone, Debug, PartialEq)]
pub struct Deallocate {
    pub name: Option<String>,
}

/// After `PREPARE`.
pub(super) fn prepare(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?;
    let types = if c.is_open() { c.parenthesised(|c| c.comma_list(type_name))? } else { Vec::new() };
    c.expect("AS")?;
    let position = c.position();
    let statement = Box::new(super::statement(c)?);
    use Statement as S;
    if !matches!(*statement, S::Query(_) | S::Insert(_) | S::Update(_) | S::Delete(_) | S::Merge(_)) {
        let message = "only queries and INSERT, UPSERT, UPDATE, DELETE and MERGE can be prepared";
        return Err(SyntaxError::syntax(message, position));
    }
    Ok(Statement::Prepare(Prepare { name, types, statement }))
}

fn type_name(c: &mut Cursor) -> Result<String> {
    Ok(super::table::column_type(c)?.to_string())
}

/// After `EXECUTE`.
pub(super) fn execute(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?;
    let argument = |c: &mut Cursor| super::query::expression(c, "EXECUTE parameter");
    let arguments = if c.is_open() { c.parenthesised(|c| c.comma_list(argument))? } else { Vec::new() };
    Ok(Statement::Execute(Execute { name, arguments }))
}

/// After `DEALLOCATE`.
pub(super) fn deallocate(c: &mut Cursor) -> Result<Statement> {
    c.keywords("PREPARE");
    let name = if c.keywords("ALL") { None } else { Some(c.ident()?) };
    Ok(Statement::Deallocate(Deallocate { name }))
}

impl fmt::Display for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = if self.types.is_empty() { String::new() } else { format!(" ({})", self.types.join(", ")) };
        write!(f, "PREPARE {}{types} AS {}", quote_ident(&self.name), self.statement)
    }
}

impl fmt::Display for Execute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.arguments.join(", ");
        let arguments = if arguments.is_empty() { arguments } else { format!(" ({arguments})") };
        write!(f, "EXECUTE {}{arguments}", quote_ident(&self.name))
    }
}

impl fmt::Display for Deallocate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "DEALLOCATE {}", quote_ident(name)),
            None => f.write_str("DEALLOCATE ALL"),
        }
    }
}
