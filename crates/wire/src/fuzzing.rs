//! What holds for every byte that a client sends; for fuzzers and tests.

use arrow_array::{Array, ArrayRef};
use arrow_schema::Field;
use bytes::BytesMut;
use lakeport_base::limits::MESSAGE_BYTES_MAX;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::{arrow_type, sql_type};
use lakeport_core::value::{ColumnBuilder, TextColumn, Zone};
use lakeport_core::{Error, Result};

pub use crate::copy::fuzzing::copy;
use crate::encode::BinaryColumn;
use crate::message::{Bind, Frame, Message};
use crate::params;
use crate::startup::{CANCEL_REQUEST, GSS_REQUEST, Opening, SSL_REQUEST, take_packet};
use crate::types::{declared_type, spread_formats};

/// Sizes of the pieces in which data come, over and over.
pub(crate) const CUTS: [&[usize]; 3] = [&[1], &[3, 1, 64, 7], &[usize::MAX]];

/// Types of columns and parameters.
const TYPES: [&str; 22] = [
    "bool",
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "decimal",
    "decimal(10,2)",
    "decimal(38,38)",
    "text",
    "varchar(3)",
    "bytes",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "jsonb",
    "bool[]",
    "int8[]",
    "decimal[]",
    "text[]",
    "timestamptz[]",
];
/// Parameters of one message that are tried, so that the work stays in proportion to the bytes.
const PARAMS_MAX: usize = 16;

/// Reads bytes as those of a client, from its startup packet on. They mean the same in pieces of any size, and each
/// parameter that is taken prints and reads back in both forms.
///
/// # Panics
/// When that does not hold.
pub fn client(data: &[u8]) {
    let [bytewise, mixed, whole] = CUTS.map(|sizes| {
        let mut reader = Reader::default();
        pieces(data, sizes).for_each(|piece| reader.feed(piece));
        reader
    });
    assert_eq!(bytewise.seen, whole.seen);
    assert_eq!(mixed.seen, whole.seen);
    whole.binds.iter().for_each(|(types, bind)| parameters(types, bind));
}

