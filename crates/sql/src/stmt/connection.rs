//! `CREATE | ALTER | DROP | SHOW | CHECK EXTERNAL CONNECTION`.

use std::fmt;

use sqlparser::tokenizer::Token;

use super::{KvOption, Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `CREATE EXTERNAL CONNECTION [IF NOT EXISTS] name AS uri`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateConnection {
    pub name: Text,
    pub if_not_exists: bool,
    pub uri: Text,
    /// `WITH (VALIDATE = false)` skips the check; our extension in this dialect.
    pub validate: bool,
}

/// `ALTER EXTERNAL CONNECTION [IF EXISTS] name AS uri`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterConnection {
    pub name: Text,
    pub if_exists: bool,
    pub uri: Text,
    pub validate: bool,
}

/// `DROP EXTERNAL CONNECTION name [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq)]
pub struct DropConnection {
    pub name: Text,
    pub cascade: bool,
}

/// `SHOW EXTERNAL CONNECTIONS` (no name) or `SHOW EXTERNAL CONNECTION name`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowConnections {
    pub name: Option<Text>,
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
    let uri = c.text_value()?;
    Ok(Statement::CreateConnection(CreateConnection { name, if_not_exists, uri, validate: validate(c)? }))
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
    let cascade = c.one_of(&["CASCADE", "RESTRICT"]) == Some("CASCADE");
    Ok(Statement::DropConnection(DropConnection { name, cascade }))
}

/// After `SHOW EXTERNAL CONNECTION`.
pub(super) fn show(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ShowConnections(ShowConnections { name: Some(c.text_name()?) }))
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
        write!(f, "CREATE EXTERNAL CONNECTION {condition}{} AS {}{validate}", self.name, self.uri)
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
        write!(f, "DROP EXTERNAL CONNECTION {}{}", self.name, print::when(self.cascade, " CASCADE"))
    }
}

impl fmt::Display for ShowConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "SHOW EXTERNAL CONNECTION {name}"),
            None => f.write_str("SHOW EXTERNAL CONNECTIONS"),
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
