//! Text files, compressed on their way to storage.

use std::sync::Arc;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use super::options::Compression;
use super::upload::{Upload, io_error};
use crate::error::Result;

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
    async fn pack(&mut self, text: String) -> Result<Vec<u8>> {
        match self {
            Packer::Plain => Ok(text.into_bytes()),
            Packer::Gzip(encoder) => {
                encoder.write_all(text.as_bytes()).await.map_err(io_error)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packer::Zstd(encoder) => {
                encoder.write_all(text.as_bytes()).await.map_err(io_error)?;
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
    packer: Packer,
    upload: Upload,
}

impl TextFile {
    pub fn new(compression: Compression, store: Arc<dyn ObjectStore>, path: Path) -> TextFile {
        TextFile { packer: Packer::new(compression), upload: Upload::new(store, path) }
    }

    pub async fn write(&mut self, text: String) -> Result<()> {
        self.upload.put(self.packer.pack(text).await?).await
    }

    /// Completes the file; answers its size.
    pub async fn finish(mut self) -> Result<u64> {
        self.upload.put(self.packer.finish().await?).await?;
        self.upload.finish().await
    }

    pub async fn abort(self) {
        self.upload.abort().await;
    }
}
