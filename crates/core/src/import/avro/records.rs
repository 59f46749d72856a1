//! Avro records without a container: one after another in binary, or as JSON, one a line.

use lakeport_base::limits::{BATCH_ROWS, IMPORT_ROW_BYTES_MAX};
use memchr::memchr;
use serde_json::Value;

use super::super::batch::Wanted;
use super::shape::Schema;
use super::{Block, Frame, Input, Rows, SYNC_BYTES, broken, ends_early};
use crate::error::{Error, Result};

/// Bytes of records that make a block, besides their number.
const BLOCK_BYTES: usize = 4 << 20;

/// Reads one file of records of a schema. `record_end`: the byte after each record; binary ones need none.
pub(super) async fn read(
    mut input: Input,
    schema: &str,
    json: bool,
    record_end: Option<u8>,
    rows: &Rows<'_>,
) -> Result<()> {
    let frame = Frame::new(schema.as_bytes(), [0; SYNC_BYTES]);
    let schema = Schema::parse(schema)?;
    let mut block = Block { rows: 0, bytes: Vec::new() };
    let mut count = 0_u64;
    loop {
        let at_end = input.is_at_end().await?;
        if at_end || block.rows == BATCH_ROWS || block.bytes.len() >= BLOCK_BYTES {
            if rows.send(&block, &frame).await? == Wanted::Enough || at_end {
                return Ok(());
            }
            block = Block { rows: 0, bytes: Vec::new() };
        }
        count += 1;
        let added = if json {
            add_json(&mut input, &schema, record_end.unwrap_or(b'\n'), &mut block).await
        } else {
            add_binary(&mut input, &schema, record_end, &mut block).await
        };
        added.map_err(|error: Error| error.prefixed(&format!("error parsing row {count}")))?;
    }
}

async fn add_binary(input: &mut Input, schema: &Schema, record_end: Option<u8>, block: &mut Block) -> Result<()> {
    let length = loop {
        match schema.record_length(input.rest())? {
            Some(length) => break length,
            None => more(input).await?,
        }
    };
    block.bytes.extend_from_slice(input.take(length).await?);
    block.rows += 1;
    match record_end {
        Some(end) if !input.is_at_end().await? && input.take(1).await? != [end] => {
            Err(broken(format!("{:?} does not follow the record", char::from(end))))
        }
        _ => Ok(()),
    }
}

async fn add_json(input: &mut Input, schema: &Schema, record_end: u8, block: &mut Block) -> Result<()> {
    let length = loop {
        match memchr(record_end, input.rest()) {
            Some(length) => break length + 1,
            None if input.ended => break input.rest().len(),
            None => more(input).await?,
        }
    };
    let line = input.take(length).await?;
    let line = line.strip_suffix(&[record_end]).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Ok(());
    }
    let json: Value = serde_json::from_slice(line).map_err(|error| broken(format!("not JSON: {error}")))?;
    schema.encode(&json, &mut block.bytes)?;
    block.rows += 1;
    Ok(())
}

/// Waits for more of a record. Twice as much, so that a long one is not looked over for each piece.
async fn more(input: &mut Input) -> Result<()> {
    let known = input.rest().len();
    if input.ended {
        return Err(ends_early());
    }
    if known > IMPORT_ROW_BYTES_MAX {
        return Err(broken(format!("longer than {} MiB", IMPORT_ROW_BYTES_MAX >> 20)));
    }
    input.fill(known * 2 + 1).await
}
