//! `IMPORT INTO`.

use std::fmt;

use lakeport_base::QualifiedName;
use sqlparser::tokenizer::Token;

use super::{KvOption, Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `IMPORT INTO table [(columns)] format DATA (uris) [WITH options]`
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub table: QualifiedName,
    pub columns: Vec<String>,
    /// Upper case: `CSV`, `PARQUET`, `NDJSON`, ...
    pub format: String,
    pub uris: Vec<Text>,
    pub options: Vec<KvOption>,
}

/// After `IMPORT INTO`.
pub(super) fn import(c: &mut Cursor) -> Result<Statement> {
    let table = c.name()?;
    let columns = c.column_list()?;
    let format = c.any_word()?;
    c.expect("DATA")?;
    let uris = if c.is_symbol(&Token::LParen) {
        c.parenthesised(|c| c.comma_list(Cursor::text_value))?
    } else {
        c.comma_list(Cursor::text_value)?
    };
    Ok(Statement::Import(Import { table, columns, format, uris, options: c.options()? }))
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = print::columns(&self.columns);
        let (uris, options) = (print::list(&self.uris), print::options(&self.options));
        write!(f, "IMPORT INTO {}{columns} {} DATA ({uris}){options}", self.table, self.format)
    }
}
