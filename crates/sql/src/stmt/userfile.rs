//! `COPY USERFILE`, `SHOW USERFILES`, `DROP USERFILE`: the user's own files; our extension.

use std::fmt;

use super::copy::{self, CopyFormat, CopyOptions};
use super::{Statement, Text};
use crate::cursor::{Cursor, Result};

/// `COPY USERFILE 'path' {FROM STDIN | TO STDOUT} WITH (FORMAT binary [, SIZE bytes])`: one column `content BYTES`, a row a piece.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyUserfile {
    pub path: Text,
    /// `FROM STDIN`
    pub upload: bool,
    pub options: CopyOptions,
}

/// `SHOW USERFILES`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowUserfiles;

/// `DROP USERFILE [IF EXISTS] 'path'`
#[derive(Clone, Debug, PartialEq)]
pub struct DropUserfile {
    pub path: Text,
    pub if_exists: bool,
}

/// After `COPY USERFILE`.
pub(super) fn copy_userfile(c: &mut Cursor) -> Result<Statement> {
    let path = c.text_value()?;
    let (upload, options) = pieces("COPY USERFILE", c)?;
    Ok(Statement::CopyUserfile(CopyUserfile { path, upload, options }))
}

/// `{FROM STDIN | TO STDOUT} WITH (FORMAT binary [, SIZE bytes])`: whether it is FROM, and the options.
pub(super) fn pieces(statement: &str, c: &mut Cursor) -> Result<(bool, CopyOptions)> {
    let upload = match c.one_of(&["FROM", "TO"]) {
        Some("FROM") => true,
        Some(_) => false,
        None => return Err(c.error()),
    };
    c.expect(if upload { "STDIN" } else { "STDOUT" })?;
    let position = c.position();
    let options = copy::options(c)?;
    if options.format != CopyFormat::Binary {
        let error = crate::SyntaxError::unsupported(format!("{statement} has the binary format only"), position);
        return Err(error.with_hint("add WITH (FORMAT binary)"));
    }
    if !upload {
        options.refuse_size(position)?;
    }
    Ok((upload, options))
}

/// After `DROP USERFILE`.
pub(super) fn drop_userfile(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    Ok(Statement::DropUserfile(DropUserfile { path: c.text_value()?, if_exists }))
}

impl fmt::Display for CopyUserfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.upload { "FROM STDIN" } else { "TO STDOUT" };
        write!(f, "COPY USERFILE {} {direction} {}", self.path, self.options)
    }
}

impl fmt::Display for DropUserfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP USERFILE {}{}", if self.if_exists { "IF EXISTS " } else { "" }, self.path)
    }
}
