//! `CREATE | DROP | ALTER DATABASE`, `CREATE | DROP SCHEMA`, `SHOW DATABASES | SCHEMAS`.

use std::fmt;

use lakeport_base::QualifiedName;
use lakeport_base::name::quote_ident;
use sqlparser::tokenizer::Token;

use super::{Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `CREATE DATABASE [IF NOT EXISTS] name [WITH LOCATION = uri]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateDatabase {
    pub name: String,
    pub if_not_exists: bool,
    pub location: Option<Text>,
}

/// `DROP DATABASE [IF EXISTS] name [CASCADE | RESTRICT]`; CASCADE is the default.
#[derive(Clone, Debug, PartialEq)]
pub struct DropDatabase {
    pub name: String,
    pub if_exists: bool,
    pub restrict: bool,
}

/// `ALTER DATABASE name RENAME TO new_name`
#[derive(Clone, Debug, PartialEq)]
pub struct RenameDatabase {
    pub name: String,
    pub new_name: String,
}

/// `CREATE SCHEMA [IF NOT EXISTS] [database.]name`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSchema {
    pub name: QualifiedName,
    pub if_not_exists: bool,
}

/// `DROP SCHEMA [IF EXISTS] [database.]name [CASCADE | RESTRICT]`; RESTRICT is the default.
#[derive(Clone, Debug, PartialEq)]
pub struct DropSchema {
    pub name: QualifiedName,
    pub if_exists: bool,
    pub cascade: bool,
}

/// `SHOW SCHEMAS [FROM database]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowSchemas {
    pub database: Option<String>,
}

/// After `CREATE DATABASE`.
pub(super) fn create_database(c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let name = c.ident()?;
    let location = if c.keywords("WITH LOCATION") {
        c.symbol(&Token::Eq);
        Some(c.text_value()?)
    } else {
        None
    };
    Ok(Statement::CreateDatabase(CreateDatabase { name, if_not_exists, location }))
}

/// After `DROP DATABASE`.
pub(super) fn drop_database(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let name = c.ident()?;
    let restrict = c.one_of(&["CASCADE", "RESTRICT"]) == Some("RESTRICT");
    Ok(Statement::DropDatabase(DropDatabase { name, if_exists, restrict }))
}

/// After `ALTER DATABASE`.
pub(super) fn rename_database(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?;
    c.expect("RENAME TO")?;
    Ok(Statement::RenameDatabase(RenameDatabase { name, new_name: c.ident()? }))
}

/// After `CREATE SCHEMA`.
pub(super) fn create_schema(c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = c.keywords("IF NOT EXISTS");
    if c.keywords("AUTHORIZATION") {
        return Err(c.unsupported("CREATE SCHEMA AUTHORIZATION is not supported"));
    }
    Ok(Statement::CreateSchema(CreateSchema { name: c.name()?, if_not_exists }))
}

/// After `DROP SCHEMA`.
pub(super) fn drop_schema(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let name = c.name()?;
    let cascade = c.one_of(&["CASCADE", "RESTRICT"]) == Some("CASCADE");
    Ok(Statement::DropSchema(DropSchema { name, if_exists, cascade }))
}

/// After `SHOW SCHEMAS`.
pub(super) fn show_schemas(c: &mut Cursor) -> Result<Statement> {
    let database = if c.keywords("FROM") { Some(c.ident()?) } else { None };
    Ok(Statement::ShowSchemas(ShowSchemas { database }))
}

impl fmt::Display for CreateDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_not_exists, "IF NOT EXISTS ");
        let location = print::optional(" WITH LOCATION = ", self.location.as_ref());
        write!(f, "CREATE DATABASE {condition}{}{location}", quote_ident(&self.name))
    }
}

impl fmt::Display for DropDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_exists, "IF EXISTS ");
        let restrict = print::when(self.restrict, " RESTRICT");
        write!(f, "DROP DATABASE {condition}{}{restrict}", quote_ident(&self.name))
    }
}

impl fmt::Display for RenameDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER DATABASE {} RENAME TO {}", quote_ident(&self.name), quote_ident(&self.new_name))
    }
}

impl fmt::Display for CreateSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE SCHEMA {}{}", print::when(self.if_not_exists, "IF NOT EXISTS "), self.name)
    }
}

impl fmt::Display for DropSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_exists, "IF EXISTS ");
        write!(f, "DROP SCHEMA {condition}{}{}", self.name, print::when(self.cascade, " CASCADE"))
    }
}

impl fmt::Display for ShowSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.as_deref().map(quote_ident);
        write!(f, "SHOW SCHEMAS{}", print::optional(" FROM ", database.as_ref()))
    }
}
