//! Batches of rows to copy data: one message for each row.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::{BufMut, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use lakeport_base::limits::cores;
use lakeport_core::rows::{pieces, row_bytes, sql_type};
use lakeport_core::value::{TextColumn, Zone, is_plain};
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::copy::{CopyFormat, CopyOptions};

use super::BINARY_SIGNATURE;
use crate::encode::BinaryColumn;
use crate::reply::Replies;

/// Field count that ends a binary copy.
const BINARY_TRAILER: i16 = -1;

/// Writes copy data in the format asked for.
pub(super) struct CopyEncoder {
    options: CopyOptions,
    zone: Zone,
}

/// Rows as messages.
pub(super) struct CopyData {
    pub messages: BytesMut,
    pub rows: usize,
}

/// One batch ready to be written row by row.
struct CopyBatch<'a> {
    options: &'a CopyOptions,
    columns: Columns,
}

enum Columns {
    Text(Vec<TextField>),
    Binary(Vec<BinaryColumn>),
}

/// A column of a text or CSV copy.
struct TextField {
    column: TextColumn,
    /// No value needs quotes or escapes.
    bare: bool,
}

impl CopyEncoder {
    pub(super) fn new(options: CopyOptions, zone: Zone) -> CopyEncoder {
        CopyEncoder { options, zone }
    }

    /// The header line before the rows.
    pub(super) fn start(&self, schema: &Schema, out: &mut Replies) {
        if self.options.header {
            out.begin(b'd');
            for (at, field) in schema.fields().iter().enumerate() {
                self.options.write_separator(at, &mut out.buffer);
                self.options.write_field(field.name(), &mut out.buffer);
            }
            out.buffer.put_u8(b'\n');
            out.end();
        }
    }

    /// What comes after so many rows.
    pub(super) fn end(&self, rows: usize, out: &mut Replies) {
        if self.options.format == CopyFormat::Binary {
            out.begin(b'd');
            if rows == 0 {
                sign(out);
            }
            out.buffer.put_i16(BINARY_TRAILER);
            out.end();
        }
    }

    /// Encodes rows on threads of their own, a few batches ahead of the client.
    pub(super) fn encode_all(
        self: Arc<Self>,
        batches: BoxStream<'static, Result<RecordBatch>>,
    ) -> impl Stream<Item = Result<CopyData>> {
        let pieces =
            batches.map_ok(|batch| stream::iter(pieces(&batch, row_bytes(&batch)).into_iter().map(Ok::<_, Error>)));
        let encoded = pieces.try_flatten().enumerate().map(move |(index, piece)| {
            let encoder = Arc::clone(&self);
            async move {
                let piece = piece?;
                let encoding = tokio::task::spawn_blocking(move || encoder.encode(&piece, index == 0));
                encoding.await.map_err(Error::internal)?
            }
        });
        encoded.buffered(cores())
    }

    /// The rows of a batch as messages. A binary copy's signature goes into one message with the first row, as clients
    /// expect.
    pub(super) fn encode(&self, batch: &RecordBatch, is_first: bool) -> Result<CopyData> {
        let rows = batch.num_rows();
        let batch = self.batch(batch)?;
        let mut out = Replies::default();
        for row in 0..rows {
            batch.write(row, is_first && row == 0, &mut out)?;
        }
        Ok(CopyData { messages: out.buffer, rows })
    }

    fn batch(&self, batch: &RecordBatch) -> Result<CopyBatch<'_>> {
        let fields = batch.schema_ref().fields().iter().zip(batch.columns());
        let columns = match self.options.format {
            CopyFormat::Binary => {
                let columns = fields.map(|(field, array)| BinaryColumn::new(array, &sql_type(field)));
                Columns::Binary(columns.collect::<Result<_>>()?)
            }
            CopyFormat::Text | CopyFormat::Csv => {
                let bare = self.options.leaves_plain_bare();
                let text = |array, field| TextColumn::in_zone(array, &sql_type(field), self.zone);
                let field = |column: TextColumn| TextField { bare: bare && column.is_plain(), column };
                Columns::Text(fields.map(|(of, array)| field(text(array, of))).collect())
            }
        };
        Ok(CopyBatch { options: &self.options, columns })
    }
}

