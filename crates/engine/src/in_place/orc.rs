//! ORC files: stripes of the columns that are wanted.

mod chunks;
mod lengths;
mod ranges;
#[cfg(test)]
mod tests;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use lakeport_base::Sqlstate;
use lakeport_base::limits::BATCH_ROWS;
use lakeport_core::databend::Number;
use lakeport_core::import::OTHER_FORMAT;
use lakeport_core::in_place::documents::documents_of;
use lakeport_core::in_place::{FileSet, PlacedFile};
use lakeport_core::{Error, Result};
use orc_rust::ArrowReaderBuilder;
use orc_rust::projection::ProjectionMask;
use orc_rust::schema::{DataType, NamedColumn, RootDataType};

use self::ranges::Ranges;
use super::columns::{as_table, require_same};
use crate::zoned::exactly;

/// Footers that are read at a time.
const AT_ONCE: usize = 4;
/// Rows that are decoded at once where some have lists.
const LISTS_ROWS: usize = 1024;
/// Lists and maps within each other.
const LISTS_DEPTH_MAX: usize = 4;
/// The decoder does not expect every kind of broken file.
const DECODER_DIED: &str = "the decoder of ORC files gave up";

/// The columns of the first file, which all have.
pub(super) async fn schema(files: &Arc<FileSet>) -> Result<SchemaRef> {
    let reads = (0..files.files.len()).map(|index| file_schema(files, index));
    let schemas: Vec<SchemaRef> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let Some(first) = schemas.first() else { return Ok(Arc::new(Schema::empty())) };
    for (other, file) in schemas.iter().zip(&files.files) {
        require_same((first, &files.files[0]), (other, file))?;
    }
    Ok(as_table(first))
}

/// The columns of one file, as it has them.
pub(crate) async fn file_schema(files: &FileSet, index: usize) -> Result<SchemaRef> {
    let file = &files.files[index];
    let opened = open(files, file, None).await?;
    catch_unwind(AssertUnwindSafe(|| opened.schema())).map_err(|_| broken(DECODER_DIED, file))
}

/// Columns of a file by their indexes in `schema`.
pub(super) fn rows(
    files: &Arc<FileSet>,
    file: usize,
    schema: &SchemaRef,
    columns: &[usize],
) -> BoxStream<'static, Result<RecordBatch>> {
    let (files, schema, columns) = (Arc::clone(files), Arc::clone(schema), columns.to_vec());
    let batches = async move {
        let wanted = Arc::new(schema.project(&columns).map_err(Error::internal)?);
        let names: Vec<String> = wanted.fields().iter().map(|field| field.name().clone()).collect();
        let batches = batches(&files, file, Some(&names)).await?;
        Ok(batches.map(move |batch| as_wanted(&batch?, &wanted)))
    };
    batches.try_flatten_stream().boxed()
}

/// The rows of a file, each as one JSON value, or no columns of them.
pub(super) fn documents(
    files: &Arc<FileSet>,
    file: usize,
    columns: &[usize],
) -> BoxStream<'static, Result<RecordBatch>> {
    let (files, columns) = (Arc::clone(files), columns.to_vec());
    let batches = async move {
        let batches = batches(&files, file, None).await?;
        Ok(batches.map(move |batch| documents_of(&batch?, !columns.is_empty())))
    };
    batches.try_flatten_stream().boxed()
}

/// The file's columns of these names, or all.
async fn batches(
    files: &Arc<FileSet>,
    file: usize,
    names: Option<&[String]>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let file = files.files[file].clone();
    let opened = open(files, &file, names).await?;
    let depth = lists_depth(opened.file_metadata().root_data_type(), names, &file)?;
    let mask = names.map(|names| ProjectionMask::named_roots(opened.file_metadata().root_data_type(), names));
    let rows = if depth > 0 { LISTS_ROWS } else { BATCH_ROWS };
    let opened = opened.with_batch_size(rows).with_projection(mask.unwrap_or_else(ProjectionMask::all));
    let batches = AssertUnwindSafe(opened.build_async()).catch_unwind();
    Ok(batches
        .map(move |batch| batch.map_err(|_| broken(DECODER_DIED, &file))?.map_err(|error| broken(error, &file)))
        .boxed())
}

/// How many lists and maps stand within each other in columns of these names, or any.
///
/// # Errors
/// 0A000 for more than are bounded by what is held of each.
fn lists_depth(root: &RootDataType, names: Option<&[String]>, file: &PlacedFile) -> Result<usize> {
    let is_wanted = |column: &&NamedColumn| names.is_none_or(|names| names.iter().any(|name| name == column.name()));
    let wanted = root.children().iter().filter(is_wanted);
    let deepest = wanted.map(|column| (depth_of(column.data_type()), column.name())).max();
    match deepest {
        Some((depth, name)) if depth > LISTS_DEPTH_MAX => {
            let message = format!("{}: column {name:?} has {depth} lists or maps within each other", file.uri);
            let hint = format!("of ORC {LISTS_DEPTH_MAX} are read; name the other columns, or use Parquet");
            Err(Error::databend(Number::UNIMPLEMENTED, message).with_hint(hint))
        }
        deepest => Ok(deepest.map_or(0, |(depth, _)| depth)),
    }
}

fn depth_of(ty: &DataType) -> usize {
    match ty {
        DataType::List { child, .. } => 1 + depth_of(child),
        DataType::Map { key, value, .. } => 1 + depth_of(key).max(depth_of(value)),
        DataType::Struct { children, .. } => {
            children.iter().map(|column| depth_of(column.data_type())).max().unwrap_or(0)
        }
        DataType::Union { variants, .. } => variants.iter().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// A batch of the file with the columns, in the order and of the types that the table has.
fn as_wanted(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch> {
    let columns = wanted.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name());
        exactly(column.ok_or_else(|| Error::internal("a column of the file is missing"))?, field.data_type())
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &rows).map_err(Error::internal)
}

/// A file whose columns of these names are read, or all.
async fn open(files: &FileSet, file: &PlacedFile, names: Option<&[String]>) -> Result<ArrowReaderBuilder<Ranges>> {
    match opened(files, file, names).await {
        Err(error) => Err(files.explained(file, error).await),
        opened => opened,
    }
}

async fn opened(files: &FileSet, file: &PlacedFile, names: Option<&[String]>) -> Result<ArrowReaderBuilder<Ranges>> {
    let ranges = Ranges::open(files, file, names).await.map_err(|error| broken(error, file))?;
    let opened = AssertUnwindSafe(ArrowReaderBuilder::try_new_async(ranges)).catch_unwind().await;
    opened.map_err(|_| broken(DECODER_DIED, file))?.map_err(|error| broken(error, file))
}

/// The storage's own error, or 22P04 with the file's name.
fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>, file: &PlacedFile) -> Error {
    let error = error.into();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(ours) = io.and_then(|inner| inner.downcast_ref::<Error>()) {
            return crate::error::copied(ours);
        }
        cause = inner.source().or_else(|| inner.downcast_ref::<ArrowError>().and_then(std::error::Error::source));
    }
    Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("{}: not an ORC file, or a broken one", file.uri))
        .with_hint(OTHER_FORMAT)
        .with_source(error)
}
