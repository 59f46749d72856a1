//! Readers at work: files to one stream of batches.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use futures::stream::{self, BoxStream, StreamExt};
use lakeport_base::limits::{IMPORT_QUEUE_BATCHES, IMPORT_READERS};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::batch::{Sink, Target};
use super::bytes::{self, ReadMeter};
use super::options::{Format, ImportOptions};
use super::source::SourceFile;
use super::{csv, ndjson, parquet};
use crate::error::{Error, Result};
use crate::job::Progress;
use crate::rows::RowStream;

/// What every reader of one IMPORT knows.
pub(super) struct Plan {
    pub options: ImportOptions,
    pub target: Target,
    pub meter: Arc<ReadMeter>,
}

/// A part of the input that one reader reads by itself.
pub(super) enum Piece {
    File(SourceFile),
    RowGroup(parquet::RowGroup),
}

impl Piece {
    fn name(&self) -> &str {
        match self {
            Piece::File(file) => &file.name,
            Piece::RowGroup(group) => &group.file.name,
        }
    }
}

/// The first failure of a reader, as it was. The stream passes on a likeness of it, which an engine may wrap.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    fn set(&self, error: Error) -> Error {
        let likeness = Error::new(error.code(), error.message());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        likeness
    }

    /// The reader's failure if there was one, else what the engine said.
    pub fn explain(&self, error: Error) -> Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}

type Pieces = Arc<tokio::sync::Mutex<BoxStream<'static, Result<Piece>>>>;

/// Starts readers; their rows come as one stream, in no order. Dropping the stream stops them.
pub(super) fn start(
    options: ImportOptions,
    target: Target,
    files: Vec<SourceFile>,
    progress: Arc<Progress>,
) -> (RowStream, Failure) {
    let total_bytes = files.iter().map(|file| file.meta.size).sum();
    // A limit takes the first rows in the order of the files.
    let readers = if options.row_limit.is_some() { 1 } else { IMPORT_READERS };
    let (sender, batches) = mpsc::channel(IMPORT_QUEUE_BATCHES);
    let sink = Sink::new(sender, options.row_limit);
    let plan = Arc::new(Plan { options, target, meter: Arc::new(ReadMeter::new(progress, total_bytes)) });
    let pieces: Pieces = Arc::new(tokio::sync::Mutex::new(pieces_of(plan.clone(), files)));
    let failure = Failure::default();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let (plan, pieces, sink, failure) = (plan.clone(), pieces.clone(), sink.clone(), failure.clone());
        tasks.spawn(async move {
            if let Err(error) = read_pieces(&plan, &pieces, &sink).await {
                sink.fail(failure.set(error)).await;
            }
        });
    }
    (RowStream { schema: plan.target.schema.clone(), batches: collect(batches, tasks) }, failure)
}

/// Files, or their row groups.
fn pieces_of(plan: Arc<Plan>, files: Vec<SourceFile>) -> BoxStream<'static, Result<Piece>> {
    if !matches!(plan.options.format, Format::Parquet { .. }) {
        return stream::iter(files).map(|file| Ok(Piece::File(file))).boxed();
    }
    stream::iter(files)
        .then(move |file| {
            let plan = plan.clone();
            async move {
                let name = file.name.clone();
                parquet::row_groups(file, &plan).await.map_err(|error| error.prefixed(&name))
            }
        })
        .flat_map(|groups| match groups {
            Ok(groups) => stream::iter(groups).map(|group| Ok(Piece::RowGroup(group))).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .boxed()
}

/// The work of one reader.
async fn read_pieces(plan: &Plan, pieces: &Pieces, sink: &Sink) -> Result<()> {
    while sink.batch_rows() > 0 {
        let Some(piece) = pieces.lock().await.next().await.transpose()? else { return Ok(()) };
        let name = piece.name().to_string();
        read_piece(plan, piece, sink).await.map_err(|error| error.prefixed(&name))?;
    }
    Ok(())
}

async fn read_piece(plan: &Plan, piece: Piece, sink: &Sink) -> Result<()> {
    let file = match piece {
        Piece::File(file) => file,
        Piece::RowGroup(group) => return parquet::read(group, plan, sink).await,
    };
    let content = bytes::open(&file, plan.options.decompress, plan.meter.clone()).await?;
    match &plan.options.format {
        Format::Csv(options) => csv::read(content, options, &plan.target, sink).await,
        Format::Ndjson { strict } => ndjson::read(content, *strict, &plan.target, sink).await,
        Format::Parquet { .. } => Err(Error::internal("Parquet files are read by row group")),
    }
}

/// The batches of all readers. It ends well only when every reader has: one that died must not look like the end.
fn collect(
    batches: mpsc::Receiver<Result<RecordBatch>>,
    tasks: JoinSet<()>,
) -> BoxStream<'static, Result<RecordBatch>> {
    stream::unfold((batches, tasks), |(mut batches, mut tasks)| async move {
        if let Some(batch) = batches.recv().await {
            return Some((batch, (batches, tasks)));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                return Some((Err(Error::internal(error)), (batches, tasks)));
            }
        }
        None
    })
    .boxed()
}
