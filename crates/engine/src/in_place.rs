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

use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use lakeport_base::Sqlstate;
use lakeport_core::databend::Number;
use lakeport_core::import::OTHER_FORMAT;
use lakeport_core::in_place::FileSet;
use lakeport_core::stage::format::FormatType;
use lakeport_core::stage::format::options::NULL_IF;
use lakeport_core::{Error, Result};

pub(crate) use self::documents::Documents;
pub(crate) use self::known::Known;
pub(crate) use self::orc::file_schema;
use self::parquet::ParquetFiles;
use self::reader::Readers;
pub(crate) use self::reading::Reading;
use self::rows::RowFiles;
pub(crate) use self::wildcard::Mentions;
use crate::error::{CASTS_MAY_HELP, from_datafusion};

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
            let readers = Readers { files: files.clone(), known: known.clone(), reading: reading.add(files) };
            let table = Arc::new(ParquetFiles::open(name, readers, mentions.metadata).await?);
            match NULL_IF.list(&files.format) {
                [] => Ok(table),
                texts => nulls::with_nulls(name, table, texts).map_err(from_datafusion),
            }
        }
        _ => Ok(Arc::new(RowFiles::open(files, mentions.metadata).await?)),
    }
}

/// The files that a statement reads.
#[derive(Clone, Debug)]
pub(crate) struct FilesRead {
    pub sets: Vec<Arc<FileSet>>,
    /// It reads nothing else.
    pub alone: bool,
}

impl FilesRead {
    /// The error of planning the statement, with what the columns of its files are. Beside a table it may be about that one,
    /// and what it hints at itself counts.
    pub fn with_hint(&self, error: Error) -> Error {
        match (error.code(), error.hint()) {
            (Sqlstate::UNDEFINED_COLUMN, hint) if self.alone || hint.is_none() => self.without_column(error),
            (Sqlstate::UNDEFINED_FUNCTION, Some(hint)) if self.alone && hint.ends_with(CASTS_MAY_HELP) => {
                with_cast(error, &self.sets)
            }
            (Sqlstate::DATATYPE_MISMATCH, None) if self.alone => with_cast(error, &self.sets),
            _ => error,
        }
    }

    fn without_column(&self, error: Error) -> Error {
        if let Some(set) = self.sets.iter().find(|set| set.files.is_empty()) {
            return without_files(set).with_source(error);
        }
        let by_position = self.sets.iter().find(|set| !set.positions.is_empty() || has_no_names(set.format.ty));
        let hint = by_position.map(|set| column_hint(set.format.ty, column_of(&error)));
        error.with_hint_opt(hint)
    }
}

/// An error of types, which columns by position do not have.
fn with_cast(error: Error, files: &[Arc<FileSet>]) -> Error {
    let cast = files.iter().find(|set| !set.positions.is_empty()).map(|set| match set.format.ty {
        FormatType::Csv | FormatType::Text => "fields are text: cast them first, as in $1::INT + 1",
        _ => "values of JSON have no type: cast them first, as in $1:name::INT + 1",
    });
    error.with_hint_opt(cast.map(str::to_string))
}

/// Whether files of a type have no columns by name.
fn has_no_names(ty: FormatType) -> bool {
    matches!(ty, FormatType::Csv | FormatType::Text | FormatType::Ndjson | FormatType::Avro)
}

/// The column that an error misses, if it can be written behind `$1:` as it is.
fn column_of(error: &Error) -> Option<&str> {
    let named = error.message().strip_prefix("column ")?.strip_suffix(" does not exist")?;
    let name = named.rsplit('.').next()?.trim_matches('"');
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_plain.then_some(name)
}

fn column_hint(ty: FormatType, column: Option<&str>) -> String {
    match ty {
        FormatType::Csv | FormatType::Text => format!("columns of {} files go by position: $1, $2, ...", ty.name()),
        _ => format!("$1 is a whole row of {} files: write $1:{}", ty.name(), column.unwrap_or("name")),
    }
}

/// The error of a statement that names columns of no files.
fn without_files(set: &FileSet) -> Error {
    let message = "no files found. specify a prefix/pattern/files that matches at least one file";
    Error::databend(Number::SEMANTIC, message).with_detail(set.absence())
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
