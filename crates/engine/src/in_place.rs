//! Files that a statement reads where they lie, as its tables.

mod columns;
mod documents;
mod footers;
mod known;
mod nulls;
mod orc;
mod parquet;
mod pieces;
mod reader;
mod reading;
mod rows;
mod wildcard;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use lakeport_base::Sqlstate;
use lakeport_core::databend::Number;
use lakeport_core::import::OTHER_FORMAT;
use lakeport_core::in_place::FileSet;
use lakeport_core::stage::format::{FormatType, NULL_IF};
use lakeport_core::{Error, Result};

pub(crate) use self::documents::Documents;
pub(crate) use self::known::Known;
use self::parquet::ParquetFiles;
use self::reader::Readers;
pub(crate) use self::reading::Reading;
use self::rows::RowFiles;
pub(crate) use self::wildcard::Mentions;
use crate::error::from_datafusion;

/// A table over files. `name` stands for them in a statement that mentions these columns.
///
/// # Errors
/// What keeps the files from being read, and columns that files of their format do not have.
pub(crate) async fn provider(
    name: &str,
    files: &Arc<FileSet>,
    mentions: &Mentions,
    known: &Arc<Known>,
    reading: &Reading,
) -> Result<Arc<dyn TableProvider>> {
    mentions.check(name, files)?;
    match files.format.ty {
        FormatType::Parquet if files.positions.is_empty() => {
            reading.add(files);
            let readers = Readers { files: files.clone(), known: known.clone(), reading: reading.clone() };
            let table = Arc::new(ParquetFiles::open(name, readers, mentions.metadata).await?);
            match NULL_IF.list(&files.format) {
                [] => Ok(table),
                texts => nulls::with_nulls(name, table, texts).map_err(from_datafusion),
            }
        }
        _ => Ok(Arc::new(RowFiles::open(files, mentions.metadata).await?)),
    }
}

/// The columns of a file of a format that is read here only.
///
/// # Errors
/// What keeps it from being read.
pub(crate) async fn file_columns(files: &FileSet, file: usize) -> Result<SchemaRef> {
    orc::file_schema(files, file).await
}

/// The error of a statement that names columns of no files.
pub(crate) fn without_files(error: Error) -> Error {
    if error.code() != Sqlstate::UNDEFINED_COLUMN {
        return error;
    }
    let message = "no files found. specify a prefix/pattern/files that matches at least one file";
    Error::databend(Number::SEMANTIC, message).with_source(error)
}

/// The error of a file that cannot be read as what it should be.
fn unreadable(error: DataFusionError, format: &str, uri: &str) -> Error {
    let error = from_datafusion(error);
    match error.code() {
        Sqlstate::DATA_CORRUPTED | Sqlstate::INTERNAL_ERROR => {
            Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("{uri}: not a {format} file, or a broken one"))
                .with_hint(OTHER_FORMAT)
                .with_source(error)
        }
        // The storage names the file.
        _ => error,
    }
}
