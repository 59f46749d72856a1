//! IMPORT INTO: files to rows of a table, all or none.
//!
//! `source` finds the files and `part` cuts them into parts. A few readers work at a time: `read` turns a part into
//! batches of the table's columns, held back by a bounded queue, and `staging` has the engine write them to files that
//! nobody sees. `task` keeps account of the parts, so that a restart goes on where it stopped, and makes them rows of the
//! table in one append.

pub(crate) mod avro;
pub(crate) mod batch;
pub(crate) mod bytes;
pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod delimited;
pub(crate) mod ndjson;
pub mod options;
pub(crate) mod parquet;
pub(crate) mod part;
pub(crate) mod ranges;
pub(crate) mod read;
mod reject;
pub(crate) mod rules;
pub(crate) mod scan;
mod snappy;
pub(crate) mod source;
pub(crate) mod staging;
pub(crate) mod tally;
mod task;
pub(crate) mod text;
mod zip;

#[cfg(test)]
mod tests;

use lakeport_base::Secret;
use lakeport_base::id::TableId;

use crate::engine::StagedRows;

pub use options::{
    AvroForm, AvroOptions, ByName, CsvOptions, Decompress, DelimitedOptions, EmptyField, Format, ImportOptions, Missing,
};
pub use parquet::OTHER_FORMAT;
pub use part::Extent;
pub(crate) use source::read_small;
pub use staging::StagedPart;
pub use task::ImportTask;
pub(crate) use task::PRIVILEGES;

/// What one IMPORT is to do; everything but the URIs is free of secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOrder {
    pub table: TableId,
    /// Names of the columns that the files fill, in order.
    pub columns: Vec<String>,
    /// Upper case, as in the statement.
    pub format: String,
    /// As in the statement.
    pub options: Vec<(String, Option<String>)>,
    /// As in the statement.
    pub uris: Secret<Vec<String>>,
}

/// What an import has staged so far: its first parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StagedImport {
    /// What the parts are parts of, see `part::source_of`.
    pub source: u64,
    pub parts: Vec<StagedPart>,
}

impl StagedImport {
    fn rows(&self) -> Vec<StagedRows> {
        self.parts.iter().map(|part| part.rows.clone()).collect()
    }
}
