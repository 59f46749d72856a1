//! What holds for every COPY; for fuzzers and tests.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::BytesMut;
use lakeport_base::limits::MESSAGE_BYTES_MAX;
use lakeport_base::name::quote_literal;
use lakeport_core::Result;
use lakeport_core::rows::schema_of;
use lakeport_core::value::Zone;
use lakeport_sql::stmt::copy::{CopyFormat, CopyOptions};
use lakeport_sql::{Statement, parse_one};

use super::decode::CopyDecoder;
use super::encode::{CopyData, CopyEncoder};
use crate::fuzzing::{CUTS, pieces, shown, type_of};
use crate::message::Frame;
use crate::reply::Replies;

const COLUMNS_MAX: u8 = 4;
const NULLS: [&str; 4] = ["", "\\N", "NULL", "\\null"];

/// The rows of a copy as far as they could be read, and the error after them.
type Answer = (Vec<RecordBatch>, Option<String>);

/// Reads bytes as a copy: one byte is the format, with the bit of 4 for a header; one each the delimiter, the NULL, the
/// quote, the escape, the count of columns and their types; the rest is the data. In pieces of any size they are the
/// same rows, and rows that are sent out and come back are, too.
///
/// # Panics
/// When that does not hold.
pub fn copy(data: &[u8]) {
    let Some((options, schema, data)) = order(data) else { return };
    let [bytewise, mixed, whole] = CUTS.map(|sizes| decode(&options, &schema, data, sizes));
    assert_eq!(bytewise, whole, "{options:?}");
    assert_eq!(mixed, whole, "{options:?}");
    let (batches, None) = &whole else { return };
    if can_return(&options)
        && let Ok(sent) = encode(&options, &schema, batches)
    {
        assert_eq!(decode(&options, &schema, &sent, CUTS[2]), whole, "{options:?}\n{}", sent.escape_ascii());
    }
}

fn order(data: &[u8]) -> Option<(CopyOptions, SchemaRef, &[u8])> {
    let ([format, delimiter, null, quote, escape, count], data) = data.split_first_chunk()?;
    let (types, data) = data.split_at_checked(usize::from(count % (COLUMNS_MAX + 1)))?;
    let types: Vec<_> = types.iter().map(|byte| ("c", type_of(*byte))).collect();
    let mark = |byte: &u8| quote_literal(&char::from(byte & 0x7f).to_string());
    let null = quote_literal(NULLS[usize::from(*null) % NULLS.len()]);
    let written = format!("DELIMITER {}, NULL {null}, HEADER {}", mark(delimiter), format & 4 != 0);
    let written = match format % 3 {
        0 => format!("FORMAT text, {written}"),
        1 => format!("FORMAT csv, {written}, QUOTE {}, ESCAPE {}", mark(quote), mark(escape)),
        _ => "FORMAT binary".to_string(),
    };
    match parse_one(&format!("COPY t FROM STDIN WITH ({written})")).ok()?.statement {
        Statement::Copy(copy) => Some((copy.options, schema_of(&types), data)),
        _ => None,
    }
}

fn decode(options: &CopyOptions, schema: &SchemaRef, data: &[u8], sizes: &'static [usize]) -> Answer {
    let mut decoder = CopyDecoder::new(schema.clone(), options.clone(), Zone::UTC);
    let mut batches = Vec::new();
    for piece in pieces(data, sizes).map(Some).chain([None]) {
        match piece {
            Some(piece) => decoder.feed(piece),
            None => decoder.end(),
        }
        loop {
            match decoder.next_batch() {
                Ok(Some(batch)) => batches.push(batch),
                Ok(None) => break,
                Err(error) => return (batches, Some(shown(&error))),
            }
        }
    }
    (batches, None)
}

/// Whether a copy with these options tells apart all values: in text a NULL without a backslash is a value, too, and in
/// CSV a backslash between two fields may make an end mark.
fn can_return(options: &CopyOptions) -> bool {
    match options.format {
        CopyFormat::Text => options.null.starts_with('\\'),
        CopyFormat::Csv => options.delimiter != b'\\',
        CopyFormat::Binary => true,
    }
}

/// The data of a copy out.
fn encode(options: &CopyOptions, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>> {
    let encoder = CopyEncoder::new(options.clone(), Zone::UTC);
    let mut out = Replies::default();
    encoder.start(schema, &mut out);
    let mut sent = 0;
    for batch in batches {
        let CopyData { messages, rows } = encoder.encode(batch, sent == 0)?;
        out.buffer.extend_from_slice(&messages);
        sent += rows;
    }
    encoder.end(sent, &mut out);
    let mut messages: BytesMut = out.buffer;
    let mut data = Vec::new();
    while let Some(message) = Frame::take(&mut messages, MESSAGE_BYTES_MAX)? {
        data.extend_from_slice(&message.body);
    }
    Ok(data)
}
