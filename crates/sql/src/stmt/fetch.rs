//! Cursors: `DECLARE`, `FETCH`, `MOVE`, `CLOSE`.

use std::fmt;

use lakeport_base::name::quote_ident;
use sqlparser::tokenizer::Token;

use super::query::Query;
use super::{Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `DECLARE name [BINARY] [INSENSITIVE] [NO SCROLL] CURSOR [{WITH | WITHOUT} HOLD] FOR query`
#[derive(Clone, Debug, PartialEq)]
pub struct Declare {
    pub name: String,
    /// The cursor outlives its transaction block.
    pub hold: bool,
    pub query: Query,
}

/// Whether the rows that a cursor moves over are sent (FETCH) or counted (MOVE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Rows,
    Count,
}

/// `{FETCH | MOVE} [NEXT | [FORWARD] n | [FORWARD] ALL] [FROM | IN] name`
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    pub answer: Answer,
    /// `None` is `ALL`.
    pub count: Option<u64>,
    pub name: String,
}

/// `CLOSE {name | ALL}` (no name is all)
#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    pub name: Option<String>,
}

/// After `DECLARE`.
pub(super) fn declare(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?;
    while let Some(word) = c.one_of(&["BINARY", "INSENSITIVE", "ASENSITIVE", "NO SCROLL", "SCROLL"]) {
        if matches!(word, "BINARY" | "SCROLL") {
            return Err(c.unsupported(format!("{word} cursors are not supported: rows are fetched once, forward")));
        }
    }
    c.expect("CURSOR")?;
    let hold = match c.one_of(&["WITH HOLD", "WITHOUT HOLD"]) {
        Some("WITH HOLD") => true,
        Some(_) | None => false,
    };
    c.expect("FOR")?;
    match super::query::statement(c)? {
        Statement::Query(query) => Ok(Statement::Declare(Declare { name, hold, query })),
        _ => Err(c.unsupported("a cursor is declared for a SELECT or VALUES")),
    }
}

/// After `FETCH` or `MOVE`.
pub(super) fn fetch(answer: Answer, c: &mut Cursor) -> Result<Statement> {
    const BACKWARD: &[&str] = &["PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"];
    if let Some(word) = c.one_of(BACKWARD) {
        return Err(c.unsupported(format!("cursors move forward only, not {word}")));
    }
    let count = match c.one_of(&["NEXT", "FORWARD"]) {
        Some("NEXT") => Some(1),
        _ if c.keywords("ALL") => None,
        _ => Some(row_count(c)?),
    };
    c.one_of(&["FROM", "IN"]);
    Ok(Statement::Fetch(Fetch { answer, count, name: c.ident()? }))
}

/// A number of rows, if one comes next; else one row.
fn row_count(c: &mut Cursor) -> Result<u64> {
    if c.is_symbol(&Token::Minus) {
        return Err(c.unsupported("cursors move forward only"));
    }
    if !matches!(c.peek().map(|lexeme| &lexeme.token), Some(Token::Number(..))) {
        return Ok(1);
    }
    match c.scalar()? {
        Text::Literal(digits) => digits.parse().map_err(|_| c.expected("a number of rows")),
        Text::Placeholder(_) => Err(c.expected("a number of rows")),
    }
}

/// After `CLOSE`.
pub(super) fn close(c: &mut Cursor) -> Result<Statement> {
    let name = if c.keywords("ALL") { None } else { Some(c.ident()?) };
    Ok(Statement::Close(Close { name }))
}

impl fmt::Display for Declare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hold = print::when(self.hold, " WITH HOLD");
        write!(f, "DECLARE {} CURSOR{hold} FOR {}", quote_ident(&self.name), self.query)
    }
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.answer {
            Answer::Rows => "FETCH",
            Answer::Count => "MOVE",
        };
        let count = self.count.map_or_else(|| "ALL".to_string(), |count| count.to_string());
        write!(f, "{verb} {count} FROM {}", quote_ident(&self.name))
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "CLOSE {}", quote_ident(name)),
            None => f.write_str("CLOSE ALL"),
        }
    }
}
