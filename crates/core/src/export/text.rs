//! Text files: rows one after another, compressed on their way to storage.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use super::csv::CsvRows;
use super::ndjson::JsonRows;
use super::options::{Compression, ExportOptions, Format};
use super::upload::{Upload, io_error};
use crate::error::{Error, Result};

/// Text gathered before it is compressed and sent, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// The rows of a batch as text.
pub(super) trait TextRows: Send {
    /// Appends a row to `out`, with its line break.
    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<()>;
}

fn text_rows<'a>(format: &'a Format, batch: &RecordBatch) -> Result<Box<dyn TextRows + 'a>> {
    match format {
        Format::Csv { delimiter, null_text } => Ok(Box::new(CsvRows::new(batch, *delimiter, null_text.as_deref()))),
        Format::Ndjson => Ok(Box::new(JsonRows::new(batch)?)),
        Format::Parquet => Err(Error::internal("Parquet is no text")),
    }
}

/// Text on its way into a file.
enum Packer {
    Plain,
    Gzip(Box<GzipEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<Vec<u8>>>),
}

impl Packer {
    fn new(compression: Compression) -> Packer {
        match compression {
            Compression::Gzip => Packer::Gzip(Box::new(GzipEncoder::new(Vec::new()))),
            Compression::Zstd => Packer::Zstd(Box::new(ZstdEncoder::new(Vec::new()))),
            Compression::None | Compression::Snappy => Packer::Plain,
        }
    }

    /// What of the text is ready to be sent.
    async fn pack(&mut self, text: Vec<u8>) -> Result<Vec<u8>> {
        match self {
            Packer::Plain => Ok(text),
            Packer::Gzip(encoder) => {
                encoder.write_all(&text).await.map_err(io_error)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packer::Zstd(encoder) => {
                encoder.write_all(&text).await.map_err(io_error)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// The end of the compressed text.
    async fn finish(self) -> Result<Vec<u8>> {
        match self {
            Packer::Plain => Ok(Vec::new()),
            Packer::Gzip(mut encoder) => {
                encoder.shutdown().await.map_err(io_error)?;
                Ok(encoder.into_inner())
            }
            Packer::Zstd(mut encoder) => {
                encoder.shutdown().await.map_err(io_error)?;
                Ok(encoder.into_inner())
            }
        }
    }
}

/// A text file under way.
pub(super) struct TextFile {
    format: Format,
    packer: Packer,
    upload: Upload,
    buffer: Vec<u8>,
    /// Before compression.
    text_bytes: u64,
}

impl TextFile {
    pub fn new(options: &ExportOptions, store: Arc<dyn ObjectStore>, path: Path) -> TextFile {
        let (packer, upload) = (Packer::new(options.compression), Upload::new(store, path));
        TextFile { format: options.format.clone(), packer, upload, buffer: Vec::new(), text_bytes: 0 }
    }

    /// Writes rows until the file has `bytes_max`; answers how many.
    pub async fn write(&mut self, batch: &RecordBatch, bytes_max: u64) -> Result<usize> {
        let format = self.format.clone();
        let mut rows = text_rows(&format, batch)?;
        for row in 0..batch.num_rows() {
            let before = self.buffer.len();
            rows.write(row, &mut self.buffer)?;
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
        let packed = self.packer.pack(std::mem::take(&mut self.buffer)).await?;
        self.upload.put(packed).await
    }

    /// Completes the file; answers its size.
    pub async fn finish(mut self) -> Result<u64> {
        self.send().await?;
        self.upload.put(self.packer.finish().await?).await?;
        self.upload.finish().await
    }

    pub async fn abort(self) {
        self.upload.abort().await;
    }
}
