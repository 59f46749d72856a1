//! From rows to files: rows are encoded a few batches ahead, in order, and cut into files, of which a few are written at
//! a time.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Schema, SchemaRef};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use lakeport_base::Sqlstate;
use lakeport_base::limits::{IMPORT_FILES_MAX, cores};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::file::{File, Piece};
use super::options::ExportOptions;
use super::piece::Encoded;
use crate::error::{Error, Result};
use crate::rows::{RowStream, pieces, row_bytes};

/// Pieces that wait for a file to be written.
const QUEUE_PIECES: usize = 16;
/// Files of a statement whose rows tell where they go.
const PART_FILES_MAX: usize = IMPORT_FILES_MAX;
/// The part of rows that tell none.
const NO_PART: &str = "";

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub name: String,
    pub rows: u64,
    /// Before compression.
    pub plain_bytes: u64,
    pub bytes: u64,
}

/// What a file is called, from the part of its rows and its number, from 0.
type NameFile = dyn Fn(&str, usize) -> Result<String> + Send;

/// Rows of one part.
type Part = (Arc<str>, RecordBatch);

/// Where the files go and what they are called.
pub(crate) struct Place {
    pub store: Arc<dyn ObjectStore>,
    /// The storage as errors name it.
    pub uri: String,
    /// Each file has a name of its own.
    pub name: Box<NameFile>,
    /// Whether the last column is no part of the files: it tells the part of each row, and rows of one part come together.
    pub has_parts: bool,
    /// Whether there is one file, whose name somebody chose: it appears with the last row, and without rows too. A file of
    /// that name may be another's, so none is deleted.
    pub is_chosen: bool,
}

impl Place {
    /// The error with the storage's name, if it is the storage's.
    fn named_in(&self, error: Error) -> Error {
        let classes = ["08", "28", "53", "58"];
        let is_of_storage = classes.iter().any(|class| error.code().code().starts_with(class));
        if is_of_storage { error.prefixed(&self.uri) } else { error }
    }
}

/// Starts an export; it stops when `stop` fires. It runs as a task, so that it can clean up whatever becomes of the
/// statement.
pub(crate) fn start(
    rows: RowStream,
    options: ExportOptions,
    place: Place,
    stop: CancellationToken,
) -> JoinHandle<Result<Vec<Exported>>> {
    tokio::spawn(async move {
        let schema = if place.has_parts { without_last(&rows.schema) } else { rows.schema.clone() };
        let mut export = Export::new(options, place, schema);
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Error::canceled()),
            outcome = export.write_all(rows) => outcome,
        };
        match outcome {
            Ok(()) => Ok(export.files),
            Err(error) => {
                export.clean_up().await;
                Err(error)
            }
        }
    })
}

/// The file that rows go to.
struct Open {
    pieces: mpsc::Sender<Piece>,
    rows: u64,
    /// Before compression.
    bytes: u64,
}

struct Export {
    options: Arc<ExportOptions>,
    schema: SchemaRef,
    place: Place,
    open: Option<Open>,
    /// That of the rows of the open file.
    part: Arc<str>,
    /// The tasks that write the last of `files`.
    writing: VecDeque<JoinHandle<Result<u64>>>,
    /// All files, whether complete or not.
    files: Vec<Exported>,
    /// Fires when no file is to be completed any more.
    given_up: CancellationToken,
}

impl Export {
    fn new(options: ExportOptions, place: Place, schema: SchemaRef) -> Export {
        let (options, given_up) = (Arc::new(options), CancellationToken::new());
        Export {
            options,
            schema,
            place,
            open: None,
            part: NO_PART.into(),
            writing: VecDeque::new(),
            files: Vec::new(),
            given_up,
        }
    }

    async fn write_all(&mut self, rows: RowStream) -> Result<()> {
        self.options.format.require_names(&self.schema)?;
        let has_parts = self.place.has_parts;
        let parts = rows.batches.map(move |batch| match batch? {
            batch if has_parts => parts_of(&batch),
            batch => Ok(vec![(NO_PART.into(), batch)]),
        });
        let mut encoded = encode_all(&self.options, parts.boxed());
        while let Some(encoded) = encoded.next().await {
            let (part, mut encoded) = encoded?;
            if part != self.part {
                (self.open, self.part) = (None, part);
            }
            while encoded.rows() > 0 {
                self.write_some(&mut encoded).await?;
            }
        }
        if self.files.is_empty() && self.place.is_chosen {
            let rows = Encoded::new(&self.options.format, &RecordBatch::new_empty(self.schema.clone()), 1)?;
            self.open = Some(self.open_file(&rows).await?);
        }
        self.open = None;
        self.wait(0).await
    }

