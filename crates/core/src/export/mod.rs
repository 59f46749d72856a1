//! EXPORT INTO: the rows of a query to files, one after another, with bounded memory.
//!
//! A file is full at `chunk_rows` or `chunk_size`, whichever comes first. When the export fails or is cancelled, the
//! files it has written are deleted.

mod csv;
mod ndjson;
pub mod options;
mod parquet;
mod run;
mod text;
mod upload;

#[cfg(test)]
mod tests;

pub use options::{Compression, ExportOptions, Format};
pub(crate) use run::{Exported, Place, start};
