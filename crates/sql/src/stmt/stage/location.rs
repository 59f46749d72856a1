//! Files as statements name them: `@stage/path` or a URI, with the options that stand beside.

use std::fmt;

use lakeport_base::name::quote_literal;
use sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Result, check_name};
use crate::error::SyntaxError;
use crate::print;
use crate::token::Lexeme;

/// What ends an unquoted location, as a space does, unless a backslash stands before it.
const ENDS: [char; 7] = [',', ';', '\'', '"', '`', '(', ')'];

/// Files of a stage, or of a URI.
#[derive(Clone, PartialEq)]
pub enum Location {
    Stage(StagePath),
    /// A URI as written, which may hold secrets, and the parameters of `CONNECTION = (...)`.
    Uri {
        uri: String,
        connection: Vec<Parameter>,
    },
}

/// `@stage[/path]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePath {
    pub stage: StageName,
    /// Below the stage, without a slash in front.
    pub path: String,
}

/// A stage by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageName {
    /// `~`: that of the user who asks.
    User,
    /// In lower case.
    Named(String),
}

/// One item of `(NAME = value, ...)`; the commas are optional.
#[derive(Clone, Eq)]
pub struct Parameter {
    /// Lower case.
    pub name: String,
    /// One value, or those of a list in parentheses, as written.
    pub values: Vec<String>,
    /// Character offset in the statement's text, from 1.
    pub position: usize,
}

/// Where it was written does not make a parameter another one.
impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.values) == (&other.name, &other.values)
    }
}

/// A regular expression for names of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Written(String),
    /// The value of `$name`, which SET VARIABLE has given it.
    Variable(String),
}

/// Hides the values: they may be keys.
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Hides URIs: they may hold keys.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Stage(path) => path.fmt(f),
            Location::Uri { connection, .. } => write!(f, "Uri('*****', {connection:?})"),
        }
    }
}

/// `@stage[/path]`, `'@stage[/path]'` or `'uri' [CONNECTION = (...)]`
pub(crate) fn location(c: &mut Cursor) -> Result<Location> {
    if c.is_symbol(&Token::AtSign) {
        return unquoted(c).map(Location::Stage);
    }
    let position = c.position();
    let text = c.literal().map_err(|_| with_sign(c, c.expected("@stage/path or a URI in quotes")))?;
    if let Some(reference) = text.strip_prefix('@') {
        return stage_path(reference, position).map(Location::Stage);
    }
    let mut connection = Vec::new();
    if c.keywords("CONNECTION") {
        c.expect_symbol(&Token::Eq)?;
        connection = parameters(c)?;
    }
    Ok(Location::Uri { uri: text, connection })
}

/// `'regex'` or `$name`
pub(crate) fn pattern(c: &mut Cursor) -> Result<Pattern> {
    if let Some(name) = c.peek().and_then(Lexeme::variable) {
        c.advance(1);
        return Ok(Pattern::Variable(name));
    }
    c.literal().map(Pattern::Written)
}

/// `@stage[/path]`, in quotes or without.
pub(crate) fn staged(c: &mut Cursor) -> Result<StagePath> {
    if c.is_symbol(&Token::AtSign) {
        return unquoted(c);
    }
    let (position, error) = (c.position(), c.expected("@stage/path"));
    let Ok(text) = c.literal() else { return Err(with_sign(c, error)) };
    match text.strip_prefix('@') {
        Some(reference) => stage_path(reference, position),
        None if text.contains("://") => Err(error.with_hint("CREATE STAGE gives the place of a URI a name")),
        None => Err(error),
    }
}

/// Hints at the sign that a bare name lacks.
fn with_sign(c: &Cursor, error: SyntaxError) -> SyntaxError {
    match c.peek().map(|next| &next.token) {
        Some(Token::Word(name)) => error.with_hint(format!("write @{} for a stage", name.value)),
        _ => error,
    }
}

