//! sqlparser's parser over our lexemes, and its errors as ours.

use sqlparser::ast::{self, VisitMut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::{distinct, merge, refuse, signs};
use crate::cursor::{Cursor, Result};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::token::{Lexeme, misplaced_variable};

/// Levels of recursion the parser may use: a level of brackets takes up to three.
const RECURSION_LIMIT: usize = 256;

/// Words a misspelt one is compared with.
const CLAUSES: &[&str] = &[
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "JOIN",
    "VALUES",
    "SET",
    "INTO",
    "SELECT",
    "RETURNING",
    "BETWEEN",
    "LIKE",
    "USING",
    "CONFLICT",
    "MATCHED",
];

/// Reads all lexemes as one statement.
pub(super) fn statement(c: &Cursor, lexemes: &[Lexeme]) -> Result<ast::Statement> {
    whole(c, lexemes, |parser| parser.parse_statement())
}

/// Reads all lexemes as one MERGE.
pub(super) fn merge(c: &Cursor, lexemes: &[Lexeme]) -> Result<merge::Tree> {
    whole(c, lexemes, merge::tree)
}

/// Reads all lexemes as one query.
pub(super) fn query(c: &Cursor, lexemes: &[Lexeme]) -> Result<ast::Query> {
    whole(c, lexemes, |parser| parser.parse_query().map(|query| *query))
}

/// An expression, as far as it goes, as normalised text. It has a value by itself: a subquery is refused, naming the
/// place, such as `DEFAULT expression`.
pub(in crate::stmt) fn expression(c: &mut Cursor, place: &str) -> Result<String> {
    let position = c.position();
    let lexemes = &c.rest()[..item_length(c.rest())];
    let (expression, length) = run(c, lexemes, |parser| parser.parse_expr())?;
    if refuse::has_subquery(&expression) {
        return Err(SyntaxError::unsupported(format!("cannot use subquery in {place}"), position));
    }
    c.advance(length);
    Ok(expression.to_string())
}

/// Lexemes before what ends an item of a list of columns: a comma, a closing bracket, or NOT NULL, which belongs to the
/// column and not to the default before it.
fn item_length(lexemes: &[Lexeme]) -> usize {
    let mut depth = 0_usize;
    for (i, lexeme) in lexemes.iter().enumerate() {
        match lexeme.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth == 0 => return i,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Comma if depth == 0 => return i,
            _ if depth == 0 && i > 0 && is_not_null(&lexemes[i..]) && !lexemes[i - 1].is_word("IS") => return i,
            _ => {}
        }
    }
    lexemes.len()
}

fn is_not_null(lexemes: &[Lexeme]) -> bool {
    matches!(lexemes, [not, null, ..] if not.is_word("NOT") && null.is_word("NULL"))
}

fn whole<T: VisitMut>(
    c: &Cursor,
    lexemes: &[Lexeme],
    parse: impl FnOnce(&mut Parser) -> std::result::Result<T, ParserError>,
) -> Result<T> {
    match run(c, lexemes, parse)? {
        (value, length) if length == lexemes.len() => Ok(value),
        (_, length) => Err(near(c, lexemes, length, None)),
    }
}

/// The value and how many lexemes it took.
fn run<T: VisitMut>(
    c: &Cursor,
    lexemes: &[Lexeme],
    parse: impl FnOnce(&mut Parser) -> std::result::Result<T, ParserError>,
) -> Result<(T, usize)> {
    refuse_unnamed_fields(c, lexemes)?;
    refuse_variables(lexemes)?;
    let dialect = PostgreSqlDialect {};
    let tokens = lexemes.iter().map(Lexeme::for_parser).collect();
    let mut parser = Parser::new(&dialect).with_recursion_limit(RECURSION_LIMIT).with_tokens_with_locations(tokens);
    let mut value = parse(&mut parser).map_err(|error| translate(c, lexemes, &error))?;
    signs::set_apart(&mut value);
    distinct::end(&mut value);
    let length = match parser.peek_token_ref() {
        next if next.token == Token::EOF => lexemes.len(),
        next => index_at(lexemes, next.span.start.column),
    };
    Ok((value, length))
}

/// # Errors
/// 0A000 for a variable that names no files' pattern.
fn refuse_variables(lexemes: &[Lexeme]) -> Result<()> {
    match lexemes.iter().find_map(|lexeme| Some((lexeme.variable()?, lexeme.position))) {
        None => Ok(()),
        Some((name, position)) => Err(misplaced_variable(&name, position)),
    }
}

/// # Errors
/// 42601 for a number or a string after a period, which sqlparser takes for the name of a field.
fn refuse_unnamed_fields(c: &Cursor, lexemes: &[Lexeme]) -> Result<()> {
    let is_unnamed = |pair: &[Lexeme]| {
        pair[0].token == Token::Period && matches!(pair[1].token, Token::Number(..) | Token::SingleQuotedString(_))
    };
    match lexemes.windows(2).position(is_unnamed) {
        None => Ok(()),
        Some(period) => Err(near(c, lexemes, period + 1, None)),
    }
}

/// Index of the lexeme at a position.
fn index_at(lexemes: &[Lexeme], position: u64) -> usize {
    lexemes.partition_point(|lexeme| (lexeme.position as u64) < position)
}

/// Our error for sqlparser's. Of its text only what was expected is kept: the rest quotes the statement, which may
/// hold secrets.
fn translate(c: &Cursor, lexemes: &[Lexeme], error: &ParserError) -> SyntaxError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            let error = SyntaxError::syntax("statement is nested too deeply", c.position());
            return SyntaxError { kind: SyntaxErrorKind::TooComplex, ..error };
        }
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    let expected =
        message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")).map(|(what, _)| what);
    let found = message
        .rsplit_once("Column: ")
        .and_then(|(_, column)| column.trim().parse().ok())
        .map_or(lexemes.len(), |position| index_at(lexemes, position));
    near(c, lexemes, found, expected)
}

/// The error at a lexeme, or at the end. A misspelt clause may have been read as the name before it.
fn near(c: &Cursor, lexemes: &[Lexeme], at: usize, expected: Option<&str>) -> SyntaxError {
    let found = lexemes.get(at);
    let before =
        at.checked_sub(1).and_then(|before| lexemes.get(before)).map_or_else(String::new, |b| b.shown(c.text()));
    let shown = found.map_or_else(|| "EOF".to_string(), |lexeme| lexeme.shown(c.text()));
    let expected = expected.map_or_else(String::new, |what| format!(": expected {what}"));
    let message = format!("at or near \"{shown}\": syntax error{expected}");
    let position = found.map_or_else(|| c.end(), |lexeme| lexeme.position);
    let error = SyntaxError::syntax(message, position).with_nearest(&shown, CLAUSES.iter().copied());
    if error.hint.is_some() { error } else { error.with_nearest(&before, CLAUSES.iter().copied()) }
}
