//! What a statement gives back to the client.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use lakeport_base::Sqlstate;
use lakeport_sql::stmt::copy::CopyOptions;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::rows::RowStream;
use crate::running::Running;

/// The result of one statement.
pub enum Outcome {
    /// Nothing to say: an empty statement.
    Empty,
    /// No rows; the whole command tag, such as `INSERT 0 3`.
    Done {
        tag: String,
    },
    /// Rows; wire adds their number to the tag.
    Rows {
        tag: &'static str,
        rows: RowStream,
    },
    CopyIn(CopyIn),
    CopyOut {
        rows: RowStream,
        options: CopyOptions,
    },
}

impl Outcome {
    /// No rows and this tag.
    pub fn done(tag: impl Into<String>) -> Outcome {
        Outcome::Done { tag: tag.into() }
    }

    /// The rows of a SHOW-like statement.
    pub fn rows(tag: &'static str, batch: RecordBatch) -> Outcome {
        Outcome::Rows { tag, rows: RowStream::of(batch) }
    }
}

/// A message beside the result.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `NOTICE` or `WARNING`.
    pub severity: &'static str,
    pub code: Sqlstate,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Notice {
    /// A plain NOTICE.
    pub fn new(message: impl Into<String>) -> Notice {
        Notice {
            severity: "NOTICE",
            code: Sqlstate::SUCCESSFUL_COMPLETION,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// A WARNING, as PostgreSQL gives for COMMIT outside a block.
    pub fn warning(code: Sqlstate, message: impl Into<String>) -> Notice {
        Notice { severity: "WARNING", code, ..Notice::new(message) }
    }
}

/// What a session tells its client while a statement runs.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    Notice(Notice),
    ParameterChanged { name: String, value: String },
}

/// Where notices go.
#[derive(Clone)]
pub struct Notices(pub(crate) mpsc::Sender<SessionEvent>);

impl Notices {
    /// Sends a notice; dropped when the client does not read them.
    pub fn send(&self, notice: Notice) {
        if self.0.try_send(SessionEvent::Notice(notice)).is_err() {
            tracing::debug!("notice dropped: the client does not read");
        }
    }
}

/// Rows on their way in by COPY FROM STDIN. Dropping it aborts the copy: no row stays.
pub struct CopyIn {
    /// The columns expected, in order.
    pub columns: SchemaRef,
    pub options: CopyOptions,
    /// Rows, then one `None`: an end without it is no end, so that dropping aborts.
    rows: mpsc::Sender<Result<Option<RecordBatch>>>,
    appended: BoxFuture<'static, Result<u64>>,
    running: Option<Running>,
}

/// Batches waiting between the socket and the table writer.
const COPY_QUEUE_BATCHES: usize = 4;

impl CopyIn {
    /// Starts a copy: `append` gets the rows and answers how many it took. It runs as a task of its own.
    pub fn start<F>(columns: SchemaRef, options: CopyOptions, append: impl FnOnce(RowStream) -> F) -> CopyIn
    where
        F: Future<Output = Result<u64>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(COPY_QUEUE_BATCHES);
        let batches = until_ended(receiver).boxed();
        let task = tokio::spawn(append(RowStream { schema: columns.clone(), batches }));
        let appended = Box::pin(async move { task.await.map_err(Error::internal)? });
        CopyIn { columns, options, rows: sender, appended, running: None }
    }

    /// The same as a part of its statement, with its time limit and its place.
    pub(crate) fn under(self, running: Running) -> CopyIn {
        CopyIn { running: Some(running), ..self }
    }

    /// Adds rows; waits while the writer is behind.
    ///
    /// # Errors
    /// What stopped the writer, if it has stopped.
    pub async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if let Some(running) = &self.running {
            running.work().await?;
        }
        if self.rows.send(Ok(Some(batch))).await.is_err() {
            return Err(self.stopped().await);
        }
        if let Some(running) = &self.running {
            running.rest();
        }
        Ok(())
    }

    /// Waits until the writer stops before its end, as it does when the statement is cancelled; answers why.
    pub async fn stopped(&mut self) -> Error {
        let error = match (&mut self.appended).await {
            Err(error) => error,
            Ok(_) => Error::internal("the copy ended before its rows"),
        };
        self.explain(error)
    }

    /// Ends the copy after its last row; answers the command tag.
    pub async fn finish(mut self) -> Result<String> {
        if let Some(running) = &self.running {
            running.work().await?;
        }
        // A writer that has stopped says why below.
        let _ = self.rows.send(Ok(None)).await;
        let copied = (&mut self.appended).await.map_err(|error| self.explain(error))?;
        Ok(format!("COPY {copied}"))
    }

    fn explain(&self, error: Error) -> Error {
        match &self.running {
            Some(running) => running.explain(error),
            None => error,
        }
    }

    /// Ends the copy without keeping any row.
    pub async fn abort(self, error: Error) {
        if self.rows.send(Err(error)).await.is_ok() {
            drop(self.rows);
            if let Err(error) = self.appended.await {
                tracing::debug!(%error, "copy aborted");
            }
        }
    }
}

/// The rows of a copy up to its end. A sender that is gone without an end has given up.
fn until_ended(receiver: mpsc::Receiver<Result<Option<RecordBatch>>>) -> impl Stream<Item = Result<RecordBatch>> {
    futures::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(Some(batch))) => Some((Ok(batch), Some(receiver))),
            Some(Ok(None)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(Error::canceled()), None)),
        }
    })
}