/// Reads up to a space or what else ends it. What the text holds counts, not the lexemes that it is cut into.
fn unquoted(c: &mut Cursor) -> Result<StagePath> {
    let position = c.position();
    let start = c.peek().map_or(0, |sign| sign.end);
    let limit = c.rest().last().map_or(start, |last| last.end);
    let (reference, length) = until_end(&c.text()[start..limit]);
    let (end, mut read) = (start + length, start);
    while let Some(next) = c.peek().filter(|next| next.start < end) {
        read = next.end;
        c.advance(1);
    }
    // A comment or a quoted text that begins inside would swallow what stands behind.
    let begins_comment = |text: &str| ["--", "/*"].iter().any(|sign| text.contains(sign));
    let behind = c.text().get(end..end + 2).unwrap_or_default();
    if read > end || begins_comment(&reference) || begins_comment(behind) {
        return Err(SyntaxError::syntax("the location holds what begins a comment or a quoted text", position)
            .with_hint("put it in single quotes: '@stage/path'"));
    }
    stage_path(&reference, position)
}

/// The text before its end without backslashes, and how many bytes it takes.
fn until_end(text: &str) -> (String, usize) {
    let mut reference = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => reference.push(chars.next_if(|(_, c)| is_end(*c) || *c == '\\').map_or(c, |(_, escaped)| escaped)),
            c if is_end(c) => return (reference, at),
            c => reference.push(c),
        }
    }
    (reference, text.len())
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || ENDS.contains(&c)
}

/// What follows the `@`.
fn stage_path(reference: &str, position: usize) -> Result<StagePath> {
    let (name, path) = reference.split_once('/').unwrap_or((reference, ""));
    Ok(StagePath { stage: checked_stage(name, position)?, path: path.to_string() })
}

/// `~`, or the name of a stage that is made or changed.
pub(super) fn stage_name(c: &mut Cursor) -> Result<StageName> {
    let position = c.position();
    if c.symbol(&Token::Tilde) {
        return Ok(StageName::User);
    }
    checked_stage(&c.ident()?, position)
}

/// A stage's name can be written after an `@`: letters, digits, `_` and `$`, and no digit or `$` first.
fn checked_stage(name: &str, position: usize) -> Result<StageName> {
    if name == "~" {
        return Ok(StageName::User);
    }
    check_name(name, position)?;
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
    let is_first = |c: char| c.is_alphabetic() || c == '_';
    if !name.starts_with(is_first) || !name.chars().all(is_plain) {
        let message = format!("at or near {name:?}: syntax error: expected the name of a stage");
        return Err(SyntaxError::syntax(message, position)
            .with_hint("a stage's name has letters, digits, _ and $, and begins with a letter or _"));
    }
    Ok(StageName::Named(name.to_lowercase()))
}

/// `(NAME = value [,] ...)`, perhaps empty.
pub(crate) fn parameters(c: &mut Cursor) -> Result<Vec<Parameter>> {
    c.parenthesised(|c| {
        let mut list = Vec::new();
        while !c.is_symbol(&Token::RParen) {
            list.push(parameter(c)?);
            c.symbol(&Token::Comma);
        }
        Ok(list)
    })
}

/// `NAME = value`
pub(crate) fn parameter(c: &mut Cursor) -> Result<Parameter> {
    let position = c.offset();
    let name = c.any_word()?.to_lowercase();
    c.expect_symbol(&Token::Eq)?;
    Ok(Parameter { name, values: values(c)?, position })
}

/// A value, or several in parentheses.
fn values(c: &mut Cursor) -> Result<Vec<String>> {
    if !c.is_open() {
        return Ok(vec![value(c)?]);
    }
    c.parenthesised(|c| if c.is_symbol(&Token::RParen) { Ok(Vec::new()) } else { c.comma_list(value) })
}

/// A string, a number or a word, as written.
fn value(c: &mut Cursor) -> Result<String> {
    let written = match c.peek().map(|next| &next.token) {
        Some(Token::Number(digits, _)) => digits.clone(),
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.clone(),
        _ => return c.literal().map_err(|_| c.expected("a value")),
    };
    c.advance(1);
    Ok(written)
}

