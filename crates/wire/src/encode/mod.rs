//! Arrow batches to DataRow messages.

mod binary;
mod text;

#[cfg(test)]
mod tests;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::{BufMut, BytesMut};
use lakeport_core::rows::sql_type;
use lakeport_core::value::{TextColumn, Zone};
use lakeport_core::{Error, Result};

use crate::reply::Replies;
use crate::types::BINARY;
pub(crate) use binary::BinaryColumn;

/// One batch, and how far it has been written.
pub(crate) struct BatchEncoder {
    columns: Vec<Column>,
    rows: usize,
    next: usize,
}

/// A column in the form that the client asked for.
enum Column {
    Text(TextColumn),
    Binary(BinaryColumn),
}

impl BatchEncoder {
    /// Prepares the columns, each in the type that `schema` tells and in its format; TIMESTAMPTZ in text as a zone's
    /// clocks show it.
    pub(crate) fn new(batch: &RecordBatch, schema: &Schema, formats: &[i16], zone: Zone) -> Result<BatchEncoder> {
        let fields = schema.fields().iter();
        let columns = fields.zip(batch.columns()).zip(formats).map(|((field, array), format)| {
            let ty = sql_type(field);
            match *format {
                BINARY => BinaryColumn::new(array, &ty).map(Column::Binary),
                _ => Ok(Column::Text(TextColumn::in_zone(array, &ty, zone))),
            }
        });
        Ok(BatchEncoder { columns: columns.collect::<Result<_>>()?, rows: batch.num_rows(), next: 0 })
    }

    /// Whether every row has been written.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.rows
    }

    /// Writes at most `rows_max` rows, and stops when `bytes_max` wait in the buffer. Answers how many it wrote.
    pub(crate) fn write(&mut self, rows_max: usize, bytes_max: usize, out: &mut Replies) -> Result<usize> {
        let start = self.next;
        let end = self.rows.min(start.saturating_add(rows_max));
        while self.next < end && (self.next == start || out.buffer.len() < bytes_max) {
            out.begin(b'D');
            out.count(self.columns.len())?;
            for column in &self.columns {
                column.write(self.next, &mut out.buffer)?;
            }
            out.end();
            self.next += 1;
        }
        Ok(self.next - start)
    }
}

impl Column {
    /// Writes a value with its length before it.
    fn write(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        match self {
            Column::Text(column) => text::write(column, row, out),
            Column::Binary(column) => column.write(row, out),
        }
    }
}

/// Length that stands for NULL.
const NULL_LENGTH: i32 = -1;

/// Writes what `write` writes with its length before it.
pub(crate) fn with_length(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.put_i32(0);
    write(out)?;
    let length = i32::try_from(out.len() - start - 4).map_err(|_| too_long())?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn too_long() -> Error {
    Error::new(lakeport_base::Sqlstate::PROGRAM_LIMIT_EXCEEDED, "a value of more than 2 GiB cannot be sent")
}