/// Writes the signature of a binary copy.
fn sign(out: &mut Replies) {
    out.buffer.put_slice(BINARY_SIGNATURE);
    // No flags, no extension.
    out.buffer.put_u64(0);
}

impl CopyBatch<'_> {
    /// Writes one row as one message.
    fn write(&self, row: usize, signed: bool, out: &mut Replies) -> Result<()> {
        out.begin(b'd');
        match &self.columns {
            Columns::Binary(columns) => {
                if signed {
                    sign(out);
                }
                out.count(columns.len())?;
                columns.iter().try_for_each(|column| column.write(row, &mut out.buffer))?;
            }
            Columns::Text(columns) => self.write_line(columns, row, &mut out.buffer)?,
        }
        out.end();
        Ok(())
    }

    fn write_line(&self, columns: &[TextField], row: usize, out: &mut BytesMut) -> Result<()> {
        let mut text = String::new();
        for (at, TextField { column, bare }) in columns.iter().enumerate() {
            self.options.write_separator(at, out);
            if column.is_null(row) {
                out.put_slice(self.options.null.as_bytes());
            } else if *bare {
                column.write(row, out).map_err(Error::internal)?;
            } else if let Some(value) = column.text(row) {
                self.options.write_field(value, out);
            } else {
                text.clear();
                column.write(row, &mut text).map_err(Error::internal)?;
                self.options.write_field(&text, out);
            }
        }
        out.put_u8(b'\n');
        Ok(())
    }
}

/// How the options write one field.
trait WriteField {
    /// The delimiter before every field but the first.
    fn write_separator(&self, at: usize, out: &mut BytesMut);
    /// A value that is not NULL.
    fn write_field(&self, field: &str, out: &mut BytesMut);
    /// Whether values of [plain](TextColumn::is_plain) columns are written as they are.
    fn leaves_plain_bare(&self) -> bool;
}

impl WriteField for CopyOptions {
    fn write_separator(&self, at: usize, out: &mut BytesMut) {
        if at > 0 {
            out.put_u8(self.delimiter);
        }
    }

    fn write_field(&self, field: &str, out: &mut BytesMut) {
        if self.format == CopyFormat::Csv { write_csv(field, self, out) } else { write_text(field, self, out) }
    }

    fn leaves_plain_bare(&self) -> bool {
        let marks = [self.delimiter, self.quote];
        let null_differs = self.null.is_empty() || self.null.bytes().any(|byte| !is_plain(byte));
        !marks.into_iter().any(is_plain) && (null_differs || self.format == CopyFormat::Text)
    }
}

fn write_text(field: &str, options: &CopyOptions, out: &mut BytesMut) {
    let mut rest = field.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, 8..=13 | b'\\') || *byte == options.delimiter) {
        let letter = match rest[at] {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            byte => byte,
        };
        out.put_slice(&rest[..at]);
        out.put_slice(&[b'\\', letter]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

/// Quotes where the field would otherwise read as something else.
fn write_csv(field: &str, options: &CopyOptions, out: &mut BytesMut) {
    let special = |byte: u8| byte == options.delimiter || byte == options.quote || matches!(byte, b'\n' | b'\r');
    if field != options.null && field != "\\." && !field.bytes().any(special) {
        out.put_slice(field.as_bytes());
        return;
    }
    out.put_u8(options.quote);
    for byte in field.bytes() {
        if byte == options.quote || byte == options.escape {
            out.put_u8(options.escape);
        }
        out.put_u8(byte);
    }
    out.put_u8(options.quote);
}