/// ` NAME = (a = 'b', ...)`, or nothing without a list.
pub(crate) fn named_list_text(name: &str, list: Option<&[Parameter]>) -> String {
    list.map_or_else(String::new, |list| format!(" {name} = ({})", print::list(list)))
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StageName::User => f.write_str("~"),
            StageName::Named(name) => f.write_str(&lakeport_base::name::quote_ident(name)),
        }
    }
}

/// Without quotes, for messages too.
impl fmt::Display for StagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StagePath { stage, path } = self;
        let slash = if path.is_empty() { "" } else { "/" };
        match stage {
            StageName::User => write!(f, "@~{slash}{path}"),
            StageName::Named(name) => write!(f, "@{name}{slash}{path}"),
        }
    }
}

/// In quotes, so that any path is one.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Stage(path) => f.write_str(&quote_literal(&path.to_string())),
            Location::Uri { uri, connection } => {
                let list = (!connection.is_empty()).then_some(connection.as_slice());
                write!(f, "{}{}", quote_literal(uri), named_list_text("CONNECTION", list))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Written(pattern) => f.write_str(&quote_literal(pattern)),
            Pattern::Variable(name) => write!(f, "${name}"),
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|value| quote_literal(value)).collect();
        match values.as_slice() {
            [one] => write!(f, "{} = {one}", self.name),
            list => write!(f, "{} = ({})", self.name, list.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::lexemes;

    fn read(text: &str) -> Result<(Location, String)> {
        let lexemes = lexemes(text)?;
        let mut c = Cursor::new(text, &lexemes);
        let found = location(&mut c)?;
        let rest = c.peek().map_or("", |next| &text[next.start..]);
        Ok((found, rest.to_string()))
    }

    fn stage(name: &str, path: &str) -> Location {
        Location::Stage(StagePath { stage: StageName::Named(name.into()), path: path.into() })
    }

    #[test]
    fn locations_end_where_they_should() {
        for (text, expected, rest) in [
            ("@s", stage("s", ""), ""),
            ("@S_1$/ PATTERN", stage("s_1$", ""), "PATTERN"),
            ("@s/2023/01-02/a.csv.gz, x", stage("s", "2023/01-02/a.csv.gz"), ", x"),
            ("@s/y=?/{a,b}", stage("s", "y=?/{a"), ",b}"),
            ("@s/a\\,b\\ c)", stage("s", "a,b c"), ")"),
            ("@s(FILE_FORMAT => 'csv')", stage("s", ""), "(FILE_FORMAT => 'csv')"),
            ("'@s/a b--c'", stage("s", "a b--c"), ""),
            ("@s/%20@x~y", stage("s", "%20@x~y"), ""),
        ] {
            assert_eq!(read(text).unwrap(), (expected, rest.to_string()), "{text}");
        }
        let Ok((Location::Stage(own), rest)) = read("@~/a/b.csv AS x") else { panic!("the user's own") };
        assert_eq!((own.stage, own.path.as_str(), rest.as_str()), (StageName::User, "a/b.csv", "AS x"));
    }

    #[test]
    fn what_could_swallow_the_rest_is_refused() {
        for text in ["@s/a--b PATTERN = 'x'", "@s/a/*b*/c", "@s/$$a b$$", "@s/E'a b'", "@", "@1s", "@s.t", "@/a", "5"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn uris_take_parameters() {
        let (found, rest) =
            read("'s3://b/p/' CONNECTION = (ACCESS_KEY_ID='k' secret_access_key = 's', enable = true) x").unwrap();
        let printed = "'s3://b/p/' CONNECTION = (access_key_id = 'k', secret_access_key = 's', enable = 'true')";
        assert_eq!((found.to_string().as_str(), rest.as_str()), (printed, "x"));
        assert_eq!(read(printed).unwrap().0, found);
        assert_eq!(format!("{found:?}"), "Uri('*****', [access_key_id, secret_access_key, enable])");
    }
}
