//! `EXPORT INTO`.

use std::fmt;

use super::query::{self, Query};
use super::{KvOption, Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `EXPORT INTO format uri [WITH options] FROM {query | TABLE t}`
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Upper case.
    pub format: String,
    pub uri: Text,
    pub options: Vec<KvOption>,
    /// `TABLE t` is read as `SELECT * FROM t`.
    pub query: Box<Query>,
}

/// After `EXPORT INTO`.
pub(super) fn export(c: &mut Cursor) -> Result<Statement> {
    let format = c.any_word()?;
    let uri = c.text_value()?;
    let options = c.options()?;
    c.expect("FROM")?;
    let query = Box::new(query::rest(c)?);
    Ok(Statement::Export(Export { format, uri, options, query }))
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = print::options(&self.options);
        write!(f, "EXPORT INTO {} {}{options} FROM {}", self.format, self.uri, self.query)
    }
}
