//! Parts to staged rows, a few at a time, in order.

use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, Stream, StreamExt};
use lakeport_base::limits::IMPORT_QUEUE_BATCHES;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::batch::Sink;
use super::options::Format;
use super::part::{Extent, Part, Start, readers};
use super::read::{self, Found, Plan};
use super::tally::Tally;
use crate::cancel::Cancel;
use crate::engine::{Engine, StagedRows, TableHandle};
use crate::error::{Error, Result};
use crate::rows::RowStream;

/// A part that is staged.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedPart {
    pub rows: StagedRows,
    pub extent: Extent,
}

/// Stages the parts of one import.
pub(crate) struct Stager {
    pub engine: Arc<dyn Engine>,
    pub table: TableHandle,
    pub plan: Arc<Plan>,
    /// Of the append that will name the staged rows.
    pub key: String,
    pub cancel: Cancel,
}

impl Stager {
    /// Stages parts, those after the first from where they seem to start; they come in order.
    pub fn stage_all(self: &Arc<Self>, parts: Vec<Part>) -> impl Stream<Item = (Part, Result<Fresh>)> + use<> {
        let stager = self.clone();
        stream::iter(parts)
            .map(move |part| {
                let stager = stager.clone();
                let start = stager.likely_start(&part);
                async move {
                    let work = tokio::spawn({
                        let part = part.clone();
                        async move { stager.stage(&part, start).await }
                    });
                    let staged = AbortOnDropHandle::new(work).await;
                    (part, staged.unwrap_or_else(|error| Err(Error::internal(error))))
                }
            })
            .buffered(readers())
    }

    fn likely_start(&self, part: &Part) -> Start {
        match part {
            Part::Range(_, range) if range.start > 0 && !self.is_parquet() => Start::Guess { offset: range.start },
            Part::Range(_, range) => Start::Known { offset: range.start, records: 0 },
            Part::Files(_) => Start::OF_FILE,
        }
    }

    fn is_parquet(&self) -> bool {
        matches!(self.plan.options.format, Format::Parquet { .. })
    }

    /// Makes sure of a part now that the one before it is known: what was read from a wrong guess is read again, and so
    /// is what failed, whose error then names the right row.
    pub async fn confirmed(
        self: &Arc<Self>,
        part: &Part,
        found: Result<Fresh>,
        before: Option<&Extent>,
    ) -> Result<Fresh> {
        let known = match (self.likely_start(part), before) {
            (Start::Guess { .. }, Some(before)) => *before,
            _ => return found,
        };
        if let Ok(mut fresh) = found
            && fresh.extent.start == known.end
            && known.records >= self.skip()
        {
            fresh.extent.records += known.records;
            fresh.tallies = std::mem::take(&mut fresh.tallies).into_iter().map(|t| t.after(known.records)).collect();
            return Ok(fresh);
        }
        if self.cancel.is_cancelled() {
            return Err(Error::canceled());
        }
        let start = Start::Known { offset: known.end, records: known.records };
        self.stage(part, start).await
    }

    /// Deletes staged rows that no commit has taken.
    pub async fn discard(&self, rows: &[StagedRows]) {
        if let Err(error) = self.engine.discard_staged(&self.table, rows, &self.key).await {
            tracing::info!(%error, "staged rows not deleted");
        }
    }

    fn skip(&self) -> u64 {
        match &self.plan.options.format {
            Format::Csv(options) => options.skip,
            Format::Delimited(options) => options.skip,
            Format::Avro(_) | Format::Ndjson { .. } | Format::Parquet { .. } | Format::Other(_) => 0,
        }
    }

    /// Stages a part by itself.
    pub async fn stage(self: &Arc<Self>, part: &Part, start: Start) -> Result<Fresh> {
        let (sender, mut batches) = mpsc::channel(IMPORT_QUEUE_BATCHES);
        let sink = Sink::new(sender, self.plan.options.row_limit);
        let failure = Failure::default();
        let reader = AbortOnDropHandle::new(tokio::spawn({
            let (plan, part, failure) = (self.plan.clone(), part.clone(), failure.clone());
            async move {
                let error = match read::read(&plan, &part, start, &sink).await {
                    Ok(found) => return Some(found),
                    Err(error) => error,
                };
                let likeness = Error::new(error.code(), error.message());
                failure.set(error);
                sink.fail(likeness).await;
                None
            }
        }));
        let rows = RowStream {
            schema: self.plan.target.schema.clone(),
            batches: stream::poll_fn(move |cx| batches.poll_recv(cx)).boxed(),
        };
        let staged = self.engine.stage(&self.table, rows, &self.cancel).await;
        let rows = staged.map_err(|error| failure.explain(error))?;
        let mut fresh =
            Fresh { stager: self.clone(), rows: Some(rows), extent: Extent::default(), tallies: Vec::new() };
        // A reader that died must not look like the end of its part.
        let read = reader.await.map_err(Error::internal)?;
        let read = read.ok_or_else(|| failure.explain(Error::internal("a reader failed without a reason")))?;
        Found { extent: fresh.extent, tallies: fresh.tallies } = read;
        Ok(fresh)
    }
}

/// Rows staged just now, deleted again unless somebody claims them.
pub(crate) struct Fresh {
    stager: Arc<Stager>,
    /// `None` once claimed.
    rows: Option<StagedRows>,
    pub extent: Extent,
    /// Of the part's files.
    pub tallies: Vec<Tally>,
}

impl Fresh {
    pub fn claim(mut self) -> StagedPart {
        let rows = self.rows.take().expect("only claiming takes the rows, once");
        StagedPart { rows, extent: self.extent }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let Some(rows) = self.rows.take() else { return };
        let stager = self.stager.clone();
        tokio::spawn(async move {
            stager.discard(&[rows]).await;
        });
    }
}

/// The failure of a reader, as it was. The engine gets a likeness of it, which it may wrap.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The reader's failure if there was one, else what the engine said.
    fn explain(&self, error: Error) -> Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
    }
}
