//! Copy data to batches of rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use bytes::{Buf, BytesMut};
use lakeport_base::Sqlstate;
use lakeport_base::limits::{BATCH_BYTES_MAX, BATCH_ROWS, IMPORT_ROW_BYTES_MAX};
use lakeport_core::rows::sql_type;
use lakeport_core::value::{ColumnBuilder, ValueError, Zone};
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::copy::{CopyFormat, CopyOptions};

use super::BINARY_SIGNATURE;
use super::line::{Fields, LineFinder};
use crate::message::invalid_utf8;

/// Flag of binary copies whose rows start with an object id, as PostgreSQL once wrote.
const BINARY_FLAG_OIDS: u32 = 1 << 16;
/// Field count that ends a binary copy.
const BINARY_TRAILER: i16 = -1;

/// Reads rows from data that come in pieces of any size.
pub(super) struct CopyDecoder {
    options: CopyOptions,
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    /// Rows of the batch under way, and the bytes that they came in.
    rows: usize,
    bytes: usize,
    buffer: BytesMut,
    /// Lines read, or rows of a binary copy; for messages.
    line: u64,
    finder: LineFinder,
    scratch: Vec<u8>,
    header_passed: bool,
    /// The end marker has come; what follows it does not count.
    marked_end: bool,
    /// The client has sent everything.
    ended: bool,
}

impl CopyDecoder {
    pub(super) fn new(schema: SchemaRef, options: CopyOptions, zone: Zone) -> CopyDecoder {
        let fields = schema.fields().iter();
        let columns = fields.map(|field| ColumnBuilder::in_zone(&sql_type(field), BATCH_ROWS, zone)).collect();
        CopyDecoder {
            header_passed: options.format != CopyFormat::Binary && !options.header,
            options,
            schema,
            columns,
            rows: 0,
            bytes: 0,
            buffer: BytesMut::new(),
            line: 0,
            finder: LineFinder::default(),
            scratch: Vec::new(),
            marked_end: false,
            ended: false,
        }
    }

    /// Adds data.
    pub(super) fn feed(&mut self, data: &[u8]) {
        if !self.marked_end {
            self.buffer.extend_from_slice(data);
        }
    }

