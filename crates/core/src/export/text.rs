//! Text files, encoded and compressed on their way to storage.

use std::io::Write;
use std::sync::Arc;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use object_store::ObjectStore;
use object_store::path::Path;
use snap::write::FrameEncoder;
use tokio::io::AsyncWriteExt;

use super::options::{Compression, ExportOptions};
use super::upload::{Upload, io_error};
use crate::charset::Encoder;
use crate::error::Result;

/// Text on its way into a file.
enum Packer {
    Plain,
    Gzip(Box<GzipEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder<Vec<u8>>>),
    Snappy(Box<FrameEncoder<Vec<u8>>>),
}

impl Packer {
    fn new(compression: Compression) -> Packer {
        match compression {
            Compression::Gzip => Packer::Gzip(Box::new(GzipEncoder::new(Vec::new()))),
            Compression::Zstd => Packer::Zstd(Box::new(ZstdEncoder::new(Vec::new()))),
            Compression::Snappy => Packer::Snappy(Box::new(FrameEncoder::new(Vec::new()))),
            Compression::None => Packer::Plain,
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
            Packer::Snappy(encoder) => {
                encoder.write_all(&text).map_err(io_error)?;
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
            Packer::Snappy(encoder) => encoder.into_inner().map_err(|error| io_error(error.into_error())),
        }
    }
}

/// A text file under way.
pub(super) struct TextFile {
    /// Text is UTF-8 without it.
    encoder: Option<Encoder>,
    packer: Packer,
    upload: Upload,
}

impl TextFile {
    pub fn new(options: &ExportOptions, store: Arc<dyn ObjectStore>, path: Path) -> TextFile {
        let (encoder, packer) = (options.charset.map(Encoder::new), Packer::new(options.compression));
        TextFile { encoder, packer, upload: Upload::new(store, path) }
    }

    pub async fn write(&mut self, text: String) -> Result<()> {
        let bytes = match &mut self.encoder {
            None => text.into_bytes(),
            Some(encoder) => encoder.encode(&text, false)?,
        };
        self.put(bytes).await
    }

    async fn put(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.upload.put(self.packer.pack(bytes).await?).await
    }

    /// Completes the file; answers its size.
    pub async fn finish(mut self) -> Result<u64> {
        if let Some(encoder) = &mut self.encoder {
            let end = encoder.encode("", true)?;
            self.put(end).await?;
        }
        self.upload.put(self.packer.finish().await?).await?;
        self.upload.finish().await
    }

    pub async fn abort(self) {
        self.upload.abort().await;
    }
}
