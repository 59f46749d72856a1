//! CSV to rows.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use lakeport_base::limits::IMPORT_ROW_BYTES_MAX;
use lakeport_base::{SqlType, Sqlstate};

use super::batch::{Rows, Sink, Target, Wanted};
use super::options::CsvOptions;
use super::scan::{Field, Scanned, Scanner};
use crate::error::{Error, Result};

/// What spreadsheet programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Part of a refused row that its error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Reads one file.
///
/// # Errors
/// `error parsing row 3: ...`; rows are records from 1, skipped ones included.
pub(super) async fn read(
    mut pieces: BoxStream<'static, Result<Bytes>>,
    options: &CsvOptions,
    target: &Target,
    sink: &Sink,
) -> Result<()> {
    let mut reader = Reader::new(options, target);
    loop {
        let piece = pieces.next().await.transpose()?;
        let at_end = piece.is_none();
        reader.input.extend_from_slice(&piece.unwrap_or_default());
        if !at_end && reader.input.len() < reader.enough {
            continue;
        }
        if reader.read_records(at_end, sink).await? == Wanted::Enough || at_end {
            return Ok(());
        }
    }
}

struct Reader<'a> {
    options: &'a CsvOptions,
    target: &'a Target,
    scanner: Scanner,
    rows: Rows,
    /// What has not been made out yet.
    input: Vec<u8>,
    /// Input worth another look, in bytes; doubles while one record is incomplete, so that a long one is not scanned
    /// from its start for each piece.
    enough: usize,
    /// Records so far.
    count: u64,
    at_start: bool,
}

impl<'a> Reader<'a> {
    fn new(options: &'a CsvOptions, target: &'a Target) -> Reader<'a> {
        Reader {
            options,
            target,
            scanner: Scanner::new(options.delimiter, options.comment, options.strict_quotes),
            rows: Rows::new(target),
            input: Vec::new(),
            enough: BYTE_ORDER_MARK.len(),
            count: 0,
            at_start: true,
        }
    }

    /// Takes every whole record from the input.
    async fn read_records(&mut self, at_end: bool, sink: &Sink) -> Result<Wanted> {
        let mut at = 0;
        if std::mem::take(&mut self.at_start) && self.input.starts_with(BYTE_ORDER_MARK) {
            at = BYTE_ORDER_MARK.len();
        }
        loop {
            match self.scanner.scan(&self.input[at..], at_end).map_err(|error| self.broken(&error.to_string()))? {
                Scanned::Partial => break,
                Scanned::Skipped(length) => at += length,
                Scanned::Record(length) => {
                    self.count += 1;
                    if self.count > self.options.skip {
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
        self.enough = self.input.len() * 2;
        if self.input.len() > IMPORT_ROW_BYTES_MAX {
            return Err(self.too_long());
        }
        self.rows.flush(sink, at_end).await
    }

    fn add_row(&mut self, at: usize, length: usize) -> Result<()> {
        let bytes = &self.input[at..at + length];
        let record = str::from_utf8(bytes).map_err(|error| bad_utf8(error).prefixed(&parsing(self.count)))?;
        let fields = self.scanner.fields();
        let columns = &self.target.columns;
        if fields.len() != columns.len() {
            let message = format!("expected {} fields, got {} (row: {})", columns.len(), fields.len(), shown(record));
            return Err(Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message).prefixed(&parsing(self.count)));
        }
        for (index, (field, column)) in fields.iter().zip(columns.iter()).enumerate() {
            let text = field.value(record);
            let text = if is_null(self.options, field, &text, &column.ty) { None } else { Some(text.as_ref()) };
            self.rows.push(index, text).map_err(|error| error.prefixed(&parsing(self.count)))?;
        }
        self.rows.end_row();
        Ok(())
    }

    fn broken(&self, reason: &str) -> Error {
        Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, reason).prefixed(&parsing(self.count + 1))
    }

    fn too_long(&self) -> Error {
        let message = format!("longer than {} MiB", IMPORT_ROW_BYTES_MAX >> 20);
        Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
            .with_hint("a quote that is never closed makes the rest of a file one row")
            .prefixed(&parsing(self.count + 1))
    }
}

fn is_null(options: &CsvOptions, field: &Field, text: &str, ty: &SqlType) -> bool {
    let is_string = matches!(ty, SqlType::Text | SqlType::Varchar(_));
    match &options.nullif {
        Some(nullif) => (!field.quoted || options.allow_quoted_null) && text == nullif,
        None => (!field.quoted || options.allow_quoted_null) && text.is_empty() && !is_string,
    }
}

pub(super) fn parsing(row: u64) -> String {
    format!("error parsing row {row}")
}

/// The row as far as an error repeats it.
pub(super) fn shown(row: &str) -> String {
    let row = row.trim_end_matches(['\r', '\n']);
    match row.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &row[..end]),
        None => row.to_string(),
    }
}

/// 22021
pub(super) fn bad_utf8(error: std::str::Utf8Error) -> Error {
    let message = format!("invalid UTF-8 at byte {} of the row", error.valid_up_to() + 1);
    Error::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message).with_hint("convert the file to UTF-8 first")
}