/// The data in pieces of such sizes.
pub(crate) fn pieces<'d>(mut data: &'d [u8], sizes: &'static [usize]) -> impl Iterator<Item = &'d [u8]> {
    sizes.iter().cycle().map_while(move |size| {
        let piece = data.split_off(..data.len().min(*size))?;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The type that a byte stands for.
pub(crate) fn type_of(byte: u8) -> SqlType {
    let name = TYPES[usize::from(byte) % TYPES.len()];
    SqlType::parse(name).unwrap_or_else(|| panic!("{name} is a type"))
}

/// All that a client sees of an error.
pub(crate) fn shown(error: &Error) -> String {
    format!("{} {error} {:?}", error.code().code(), error.detail())
}

/// A client as far as it has been heard.
#[derive(Default)]
struct Reader {
    input: BytesMut,
    started: bool,
    ended: bool,
    /// What it said, and what was answered to what could not be read.
    seen: Vec<String>,
    /// Types declared by the last Parse.
    types: Vec<u32>,
    binds: Vec<(Vec<u32>, Bind)>,
}

impl Reader {
    fn feed(&mut self, piece: &[u8]) {
        self.input.extend_from_slice(piece);
        while !self.ended {
            match if self.started { self.message() } else { self.packet() } {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.seen.push(shown(&error));
                    self.ended = !self.started || error.code() == Sqlstate::PROTOCOL_VIOLATION;
                }
            }
        }
    }

    /// Reads a packet of the start; `false` when it is not all there.
    fn packet(&mut self) -> Result<bool> {
        let Some(mut packet) = take_packet(&mut self.input)? else { return Ok(false) };
        match packet.int32()? as u32 {
            SSL_REQUEST | GSS_REQUEST => {}
            CANCEL_REQUEST => self.ended = true,
            version => {
                self.seen.push(format!("{:?}", Opening::read(version, packet)?));
                self.started = true;
            }
        }
        Ok(true)
    }

    /// Reads a message; `false` when it is not all there.
    fn message(&mut self) -> Result<bool> {
        let Some(frame) = Frame::take(&mut self.input, MESSAGE_BYTES_MAX)? else { return Ok(false) };
        let message = Message::read(frame)?;
        self.seen.push(format!("{message:?}"));
        match message {
            Message::Parse { types, .. } => self.types = types,
            Message::Bind(bind) => self.binds.push((self.types.clone(), bind)),
            _ => {}
        }
        Ok(true)
    }
}

fn parameters(types: &[u32], bind: &Bind) {
    let Some(formats) = spread_formats(&bind.param_formats, bind.params.len()) else { return };
    for (at, (value, format)) in bind.params.iter().zip(formats).enumerate().take(PARAMS_MAX) {
        let declared = types.get(at).and_then(|oid| declared_type(*oid)).unwrap_or(SqlType::Text);
        // The statement may want another type: the length of the portal's name chooses it.
        for wanted in [&declared, &type_of((bind.portal.len() + at) as u8)] {
            let read = params::read(value.as_deref(), format, &declared, wanted, Zone::UTC);
            if let Ok(array) = read {
                parameter(&array, wanted);
            }
        }
    }
}

/// A value that was taken is one of its type.
fn parameter(array: &ArrayRef, wanted: &SqlType) {
    // A DECIMAL without precision has the value's own.
    let ty = match wanted {
        SqlType::Decimal(..) => sql_type(&Field::new("", array.data_type().clone(), true)),
        _ => wanted.clone(),
    };
    assert_eq!((array.len(), array.data_type()), (1, &arrow_type(&ty)));
    if array.is_null(0) {
        return;
    }
    let text = printed(array, &ty);
    let mut column = ColumnBuilder::new(&ty, 1);
    column.append_text(&text).unwrap_or_else(|error| panic!("{text:?} as {ty}: {error}"));
    assert_eq!(printed(&column.finish(), &ty), text, "{ty} in text");
    let Some(binary) = sent(array, &ty) else { return };
    column.append_binary(&binary).unwrap_or_else(|error| panic!("{text:?} as {ty} in binary: {error}"));
    assert_eq!(printed(&column.finish(), &ty), text, "{ty} in binary");
}

fn printed(array: &ArrayRef, ty: &SqlType) -> String {
    let mut text = String::new();
    TextColumn::new(array, ty).write(0, &mut text).expect("a string takes all");
    text
}

/// The value's binary form, unless the form's range does not hold it.
fn sent(array: &ArrayRef, ty: &SqlType) -> Option<BytesMut> {
    let mut out = BytesMut::new();
    BinaryColumn::new(array, ty).and_then(|column| column.write(0, &mut out)).ok()?;
    Some(out.split_off(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A startup packet of protocol 3.0.
    const START: &[u8] = b"\0\0\0\x12\0\x03\0\0user\0ann\0\0";

    fn after_start(messages: &[&[u8]]) {
        client(&[&[START], messages].concat().concat());
    }

    #[test]
    fn clients_are_understood_in_pieces() {
        client(b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\0\0\0\0\0");
        after_start(&[b"Q\0\0\0\x0dSELECT 1\0", b"y\0\0\0\x04", b"X\0\0\0\x04"]);
        let parse = b"P\0\0\0\x15\0SELECT $1\0\0\x01\0\0\0\x15";
        after_start(&[parse, b"B\0\0\0\x14\0\0\0\x01\0\x01\0\x01\0\0\0\x02\0\x07\0\0", b"S\0\0\0\x04", b"Q\xff"]);
    }

    #[test]
    fn a_date_in_binary_may_be_as_far_as_one_in_text() {
        let parse = b"P\0\0\0\x0c\0\0\0\x01\0\0\x04\x3a";
        for days in [i32::MIN + 1, 0x2300_0000, i32::MAX - 10_957] {
            let bind = [&b"B\0\0\0\x16\0\0\0\x01\0\x01\0\x01\0\0\0\x04"[..], &days.to_be_bytes(), b"\0\0"].concat();
            after_start(&[parse, &bind]);
        }
    }

    #[test]
    fn copies_are_understood_in_pieces() {
        copy(b"\0\t\x01\"\"\x02\x02\x091\ta\\nb\n\\N\t\\N\n2\tc\n\\.\n");
        copy(b"\x05,\0\"\"\x02\x02\x09a,b\n1,\"x,\n\"\"\"\n,\n");
        copy(b"\x02\0\0\0\0\x01\x02PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\0\0\0\x07\xff\xff");
        copy(b"\x01;\x02\"\\\x01\x0c2024-02-30\n");
    }
}
