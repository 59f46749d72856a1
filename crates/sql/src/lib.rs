//! Text to statements: tokens, grammar, AST and printing of every dialect. No I/O; never panics on input.
//!
//! [`parse`] splits a text at its semicolons and reads each statement. The leading words decide: what the table in
//! `stmt/dispatch.rs` knows is read by our grammar, queries and DML by sqlparser's PostgreSQL dialect after the
//! rewrites of [`stmt::query`]. Printing a statement gives text that parses to the same statement.
//!
//! Reading order: `token`, `depth`, `cursor`, [`stmt`].

mod cursor;
mod depth;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod print;
pub mod stmt;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;

pub use error::{SyntaxError, SyntaxErrorKind};
use sqlparser::keywords::ALL_KEYWORDS;
use sqlparser::tokenizer::Token;
pub use stmt::Statement;

use crate::cursor::Cursor;
use crate::token::Lexeme;

/// A statement and where it stood.
#[derive(Clone, PartialEq)]
pub struct Parsed {
    pub statement: Statement,
    /// Its own source, without the semicolon and the space around it. May hold secrets.
    pub text: String,
    /// Character offset of its first token in the whole text, from 1.
    pub position: usize,
    /// Highest `$n`.
    pub placeholder_count: usize,
}

/// Words of the grammar in lower case, each with whether it cannot be a name without quotes.
pub fn keywords() -> impl Iterator<Item = (String, bool)> {
    ALL_KEYWORDS.iter().map(|word| word.to_ascii_lowercase()).map(|word| {
        let reserved = lakeport_base::name::is_reserved(&word);
        (word, reserved)
    })
}

/// Leaves the text out: it may hold secrets.
impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("statement", &self.statement).field("position", &self.position).finish()
    }
}

/// Reads all statements of a text; empty ones and comments vanish.
///
/// # Errors
/// The first statement that is not one of ours; then none counts.
pub fn parse(text: &str) -> Result<Vec<Parsed>, SyntaxError> {
    let lexemes = token::lexemes(text)?;
    lexemes
        .split(|lexeme| lexeme.token == Token::SemiColon)
        .filter(|statement| !statement.is_empty())
        .map(|statement| parse_lexemes(text, statement))
        .collect()
}

/// Reads a text that must be exactly one statement.
///
/// # Errors
/// As [`parse`]; none or several statements.
pub fn parse_one(text: &str) -> Result<Parsed, SyntaxError> {
    let mut statements = parse(text)?.into_iter();
    match (statements.next(), statements.next()) {
        (Some(statement), None) => Ok(statement),
        (None, _) => Err(SyntaxError::syntax("at or near \"EOF\": syntax error: expected a statement", 1)),
        (_, Some(second)) => Err(SyntaxError::syntax("expected one statement, found several", second.position)),
    }
}

fn parse_lexemes(text: &str, lexemes: &[Lexeme]) -> Result<Parsed, SyntaxError> {
    depth::check(lexemes)?;
    let mut cursor = Cursor::new(text, lexemes);
    let position = cursor.position();
    let statement = stmt::statement(&mut cursor)?;
    let text = cursor.source_since(0).to_string();
    let placeholder_count = match &statement {
        // Columns of files.
        Statement::Load(_) => 0,
        Statement::Unload(unload) => unload.query.placeholder_count,
        _ => lexemes.iter().filter_map(Lexeme::placeholder).max().unwrap_or(0),
    };
    Ok(Parsed { statement, text, position, placeholder_count })
}
