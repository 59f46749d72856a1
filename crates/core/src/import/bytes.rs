//! The bytes of a file: read in pieces, counted, decompressed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_compression::tokio::bufread::{
    BrotliDecoder, BzDecoder, DeflateDecoder, GzipDecoder, XzDecoder, ZlibDecoder, ZstdDecoder,
};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use lakeport_base::Sqlstate;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::options::Decompress;
use super::source::SourceFile;
use super::{snappy, zip};
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::job::Progress;

/// Size of a decompressed piece, in bytes.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// What reading may report before the rows are in the table.
const FRACTION_MAX: f64 = 0.99;

/// How much of all files has been read.
pub(crate) struct ReadMeter {
    progress: Arc<Progress>,
    total_bytes: u64,
    read_bytes: AtomicU64,
}

impl ReadMeter {
    pub fn new(progress: Arc<Progress>, total_bytes: u64) -> ReadMeter {
        ReadMeter { progress, total_bytes, read_bytes: AtomicU64::new(0) }
    }

    /// Counts bytes that were read, before decompression.
    pub fn add(&self, bytes: u64) {
        let read = self.read_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.set_fraction((read as f64 / self.total_bytes.max(1) as f64).min(1.0) * FRACTION_MAX);
    }
}

/// What a file holds, as it comes.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes>>;

/// The content of a file from a byte on, as it is.
pub(crate) async fn open_from(file: &SourceFile, offset: u64, meter: Arc<ReadMeter>) -> Result<Pieces> {
    let range = (offset > 0).then_some(GetRange::Offset(offset));
    let options = GetOptions { range, ..GetOptions::default() };
    let opened = file.store.get_opts(&file.meta.location, options).await.map_err(store_error)?;
    let pieces = opened.into_stream().map_err(store_error);
    Ok(pieces.inspect_ok(move |piece| meter.add(piece.len() as u64)).boxed())
}

/// Memory that unpacking one xz file may take: files name their dictionary, `xz -9` one of 64 MiB.
const XZ_BYTES_MAX: u64 = 128 << 20;

/// The content of a file, decompressed.
pub(crate) async fn open(file: &SourceFile, decompress: Decompress, meter: Arc<ReadMeter>) -> Result<Pieces> {
    let pieces = open_from(file, 0, meter).await?;
    let decompress = decompress.of_file(file.meta.location.as_ref());
    if decompress == Decompress::None {
        return Ok(pieces);
    }
    let reader = StreamReader::new(pieces.map_err(io::Error::other));
    // Of those that may be, all members that follow each other.
    macro_rules! members {
        ($decoder:expr) => {{
            let mut decoder = $decoder;
            decoder.multiple_members(true);
            unpacked(decoder)
        }};
    }
    Ok(match decompress {
        Decompress::Bzip2 => members!(BzDecoder::new(reader)),
        Decompress::Zstd => members!(ZstdDecoder::new(reader)),
        Decompress::Xz => members!(XzDecoder::with_mem_limit(reader, XZ_BYTES_MAX)),
        Decompress::Brotli => unpacked(BrotliDecoder::new(reader)),
        Decompress::Zlib => unpacked(ZlibDecoder::new(reader)),
        Decompress::Deflate => unpacked(DeflateDecoder::new(reader)),
        Decompress::Snappy => snappy::unpacked(reader).map_err(unpack_error).boxed(),
        Decompress::Zip => zip::unpacked(reader).map_err(unpack_error).boxed(),
        Decompress::Gzip | Decompress::Auto | Decompress::None => members!(GzipDecoder::new(reader)),
    })
}

fn unpacked(reader: impl AsyncRead + Send + 'static) -> Pieces {
    ReaderStream::with_capacity(reader, PIECE_BYTES).map_err(unpack_error).boxed()
}

/// The storage's own error, or what is wrong with the compressed data.
fn unpack_error(error: io::Error) -> Error {
    error.downcast::<Error>().unwrap_or_else(|error| {
        Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("cannot decompress: {error}"))
            .with_hint("see that the file is whole, and compressed as FILE_FORMAT or the option decompress says")
    })
}
