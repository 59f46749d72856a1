//! `DECLARE`, `FETCH`, `MOVE`, `CLOSE`: rows of a query piece by piece.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::stream::{BoxStream, Fuse};
use futures::{Stream, StreamExt, TryStreamExt};
use lakeport_base::limits::CURSORS_MAX;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_sql::stmt::fetch::{Answer, Close, Declare, Fetch};
use tokio::sync::Mutex;

use super::Cx;
use crate::engine::Description;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::rows::RowStream;
use crate::session::Session;

/// A declared query and the rows that it still has.
pub(crate) struct OpenCursor {
    columns: SchemaRef,
    /// Stays open when its transaction block ends.
    pub hold: bool,
    left: Mutex<Left>,
}

struct Left {
    batches: Fuse<BoxStream<'static, Result<RecordBatch>>>,
    /// Rows of the last batch that were not asked for yet.
    rest: Option<RecordBatch>,
}

impl OpenCursor {
    fn new(RowStream { schema, batches }: RowStream, hold: bool) -> OpenCursor {
        // FETCH may ask again after the last row.
        OpenCursor { columns: schema, hold, left: Mutex::new(Left { batches: batches.fuse(), rest: None }) }
    }

    /// The next rows, at most `rows_max`; `None` after the last.
    async fn next(&self, rows_max: usize) -> Result<Option<RecordBatch>> {
        let mut left = self.left.lock().await;
        let batch = match left.rest.take() {
            Some(rest) => rest,
            None => match left.batches.next().await {
                Some(batch) => batch?,
                None => return Ok(None),
            },
        };
        if batch.num_rows() <= rows_max {
            return Ok(Some(batch));
        }
        left.rest = Some(batch.slice(rows_max, batch.num_rows() - rows_max));
        Ok(Some(batch.slice(0, rows_max)))
    }

    /// So many rows (`None` is all), as they come.
    fn rows(self: Arc<Self>, count: Option<u64>) -> impl Stream<Item = Result<RecordBatch>> {
        let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        futures::stream::try_unfold((self, count), |(cursor, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let batch = cursor.next(left).await?;
            Ok(batch.map(|batch| {
                let left = left - batch.num_rows();
                (batch, (cursor, left))
            }))
        })
    }
}

pub(crate) async fn declare(cx: &Cx<'_>, statement: &Declare) -> Result<Outcome> {
    let in_block = cx.session.open_block().is_some_and(|block| !block.implicit);
    if !statement.hold && !in_block {
        let message = "DECLARE CURSOR can only be used in transaction blocks";
        return Err(Error::new(Sqlstate::NO_ACTIVE_SQL_TRANSACTION, message)
            .with_hint("BEGIN first, or declare the cursor WITH HOLD"));
    }
    let rows = super::query::rows(cx, &statement.query).await?;
    cx.session.open_cursor(&statement.name, OpenCursor::new(rows, statement.hold))?;
    Ok(Outcome::done("DECLARE CURSOR"))
}

pub(crate) async fn fetch(cx: &Cx<'_>, statement: &Fetch) -> Result<Outcome> {
    let cursor = cx.session.cursor(&statement.name)?;
    let schema = cursor.columns.clone();
    let batches = cursor.rows(statement.count);
    match statement.answer {
        Answer::Rows => Ok(Outcome::Rows { tag: "FETCH", rows: RowStream { schema, batches: batches.boxed() } }),
        Answer::Count => {
            let moved = batches.try_fold(0, |moved, batch| async move { Ok(moved + batch.num_rows()) }).await?;
            Ok(Outcome::done(format!("MOVE {moved}")))
        }
    }
}

pub(crate) fn close(cx: &Cx<'_>, statement: &Close) -> Result<Outcome> {
    cx.session.close_cursor(statement.name.as_deref())?;
    Ok(Outcome::done(if statement.name.is_some() { "CLOSE CURSOR" } else { "CLOSE CURSOR ALL" }))
}

pub(crate) async fn describe_declare(
    cx: &Cx<'_>,
    statement: &Declare,
    declared: &[Option<SqlType>],
) -> Result<Description> {
    let Description { params, .. } = super::query::describe(cx, &statement.query, declared).await?;
    Ok(Description { params, columns: None })
}

pub(crate) fn describe_fetch(cx: &Cx<'_>, statement: &Fetch) -> Result<Description> {
    let cursor = cx.session.cursor(&statement.name)?;
    let columns = (statement.answer == Answer::Rows).then(|| cursor.columns.clone());
    Ok(Description { params: Vec::new(), columns })
}

impl Session {
    /// The columns of a cursor declared by SQL.
    ///
    /// # Errors
    /// 34000
    pub fn cursor_columns(&self, name: &str) -> Result<SchemaRef> {
        Ok(self.cursor(name)?.columns.clone())
    }

    fn cursor(&self, name: &str) -> Result<Arc<OpenCursor>> {
        self.cursors().get(name).cloned().ok_or_else(|| unknown(name))
    }

    fn open_cursor(&self, name: &str, cursor: OpenCursor) -> Result<()> {
        let mut cursors = self.cursors();
        if cursors.contains_key(name) {
            return Err(Error::new(Sqlstate::DUPLICATE_CURSOR, format!("cursor {name:?} already exists")));
        }
        if cursors.len() == CURSORS_MAX {
            let message = format!("cursor {name:?} not opened: the session has {CURSORS_MAX} open cursors");
            return Err(Error::new(Sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message).with_hint("CLOSE one first"));
        }
        cursors.insert(name.to_string(), Arc::new(cursor));
        Ok(())
    }

    /// Closes one cursor, or all.
    fn close_cursor(&self, name: Option<&str>) -> Result<()> {
        let mut cursors = self.cursors();
        match name {
            Some(name) => cursors.remove(name).map(drop).ok_or_else(|| unknown(name)),
            None => {
                cursors.clear();
                Ok(())
            }
        }
    }
}

fn unknown(name: &str) -> Error {
    Error::new(Sqlstate::INVALID_CURSOR_NAME, format!("cursor {name:?} does not exist"))
}
