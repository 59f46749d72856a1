//! EXPORT INTO: the rows of a query to files, cut in the order of the rows, with bounded memory.
//!
//! A file is full at `chunk_rows` or `chunk_size`, whichever comes first. When the export fails or is cancelled, the
//! files it has written are deleted.

mod csv;
mod file;
pub(crate) mod ndjson;
pub mod options;
mod parquet;
mod piece;
mod run;
mod text;
mod upload;

#[cfg(test)]
mod tests;

pub use options::{Compression, CsvForm, ExportOptions, Format, Quoting};
pub(crate) use run::{Exported, Place, start};
pub(crate) use upload::{PART_BYTES, Upload, io_error};
