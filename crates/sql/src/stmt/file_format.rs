//! `CREATE | DROP FILE FORMAT`, `SHOW FILE FORMATS`: options of file formats under a name.

use std::fmt;

use lakeport_base::name::quote_ident;

use super::Statement;
use super::stage::location::{Parameter, parameter};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `CREATE [OR REPLACE] FILE FORMAT [IF NOT EXISTS] name TYPE = type option ...`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFileFormat {
    pub name: String,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub options: Vec<Parameter>,
}

/// `DROP FILE FORMAT [IF EXISTS] name`
#[derive(Clone, Debug, PartialEq)]
pub struct DropFileFormat {
    pub name: String,
    pub if_exists: bool,
}

/// After `CREATE FILE FORMAT`, or after `CREATE OR REPLACE FILE FORMAT`.
pub(super) fn create(or_replace: bool, c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = !or_replace && c.keywords("IF NOT EXISTS");
    let name = c.ident()?;
    let mut options = Vec::new();
    while !c.is_at_end() {
        options.push(parameter(c)?);
    }
    Ok(Statement::CreateFileFormat(CreateFileFormat { name, or_replace, if_not_exists, options }))
}

/// After `DROP FILE FORMAT`.
pub(super) fn drop(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    Ok(Statement::DropFileFormat(DropFileFormat { name: c.ident()?, if_exists }))
}

impl fmt::Display for CreateFileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replace = print::when(self.or_replace, "OR REPLACE ");
        let condition = print::when(self.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE {replace}FILE FORMAT {condition}{}", quote_ident(&self.name))?;
        self.options.iter().try_for_each(|option| write!(f, " {option}"))
    }
}

impl fmt::Display for DropFileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP FILE FORMAT {}{}", print::when(self.if_exists, "IF EXISTS "), quote_ident(&self.name))
    }
}
