//! Parquet to rows: columns by name, cast to the table's types. Ranges of row groups are read side by side.

use std::ops::Range;

use futures::StreamExt;
use lakeport_base::Sqlstate;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use super::batch::{Sink, Wanted};
use super::columns::{Matched, converted};
use super::options::ByName;
use super::ranges::Ranges;
use super::read::Plan;
use super::source::SourceFile;
use crate::error::{Error, Result};
use crate::external::store_error;

/// Reads the row groups of a file that start in a range of its bytes.
///
/// # Errors
/// 22P04 for what is no Parquet file, 42703 for columns that must not differ.
pub(super) async fn read(plan: &Plan, names: ByName, file: &SourceFile, range: Range<u64>, sink: &Sink) -> Result<()> {
    let mut ranges = Ranges { file: file.clone(), meter: plan.meter.clone() };
    let metadata = ArrowReaderMetadata::load_async(&mut ranges, ArrowReaderOptions::new()).await;
    let metadata = metadata.map_err(not_parquet)?;
    let matched = Matched::new(metadata.schema().fields(), &plan.target, names)?;
    let groups = metadata.metadata().row_groups().iter().enumerate();
    let groups = groups.filter(|(_, group)| range.contains(&group_start(group))).map(|(index, _)| index).collect();
    read_groups(plan, ranges, metadata, groups, (&matched, names), sink).await
}

/// Where a row group's first column starts in the file; at its start, if that is not told.
fn group_start(group: &RowGroupMetaData) -> u64 {
    let first = group.columns().first();
    let offset = first.map_or(0, |column| column.dictionary_page_offset().unwrap_or(column.data_page_offset()));
    u64::try_from(offset).unwrap_or(0)
}

/// Reads row groups, one after another.
async fn read_groups(
    plan: &Plan,
    ranges: Ranges,
    metadata: ArrowReaderMetadata,
    groups: Vec<usize>,
    (matched, names): (&Matched, ByName),
    sink: &Sink,
) -> Result<()> {
    let projection = ProjectionMask::roots(metadata.parquet_schema(), matched.chosen());
    let positions = matched.among_chosen();
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(ranges, metadata)
        .with_row_groups(groups)
        .with_projection(projection)
        .with_batch_size(sink.batch_rows().max(1))
        .build()
        .map_err(|error| parquet_error(error, "cannot read row group"))?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| parquet_error(error, "cannot read row group"))?;
        if sink.send(converted(&batch, &positions, &plan.target, names)?).await == Wanted::Enough {
            return Ok(());
        }
    }
    Ok(())
}

/// The remedy for a file that is not what it is read as.
pub const OTHER_FORMAT: &str =
    "see that the file is whole; FILE_FORMAT, or the DATA clause of IMPORT, says what files are read as";

/// A file that does not begin or end as a Parquet file does.
pub(crate) fn not_parquet(error: ParquetError) -> Error {
    match parquet_error(error, "not a Parquet file, or a broken one") {
        error if error.code() == Sqlstate::BAD_COPY_FILE_FORMAT => error.with_hint(OTHER_FORMAT),
        error => error,
    }
}

/// A failure of the storage as such; anything else is the file's fault.
pub(crate) fn parquet_error(error: ParquetError, what: &str) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(error) => store_error(*error),
            Err(source) => Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, what).with_source(source),
        },
        error => Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("{what}: {error}")),
    }
}
