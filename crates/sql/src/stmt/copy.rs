//! `COPY ... FROM STDIN | TO STDOUT`.

use std::fmt;

use lakeport_base::QualifiedName;
use lakeport_base::name::quote_literal;
use sqlparser::tokenizer::Token;

use super::query::{self, Query};
use super::{Statement, Text, stage};
use crate::cursor::{Cursor, Result};
use crate::error::SyntaxError;
use crate::print;

/// `COPY table [(columns)] FROM STDIN` or `COPY {table [(columns)] | (query)} TO STDOUT`, with options.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    pub direction: Direction,
    pub options: CopyOptions,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Direction {
    FromStdin { table: QualifiedName, columns: Vec<String> },
    ToStdout { query: Box<Query> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// The documented options of COPY with PostgreSQL's defaults per format filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub quote: u8,
    pub escape: u8,
    /// Bytes of the file that comes, where one does.
    pub size: Option<usize>,
}

/// After `COPY`.
pub(super) fn copy(c: &mut Cursor) -> Result<Statement> {
    if c.is_symbol(&Token::AtSign) || c.is_literal() {
        return stage::copy(c);
    }
    if c.is_open() {
        let query = c.parenthesised(query::in_parentheses)?;
        c.expect("TO")?;
        return finish(Direction::ToStdout { query: Box::new(query) }, c);
    }
    let table = c.name()?;
    let columns = c.column_list()?;
    match c.one_of(&["FROM", "TO"]) {
        Some("FROM") => finish(Direction::FromStdin { table, columns }, c),
        Some(_) => finish(Direction::ToStdout { query: Box::new(Query::of_table(&table, &columns)) }, c),
        None => Err(c.error()),
    }
}

/// `{STDIN | STDOUT} [options]`
fn finish(direction: Direction, c: &mut Cursor) -> Result<Statement> {
    let (stream, remedy) = match direction {
        Direction::FromStdin { .. } => ("STDIN", "use COPY FROM STDIN or IMPORT INTO"),
        Direction::ToStdout { .. } => ("STDOUT", "use COPY TO STDOUT or EXPORT INTO"),
    };
    if !c.keywords(stream) {
        if c.literal().is_ok() || c.keywords("PROGRAM") {
            return Err(c.unsupported("COPY with a file of the server is not supported").with_hint(remedy));
        }
        return Err(c.error());
    }
    let position = c.position();
    let options = options(c)?;
    options.refuse_size(position)?;
    Ok(Statement::Copy(Copy { direction, options }))
}

/// Options as written, before the defaults of the format are known.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    delimiter: Option<u8>,
    null: Option<String>,
    header: bool,
    quote: Option<u8>,
    escape: Option<u8>,
    size: Option<usize>,
}

/// `[[WITH] (option, ...) | [WITH] option ...]`: PostgreSQL's new form and its old one.
pub(super) fn options(c: &mut Cursor) -> Result<CopyOptions> {
    let start = c.position();
    let mut written = Written::default();
    c.keywords("WITH");
    if c.is_open() {
        c.parenthesised(|c| c.comma_list(|c| option(&mut written, c)))?;
    } else {
        while !c.is_at_end() {
            old_option(&mut written, c)?;
        }
    }
    written.resolve(start)
}

/// `name value`, as in `(FORMAT csv, HEADER true)`.
fn option(written: &mut Written, c: &mut Cursor) -> Result<()> {
    match c.one_of(&["FORMAT", "DELIMITER", "NULL", "HEADER", "QUOTE", "ESCAPE", "SIZE", "ENCODING"]) {
        Some("FORMAT") => written.format = Some(format(c)?),
        Some("DELIMITER") => written.delimiter = Some(one_byte("delimiter", c)?),
        Some("NULL") => written.null = Some(c.literal()?),
        Some("HEADER") => written.header = header(c)?,
        Some("QUOTE") => written.quote = Some(one_byte("quote", c)?),
        Some("ESCAPE") => written.escape = Some(one_byte("escape", c)?),
        Some("SIZE") => written.size = Some(c.count()?),
        Some(_) => encoding(c)?,
        None => return Err(c.error()),
    }
    Ok(())
}

/// As before PostgreSQL 9.0: `CSV HEADER DELIMITER AS ','`.
fn old_option(written: &mut Written, c: &mut Cursor) -> Result<()> {
    match c.one_of(&["CSV", "BINARY", "DELIMITER", "DELIMITERS", "NULL", "HEADER", "QUOTE", "ESCAPE", "ENCODING"]) {
        Some("CSV") => written.format = Some(CopyFormat::Csv),
        Some("BINARY") => written.format = Some(CopyFormat::Binary),
        Some("HEADER") => written.header = true,
        Some("ENCODING") => encoding(c)?,
        Some(word) => {
            c.keywords("AS");
            match word {
                "NULL" => written.null = Some(c.literal()?),
                "QUOTE" => written.quote = Some(one_byte("quote", c)?),
                "ESCAPE" => written.escape = Some(one_byte("escape", c)?),
                _ => written.delimiter = Some(one_byte("delimiter", c)?),
            }
        }
        None => return Err(c.error()),
    }
    Ok(())
}

