//! Avro container files: a header with the schema, then blocks of records.

use std::io::Read;

use arrow_schema::SchemaRef;
use async_compression::tokio::bufread::{BzDecoder, ZstdDecoder};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use lakeport_base::Sqlstate;
use lakeport_base::limits::IMPORT_BLOCK_BYTES_MAX;
use tokio::io::AsyncReadExt;

use super::super::batch::Wanted;
use super::super::parquet::OTHER_FORMAT;
use super::{Block, Frame, Input, MAGIC, Rows, SYNC_BYTES, broken, ends_early, number_at};
use crate::error::{Error, Result};

/// Longest entry of a header, in bytes: the schema and what else a writer notes.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a number.
const NUMBER_BYTES_MAX: usize = 10;

/// Reads one file.
pub(super) async fn read(mut input: Input, rows: &Rows<'_>) -> Result<()> {
    let header = Header::read(&mut input).await?;
    let mut number = 0;
    while !input.is_at_end().await? {
        number += 1;
        let wrong = |error: Error| match error.code() {
            // The schema is the whole file's.
            Sqlstate::UNDEFINED_COLUMN => error,
            _ => error.prefixed(&format!("error parsing block {number}")),
        };
        let block = header.next_block(&mut input).await.map_err(wrong)?;
        if rows.send(&block, &header.frame).await.map_err(wrong)? == Wanted::Enough {
            return Ok(());
        }
    }
    Ok(())
}

/// The columns of one file.
pub(super) async fn schema(mut input: Input) -> Result<SchemaRef> {
    Header::read(&mut input).await?.frame.schema()
}

async fn number(input: &mut Input) -> Result<i64> {
    input.fill(NUMBER_BYTES_MAX + 1).await?;
    let (number, length) = number_at(input.rest())?.ok_or_else(ends_early)?;
    input.take(length).await?;
    Ok(number)
}

/// A number of bytes and so many bytes.
async fn sized(input: &mut Input, bytes_max: usize) -> Result<&[u8]> {
    let count = size(input, bytes_max).await?;
    input.take(count).await
}

async fn size(input: &mut Input, max: usize) -> Result<usize> {
    let count = number(input).await?;
    let fits = usize::try_from(count).ok().filter(|count| *count <= max);
    fits.ok_or_else(|| broken(format!("{count} is no size: it can be 0 to {max}")))
}

/// What the head of a file says.
struct Header {
    codec: Vec<u8>,
    frame: Frame,
}

impl Header {
    async fn read(input: &mut Input) -> Result<Header> {
        input.fill(MAGIC.len()).await?;
        if !input.rest().starts_with(MAGIC) {
            return Err(broken("not an Avro file").with_hint(OTHER_FORMAT));
        }
        input.take(MAGIC.len()).await?;
        let (mut schema, mut codec) = (None, b"null".to_vec());
        loop {
            let count = number(input).await?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // A negative count of entries has their size after it.
                number(input).await?;
            }
            for _ in 0..count.unsigned_abs() {
                let key = sized(input, HEADER_BYTES_MAX).await?.to_vec();
                let value = sized(input, HEADER_BYTES_MAX).await?.to_vec();
                match key.as_slice() {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = value,
                    _ => {}
                }
            }
        }
        let sync: [u8; SYNC_BYTES] = input.take(SYNC_BYTES).await?.try_into().map_err(Error::internal)?;
        let schema = schema.ok_or_else(|| broken("not an Avro file: it has no schema"))?;
        Ok(Header { codec, frame: Frame::new(&schema, sync) })
    }

    async fn next_block(&self, input: &mut Input) -> Result<Block> {
        let rows = size(input, IMPORT_BLOCK_BYTES_MAX).await?;
        let packed = sized(input, IMPORT_BLOCK_BYTES_MAX).await?.to_vec();
        let bytes = self.unpacked(packed).await?;
        if input.take(SYNC_BYTES).await? != self.frame.sync {
            return Err(broken("the mark after the block is wrong"));
        }
        // So that a count can promise no more rows than the block can hold.
        if rows > bytes.len() {
            return Err(broken(format!("{rows} rows in {} bytes", bytes.len())));
        }
        Ok(Block { rows, bytes })
    }

    async fn unpacked(&self, packed: Vec<u8>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = IMPORT_BLOCK_BYTES_MAX as u64 + 1;
        let read = match self.codec.as_slice() {
            b"null" => return Ok(packed),
            b"snappy" => return unpack_snappy(&packed),
            b"deflate" => DeflateDecoder::new(packed.as_slice()).take(limit).read_to_end(&mut bytes),
            b"bzip2" => BzDecoder::new(packed.as_slice()).take(limit).read_to_end(&mut bytes).await,
            b"zstandard" => ZstdDecoder::new(packed.as_slice()).take(limit).read_to_end(&mut bytes).await,
            other => {
                let codec = String::from_utf8_lossy(other);
                return Err(Error::unsupported(format!("unsupported Avro codec {codec:?}"))
                    .with_hint("the codecs are null, deflate, snappy, bzip2, zstandard"));
            }
        };
        read.map_err(|error| broken(format!("cannot decompress: {error}")))?;
        if bytes.len() as u64 == limit { Err(too_large()) } else { Ok(bytes) }
    }
}

/// Snappy's raw form with a checksum after it.
fn unpack_snappy(packed: &[u8]) -> Result<Vec<u8>> {
    let wrong = |error: snap::Error| broken(format!("cannot decompress: {error}"));
    let (packed, sum) = packed.split_last_chunk::<4>().ok_or_else(|| broken("a block without checksum"))?;
    if snap::raw::decompress_len(packed).map_err(wrong)? > IMPORT_BLOCK_BYTES_MAX {
        return Err(too_large());
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(packed).map_err(wrong)?;
    let mut found = Crc::new();
    found.update(&bytes);
    if found.sum() == u32::from_be_bytes(*sum) { Ok(bytes) } else { Err(broken("the checksum of a block is wrong")) }
}

fn too_large() -> Error {
    let message = format!("a block is larger than {} MiB", IMPORT_BLOCK_BYTES_MAX >> 20);
    Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
}
