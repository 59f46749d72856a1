//! Parquet to rows: columns by name, cast to the table's types. Ranges of row groups are read side by side.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, make_array, new_null_array};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::DataType;
use futures::StreamExt;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Column;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::batch::{Sink, Target, Wanted};
use super::options::Format;
use super::ranges::Ranges;
use super::read::Plan;
use super::source::SourceFile;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::rows::arrow_type;
use crate::value::{ColumnBuilder, TextColumn};

/// Reads the row groups of a file that start in a range of its bytes.
///
/// # Errors
/// 22P04 for what is no Parquet file; with `strict_validation`, 42703 for columns that differ.
pub(super) async fn read(plan: &Plan, file: &SourceFile, range: Range<u64>, sink: &Sink) -> Result<()> {
    let mut ranges = Ranges { file: file.clone(), meter: plan.meter.clone() };
    let metadata = ArrowReaderMetadata::load_async(&mut ranges, ArrowReaderOptions::new()).await;
    let metadata = metadata.map_err(|error| parquet_error(error, "not a Parquet file"))?;
    let strict = matches!(plan.options.format, Format::Parquet { strict: true });
    let sources = sources(&metadata, &plan.target, strict)?;
    let groups = metadata.metadata().row_groups().iter().enumerate();
    let groups = groups.filter(|(_, group)| range.contains(&group_start(group))).map(|(index, _)| index).collect();
    read_groups(plan, ranges, metadata, groups, &sources, sink).await
}

/// Where a row group's first column starts in the file; at its start, if that is not told.
fn group_start(group: &RowGroupMetaData) -> u64 {
    let first = group.columns().first();
    let offset = first.map_or(0, |column| column.dictionary_page_offset().unwrap_or(column.data_page_offset()));
    u64::try_from(offset).unwrap_or(0)
}

fn sources(metadata: &ArrowReaderMetadata, target: &Target, strict: bool) -> Result<Vec<Option<usize>>> {
    let fields = metadata.schema().fields();
    let find = |name: &str| {
        let exact = fields.iter().position(|field| field.name() == name);
        exact.or_else(|| fields.iter().position(|field| field.name().eq_ignore_ascii_case(name)))
    };
    let sources: Vec<Option<usize>> = target.columns.iter().map(|column| find(&column.name)).collect();
    if !strict {
        return Ok(sources);
    }
    let undefined = |message| Err(Error::new(Sqlstate::UNDEFINED_COLUMN, message));
    if let Some(missing) = sources.iter().position(Option::is_none) {
        return undefined(format!("column {:?} is not in the file", target.columns[missing].name));
    }
    match fields.iter().enumerate().find(|(index, _)| !sources.contains(&Some(*index))) {
        Some((_, field)) => undefined(format!("column {:?} of the file is no column of the table", field.name())),
        None => Ok(sources),
    }
}

/// Reads row groups, one after another.
async fn read_groups(
    plan: &Plan,
    ranges: Ranges,
    metadata: ArrowReaderMetadata,
    groups: Vec<usize>,
    sources: &[Option<usize>],
    sink: &Sink,
) -> Result<()> {
    let projection = ProjectionMask::roots(metadata.parquet_schema(), sources.iter().flatten().copied());
    // The reader answers the chosen columns in the order of the file.
    let mut chosen: Vec<usize> = sources.iter().flatten().copied().collect();
    chosen.sort_unstable();
    chosen.dedup();
    let positions: Vec<Option<usize>> =
        sources.iter().map(|source| chosen.binary_search(source.as_ref()?).ok()).collect();
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(ranges, metadata)
        .with_row_groups(groups)
        .with_projection(projection)
        .with_batch_size(sink.batch_rows().max(1))
        .build()
        .map_err(|error| parquet_error(error, "cannot read row group"))?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| parquet_error(error, "cannot read row group"))?;
        if sink.send(converted(&batch, &positions, &plan.target)?).await == Wanted::Enough {
            return Ok(());
        }
    }
    Ok(())
}

fn converted(batch: &RecordBatch, positions: &[Option<usize>], target: &Target) -> Result<RecordBatch> {
    let arrays = target.columns.iter().zip(positions).map(|(column, position)| match position {
        Some(position) => {
            let field = batch.schema_ref().field(*position);
            let array = batch.column(*position);
            convert(array, &crate::rows::sql_type(field), column)
                .map_err(|error| error.prefixed(&format!("column {:?} as {}", column.name, column.ty)))
        }
        None => Ok(new_null_array(&arrow_type(&column.ty), batch.num_rows())),
    });
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(target.schema.clone(), arrays).map_err(Error::internal)
}

/// A column of the file as the table has it. Texts go through the same readings as in CSV.
fn convert(array: &ArrayRef, from: &SqlType, column: &Column) -> Result<ArrayRef> {
    let to = arrow_type(&column.ty);
    if column.ty == SqlType::Text && is_text(array.data_type()) {
        return cast(array, &to);
    }
    if is_text(array.data_type()) || to == DataType::Utf8 {
        return through_text(array, from, &column.ty);
    }
    if !can_cast_types(array.data_type(), &to) {
        let message = format!("the file has values of type {}", array.data_type());
        return Err(Error::new(Sqlstate::DATATYPE_MISMATCH, message));
    }
    cast(array, &to)
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// Casts exactly. Times without a zone are taken for UTC.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if let (DataType::Timestamp(_, None), DataType::Timestamp(unit, Some(_))) = (array.data_type(), to) {
        let local = cast(array, &DataType::Timestamp(*unit, None))?;
        let data = local.to_data().into_builder().data_type(to.clone()).build().map_err(Error::internal)?;
        return Ok(make_array(data));
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &exact)
        .map_err(|error| Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, error.to_string()))
}

fn through_text(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::new(to, array.len());
    if let (SqlType::Uuid, DataType::FixedSizeBinary(16)) = (to, array.data_type()) {
        for value in array.as_fixed_size_binary() {
            match value {
                Some(bytes) => builder.append_text(&hexadecimal(bytes))?,
                None => builder.append_null(),
            }
        }
        return Ok(builder.finish());
    }
    let texts = TextColumn::new(array, from);
    let mut text = String::new();
    for row in 0..array.len() {
        if texts.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        texts.write(row, &mut text).map_err(Error::internal)?;
        builder.append_text(&text)?;
    }
    Ok(builder.finish())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A failure of the storage as such; anything else is the file's fault.
fn parquet_error(error: ParquetError, what: &str) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(error) => store_error(*error),
            Err(source) => Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, what).with_source(source),
        },
        error => Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("{what}: {error}")),
    }
}
