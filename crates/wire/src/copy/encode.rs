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

/// Rows of so few bytes are encoded where they come: to hand them over takes longer.
const AT_ONCE_BYTES_MAX: usize = 16 << 10;

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
            let mut line = String::new();
            for (at, field) in schema.fields().iter().enumerate() {
                self.options.write_separator(at, &mut line);
                self.options.write_field(field.name(), &mut line);
            }
            out.begin(b'd');
            out.buffer.put_slice(line.as_bytes());
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

    /// Encodes rows, many of them on threads of their own, a few batches ahead of the client.
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
                if piece.num_rows() * row_bytes(&piece) <= AT_ONCE_BYTES_MAX {
                    return encoder.encode(&piece, index == 0);
                }
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
        match &batch.columns {
            Columns::Binary(columns) => {
                for row in 0..rows {
                    write_binary(columns, row, is_first && row == 0, &mut out)?;
                }
            }
            Columns::Text(columns) => batch.write_lines(columns, rows, &mut out)?,
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

/// Writes one row of a binary copy as one message.
fn write_binary(columns: &[BinaryColumn], row: usize, signed: bool, out: &mut Replies) -> Result<()> {
    out.begin(b'd');
    if signed {
        sign(out);
    }
    out.count(columns.len())?;
    columns.iter().try_for_each(|column| column.write(row, &mut out.buffer))?;
    out.end();
    Ok(())
}

impl CopyBatch<'_> {
    /// Writes rows as one message each. A line is put together in a string, which takes small pieces faster.
    fn write_lines(&self, columns: &[TextField], rows: usize, out: &mut Replies) -> Result<()> {
        let (mut line, mut text) = (String::new(), String::new());
        for row in 0..rows {
            line.clear();
            for (at, field) in columns.iter().enumerate() {
                self.options.write_separator(at, &mut line);
                self.write_value(field, row, &mut text, &mut line)?;
            }
            line.push('\n');
            out.begin(b'd');
            out.buffer.put_slice(line.as_bytes());
            out.end();
        }
        Ok(())
    }

    /// Writes one field of a line; `text` is scratch.
    fn write_value(&self, field: &TextField, row: usize, text: &mut String, line: &mut String) -> Result<()> {
        let TextField { column, bare } = field;
        if column.is_null(row) {
            line.push_str(&self.options.null);
        } else if *bare {
            column.write(row, line).map_err(Error::internal)?;
        } else if let Some(value) = column.text(row) {
            self.options.write_field(value, line);
        } else {
            text.clear();
            column.write(row, text).map_err(Error::internal)?;
            self.options.write_field(text, line);
        }
        Ok(())
    }
}

/// How the options write one field. Their marks are ASCII.
trait WriteField {
    /// The delimiter before every field but the first.
    fn write_separator(&self, at: usize, out: &mut String);
    /// A value that is not NULL.
    fn write_field(&self, field: &str, out: &mut String);
    /// Whether values of [plain](TextColumn::is_plain) columns are written as they are.
    fn leaves_plain_bare(&self) -> bool;
}

impl WriteField for CopyOptions {
    fn write_separator(&self, at: usize, out: &mut String) {
        if at > 0 {
            out.push(char::from(self.delimiter));
        }
    }

    fn write_field(&self, field: &str, out: &mut String) {
        if self.format == CopyFormat::Csv { write_csv(field, self, out) } else { write_text(field, self, out) }
    }

    fn leaves_plain_bare(&self) -> bool {
        let marks = [self.delimiter, self.quote];
        let null_differs = self.null.is_empty() || self.null.bytes().any(|byte| !is_plain(byte));
        !marks.into_iter().any(is_plain) && (null_differs || self.format == CopyFormat::Text)
    }
}

/// Whether a byte has the property; every byte is looked at, which many at a time take less long than the first few
/// alone.
fn any(text: &str, has: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, byte| found | has(byte))
}

fn write_text(field: &str, options: &CopyOptions, out: &mut String) {
    let special = |byte: u8| matches!(byte, 8..=13 | b'\\') || byte == options.delimiter;
    if !any(field, special) {
        out.push_str(field);
        return;
    }
    for character in field.chars() {
        let letter = match character {
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            other => other,
        };
        if character.is_ascii() && special(character as u8) {
            out.push('\\');
        }
        out.push(letter);
    }
}

/// Quotes where the field would otherwise read as something else.
fn write_csv(field: &str, options: &CopyOptions, out: &mut String) {
    let special = |byte: u8| byte == options.delimiter || byte == options.quote || matches!(byte, b'\n' | b'\r');
    if field != options.null && field != "\\." && !any(field, special) {
        out.push_str(field);
        return;
    }
    let [quote, escape] = [options.quote, options.escape].map(char::from);
    out.push(quote);
    for character in field.chars() {
        if character == quote || character == escape {
            out.push(escape);
        }
        out.push(character);
    }
    out.push(quote);
}
