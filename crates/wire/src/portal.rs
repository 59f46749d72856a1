//! Rows of a statement on their way out, and the portals that hold them between messages.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use futures::StreamExt;
use lakeport_core::cancel::Cancel;
use lakeport_core::rows::RowStream;
use lakeport_core::value::Zone;
use lakeport_core::{Result, Session};

use crate::connection::Connection;
use crate::encode::BatchEncoder;
use crate::extended::Prepared;
use crate::fault::Flow;
use crate::link::SEND_AT_BYTES;
use crate::reply::Replies;
use crate::types::ColumnShape;

/// A statement with its parameters, and how far it has run.
pub(crate) struct Portal {
    pub bound: Bound,
    pub state: PortalState,
}

/// A statement with its parameters.
pub(crate) struct Bound {
    pub prepared: Arc<Prepared>,
    pub params: Vec<ArrayRef>,
    /// As the client wrote them; spread over the columns once these are known.
    pub result_formats: Vec<i16>,
}

impl Bound {
    /// Memory that the parameters take.
    pub(crate) fn bytes(&self) -> usize {
        self.params.iter().map(|param| param.get_array_memory_size()).sum()
    }
}

/// How far a portal is.
pub(crate) enum PortalState {
    Bound,
    /// Stopped by a row limit, with rows left.
    Suspended(RowCursor),
    Done,
}

/// The rows of a statement, sent piece by piece.
pub(crate) struct RowCursor {
    tag: &'static str,
    rows: RowStream,
    /// Cancels the statement.
    cancel: Cancel,
    /// Fields as the client was told of them; the rows are sent in their types.
    columns: SchemaRef,
    formats: Vec<i16>,
    zone: Zone,
    /// The batch being sent.
    batch: Option<BatchEncoder>,
    sent: u64,
}

impl RowCursor {
    /// Rows of the statement that the session runs, with a format for each column.
    pub(crate) fn new(tag: &'static str, rows: RowStream, formats: Vec<i16>, session: &Session) -> RowCursor {
        let (zone, cancel) = (session.zone(), session.running());
        RowCursor { tag, columns: rows.schema.clone(), rows, cancel, formats, zone, batch: None, sent: 0 }
    }

    /// The same in the types of an earlier description, if that was of as many columns.
    pub(crate) fn described_as(mut self, columns: Option<&SchemaRef>) -> RowCursor {
        if let Some(columns) = columns.filter(|columns| columns.fields().len() == self.formats.len()) {
            self.columns = columns.clone();
        }
        self
    }

    /// Writes the description of the columns.
    pub(crate) fn describe(&self, out: &mut Replies) -> Result<()> {
        let columns = self.columns.fields().iter().zip(&self.formats);
        out.row_description(columns.map(|(field, format)| (field.name().as_str(), ColumnShape::of(field), *format)))
    }

    fn complete_tag(&self) -> String {
        match self.tag {
            "INSERT" => format!("INSERT 0 {}", self.sent),
            tag => format!("{tag} {}", self.sent),
        }
    }
}

impl Connection {
    /// Sends rows up to a limit (0 is none) and the end of the statement, if it is reached. Answers whether it was.
    pub(crate) async fn send_rows(&mut self, cursor: &mut RowCursor, rows_max: usize) -> Flow<bool> {
        // Another statement may have run since the cursor stopped at its row limit.
        self.session.resume(&cursor.cancel);
        let mut left = if rows_max == 0 { usize::MAX } else { rows_max };
        loop {
            if let Some(batch) = &mut cursor.batch {
                let sent = batch.write(left, SEND_AT_BYTES, &mut self.link.out)?;
                cursor.sent += sent as u64;
                left -= sent;
                if self.relieve().await? && !batch.is_done() {
                    if left > 0 {
                        continue;
                    }
                    self.link.out.portal_suspended();
                    return Ok(false);
                }
                cursor.batch = None;
            }
            match self.drive(cursor.rows.batches.next()).await? {
                Some(batch) => {
                    let encoder = BatchEncoder::new(&batch?, &cursor.columns, &cursor.formats, cursor.zone)?;
                    cursor.batch = Some(encoder);
                }
                None => break,
            }
        }
        self.link.out.command_complete(&cursor.complete_tag());
        Ok(true)
    }
}