    /// Takes the rows that still go into the open file.
    async fn write_some(&mut self, encoded: &mut Encoded) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                self.wait(cores() - 1).await?;
                let open = self.open_file(encoded).await?;
                self.open.insert(open)
            }
        };
        let bytes_max = self.options.chunk_bytes.saturating_sub(open.bytes);
        let rows_max = self.options.chunk_rows - open.rows;
        let taken = encoded.take(usize::try_from(rows_max).unwrap_or(usize::MAX), bytes_max);
        open.rows += taken.rows as u64;
        open.bytes = open.bytes.saturating_add(taken.bytes);
        let is_full = open.rows >= self.options.chunk_rows || open.bytes >= self.options.chunk_bytes;
        // A task that has failed takes nothing more, and its end says why.
        let failed = open.pieces.send(taken.piece).await.is_err();
        if let Some(file) = self.files.last_mut() {
            (file.rows, file.plain_bytes) = (open.rows, open.bytes);
        }
        if is_full || failed {
            self.open = None;
        }
        if failed { self.wait(0).await } else { Ok(()) }
    }

    async fn open_file(&mut self, rows: &Encoded) -> Result<Open> {
        if self.place.has_parts && self.files.len() == PART_FILES_MAX {
            let message = format!("the rows make more than {PART_FILES_MAX} files");
            return Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
                .with_hint("PARTITION BY takes an expression of few values"));
        }
        let name = (self.place.name)(&self.part, self.files.len())?;
        let (store, path) = (self.place.store.clone(), Path::parse(&name).map_err(Error::internal)?);
        let file = File::new(rows, &self.options, store, path)?;
        let (pieces, queue) = mpsc::channel(QUEUE_PIECES);
        self.writing.push_back(tokio::spawn(file.write_all(queue, self.given_up.clone())));
        self.files.push(Exported { name, rows: 0, plain_bytes: 0, bytes: 0 });
        if let Some(header) = self.options.format.header(&self.schema) {
            // A task that has failed takes nothing; its end says why.
            pieces.send(Piece::Text(header)).await.ok();
        }
        Ok(Open { pieces, rows: 0, bytes: 0 })
    }

    /// Waits until so many files at most are being written.
    async fn wait(&mut self, count: usize) -> Result<()> {
        while self.writing.len() > count {
            let first = self.files.len() - self.writing.len();
            let Some(task) = self.writing.front_mut() else { break };
            let written = task.await;
            self.writing.pop_front();
            let written = written.map_err(Error::internal)?;
            self.files[first].bytes = written.map_err(|error| self.place.named_in(error))?;
        }
        Ok(())
    }

    /// Deletes what was written; what cannot be deleted is named in the log.
    async fn clean_up(&mut self) {
        self.given_up.cancel();
        self.open = None;
        for task in self.writing.drain(..) {
            if let Ok(Err(error)) = task.await {
                tracing::debug!(%error, "file of a failed export not written");
            }
        }
        for file in self.files.drain(..).filter(|_| !self.place.is_chosen) {
            let Ok(path) = Path::parse(&file.name) else { continue };
            match self.place.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    let error = lakeport_connect::Error::from(error);
                    tracing::info!(file = file.name, %error, "file of a failed export not deleted");
                }
            }
        }
    }
}

/// The runs of rows of one part, without the column that tells it.
fn parts_of(batch: &RecordBatch) -> Result<Vec<Part>> {
    let last = batch.num_columns() - 1;
    let rows = batch.project(&(0..last).collect::<Vec<_>>()).map_err(Error::internal)?;
    let parts = arrow_cast::cast(batch.column(last), &DataType::Utf8).map_err(Error::internal)?;
    let parts: Vec<Option<&str>> = parts.as_string::<i32>().iter().collect();
    let mut start = 0;
    let run = |run: &[Option<&str>]| {
        let rows = rows.slice(start, run.len());
        start += run.len();
        (Arc::from(run[0].unwrap_or(NO_PART)), rows)
    };
    Ok(parts.chunk_by(|one, next| one == next).map(run).collect())
}

fn without_last(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields();
    Arc::new(Schema::new(fields[..fields.len() - 1].to_vec()))
}

/// Encodes rows on threads of their own, a few ahead of the files.
fn encode_all(
    options: &Arc<ExportOptions>,
    batches: BoxStream<'static, Result<Vec<Part>>>,
) -> impl Stream<Item = Result<(Arc<str>, Encoded)>> + use<> + Unpin {
    let options = Arc::clone(options);
    let pieces = batches.map_ok(|parts| {
        let pieces_of = |(part, batch): Part| {
            let row_bytes = row_bytes(&batch);
            let pieces = pieces(&batch, row_bytes).into_iter();
            pieces.map(move |piece| Ok::<_, Error>((Arc::clone(&part), piece, row_bytes)))
        };
        stream::iter(parts.into_iter().flat_map(pieces_of))
    });
    let encoded = pieces.try_flatten().map(move |piece| {
        let options = Arc::clone(&options);
        async move {
            let (part, piece, row_bytes) = piece?;
            let encoding = tokio::task::spawn_blocking(move || Encoded::new(&options.format, &piece, row_bytes));
            Ok((part, encoding.await.map_err(Error::internal)??))
        }
    });
    encoded.buffered(cores()).boxed()
}
