//! Messages of a client after the start, read from their frames. Whatever the bytes are, reading ends in a value or an
//! error.

use bytes::{Buf, Bytes, BytesMut};
use lakeport_base::Sqlstate;
use lakeport_base::limits::{MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX};
use lakeport_core::{Error, Result};

/// Tag of Sync, the end of what a client sends together.
pub(crate) const SYNC: u8 = b'S';

/// Tag and length.
const FRAME_HEADER_BYTES: usize = 5;

/// A tag and the bytes that belong to it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

impl Frame {
    /// Takes the next frame off the input, if all of it is there.
    ///
    /// # Errors
    /// 08P01 for a length that no message of the tag has, or one above `bytes_max`.
    pub(crate) fn take(input: &mut BytesMut, bytes_max: usize) -> Result<Option<Frame>> {
        let Some(header) = input.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        let [tag, length @ ..] = *header;
        // The length counts itself and not the tag.
        let length = u32::from_be_bytes(length) as usize;
        let longest = if is_bulky(tag) { MESSAGE_BYTES_MAX } else { SMALL_MESSAGE_BYTES_MAX };
        if !(4..=longest.min(bytes_max)).contains(&length) {
            return Err(violation(format!("invalid message length {length}")));
        }
        if input.len() < length + 1 {
            return Ok(None);
        }
        let mut frame = input.split_to(length + 1);
        frame.advance(FRAME_HEADER_BYTES);
        Ok(Some(Frame { tag, body: frame.freeze() }))
    }
}

/// What Describe and Close speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement,
    Portal,
}

/// A message of a client.
#[derive(Debug)]
pub(crate) enum Message {
    Query(String),
    Parse { name: String, text: String, types: Vec<u32> },
    Bind(Bind),
    Describe { target: Target, name: String },
    Execute { portal: String, rows_max: usize },
    Close { target: Target, name: String },
    Flush,
    Sync,
    Terminate,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
}

/// Parameters for a prepared statement.
#[derive(Debug)]
pub(crate) struct Bind {
    pub portal: String,
    pub statement: String,
    /// One for all, or one each; none is all text.
    pub param_formats: Vec<i16>,
    pub params: Vec<Option<Bytes>>,
    pub result_formats: Vec<i16>,
}

impl Message {
    /// Reads a frame.
    ///
    /// # Errors
    /// 08P01 for a body that does not fit its tag or a tag out of place, 22021 for text that is not UTF-8.
    pub(crate) fn read(frame: Frame) -> Result<Message> {
        let mut fields = Fields { body: frame.body };
        let message = match frame.tag {
            b'Q' => Message::Query(fields.string()?),
            b'P' => Message::Parse {
                name: fields.string()?,
                text: fields.string()?,
                types: fields.list(|fields| fields.int32().map(|oid| oid as u32))?,
            },
            b'B' => Message::Bind(Bind {
                portal: fields.string()?,
                statement: fields.string()?,
                param_formats: fields.list(Fields::int16)?,
                params: fields.list(Fields::value)?,
                result_formats: fields.list(Fields::int16)?,
            }),
            b'D' => Message::Describe { target: fields.target()?, name: fields.string()? },
            b'E' => {
                Message::Execute { portal: fields.string()?, rows_max: usize::try_from(fields.int32()?).unwrap_or(0) }
            }
            b'C' => Message::Close { target: fields.target()?, name: fields.string()? },
            b'H' => Message::Flush,
            SYNC => Message::Sync,
            b'X' => Message::Terminate,
            b'd' => Message::CopyData(std::mem::take(&mut fields.body)),
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail(fields.string()?),
            tag => return Err(violation(format!("unexpected message of type {:?}", char::from(tag)))),
        };
        fields.end()?;
        Ok(message)
    }
}

/// Whether messages of a tag hold a statement or data, and so may be long.
fn is_bulky(tag: u8) -> bool {
    matches!(tag, b'Q' | b'P' | b'B' | b'd')
}

/// 08P01
pub(crate) fn violation(message: impl Into<String>) -> Error {
    Error::new(Sqlstate::PROTOCOL_VIOLATION, message)
}

/// Reads the fields of a body one after another.
pub(crate) struct Fields {
    pub(crate) body: Bytes,
}

impl Fields {
    fn need(&self, bytes: usize) -> Result<()> {
        if self.body.len() < bytes { Err(violation("insufficient data left in message")) } else { Ok(()) }
    }

    fn target(&mut self) -> Result<Target> {
        self.need(1)?;
        match self.body.get_u8() {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(violation(format!("invalid target {:?}: expected 'S' or 'P'", char::from(other)))),
        }
    }

    pub(crate) fn int16(&mut self) -> Result<i16> {
        self.need(2)?;
        Ok(self.body.get_i16())
    }

    pub(crate) fn int32(&mut self) -> Result<i32> {
        self.need(4)?;
        Ok(self.body.get_i32())
    }

    /// Text up to a zero byte.
    pub(crate) fn string(&mut self) -> Result<String> {
        let end = self.body.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| violation("invalid string in message: no zero byte ends it"))?;
        let text = self.body.split_to(end);
        self.body.advance(1);
        String::from_utf8(text.into()).map_err(|_| invalid_utf8())
    }

    /// A value with its length before it; a length of -1 is NULL.
    pub(crate) fn value(&mut self) -> Result<Option<Bytes>> {
        let length = self.int32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| violation(format!("invalid value length {length}")))?;
        self.need(length)?;
        Ok(Some(self.body.split_to(length)))
    }

    fn list<T>(&mut self, read: impl Fn(&mut Fields) -> Result<T>) -> Result<Vec<T>> {
        let count = self.int16()? as u16;
        (0..count).map(|_| read(self)).collect()
    }

    fn end(&self) -> Result<()> {
        if self.body.is_empty() { Ok(()) } else { Err(violation("invalid message format: bytes left over")) }
    }
}

/// 22021
pub(crate) fn invalid_utf8() -> Error {
    Error::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, body: &'static [u8]) -> Result<Message> {
        Message::read(Frame { tag, body: Bytes::from_static(body) })
    }

    #[test]
    fn whole_messages() {
        assert!(matches!(read(b'Q', b"SELECT 1\0"), Ok(Message::Query(text)) if text == "SELECT 1"));
        let bind = read(b'B', b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0");
        let Ok(Message::Bind(bind)) = bind else { panic!("{bind:?}") };
        assert_eq!((bind.statement.as_str(), bind.param_formats.as_slice()), ("s", &[1][..]));
        assert_eq!(bind.params, [Some(Bytes::from_static(b"x")), None]);
        assert!(matches!(read(b'E', b"\0\0\0\0\x05"), Ok(Message::Execute { rows_max: 5, .. })));
    }

    #[test]
    fn broken_messages_are_errors() {
        let broken: [(u8, &[u8]); 10] = [
            (b'Q', b""),
            (b'Q', b"SELECT"),
            (b'Q', b"a\0b"),
            (b'Q', b"\xff\0"),
            (b'P', b"\0\0\xff\xff"),
            (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
            (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
            (b'D', b"x\0"),
            (b'E', b"\0\0"),
            (b'y', b""),
        ];
        for (tag, body) in broken {
            assert!(read(tag, body).is_err(), "{:?} {body:?}", char::from(tag));
        }
    }
}
