//! IMPORT INTO: files to rows of a table, all or none.
//!
//! `source` finds the files, `read` turns each file, or each row group of a Parquet file, into batches of the table's
//! columns, and `task` feeds them to the engine as one append. A few readers work at a time; a bounded queue holds
//! them back while the table's writer is busy.

mod batch;
mod bytes;
mod csv;
mod ndjson;
pub mod options;
mod parquet;
mod ranges;
mod read;
mod scan;
mod source;
mod task;

#[cfg(test)]
mod tests;

use lakeport_base::Secret;
use lakeport_base::id::TableId;

pub use options::{CsvOptions, Decompress, Format, ImportOptions};
pub use task::ImportTask;
pub(crate) use task::columns_of;

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
