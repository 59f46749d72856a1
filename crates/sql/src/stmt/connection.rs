//! `CREATE | ALTER | DROP | SHOW | CHECK EXTERNAL CONNECTION`, and Databend's
//! `CREATE | DROP | DESCRIBE CONNECTION`, `SHOW CONNECTIONS`: two spellings of statements about the same objects.

use std::fmt;

use lakeport_base::Dialect;
use lakeport_base::name::quote_ident;
use sqlparser::tokenizer::Token;

use super::{KvOption, Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::error::SyntaxError;
use crate::print;

/// `CREATE EXTERNAL CONNECTION [IF NOT EXISTS] name AS uri`, or
/// `CREATE [OR REPLACE] CONNECTION [IF NOT EXISTS] name STORAGE_TYPE = 'type' option = 'value' ...`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateConnection {
    pub name: Text,
    /// Of Databend's statement only.
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub definition: Definition,
    /// `WITH (VALIDATE = false)` skips the check; our extension in these dialects.
    pub validate: bool,
}

/// What a connection leads to, in the words of a dialect.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// CockroachDB's.
    Uri(Text),
    /// Databend's; the names are in lower case.
    Options { storage_type: Text, options: Vec<(String, Text)> },
}

impl Definition {
    /// Whose words they are.
    pub fn dialect(&self) -> Dialect {
        match self {
            Definition::Uri(_) => Dialect::Cockroach,
            Definition::Options { .. } => Dialect::Databend,
        }
    }
}

impl CreateConnection {
    /// What the statement is called.
    pub fn tag(&self) -> &'static str {
        match self.definition {
            Definition::Uri(_) => "CREATE EXTERNAL CONNECTION",
            Definition::Options { .. } => "CREATE CONNECTION",
        }
    }
}

/// `ALTER EXTERNAL CONNECTION [IF EXISTS] name AS uri`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterConnection {
    pub name: Text,
    pub if_exists: bool,
    pub uri: Text,
    pub validate: bool,
}

/// `DROP EXTERNAL CONNECTION name [CASCADE | RESTRICT]`, for which a missing name is no error, or
/// `DROP CONNECTION [IF EXISTS] name [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq)]
pub struct DropConnection {
    pub name: Text,
    pub dialect: Dialect,
    pub if_exists: bool,
    pub cascade: bool,
}

impl DropConnection {
    /// What the statement is called.
    pub fn tag(&self) -> &'static str {
        if self.dialect == Dialect::Databend { "DROP CONNECTION" } else { "DROP EXTERNAL CONNECTION" }
    }
}

/// `SHOW EXTERNAL CONNECTIONS`, `SHOW CONNECTIONS` (no name), `SHOW EXTERNAL CONNECTION name` or
/// `{DESC | DESCRIBE} CONNECTION name`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowConnections {
    pub name: Option<Text>,
    pub dialect: Dialect,
}

/// `SHOW CREATE ALL EXTERNAL CONNECTIONS` (no name) or `SHOW CREATE EXTERNAL CONNECTION name`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowCreateConnection {
    pub name: Option<Text>,
}

/// `CHECK EXTERNAL CONNECTION uri [WITH TRANSFER = .., TIME = .., CONCURRENTLY = ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct CheckConnection {
    pub uri: Text,
    pub options: Vec<KvOption>,
}

/// After `CREATE EXTERNAL CONNECTION`.
pub(super) fn create(c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let name = c.text_name()?;
    c.expect("AS")?;
    let definition = Definition::Uri(c.text_value()?);
    let validate = validate(c)?;
    Ok(Statement::CreateConnection(CreateConnection { name, or_replace: false, if_not_exists, definition, validate }))
}

/// After `CREATE CONNECTION`, or after `CREATE OR REPLACE CONNECTION`.
pub(super) fn create_of_options(or_replace: bool, c: &mut Cursor) -> Result<Statement> {
    if or_replace && c.is_next("IF NOT EXISTS") {
        return Err(c.expected("a name").with_hint("OR REPLACE and IF NOT EXISTS exclude each other"));
    }
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let name = Text::Literal(c.ident()?);
    let definition = options(c)?;
    let validate = validate(c)?;
    Ok(Statement::CreateConnection(CreateConnection { name, or_replace, if_not_exists, definition, validate }))
}

/// `STORAGE_TYPE = 'type' option = 'value' ...`
fn options(c: &mut Cursor) -> Result<Definition> {
    c.expect("STORAGE_TYPE")?;
    c.expect_symbol(&Token::Eq)?;
    let storage_type = c.quoted_text()?;
    let mut options = Vec::new();
    while !c.is_at_end() && !c.is_next("WITH") {
        let name = c.any_word()?.to_lowercase();
        c.expect_symbol(&Token::Eq)?;
        options.push((name, option_value(c)?));
    }
    Ok(Definition::Options { storage_type, options })
}

/// `{'text' | $n | TRUE | FALSE}`. The error does not repeat what may be a secret.
fn option_value(c: &mut Cursor) -> Result<Text> {
    if let Some(word) = c.one_of(&["TRUE", "FALSE"]) {
        return Ok(Text::Literal(word.to_lowercase()));
    }
    if c.is_at_end() {
        return Err(c.expected("a value"));
    }
    let refused = SyntaxError::syntax("syntax error: expected a value in single quotes", c.position());
    c.quoted_text().map_err(|_| refused)
}

