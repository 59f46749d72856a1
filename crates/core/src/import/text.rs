//! Files of text to rows: what CSV, delimited text and lines of JSON have in common.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use lakeport_base::Sqlstate;
use lakeport_base::limits::IMPORT_ROW_BYTES_MAX;
use memchr::memchr;

use super::batch::{Rows, Sink, Target, Wanted};
use super::part::{Extent, Start};
use super::scan::{ScanError, Scanned};
use crate::error::{Error, Result};

/// What spreadsheet programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Part of a refused row that its error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// A format of text: how its records are told apart, and what they hold.
pub(crate) trait TextFormat: Send {
    /// Looks at the start of `input`. `at_end`: nothing comes after it.
    fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError>;

    /// Adds the record that was found last as a row.
    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()>;

    /// The byte that ends a record.
    fn record_end(&self) -> u8;

    /// Records at the start of a file to leave out.
    fn skip(&self) -> u64 {
        0
    }

    /// The option that helps when the values of a record, counted from 1, have not their columns' types.
    fn hint(&self, _record: u64) -> Option<&'static str> {
        None
    }
}

/// The fields of a record; `None` is NULL.
pub(crate) type Fields = Vec<Option<String>>;

/// A format whose records have fields.
pub(crate) trait FieldTexts {
    /// The fields of the record that was found last, as texts.
    fn texts(&self, record: &str) -> Fields;
}

/// [`TextFormat::hint`] of the formats with headers and texts for NULL.
pub(super) fn option_hint(record: u64) -> Option<&'static str> {
    Some(match record {
        1 => "WITH skip = '1' leaves out a header",
        _ => "WITH nullif = '...' names the text that stands for NULL",
    })
}

/// The part of a file that is to be read.
pub(crate) struct Input {
    /// The file's content from `start` on; from one byte before a guessed one.
    pub pieces: BoxStream<'static, Result<Bytes>>,
    pub start: Start,
    /// Records that start here or later belong to others, in bytes.
    pub end: u64,
}

/// Takes rows that do not fit.
pub(crate) trait LeaveOut: Send {
    /// Leaves out a record, counted from 1.
    ///
    /// # Errors
    /// One that ends the reading.
    fn leave_out(&mut self, record: u64, row: &[u8], error: Error) -> Result<()>;
}

/// Reads one file or a part of it. With `rejected`, rows that do not fit go there.
///
/// # Errors
/// `error parsing row 3: ...`; rows are records from 1, skipped ones included.
pub(crate) async fn read(
    format: impl TextFormat,
    input: Input,
    target: &Target,
    rejected: Option<&mut dyn LeaveOut>,
    sink: &Sink,
) -> Result<Extent> {
    let Input { mut pieces, start, end } = input;
    let mut reader = Reader::new(format, target, rejected, end);
    match start {
        Start::Known { offset, records } => (reader.offset, reader.count) = (offset, records),
        Start::Guess { offset } => {
            reader.skip = 0;
            reader.offset = offset - 1;
            reader.find_record(&mut pieces).await?;
        }
    }
    let start = reader.offset;
    while reader.offset < reader.end {
        let piece = pieces.next().await.transpose()?;
        let at_end = piece.is_none();
        reader.input.extend_from_slice(&piece.unwrap_or_default());
        if !at_end && reader.input.len() < reader.enough {
            continue;
        }
        if reader.read_records(at_end, sink).await? == Wanted::Enough || at_end {
            break;
        }
    }
    reader.rows.flush(sink, true).await?;
    Ok(Extent { start, end: reader.offset, records: reader.count })
}

struct Reader<'a, F> {
    format: F,
    rows: Rows,
    rejected: Option<&'a mut dyn LeaveOut>,
    /// What has not been made out yet.
    input: Vec<u8>,
    /// Where `input` starts in the file, in bytes.
    offset: u64,
    /// Where the range ends, in bytes.
    end: u64,
    /// Input worth another look, in bytes; doubles while one record is incomplete, so that a long one is not scanned
    /// from its start for each piece.
    enough: usize,
    /// Records so far.
    count: u64,
    /// Records to leave out, from the first.
    skip: u64,
}