    /// Says that no more data come.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next batch: a full one, or after the end what is left. `None` until more data come.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES_MAX {
            let read = match self.options.format {
                CopyFormat::Binary => self.read_binary_row(),
                CopyFormat::Text | CopyFormat::Csv => self.read_line(),
            };
            if !read? {
                return if self.ended && self.rows > 0 { self.take_batch().map(Some) } else { Ok(None) };
            }
        }
        self.take_batch().map(Some)
    }

    fn take_batch(&mut self) -> Result<RecordBatch> {
        (self.rows, self.bytes) = (0, 0);
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| {
            // What does not fit the schema at this point is a NULL where none may be.
            Error::new(Sqlstate::NOT_NULL_VIOLATION, error.to_string())
        })
    }

    /// Reads one line; `false` when there is no whole one.
    fn read_line(&mut self) -> Result<bool> {
        if self.marked_end {
            return Ok(false);
        }
        let line = match self.finder.find(&self.buffer, &self.options) {
            Some(end) => self.buffer.split_to(end + 1),
            None if self.buffer.len() > IMPORT_ROW_BYTES_MAX => return Err(self.bad("line too long")),
            None if !self.ended || self.buffer.is_empty() => return Ok(false),
            None if self.finder.is_in_quotes() => return Err(self.bad("unterminated CSV quoted field")),
            None => self.buffer.split(),
        };
        self.line += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line =
            str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).map_err(|_| self.at_line(invalid_utf8()))?;
        if !std::mem::replace(&mut self.header_passed, true) {
            return Ok(true);
        }
        if line == "\\." {
            self.marked_end = true;
            self.buffer.clear();
            return Ok(false);
        }
        self.read_fields(line)?;
        self.rows += 1;
        self.bytes += line.len();
        Ok(true)
    }

    fn read_fields(&mut self, line: &str) -> Result<()> {
        let mut fields = Fields::new(line, &self.options);
        // A table without columns has empty lines.
        if self.columns.is_empty() && line.is_empty() {
            return Ok(());
        }
        for (at, column) in self.columns.iter_mut().enumerate() {
            let name = self.schema.field(at).name();
            let field = fields.next(&mut self.scratch).map_err(|error| in_column(error, self.line, name))?;
            match field {
                None => return Err(self.bad(&format!("missing data for column {name:?}"))),
                Some(None) => column.append_null(),
                Some(Some(text)) => {
                    column.append_text(text).map_err(|error| in_column(error.into(), self.line, name))?;
                }
            }
        }
        if fields.is_at_end() { Ok(()) } else { Err(self.bad("extra data after last expected column")) }
    }

    /// Reads one row of a binary copy; `false` when there is no whole one.
    fn read_binary_row(&mut self) -> Result<bool> {
        if self.marked_end || !self.read_binary_header()? {
            return Ok(false);
        }
        let Some(length) = self.binary_row_bytes()? else {
            return if self.ended { Err(self.bad("unexpected end of data")) } else { Ok(false) };
        };
        let mut row = self.buffer.split_to(length);
        self.line += 1;
        self.bytes += length;
        if row.get_i16() == BINARY_TRAILER {
            self.marked_end = true;
            return Ok(false);
        }
        for (at, column) in self.columns.iter_mut().enumerate() {
            let Ok(length) = usize::try_from(row.get_i32()) else {
                column.append_null();
                continue;
            };
            let name = self.schema.field(at).name();
            let value = row.split_to(length);
            column.append_binary(&value).map_err(|error: ValueError| in_column(error.into(), self.line, name))?;
        }
        self.rows += 1;
        Ok(true)
    }

    /// Passes over the signature, the flags and the header's extension; `false` until all of it has come.
    fn read_binary_header(&mut self) -> Result<bool> {
        if self.header_passed {
            return Ok(true);
        }
        let known = self.buffer.len().min(BINARY_SIGNATURE.len());
        if self.buffer[..known] != BINARY_SIGNATURE[..known] {
            return Err(self.bad("COPY file signature not recognized"));
        }
        let Some((_, rest)) = self.buffer.split_first_chunk::<11>() else { return self.wait_for_header() };
        let Some((words, rest)) = rest.split_first_chunk::<8>() else { return self.wait_for_header() };
        let [f0, f1, f2, f3, e0, e1, e2, e3] = *words;
        if u32::from_be_bytes([f0, f1, f2, f3]) & BINARY_FLAG_OIDS != 0 {
            return Err(self.bad("invalid COPY file header: object ids are not supported"));
        }
        let extension = u32::from_be_bytes([e0, e1, e2, e3]) as usize;
        if extension > IMPORT_ROW_BYTES_MAX {
            return Err(self.bad("invalid COPY file header: wrong length"));
        }
        if rest.len() < extension {
            return self.wait_for_header();
        }
        self.buffer.advance(BINARY_SIGNATURE.len() + words.len() + extension);
        self.header_passed = true;
        Ok(true)
    }

    fn wait_for_header(&self) -> Result<bool> {
        if self.ended { Err(self.bad("COPY file signature not recognized")) } else { Ok(false) }
    }

    /// Length of the first row in the buffer, `None` until all of it has come.
    fn binary_row_bytes(&self) -> Result<Option<usize>> {
        let data = &self.buffer[..];
        let Some((count, mut rest)) = data.split_first_chunk() else { return Ok(None) };
        let count = i16::from_be_bytes(*count);
        if count == BINARY_TRAILER {
            return Ok(Some(2));
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(self.bad(&format!("row field count is {count}, expected {}", self.columns.len())));
        }
        let mut row_bytes = 0;
        for _ in 0..count {
            let Some((length, after)) = rest.split_first_chunk() else { return Ok(None) };
            let length = match i32::from_be_bytes(*length) {
                -1 => 0,
                length => usize::try_from(length).map_err(|_| self.bad("invalid field size"))?,
            };
            row_bytes += length;
            if row_bytes > IMPORT_ROW_BYTES_MAX {
                return Err(self.bad("row too long"));
            }
            let Some((_, after)) = after.split_at_checked(length) else { return Ok(None) };
            rest = after;
        }
        Ok(Some(data.len() - rest.len()))
    }

    /// 22P04 with the place.
    fn bad(&self, message: &str) -> Error {
        self.at_line(Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message))
    }

    fn at_line(&self, error: Error) -> Error {
        error.with_detail(format!("COPY, line {}", self.line))
    }
}

fn in_column(error: Error, line: u64, column: &str) -> Error {
    error.with_detail(format!("COPY, line {line}, column {column:?}"))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
