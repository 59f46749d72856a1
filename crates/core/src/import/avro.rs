//! Avro container files to rows: columns by name, cast to the table's types.
//!
//! Blocks are cut out, checked and unpacked here, within bounds; arrow-avro decodes them, each as a file of its own.

use std::io::{Cursor, Read};

use arrow_array::RecordBatch;
use arrow_avro::reader::ReaderBuilder;
use async_compression::tokio::bufread::{BzDecoder, ZstdDecoder};
use bytes::Bytes;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use futures::StreamExt;
use futures::stream::BoxStream;
use lakeport_base::Sqlstate;
use lakeport_base::limits::{BATCH_ROWS, IMPORT_BLOCK_BYTES_MAX};
use tokio::io::AsyncReadExt;

use super::batch::{Sink, Target, Wanted};
use super::columns::{Matched, converted};
use crate::error::{Error, Result};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;
/// Longest header, in bytes: the schema and what else a writer notes.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// Most bytes of a number.
const NUMBER_BYTES_MAX: usize = 10;

/// Reads one file.
///
/// # Errors
/// 22P04 for what is no Avro file or a broken one; with `strict`, 42703 for columns that differ.
pub(super) async fn read(
    pieces: BoxStream<'static, Result<Bytes>>,
    strict: bool,
    target: &Target,
    sink: &Sink,
) -> Result<()> {
    let mut input = Input { pieces, bytes: Vec::new(), at: 0, ended: false };
    let header = Header::read(&mut input).await?;
    let mut number = 0;
    while !input.is_at_end().await? {
        number += 1;
        let wrong = |error: Error| error.prefixed(&format!("error parsing block {number}"));
        let block = header.next_block(&mut input).await.map_err(wrong)?;
        let Some(rows) = block.decode(&header).map_err(wrong)? else { continue };
        let matched = Matched::new(rows.schema_ref().fields(), target, strict)?;
        for start in (0..rows.num_rows()).step_by(BATCH_ROWS) {
            let rows = rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start));
            let rows = converted(&rows, matched.all(), target).map_err(wrong)?;
            if sink.send(rows).await == Wanted::Enough {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The bytes of a file as they come.
struct Input {
    pieces: BoxStream<'static, Result<Bytes>>,
    bytes: Vec<u8>,
    /// Where in `bytes` the rest starts.
    at: usize,
    ended: bool,
}

impl Input {
    /// Waits until so many bytes are there, or the file has ended.
    async fn fill(&mut self, count: usize) -> Result<()> {
        while self.bytes.len() - self.at < count && !self.ended {
            self.bytes.drain(..std::mem::take(&mut self.at));
            match self.pieces.next().await.transpose()? {
                Some(piece) => self.bytes.extend_from_slice(&piece),
                None => self.ended = true,
            }
        }
        Ok(())
    }

    async fn is_at_end(&mut self) -> Result<bool> {
        self.fill(1).await?;
        Ok(self.at == self.bytes.len())
    }

    async fn take(&mut self, count: usize) -> Result<&[u8]> {
        self.fill(count).await?;
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| broken("the file ends in the middle"))?;
        self.at += count;
        Ok(taken)
    }

    /// A number in Avro's variable length, zigzag form.
    async fn number(&mut self) -> Result<i64> {
        let mut value = 0_u64;
        for index in 0..NUMBER_BYTES_MAX {
            let byte = self.take(1).await?[0];
            value |= u64::from(byte & 0x7F).checked_shl(7 * index as u32).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(broken("a number is too long"))
    }

    /// A number of bytes and so many bytes.
    async fn sized(&mut self, bytes_max: usize) -> Result<&[u8]> {
        let count = self.count(bytes_max).await?;
        self.take(count).await
    }

    async fn count(&mut self, max: usize) -> Result<usize> {
        let count = self.number().await?;
        let fits = usize::try_from(count).ok().filter(|count| *count <= max);
        fits.ok_or_else(|| broken(format!("{count} is no size: it can be 0 to {max}")))
    }
}

/// What the head of a file says.
struct Header {
    codec: Vec<u8>,
    sync: [u8; SYNC_BYTES],
    /// The head of a file of one block that is not compressed.
    plain: Vec<u8>,
}

impl Header {
    async fn read(input: &mut Input) -> Result<Header> {
        input.fill(MAGIC.len()).await?;
        if !input.bytes.starts_with(MAGIC) {
            return Err(broken("not an Avro file"));
        }
        input.at = MAGIC.len();
        let (mut schema, mut codec) = (None, b"null".to_vec());
        loop {
            let count = input.number().await?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // A negative count of entries has their size after it.
                input.number().await?;
            }
            for _ in 0..count.unsigned_abs() {
                let key = input.sized(HEADER_BYTES_MAX).await?.to_vec();
                let value = input.sized(HEADER_BYTES_MAX).await?.to_vec();
                match key.as_slice() {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => codec = value,
                    _ => {}
                }
            }
        }
        let sync: [u8; SYNC_BYTES] = input.take(SYNC_BYTES).await?.try_into().map_err(Error::internal)?;
        let schema = schema.ok_or_else(|| broken("not an Avro file: it has no schema"))?;
        let mut plain = MAGIC.to_vec();
        write_number(&mut plain, 1);
        for part in [b"avro.schema".as_slice(), &schema] {
            write_number(&mut plain, part.len() as u64);
            plain.extend_from_slice(part);
        }
        write_number(&mut plain, 0);
        plain.extend_from_slice(&sync);
        Ok(Header { codec, sync, plain })
    }

    async fn next_block(&self, input: &mut Input) -> Result<Block> {
        let rows = input.count(IMPORT_BLOCK_BYTES_MAX).await?;
        let packed = input.sized(IMPORT_BLOCK_BYTES_MAX).await?.to_vec();
        let bytes = self.unpacked(packed).await?;
        if input.take(SYNC_BYTES).await? != self.sync {
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

/// Rows of one block, unpacked.
struct Block {
    rows: usize,
    bytes: Vec<u8>,
}

impl Block {
    fn decode(&self, header: &Header) -> Result<Option<RecordBatch>> {
        if self.rows == 0 && self.bytes.is_empty() {
            return Ok(None);
        }
        let mut file = header.plain.clone();
        // One row more than there are, and a batch of what there are: bytes that are left over make a second batch or
        // an error, never a reader that waits for its end.
        write_number(&mut file, self.rows as u64 + 1);
        write_number(&mut file, self.bytes.len() as u64);
        file.extend_from_slice(&self.bytes);
        file.extend_from_slice(&header.sync);
        let reader = ReaderBuilder::new().with_batch_size(self.rows).build(Cursor::new(file));
        let mut reader = reader.map_err(|error| broken(format!("cannot read the schema: {error}")))?;
        let batch = reader.next().transpose().map_err(|error| broken(error.to_string()))?;
        let batch = batch.filter(|batch| batch.num_rows() == self.rows);
        match (batch, reader.next()) {
            (Some(batch), None) => Ok(Some(batch)),
            _ => Err(broken(format!("the block does not hold {} rows", self.rows))),
        }
    }
}

/// Appends a number in Avro's form.
fn write_number(out: &mut Vec<u8>, value: u64) {
    let mut rest = value << 1;
    while rest > 0x7F {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn broken(message: impl Into<String>) -> Error {
    Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message)
}

fn too_large() -> Error {
    let message = format!("a block is larger than {} MiB", IMPORT_BLOCK_BYTES_MAX >> 20);
    Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
}
