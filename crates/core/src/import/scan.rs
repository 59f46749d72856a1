//! Finds the records of CSV (RFC 4180) in bytes. Copies nothing: fields are ranges of the input.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2};

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Range in the input, quotes left out.
    pub start: usize,
    pub end: usize,
    pub quoted: bool,
    /// Holds doubled quotes.
    pub escaped: bool,
}

impl Field {
    /// The value of the field in its record.
    pub fn value<'a>(&self, record: &'a str) -> Cow<'a, str> {
        let text = &record[self.start..self.end];
        if self.escaped { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
    }
}

/// What stands at the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A record of so many bytes, line break included.
    Record(usize),
    /// An empty line or a comment of so many bytes.
    Skipped(usize),
    /// The beginning of a record or nothing: more input is needed.
    Partial,
}

/// Why the input is no CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanError {
    Unterminated,
    /// `strict_quotes`: a quote in an unquoted field.
    BareQuote,
    /// `strict_quotes`: text after the closing quote of a field.
    TextAfterQuote,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScanError::Unterminated => "unterminated quoted field",
            ScanError::BareQuote => "bare \" in an unquoted field",
            ScanError::TextAfterQuote => "text after the closing \" of a field",
        })
    }
}

/// Splits input into records.
pub(super) struct Scanner {
    delimiter: u8,
    comment: Option<u8>,
    strict: bool,
    fields: Vec<Field>,
}

/// How a field ended.
enum FieldEnd {
    /// The next field starts here.
    Next(usize),
    /// The record ends before this byte.
    Record(usize),
    Partial,
}

impl Scanner {
    pub fn new(delimiter: u8, comment: Option<u8>, strict: bool) -> Scanner {
        Scanner { delimiter, comment, strict, fields: Vec::new() }
    }

    /// The fields of the record last found.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Looks at the start of `input`. `at_end`: nothing comes after it.
    pub fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        match input {
            [] => return Ok(Scanned::Partial),
            [b'\n', ..] => return Ok(Scanned::Skipped(1)),
            [b'\r', b'\n', ..] => return Ok(Scanned::Skipped(2)),
            [b'\r'] => return Ok(if at_end { Scanned::Skipped(1) } else { Scanned::Partial }),
            [first, ..] if Some(*first) == self.comment => return Ok(comment_line(input, at_end)),
            _ => {}
        }
        self.fields.clear();
        let mut at = 0;
        loop {
            let end = if input.get(at) == Some(&b'"') {
                self.quoted(input, at + 1, at_end)?
            } else {
                self.unquoted(input, at, at_end)?
            };
            match end {
                FieldEnd::Next(next) => at = next,
                FieldEnd::Record(end) => return Ok(Scanned::Record(end)),
                FieldEnd::Partial => return Ok(Scanned::Partial),
            }
        }
    }

    fn unquoted(&mut self, input: &[u8], start: usize, at_end: bool) -> Result<FieldEnd, ScanError> {
        let (end, after) = match memchr2(self.delimiter, b'\n', &input[start..]) {
            Some(offset) if input[start + offset] == self.delimiter => {
                (start + offset, FieldEnd::Next(start + offset + 1))
            }
            Some(offset) => (start + offset, FieldEnd::Record(start + offset + 1)),
            None if at_end => (input.len(), FieldEnd::Record(input.len())),
            None => return Ok(FieldEnd::Partial),
        };
        let cut = matches!(after, FieldEnd::Record(_)) && end > start && input[end - 1] == b'\r';
        let end = end - usize::from(cut);
        if self.strict && memchr(b'"', &input[start..end]).is_some() {
            return Err(ScanError::BareQuote);
        }
        self.fields.push(Field { start, end, quoted: false, escaped: false });
        Ok(after)
    }

    /// A field whose opening quote stands before `start`.
    fn quoted(&mut self, input: &[u8], start: usize, at_end: bool) -> Result<FieldEnd, ScanError> {
        let mut escaped = false;
        let mut from = start;
        loop {
            let Some(offset) = memchr(b'"', &input[from..]) else {
                return if at_end { Err(ScanError::Unterminated) } else { Ok(FieldEnd::Partial) };
            };
            let end = from + offset;
            let after = match &input[end + 1..] {
                [b'"', ..] => {
                    escaped = true;
                    from = end + 2;
                    continue;
                }
                [byte, ..] if *byte == self.delimiter => FieldEnd::Next(end + 2),
                [b'\n', ..] => FieldEnd::Record(end + 2),
                [b'\r', b'\n', ..] => FieldEnd::Record(end + 3),
                [] | [b'\r'] if at_end => FieldEnd::Record(input.len()),
                [] | [b'\r'] => FieldEnd::Partial,
                _ if self.strict => return Err(ScanError::TextAfterQuote),
                // A lone quote inside a quoted field stands for itself.
                _ => {
                    from = end + 1;
                    continue;
                }
            };
            self.fields.push(Field { start, end, quoted: true, escaped });
            return Ok(after);
        }
    }
}

fn comment_line(input: &[u8], at_end: bool) -> Scanned {
    match memchr(b'\n', input) {
        Some(end) => Scanned::Skipped(end + 1),
        None if at_end => Scanned::Skipped(input.len()),
        None => Scanned::Partial,
    }
}

#[cfg(test)]
mod tests;
