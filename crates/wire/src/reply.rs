//! Messages on their way out, written into one buffer.
//!
//! Layout of every message: one byte of tag, four bytes of length (itself included), the body. All numbers big-endian.

use bytes::{BufMut, BytesMut};
use lakeport_base::Sqlstate;
use lakeport_core::{Block, Error, Notice, Result};

use crate::types::ColumnShape;

/// The buffer of messages not yet sent.
#[derive(Default)]
pub(crate) struct Replies {
    pub(crate) buffer: BytesMut,
    /// Where the message being written starts.
    open: Option<usize>,
    /// Something waits that the client is to see before its statement ends.
    pub(crate) urgent: bool,
}

/// Severity of an error: after FATAL the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Fatal,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }
}

impl Replies {
    /// Starts a message; [`end`](Replies::end) fills in its length.
    pub(crate) fn begin(&mut self, tag: u8) {
        self.open = Some(self.buffer.len());
        self.buffer.put_u8(tag);
        self.buffer.put_u32(0);
    }

    /// Ends the message started last.
    pub(crate) fn end(&mut self) {
        let Some(start) = self.open.take() else { return };
        let length = (self.buffer.len() - start - 1) as u32;
        self.buffer[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
    }

    /// Forgets a message whose writing was cut short.
    pub(crate) fn discard_unfinished(&mut self) {
        if let Some(start) = self.open.take() {
            self.buffer.truncate(start);
        }
    }

    /// A count of columns, in 16 bits.
    ///
    /// # Errors
    /// 54011
    pub(crate) fn count(&mut self, count: usize) -> Result<()> {
        let count = u16::try_from(count).map_err(|_| {
            Error::new(Sqlstate::TOO_MANY_COLUMNS, format!("{count} columns are more than a message can hold"))
        })?;
        self.buffer.put_u16(count);
        Ok(())
    }

    fn empty(&mut self, tag: u8) {
        self.begin(tag);
        self.end();
    }

    /// Text up to a zero byte, which the text itself cannot hold.
    fn string(&mut self, text: &str) {
        self.buffer.extend(text.bytes().filter(|byte| *byte != 0));
        self.buffer.put_u8(0);
    }

    pub(crate) fn authentication_ok(&mut self) {
        self.authentication(0, &[]);
    }

    /// An authentication request by its number, such as 10 (SASL), 11 (SASL continue), 12 (SASL final).
    pub(crate) fn authentication(&mut self, request: u32, data: &[u8]) {
        self.begin(b'R');
        self.buffer.put_u32(request);
        self.buffer.put_slice(data);
        self.end();
    }

    pub(crate) fn parameter_status(&mut self, name: &str, value: &str) {
        self.begin(b'S');
        self.string(name);
        self.string(value);
        self.end();
    }

    pub(crate) fn backend_key(&mut self, process: u32, secret: &[u8]) {
        self.begin(b'K');
        self.buffer.put_u32(process);
        self.buffer.put_slice(secret);
        self.end();
    }

    /// Tells the newest minor protocol version served and the protocol options that are unknown.
    pub(crate) fn negotiate_version(&mut self, minor: u16, unknown: &[String]) {
        self.begin(b'v');
        self.buffer.put_u32(3 << 16 | u32::from(minor));
        self.buffer.put_u32(unknown.len() as u32);
        unknown.iter().for_each(|option| self.string(option));
        self.end();
    }

    pub(crate) fn ready(&mut self, block: Block) {
        self.begin(b'Z');
        self.buffer.put_u8(match block {
            Block::Idle => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        });
        self.end();
    }

    pub(crate) fn command_complete(&mut self, tag: &str) {
        self.begin(b'C');
        self.string(tag);
        self.end();
    }

    pub(crate) fn empty_query(&mut self) {
        self.empty(b'I');
    }

    pub(crate) fn parse_complete(&mut self) {
        self.empty(b'1');
    }

    pub(crate) fn bind_complete(&mut self) {
        self.empty(b'2');
    }

    pub(crate) fn close_complete(&mut self) {
        self.empty(b'3');
    }

    pub(crate) fn no_data(&mut self) {
        self.empty(b'n');
    }

    pub(crate) fn portal_suspended(&mut self) {
        self.empty(b's');
    }

    pub(crate) fn copy_done(&mut self) {
        self.empty(b'c');
    }

    pub(crate) fn parameter_description(&mut self, oids: &[u32]) -> Result<()> {
        self.begin(b't');
        self.count(oids.len())?;
        oids.iter().for_each(|oid| self.buffer.put_u32(*oid));
        self.end();
        Ok(())
    }

    /// Names, types and formats of the columns to come.
    pub(crate) fn row_description<'a>(
        &mut self,
        columns: impl ExactSizeIterator<Item = (&'a str, ColumnShape, i16)>,
    ) -> Result<()> {
        self.begin(b'T');
        self.count(columns.len())?;
        for (name, shape, format) in columns {
            self.string(name);
            // Neither table nor column number: results are not tied to tables.
            self.buffer.put_u32(0);
            self.buffer.put_u16(0);
            self.buffer.put_u32(shape.oid);
            self.buffer.put_i16(shape.bytes);
            self.buffer.put_i32(shape.modifier);
            self.buffer.put_i16(format);
        }
        self.end();
        Ok(())
    }

    /// Opens a copy: `G` asks for rows, `H` announces them.
    pub(crate) fn copy_response(&mut self, tag: u8, format: i16, columns: usize) -> Result<()> {
        self.begin(tag);
        self.buffer.put_u8(format as u8);
        self.count(columns)?;
        (0..columns).for_each(|_| self.buffer.put_i16(format));
        self.end();
        Ok(())
    }

    pub(crate) fn error(&mut self, severity: Severity, error: &Error) {
        self.begin(b'E');
        self.severity(severity.name());
        self.field(b'C', error.code().code());
        self.field(b'M', error.message());
        self.optional_field(b'D', error.detail());
        self.optional_field(b'H', error.hint());
        let position = error.position().map(|position| position.to_string());
        self.optional_field(b'P', position.as_deref());
        self.buffer.put_u8(0);
        self.end();
    }

    pub(crate) fn notice(&mut self, notice: &Notice) {
        self.urgent = true;
        self.begin(b'N');
        self.severity(notice.severity);
        self.field(b'C', notice.code.code());
        self.field(b'M', &notice.message);
        self.optional_field(b'D', notice.detail.as_deref());
        self.optional_field(b'H', notice.hint.as_deref());
        self.buffer.put_u8(0);
        self.end();
    }

    /// The severity as shown and as never translated.
    fn severity(&mut self, name: &str) {
        self.field(b'S', name);
        self.field(b'V', name);
    }

    fn field(&mut self, code: u8, value: &str) {
        self.buffer.put_u8(code);
        self.string(value);
    }

    fn optional_field(&mut self, code: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.field(code, value);
        }
    }
}
