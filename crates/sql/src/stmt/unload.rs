//! `COPY INTO location`: rows to files.

use std::fmt;

use super::Statement;
use super::copy_option::{self, count, file_format, flag};
use super::query::{self, Query};
use super::stage::location::{Location, Parameter, location, named_list_text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `COPY INTO location FROM {table | (query)} [PARTITION BY (expr)] [FILE_FORMAT = (...)] [options]`
#[derive(Clone, Debug, PartialEq)]
pub struct Unload {
    pub to: Location,
    /// A table is read as `SELECT * FROM table`.
    pub query: Box<Query>,
    /// The expression, on the query's columns, for the folder of each row.
    pub partition_by: Option<String>,
    pub file_format: Option<Vec<Parameter>>,
    pub options: UnloadOptions,
}

/// The documented options with their defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct UnloadOptions {
    /// One file, whatever its size.
    pub single: bool,
    /// Size at which a file is full, in bytes before compression; 0 leaves it to the server.
    pub max_file_size: u64,
    /// A row of the result for each file.
    pub detailed_output: bool,
    /// A file that is there is replaced.
    pub overwrite: bool,
    /// Names of files hold an id of the statement.
    pub include_query_id: bool,
    /// The path is that of the file.
    pub use_raw_path: bool,
}

impl Default for UnloadOptions {
    fn default() -> UnloadOptions {
        UnloadOptions {
            single: false,
            max_file_size: 0,
            detailed_output: false,
            overwrite: false,
            include_query_id: true,
            use_raw_path: false,
        }
    }
}

/// After `COPY INTO`, when a location comes next.
pub(super) fn unload(c: &mut Cursor) -> Result<Statement> {
    let to = location(c)?;
    c.expect("FROM")?;
    let query = match c.is_open() {
        true => c.parenthesised(query::in_parentheses)?,
        false => Query::of_table(&c.name()?, &[]),
    };
    let (query, options) = (Box::new(query), UnloadOptions::default());
    let mut statement = Unload { to, query, partition_by: None, file_format: None, options };
    copy_option::read(OPTIONS, &mut statement, c)?;
    Ok(Statement::Unload(statement))
}

const OPTIONS: &[copy_option::Row<Unload>] = &[
    ("FILE_FORMAT", |unload, c| file_format(&mut unload.file_format, c)),
    ("SINGLE", |unload, c| flag(&mut unload.options.single, c)),
    ("MAX_FILE_SIZE", |unload, c| count(&mut unload.options.max_file_size, c)),
    ("DETAILED_OUTPUT", |unload, c| flag(&mut unload.options.detailed_output, c)),
    ("OVERWRITE", |unload, c| flag(&mut unload.options.overwrite, c)),
    ("INCLUDE_QUERY_ID", |unload, c| flag(&mut unload.options.include_query_id, c)),
    ("USE_RAW_PATH", |unload, c| flag(&mut unload.options.use_raw_path, c)),
    ("PARTITION BY", |unload, c| {
        unload.partition_by = Some(c.parenthesised(|c| query::expression(c, "PARTITION BY"))?);
        Ok(())
    }),
];

impl fmt::Display for Unload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unload { to, query, partition_by, file_format, options } = self;
        let partition = partition_by.as_ref().map(|expression| format!(" PARTITION BY ({expression})"));
        let partition = partition.unwrap_or_default();
        let file_format = named_list_text("FILE_FORMAT", file_format.as_deref());
        write!(f, "COPY INTO {to} FROM ({query}){partition}{file_format}{options}")
    }
}

/// Those that are not as they are by default.
impl fmt::Display for UnloadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(print::when(self.single, " SINGLE = TRUE"))?;
        if self.max_file_size > 0 {
            write!(f, " MAX_FILE_SIZE = {}", self.max_file_size)?;
        }
        f.write_str(print::when(self.detailed_output, " DETAILED_OUTPUT = TRUE"))?;
        f.write_str(print::when(self.overwrite, " OVERWRITE = TRUE"))?;
        f.write_str(print::when(!self.include_query_id, " INCLUDE_QUERY_ID = FALSE"))?;
        f.write_str(print::when(self.use_raw_path, " USE_RAW_PATH = TRUE"))
    }
}