/// After `ALTER EXTERNAL CONNECTION`.
pub(super) fn alter(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let name = c.text_name()?;
    if let Some(clause) = ["OWNER TO", "RENAME TO"].iter().find(|clause| c.is_next(clause)) {
        return Err(c
            .unsupported(format!("ALTER EXTERNAL CONNECTION .. {clause} is not supported"))
            .with_hint("make another connection with the name or by the role wanted, and drop this one"));
    }
    c.expect("AS")?;
    let uri = c.text_value()?;
    Ok(Statement::AlterConnection(AlterConnection { name, if_exists, uri, validate: validate(c)? }))
}

/// `[WITH (VALIDATE = bool)]`
fn validate(c: &mut Cursor) -> Result<bool> {
    if !c.keywords("WITH") {
        return Ok(true);
    }
    let read = c.parenthesised(|c| {
        c.expect("VALIDATE")?;
        c.symbol(&Token::Eq);
        match c.one_of(&["TRUE", "FALSE"]) {
            Some(word) => Ok(word == "TRUE"),
            None => Err(c.error()),
        }
    });
    read.map_err(|error| error.with_hint("the only option is VALIDATE: WITH (VALIDATE = false) skips the check"))
}

/// After `DROP EXTERNAL CONNECTION`.
pub(super) fn drop(c: &mut Cursor) -> Result<Statement> {
    if c.is_next("IF EXISTS") {
        return Err(c.expected("a string").with_hint("dropping a connection that does not exist is no error"));
    }
    let name = c.text_name()?;
    let (dialect, if_exists, cascade) = (Dialect::Cockroach, true, cascade(c));
    Ok(Statement::DropConnection(DropConnection { name, dialect, if_exists, cascade }))
}

/// After `DROP CONNECTION`.
pub(super) fn drop_named(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let name = Text::Literal(c.ident()?);
    let (dialect, cascade) = (Dialect::Databend, cascade(c));
    Ok(Statement::DropConnection(DropConnection { name, dialect, if_exists, cascade }))
}

/// `[CASCADE | RESTRICT]`
fn cascade(c: &mut Cursor) -> bool {
    c.one_of(&["CASCADE", "RESTRICT"]) == Some("CASCADE")
}

/// After `SHOW EXTERNAL CONNECTION`.
pub(super) fn show(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ShowConnections(ShowConnections { name: Some(c.text_name()?), dialect: Dialect::Cockroach }))
}

/// After `DESC CONNECTION` or `DESCRIBE CONNECTION`.
pub(super) fn describe(c: &mut Cursor) -> Result<Statement> {
    let name = Some(Text::Literal(c.ident()?));
    Ok(Statement::ShowConnections(ShowConnections { name, dialect: Dialect::Databend }))
}

/// After `SHOW CREATE EXTERNAL CONNECTION`.
pub(super) fn show_create(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ShowCreateConnection(ShowCreateConnection { name: Some(c.text_name()?) }))
}

/// After `CHECK EXTERNAL CONNECTION`.
pub(super) fn check(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::CheckConnection(CheckConnection { uri: c.text_value()?, options: c.options()? }))
}

impl fmt::Display for CreateConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_not_exists, "IF NOT EXISTS ");
        let validate = print::when(!self.validate, " WITH (VALIDATE = false)");
        match &self.definition {
            Definition::Uri(uri) => write!(f, "CREATE EXTERNAL CONNECTION {condition}{} AS {uri}{validate}", self.name),
            Definition::Options { storage_type, options } => {
                let or_replace = print::when(self.or_replace, "OR REPLACE ");
                let options: String = options.iter().map(|(name, value)| format!(" {name} = {value}")).collect();
                let name = ident(&self.name);
                write!(
                    f,
                    "CREATE {or_replace}CONNECTION {condition}{name} STORAGE_TYPE = {storage_type}{options}{validate}"
                )
            }
        }
    }
}

/// The name in a statement of Databend's.
fn ident(name: &Text) -> String {
    match name {
        Text::Literal(name) => quote_ident(name),
        Text::Placeholder(_) => name.to_string(),
    }
}

impl fmt::Display for AlterConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_exists, "IF EXISTS ");
        let validate = print::when(!self.validate, " WITH (VALIDATE = false)");
        write!(f, "ALTER EXTERNAL CONNECTION {condition}{} AS {}{validate}", self.name, self.uri)
    }
}

impl fmt::Display for DropConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cascade = print::when(self.cascade, " CASCADE");
        match self.dialect {
            Dialect::Databend => {
                let condition = print::when(self.if_exists, "IF EXISTS ");
                write!(f, "DROP CONNECTION {condition}{}{cascade}", ident(&self.name))
            }
            _ => write!(f, "DROP EXTERNAL CONNECTION {}{cascade}", self.name),
        }
    }
}

impl fmt::Display for ShowConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.dialect) {
            (Some(name), Dialect::Databend) => write!(f, "DESC CONNECTION {}", ident(name)),
            (None, Dialect::Databend) => f.write_str("SHOW CONNECTIONS"),
            (Some(name), _) => write!(f, "SHOW EXTERNAL CONNECTION {name}"),
            (None, _) => f.write_str("SHOW EXTERNAL CONNECTIONS"),
        }
    }
}

impl fmt::Display for ShowCreateConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "SHOW CREATE EXTERNAL CONNECTION {name}"),
            None => f.write_str("SHOW CREATE ALL EXTERNAL CONNECTIONS"),
        }
    }
}

impl fmt::Display for CheckConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CHECK EXTERNAL CONNECTION {}{}", self.uri, print::options(&self.options))
    }
}
