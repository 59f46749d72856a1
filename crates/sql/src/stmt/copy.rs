//! `COPY ... FROM STDIN | TO STDOUT`.

use lakeport_base::QualifiedName;

use super::query::Query;

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
}
