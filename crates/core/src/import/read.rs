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
use super::tally::Tally;
use super::text::{self, Input, LeaveOut};
use super::{avro, parquet, tally};
use crate::charset::decoded;
use crate::error::{Error, Result};

/// What every reader of one IMPORT knows.
pub(crate) struct Plan {
    pub options: ImportOptions,
    pub target: Target,
    pub meter: Arc<ReadMeter>,
    /// Rows that do not fit are counted, and so many of one part end the import; without it the first does.
    pub errors_max: Option<u64>,
}

/// What was read of a part.
pub(crate) struct Found {
    /// Told of ranges only.
    pub extent: Extent,
    /// Of each file, where errors are counted.
    pub tallies: Vec<Tally>,
}

/// Reads a part.
///
/// # Errors
/// Those of a file, with its name before them.
pub(super) async fn read(plan: &Plan, part: &Part, start: Start, sink: &Sink) -> Result<Found> {
    match plan.errors_max {
        Some(errors_max) => tally::read(plan, part, start, errors_max, sink).await,
        None => Ok(Found { extent: read_all(plan, part, start, sink).await?, tallies: Vec::new() }),
    }
}

async fn read_all(plan: &Plan, part: &Part, start: Start, sink: &Sink) -> Result<Extent> {
    let files = match part {
        Part::Files(files) => files,
        Part::Range(file, range) => {
            let read = read_range(plan, file, start, range.end, None, sink);
            return read.await.map_err(|error| error.prefixed(&file.name));
        }
    };
    for file in files {
        if sink.batch_rows() == 0 {
            break;
        }
        let mut rejected = plan.options.save_rejected.then(Rejected::default);
        let leave_out = rejected.as_mut().map(|rejected| rejected as &mut dyn LeaveOut);
        read_file(plan, file, leave_out, sink).await.map_err(|error| error.prefixed(&file.name))?;
        if let Some(rejected) = rejected {
            rejected.save(file).await.map_err(|error| error.prefixed(&file.name))?;
        }
    }
    Ok(Extent::default())
}

/// Reads a whole file. Rows of text that do not fit go to `rejected`.
pub(super) async fn read_file(
    plan: &Plan,
    file: &SourceFile,
    rejected: Option<&mut dyn LeaveOut>,
    sink: &Sink,
) -> Result<()> {
    match &plan.options.format {
        Format::Parquet { names } => return parquet::read(plan, *names, file, 0..u64::MAX, sink).await,
        Format::Other(rows) => return rows.0.read(file, &plan.target, sink).await,
        _ => {}
    }
    let pieces = bytes::open(file, plan.options.decompress, plan.meter.clone()).await?;
    let pieces = decoded(pieces, plan.options.charset);
    if let Format::Avro(options) = &plan.options.format {
        let shape = avro::as_table(options.names, &plan.target);
        return avro::read(pieces, &options.form, &shape, sink).await;
    }
    read_text(plan, Input { pieces, start: Start::OF_FILE, end: u64::MAX }, rejected, sink).await.map(drop)
}

/// Reads the records of a file that start before `end`.
pub(super) async fn read_range(
    plan: &Plan,
    file: &SourceFile,
    start: Start,
    end: u64,
    rejected: Option<&mut dyn LeaveOut>,
    sink: &Sink,
) -> Result<Extent> {
    let (offset, first) = match start {
        Start::Known { offset, .. } => (offset, offset),
        // A record starts here if the byte before ends one.
        Start::Guess { offset } => (offset, offset - 1),
    };
    if let Format::Parquet { names } = plan.options.format {
        parquet::read(plan, names, file, offset..end, sink).await?;
        return Ok(Extent { start: offset, end, records: 0 });
    }
    let pieces = bytes::open_from(file, first, plan.meter.clone()).await?;
    read_text(plan, Input { pieces, start, end }, rejected, sink).await
}

async fn read_text(plan: &Plan, input: Input, rejected: Option<&mut dyn LeaveOut>, sink: &Sink) -> Result<Extent> {
    let target = &plan.target;
    match &plan.options.format {
        Format::Csv(options) => text::read(Csv::new(options, target), input, target, rejected, sink).await,
        Format::Delimited(options) => text::read(Delimited::new(options, target), input, target, rejected, sink).await,
        Format::Ndjson { names, null_is_default } => {
            text::read(Ndjson::new(*names, *null_is_default, target), input, target, rejected, sink).await
        }
        Format::Avro(_) | Format::Parquet { .. } | Format::Other(_) => Err(Error::internal("no format of text")),
    }
}