fn format(c: &mut Cursor) -> Result<CopyFormat> {
    let error = c.expected("TEXT, CSV or BINARY");
    let Text::Literal(format) = c.text_value()? else { return Err(error) };
    match format.to_ascii_lowercase().as_str() {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        _ => Err(error),
    }
}

/// `HEADER [true | false | on | off | 1 | 0]`; `match` is not supported.
fn header(c: &mut Cursor) -> Result<bool> {
    if c.is_symbol(&Token::Comma) || c.is_symbol(&Token::RParen) {
        return Ok(true);
    }
    let error = c.expected("true or false");
    match c.scalar()? {
        Text::Literal(value) => match value.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(error),
        },
        Text::Placeholder(_) => Err(error),
    }
}

fn encoding(c: &mut Cursor) -> Result<()> {
    let position = c.position();
    let encoding = c.literal()?;
    if ["utf8", "utf-8", "unicode"].iter().any(|name| encoding.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(SyntaxError::unsupported(format!("encoding {encoding:?} is not supported"), position).with_hint("use UTF8"))
}

fn one_byte(option: &str, c: &mut Cursor) -> Result<u8> {
    let position = c.position();
    let text = c.literal()?;
    match text.as_bytes() {
        [byte] if !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        _ => Err(SyntaxError::syntax(format!("COPY {option} must be a single one-byte character"), position)),
    }
}

impl Written {
    /// Fills in the format's defaults and refuses what it does not have.
    fn resolve(self, position: usize) -> Result<CopyOptions> {
        let format = self.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        let refuse = |option: &str, why: &str| Err(SyntaxError::syntax(format!("COPY {option} {why}"), position));
        if format == CopyFormat::Binary && (self.delimiter.is_some() || self.null.is_some() || self.header) {
            return refuse("DELIMITER, NULL and HEADER", "cannot be used in BINARY mode");
        }
        if !csv && (self.quote.is_some() || self.escape.is_some()) {
            return refuse("QUOTE and ESCAPE", "require CSV mode");
        }
        let delimiter = self.delimiter.unwrap_or(if csv { b',' } else { b'\t' });
        let quote = self.quote.unwrap_or(b'"');
        if csv && delimiter == quote {
            return refuse("delimiter and quote", "must be different");
        }
        let null = self.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".into() });
        let escape = self.escape.unwrap_or(quote);
        let options = CopyOptions { format, delimiter, null, header: self.header, quote, escape, size: self.size };
        match options.fault() {
            Some(fault) => Err(SyntaxError::syntax(fault, position)),
            None => Ok(options),
        }
    }
}

impl CopyOptions {
    /// # Errors
    /// A size where no file comes.
    pub(super) fn refuse_size(&self, position: usize) -> Result<()> {
        match self.size {
            None => Ok(()),
            Some(_) => Err(SyntaxError::syntax("COPY SIZE is that of a file that comes FROM STDIN", position)),
        }
    }

    /// Why a NULL or a value could not be told from something else.
    fn fault(&self) -> Option<&'static str> {
        // Behind a backslash, letters and digits mean other characters.
        let is_escape = matches!(self.delimiter, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9');
        let null = self.null.as_bytes();
        if self.format == CopyFormat::Text && is_escape {
            Some("COPY delimiter must not be a backslash, a point, a digit or a lower-case letter")
        } else if null.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            Some("COPY null representation cannot use newline or carriage return")
        } else if null.contains(&self.delimiter) {
            Some("COPY delimiter character must not appear in the NULL specification")
        } else if self.format == CopyFormat::Csv && null.contains(&self.quote) {
            Some("CSV quote character must not appear in the NULL specification")
        } else {
            None
        }
    }
}

impl Query {
    /// `SELECT columns FROM table`
    pub(super) fn of_table(table: &QualifiedName, columns: &[String]) -> Self {
        let list = if columns.is_empty() { "*".into() } else { print::idents(columns) };
        Query { text: format!("SELECT {list} FROM {table}"), ..Query::default() }
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.direction {
            Direction::FromStdin { table, columns } => {
                write!(f, "COPY {table}{} FROM STDIN {}", print::columns(columns), self.options)
            }
            Direction::ToStdout { query } => write!(f, "COPY ({query}) TO STDOUT {}", self.options),
        }
    }
}

impl fmt::Display for CopyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let byte = |byte: u8| quote_literal(&char::from(byte).to_string());
        let (delimiter, null) = (byte(self.delimiter), quote_literal(&self.null));
        match self.format {
            CopyFormat::Binary => write!(f, "WITH (FORMAT binary{})", print::optional(", SIZE ", self.size.as_ref())),
            CopyFormat::Text => {
                write!(f, "WITH (FORMAT text, DELIMITER {delimiter}, NULL {null}, HEADER {})", self.header)
            }
            CopyFormat::Csv => {
                let (quote, escape) = (byte(self.quote), byte(self.escape));
                write!(f, "WITH (FORMAT csv, DELIMITER {delimiter}, NULL {null}, HEADER {}, ", self.header)?;
                write!(f, "QUOTE {quote}, ESCAPE {escape})")
            }
        }
    }
}
