//! Rows to CSV: RFC 4180, quotes only where needed, no header.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_compression::tokio::write::GzipEncoder;
use lakeport_base::Sqlstate;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use super::options::{Compression, ExportOptions};
use super::upload::{Upload, io_error};
use crate::error::{Error, Result};
use crate::rows::sql_type;
use crate::value::TextColumn;

/// Text gathered before it is compressed and sent, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// How values become fields.
pub(super) struct Encoder {
    delimiter: u8,
    null_text: Option<String>,
    /// The value under way.
    text: String,
}

impl Encoder {
    pub fn new(delimiter: u8, null_text: Option<String>) -> Encoder {
        Encoder { delimiter, null_text, text: String::new() }
    }

    /// Appends one row to `out`.
    ///
    /// # Errors
    /// 22004 for a NULL when nothing stands for it.
    pub fn row(&mut self, columns: &[TextColumn], row: usize, out: &mut Vec<u8>) -> Result<()> {
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            if column.is_null(row) {
                let null = self.null_text.as_ref().ok_or_else(null_without_text)?;
                out.extend_from_slice(null.as_bytes());
                continue;
            }
            self.text.clear();
            column.write(row, &mut self.text).map_err(Error::internal)?;
            // An empty line would be no row.
            let is_whole_row = columns.len() == 1 && self.text.is_empty();
            if is_whole_row || self.needs_quotes() {
                quote(&self.text, out)
            } else {
                out.extend_from_slice(self.text.as_bytes())
            }
        }
        out.push(b'\n');
        Ok(())
    }

    /// Whether the value would read as something else without quotes.
    fn needs_quotes(&self) -> bool {
        let special = |byte: u8| byte == self.delimiter || matches!(byte, b'"' | b'\r' | b'\n');
        self.text.bytes().any(special) || self.null_text.as_ref() == Some(&self.text)
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn null_without_text() -> Error {
    Error::new(
        Sqlstate::NULL_VALUE_NOT_ALLOWED,
        "NULL value encountered during EXPORT, use `WITH nullas` to specify the string representation of NULL",
    )
}

/// Text on its way into a file.
#[expect(clippy::large_enum_variant, reason = "one lives per file under way")]
enum Packer {
    Plain,
    Gzip(GzipEncoder<Vec<u8>>),
}

/// A CSV file under way.
pub(super) struct CsvFile {
    packer: Packer,
    upload: Upload,
    buffer: Vec<u8>,
    /// Before compression.
    text_bytes: u64,
}

impl CsvFile {
    pub fn new(options: &ExportOptions, store: Arc<dyn ObjectStore>, path: Path) -> CsvFile {
        let packer = match options.compression {
            Compression::Gzip => Packer::Gzip(GzipEncoder::new(Vec::new())),
            Compression::None | Compression::Snappy => Packer::Plain,
        };
        CsvFile { packer, upload: Upload::new(store, path), buffer: Vec::new(), text_bytes: 0 }
    }

    /// Writes rows until the file has `bytes_max`; answers how many.
    pub async fn write(&mut self, encoder: &mut Encoder, batch: &RecordBatch, bytes_max: u64) -> Result<usize> {
        let fields = batch.schema_ref().fields().iter();
        let columns: Vec<_> =
            fields.zip(batch.columns()).map(|(field, column)| TextColumn::new(column, &sql_type(field))).collect();
        for row in 0..batch.num_rows() {
            let before = self.buffer.len();
            encoder.row(&columns, row, &mut self.buffer)?;
            self.text_bytes += (self.buffer.len() - before) as u64;
            if self.buffer.len() >= BUFFER_BYTES {
                self.send().await?;
            }
            if self.text_bytes >= bytes_max {
                return Ok(row + 1);
            }
        }
        Ok(batch.num_rows())
    }

    pub fn is_full(&self, bytes_max: u64) -> bool {
        self.text_bytes >= bytes_max
    }

    async fn send(&mut self) -> Result<()> {
        let packed = match &mut self.packer {
            Packer::Plain => std::mem::take(&mut self.buffer),
            Packer::Gzip(encoder) => {
                encoder.write_all(&self.buffer).await.map_err(io_error)?;
                self.buffer.clear();
                std::mem::take(encoder.get_mut())
            }
        };
        self.upload.put(packed).await
    }

    /// Completes the file; answers its size.
    pub async fn finish(mut self) -> Result<u64> {
        self.send().await?;
        if let Packer::Gzip(mut encoder) = self.packer {
            encoder.shutdown().await.map_err(io_error)?;
            self.upload.put(encoder.into_inner()).await?;
        }
        self.upload.finish().await
    }

    pub async fn abort(self) {
        self.upload.abort().await;
    }
}
