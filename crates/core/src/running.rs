//! A statement under way: what ends it early, and its place among those that run.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use lakeport_base::Sqlstate;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::admission::Place;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::rows::RowStream;

/// A statement from its start to its last row.
pub(crate) struct Running {
    cancel: Cancel,
    limit: TimeLimit,
    /// `None` for statements that need none.
    place: Option<Arc<Place>>,
}

impl Running {
    /// Starts the clock. `cancel` fires when the time is over.
    pub fn start(limit: Option<Duration>, cancel: Cancel) -> Running {
        Running { limit: TimeLimit::start(limit, &cancel), cancel, place: None }
    }

    /// The same with a place to give back at the end.
    pub fn holding(self, place: Option<Arc<Place>>) -> Running {
        Running { place, ..self }
    }

    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The outcome of a part of the statement, or 57014 as soon as that is cancelled or out of time.
    pub async fn until_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.cancel.until_cancelled(work).await.map_err(|error| self.explain(error))
    }

    /// The error, told as a time limit if that is what it was.
    pub fn explain(&self, error: Error) -> Error {
        self.limit.explain(error)
    }

    /// Goes on after the client has done its part; may wait for a place.
    pub async fn work(&self) -> Result<()> {
        match &self.place {
            Some(place) => self.until_cancelled(place.work()).await,
            None => Ok(()),
        }
    }

    /// The client has to do its part.
    pub fn rest(&self) {
        if let Some(place) = &self.place {
            place.rest();
        }
    }

    /// Rows that end with 57014 when the statement is cancelled or out of time. The server works while it is asked for
    /// the next batch and rests in between.
    pub fn rows(self, rows: RowStream) -> RowStream {
        let RowStream { schema, batches } = rows;
        let batches = futures::stream::unfold(Some((self, batches)), |state| async move {
            let (running, mut batches) = state?;
            let next = running.next(&mut batches).await.transpose()?;
            running.rest();
            let goes_on = next.is_ok();
            Some((next, goes_on.then_some((running, batches))))
        });
        RowStream { schema, batches: batches.boxed() }
    }

    async fn next(&self, batches: &mut BoxStream<'static, Result<RecordBatch>>) -> Result<Option<RecordBatch>> {
        self.work().await?;
        self.until_cancelled(async { batches.next().await.transpose() }).await
    }
}

/// Cancels a statement when its time is over; holds for the rows too.
struct TimeLimit {
    limit: Option<Duration>,
    /// Fired when time is over, so that the error can say why.
    over: CancellationToken,
    /// Stops the clock when the statement ends.
    #[expect(dead_code, reason = "held for its drop")]
    stop: DropGuard,
}

impl TimeLimit {
    fn start(limit: Option<Duration>, cancel: &Cancel) -> TimeLimit {
        let over = CancellationToken::new();
        let stop = CancellationToken::new();
        if let Some(limit) = limit {
            let (over, stop, cancel) = (over.clone(), stop.clone(), cancel.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(limit) => {
                        over.cancel();
                        cancel.cancel();
                    }
                }
            });
        }
        TimeLimit { limit, over, stop: stop.drop_guard() }
    }

    fn explain(&self, error: Error) -> Error {
        if error.code() != Sqlstate::QUERY_CANCELED || !self.over.is_cancelled() {
            return error;
        }
        let limit_ms = self.limit.map_or(0, |limit| limit.as_millis());
        Error::new(Sqlstate::QUERY_CANCELED, "canceling statement due to statement timeout")
            .with_hint(format!("statement_timeout is {limit_ms} ms"))
    }
}