impl<'a, F: TextFormat> Reader<'a, F> {
    fn new(format: F, target: &Target, rejected: Option<&'a mut dyn LeaveOut>, end: u64) -> Reader<'a, F> {
        Reader {
            skip: format.skip(),
            format,
            rows: Rows::new(target),
            rejected,
            input: Vec::new(),
            offset: 0,
            end,
            enough: BYTE_ORDER_MARK.len(),
            count: 0,
        }
    }

    /// Passes over the rest of a record that started earlier.
    async fn find_record(&mut self, pieces: &mut BoxStream<'static, Result<Bytes>>) -> Result<()> {
        while let Some(piece) = pieces.next().await.transpose()? {
            if let Some(at) = memchr(self.format.record_end(), &piece) {
                self.offset += at as u64 + 1;
                self.input.extend_from_slice(&piece[at + 1..]);
                break;
            }
            self.offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Takes every whole record from the input.
    async fn read_records(&mut self, at_end: bool, sink: &Sink) -> Result<Wanted> {
        let mut at = 0;
        if self.offset == 0 && self.input.starts_with(BYTE_ORDER_MARK) {
            at = BYTE_ORDER_MARK.len();
        }
        while self.offset + (at as u64) < self.end {
            match self.format.scan(&self.input[at..], at_end).map_err(|error| self.broken(error))? {
                Scanned::Partial => break,
                Scanned::Skipped(length) => at += length,
                Scanned::Record(length) if length > IMPORT_ROW_BYTES_MAX => return Err(self.too_long()),
                Scanned::Record(length) => {
                    self.count += 1;
                    if self.count > self.skip {
                        self.add_row(at, length)?;
                        if self.rows.flush(sink, false).await? == Wanted::Enough {
                            return Ok(Wanted::Enough);
                        }
                    }
                    at += length;
                }
            }
        }
        self.input.drain(..at);
        self.offset += at as u64;
        self.enough = self.input.len() * 2;
        if self.input.len() > IMPORT_ROW_BYTES_MAX && self.offset < self.end {
            return Err(self.too_long());
        }
        Ok(Wanted::More)
    }

    fn add_row(&mut self, at: usize, length: usize) -> Result<()> {
        let bytes = &self.input[at..at + length];
        let added = str::from_utf8(bytes).map_err(bad_utf8).and_then(|record| self.format.add(record, &mut self.rows));
        match (added, &self.rejected) {
            (Ok(()), _) => Ok(()),
            (Err(error), Some(_)) if !error.is_internal() => {
                self.rows.drop_row();
                let error = self.explained(error);
                self.rejected.as_mut().map_or(Ok(()), |rejected| rejected.leave_out(self.count, bytes, error))
            }
            (Err(error), _) => Err(self.explained(error).prefixed(&parsing(self.count))),
        }
    }

    /// With the option that may make a value readable.
    fn explained(&self, error: Error) -> Error {
        if error.code() != Sqlstate::INVALID_TEXT_REPRESENTATION {
            return error;
        }
        error.with_hint_opt(self.format.hint(self.count).map(str::to_string))
    }

    fn broken(&self, error: ScanError) -> Error {
        Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, error.to_string()).prefixed(&parsing(self.count + 1))
    }

    fn too_long(&self) -> Error {
        let message = format!("longer than {} MiB", IMPORT_ROW_BYTES_MAX >> 20);
        Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
            .with_hint("a quote that is never closed makes the rest of a file one row")
            .prefixed(&parsing(self.count + 1))
    }
}

fn parsing(row: u64) -> String {
    format!("error parsing row {row}")
}

/// The row as far as an error repeats it.
pub(crate) fn shown(row: &str) -> String {
    let row = row.trim_end_matches(['\r', '\n']);
    match row.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &row[..end]),
        None => row.to_string(),
    }
}

/// 22021
fn bad_utf8(error: std::str::Utf8Error) -> Error {
    let message = format!("invalid UTF-8 at byte {} of the row", error.valid_up_to() + 1);
    Error::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
        .with_hint("convert the file to UTF-8 first; COPY INTO reads others with ENCODING in FILE_FORMAT")
}
