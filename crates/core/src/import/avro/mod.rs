//! Avro to rows: columns by name, cast to the table's types.
//!
//! Whatever form the data come in, they become [`Block`]s of binary records, cut out, checked and unpacked here, within
//! bounds; arrow-avro decodes them, each as a file of its own.

mod container;
mod records;
pub(super) mod shape;

use std::io::Cursor;

use arrow_array::RecordBatch;
use arrow_avro::reader::ReaderBuilder;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use lakeport_base::Sqlstate;
use lakeport_base::limits::BATCH_ROWS;

use super::batch::{Sink, Target, Wanted};
use super::columns::{Matched, converted};
use super::options::{AvroForm, ByName};
use crate::error::{Error, Result};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// Reads one file.
///
/// # Errors
/// 22P04 for what is no Avro or is broken; with `strict_validation`, 42703 for columns that differ.
pub(crate) async fn read(
    pieces: BoxStream<'static, Result<Bytes>>,
    form: &AvroForm,
    shape: &Shape<'_>,
    sink: &Sink,
) -> Result<()> {
    let input = Input { pieces, bytes: Vec::new(), at: 0, ended: false };
    let rows = Rows { shape, sink };
    match form {
        AvroForm::Container => container::read(input, &rows).await,
        AvroForm::Records { schema, json, record_end } => records::read(input, schema, *json, *record_end, &rows).await,
    }
}

/// The columns of a container file.
///
/// # Errors
/// 22P04
pub(crate) async fn schema(pieces: BoxStream<'static, Result<Bytes>>) -> Result<SchemaRef> {
    container::schema(Input { pieces, bytes: Vec::new(), at: 0, ended: false }).await
}

/// What becomes of rows as the file has them.
pub(crate) type Shape<'a> = dyn Fn(&RecordBatch) -> Result<RecordBatch> + Send + Sync + 'a;

/// Rows as the table has them.
///
/// # Errors
/// 42703 for columns that must not differ.
pub(super) fn as_table(names: ByName, target: &Target) -> impl Fn(&RecordBatch) -> Result<RecordBatch> + Send + Sync {
    move |batch| {
        let matched = Matched::new(batch.schema_ref().fields(), target, names)?;
        converted(batch, matched.all(), target, names)
    }
}

/// Where decoded blocks go.
struct Rows<'a> {
    shape: &'a Shape<'a>,
    sink: &'a Sink,
}

impl Rows<'_> {
    async fn send(&self, block: &Block, frame: &Frame) -> Result<Wanted> {
        let Some(batch) = block.decode(frame)? else { return Ok(Wanted::More) };
        for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
            let rows = batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start));
            if self.sink.send((self.shape)(&rows)?).await == Wanted::Enough {
                return Ok(Wanted::Enough);
            }
        }
        Ok(Wanted::More)
    }
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
    /// What is there and has not been taken.
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Waits until so many bytes are there, or the file has ended.
    async fn fill(&mut self, count: usize) -> Result<()> {
        while self.rest().len() < count && !self.ended {
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
        Ok(self.rest().is_empty())
    }

    async fn take(&mut self, count: usize) -> Result<&[u8]> {
        self.fill(count).await?;
        let taken = self.bytes[self.at..].get(..count).ok_or_else(ends_early)?;
        self.at += count;
        Ok(taken)
    }
}

/// Rows of one block, not compressed.
struct Block {
    rows: usize,
    bytes: Vec<u8>,
}

/// What stands around a block in a file that is not compressed.
struct Frame {
    head: Vec<u8>,
    sync: [u8; SYNC_BYTES],
}

impl Frame {
    fn new(schema: &[u8], sync: [u8; SYNC_BYTES]) -> Frame {
        let mut head = MAGIC.to_vec();
        write_number(&mut head, 1);
        for part in [b"avro.schema".as_slice(), schema] {
            write_number(&mut head, part.len() as i64);
            head.extend_from_slice(part);
        }
        write_number(&mut head, 0);
        head.extend_from_slice(&sync);
        Frame { head, sync }
    }
}

impl Frame {
    /// The columns that the schema has.
    fn schema(&self) -> Result<SchemaRef> {
        let reader = ReaderBuilder::new().build(Cursor::new(&self.head));
        reader.map(|reader| reader.schema()).map_err(|error| broken(format!("cannot read the schema: {error}")))
    }
}

impl Block {
    fn decode(&self, frame: &Frame) -> Result<Option<RecordBatch>> {
        if self.rows == 0 && self.bytes.is_empty() {
            return Ok(None);
        }
        let mut file = frame.head.clone();
        // One row more than there are, and a batch of what there are: bytes that are left over make a second batch or
        // an error, never a reader that waits for its end.
        write_number(&mut file, self.rows as i64 + 1);
        write_number(&mut file, self.bytes.len() as i64);
        file.extend_from_slice(&self.bytes);
        file.extend_from_slice(&frame.sync);
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

/// Appends a number in Avro's variable length, zigzag form.
fn write_number(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest > 0x7F {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The number at the start of some bytes and its length; `None` if there are not enough of them.
fn number_at(bytes: &[u8]) -> Result<Option<(i64, usize)>> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate() {
        if index == 10 {
            return Err(broken("a number is too long"));
        }
        value |= u64::from(byte & 0x7F).checked_shl(7 * index as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(Some(((value >> 1) as i64 ^ -((value & 1) as i64), index + 1)));
        }
    }
    Ok(None)
}

fn broken(message: impl Into<String>) -> Error {
    Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message)
}

fn ends_early() -> Error {
    broken("the file ends in the middle")
}
