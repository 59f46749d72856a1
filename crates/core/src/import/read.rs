//! Parts of the input to batches of the table's columns.

use std::sync::Arc;

use super::batch::{Sink, Target};
use super::bytes::{self, ReadMeter};
use super::csv::Csv;
use super::delimited::Delimited;
use super::ndjson::Ndjson;
use super::options::{Format, ImportOptions};
use super::part::{Extent, Part, Start};
use super::reject::Rejected;
use super::source::SourceFile;
use super::text::{self, Input};
use super::{avro, parquet};
use crate::error::{Error, Result};

/// What every reader of one IMPORT knows.
pub(super) struct Plan {
    pub options: ImportOptions,
    pub target: Target,
    pub meter: Arc<ReadMeter>,
}

/// Reads a part; answers what it was, which is told of ranges only.
///
/// # Errors
/// Those of a file, with its name before them.
pub(super) async fn read(plan: &Plan, part: &Part, start: Start, sink: &Sink) -> Result<Extent> {
    let files = match part {
        Part::Files(files) => files,
        Part::Range(file, range) => {
            let read = read_range(plan, file, start, range.end, sink);
            return read.await.map_err(|error| error.prefixed(&file.name));
        }
    };
    for file in files {
        if sink.batch_rows() == 0 {
            break;
        }
        read_file(plan, file, sink).await.map_err(|error| error.prefixed(&file.name))?;
    }
    Ok(Extent::default())
}

async fn read_file(plan: &Plan, file: &SourceFile, sink: &Sink) -> Result<()> {
    if let Format::Parquet { .. } = plan.options.format {
        return parquet::read(plan, file, 0..u64::MAX, sink).await;
    }
    let pieces = bytes::open(file, plan.options.decompress, plan.meter.clone()).await?;
    if let Format::Avro(options) = &plan.options.format {
        let shape = avro::as_table(options.strict, &plan.target);
        return avro::read(pieces, &options.form, &shape, sink).await;
    }
    let mut rejected = plan.options.save_rejected.then(Rejected::default);
    read_text(plan, Input { pieces, start: Start::OF_FILE, end: u64::MAX }, rejected.as_mut(), sink).await?;
    match rejected {
        Some(rejected) => rejected.save(file).await,
        None => Ok(()),
    }
}

async fn read_range(plan: &Plan, file: &SourceFile, start: Start, end: u64, sink: &Sink) -> Result<Extent> {
    let (offset, first) = match start {
        Start::Known { offset, .. } => (offset, offset),
        // A record starts here if the byte before ends one.
        Start::Guess { offset } => (offset, offset - 1),
    };
    if let Format::Parquet { .. } = plan.options.format {
        parquet::read(plan, file, offset..end, sink).await?;
        return Ok(Extent { start: offset, end, records: 0 });
    }
    let pieces = bytes::open_from(file, first, plan.meter.clone()).await?;
    read_text(plan, Input { pieces, start, end }, None, sink).await
}

async fn read_text(plan: &Plan, input: Input, rejected: Option<&mut Rejected>, sink: &Sink) -> Result<Extent> {
    let target = &plan.target;
    match &plan.options.format {
        Format::Csv(options) => text::read(Csv::new(options, target), input, target, rejected, sink).await,
        Format::Delimited(options) => text::read(Delimited::new(options, target), input, target, rejected, sink).await,
        Format::Ndjson { strict } => text::read(Ndjson::new(*strict, target), input, target, rejected, sink).await,
        Format::Avro(_) | Format::Parquet { .. } => Err(Error::internal("no format of text")),
    }
}
