//! One file on its way to storage.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use crate::error::{Error, Result};
use crate::external::store_error;

/// Size of one part of a large file, in bytes; smaller files are sent whole. Also the memory of one part under way.
pub(crate) const PART_BYTES: usize = 8 << 20;
/// Parts under way at a time.
const PARTS_MAX: usize = 4;

/// A writer that sends parts as they fill.
pub(super) fn writer(store: Arc<dyn ObjectStore>, path: Path) -> BufWriter {
    BufWriter::with_capacity(store, path, PART_BYTES).with_max_concurrency(PARTS_MAX)
}

/// An upload that counts its bytes.
pub(crate) struct Upload {
    writer: BufWriter,
    bytes: u64,
}

impl Upload {
    pub fn new(store: Arc<dyn ObjectStore>, path: Path) -> Upload {
        Upload { writer: writer(store, path), bytes: 0 }
    }

    pub async fn put(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.writer.put(Bytes::from(bytes)).await.map_err(store_error)
    }

    /// Makes the file appear; answers its size.
    pub async fn finish(mut self) -> Result<u64> {
        self.writer.shutdown().await.map_err(io_error)?;
        Ok(self.bytes)
    }

    pub async fn abort(mut self) {
        abort(&mut self.writer).await;
    }
}

/// Gives up an upload.
pub(super) async fn abort(writer: &mut BufWriter) {
    if let Err(error) = writer.abort().await {
        tracing::debug!(%error, "upload not aborted");
    }
}

/// The storage's own error inside an I/O error.
pub(crate) fn io_error(error: std::io::Error) -> Error {
    match error.downcast::<object_store::Error>() {
        Ok(error) => store_error(error),
        Err(error) => lakeport_connect::Error::io(error.to_string()).into(),
    }
}
