//! Finds the records of CSV (RFC 4180) in bytes. Copies nothing: fields are ranges of the input.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memchr2, memchr2_iter};

/// Which bytes have a meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Syntax {
    /// One byte at least.
    pub delimiter: Vec<u8>,
    /// Stands around a field that may hold the other bytes; doubled it stands for itself.
    pub quote: u8,
    /// Before a byte of a quoted field that stands for itself.
    pub escape: Option<u8>,
    /// Ends a record; a carriage return before a line feed belongs to it.
    pub record_end: u8,
    /// Lines that start with it are left out.
    pub comment: Option<u8>,
    /// A quote inside a field must be doubled, and its field quoted.
    pub strict: bool,
    /// Spaces around a field, or around its quotes, do not count.
    pub trim: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        Syntax {
            delimiter: vec![b','],
            quote: b'"',
            escape: None,
            record_end: b'\n',
            comment: None,
            strict: false,
            trim: false,
        }
    }
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Range in the input, quotes left out.
    pub start: usize,
    pub end: usize,
    pub quoted: bool,
    /// Holds doubled quotes, or bytes with an escape before them.
    pub escaped: bool,
}

/// What stands at the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A record of so many bytes, line break included.
    Record(usize),
    /// An empty line or a comment of so many bytes.
    Skipped(usize),
    /// The beginning of a record or nothing: more input is needed.
    Partial,
}

impl Scanned {
    /// A record that is a line; the last one may lack its end.
    pub fn line(input: &[u8], at_end: bool) -> Scanned {
        match memchr(b'\n', input) {
            Some(end) => Scanned::Record(end + 1),
            None if at_end && !input.is_empty() => Scanned::Record(input.len()),
            None => Scanned::Partial,
        }
    }
}

/// Why the input is no CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
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
pub(crate) struct Scanner {
    syntax: Syntax,
    /// The first byte of the delimiter, and whether it has more.
    first: u8,
    is_wide: bool,
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
    pub fn new(syntax: Syntax) -> Scanner {
        Scanner { first: syntax.delimiter[0], is_wide: syntax.delimiter.len() > 1, syntax, fields: Vec::new() }
    }

    /// The value of a field in its record.
    pub fn value<'a>(&self, field: &Field, record: &'a str) -> Cow<'a, str> {
        let text = &record[field.start..field.end];
        if field.escaped { Cow::Owned(self.unescaped(text)) } else { Cow::Borrowed(text) }
    }

    fn unescaped(&self, text: &str) -> String {
        let (quote, escape) = (char::from(self.syntax.quote), self.syntax.escape.map(char::from));
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if Some(c) == escape {
                out.extend(rest.next());
                continue;
            }
            if c == quote {
                rest.next_if_eq(&c);
            }
            out.push(c);
        }
        out
    }

    /// The fields of the record last found.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Looks at the start of `input`. `at_end`: nothing comes after it.
    pub fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        let lines = self.syntax.record_end == b'\n';
        match input {
            [] => return Ok(Scanned::Partial),
            [first, ..] if *first == self.syntax.record_end => return Ok(Scanned::Skipped(1)),
            [b'\r', b'\n', ..] if lines => return Ok(Scanned::Skipped(2)),
            [b'\r'] if lines => return Ok(if at_end { Scanned::Skipped(1) } else { Scanned::Partial }),
            [first, ..] if Some(*first) == self.syntax.comment => return Ok(comment_line(input, at_end)),
            _ => {}
        }
        self.fields.clear();
        let mut at = 0;
        loop {
            if self.syntax.trim {
                at += spaces(&input[at..]);
            }
            let end = if input.get(at) == Some(&self.syntax.quote) {
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

    /// The next delimiter or end of a record.
    fn find_end(&self, input: &[u8], start: usize) -> Option<usize> {
        let Syntax { record_end, .. } = self.syntax;
        if !self.is_wide {
            return memchr2(self.first, record_end, &input[start..]).map(|offset| start + offset);
        }
        let mut ends = memchr2_iter(self.first, record_end, &input[start..]).map(|offset| start + offset);
        ends.find(|at| input[*at] == record_end || input[*at..].starts_with(&self.syntax.delimiter))
    }

    fn unquoted(&mut self, input: &[u8], start: usize, at_end: bool) -> Result<FieldEnd, ScanError> {
        let Syntax { quote, record_end, trim, .. } = self.syntax;
        let (mut end, after) = match self.find_end(input, start) {
            Some(end) if input[end] == self.first => (end, FieldEnd::Next(end + self.syntax.delimiter.len())),
            Some(end) => (end, FieldEnd::Record(end + 1)),
            None if at_end => (input.len(), FieldEnd::Record(input.len())),
            None => return Ok(FieldEnd::Partial),
        };
        let at_line_end = record_end == b'\n' && matches!(after, FieldEnd::Record(_));
        let cut = at_line_end && end > start && input[end - 1] == b'\r';
        end -= usize::from(cut);
        while trim && end > start && input[end - 1] == b' ' {
            end -= 1;
        }
        if self.syntax.strict && memchr(quote, &input[start..end]).is_some() {
            return Err(ScanError::BareQuote);
        }
        self.fields.push(Field { start, end, quoted: false, escaped: false });
        Ok(after)
    }

    /// A field whose opening quote stands before `start`.
    fn quoted(&mut self, input: &[u8], start: usize, at_end: bool) -> Result<FieldEnd, ScanError> {
        let Syntax { ref delimiter, quote, escape, record_end, strict, trim, .. } = self.syntax;
        let lines = record_end == b'\n';
        let mut escaped = false;
        let mut from = start;
        loop {
            let rest = &input[from.min(input.len())..];
            let found = match escape {
                Some(escape) => memchr2(quote, escape, rest),
                None => memchr(quote, rest),
            };
            let Some(offset) = found else {
                return if at_end { Err(ScanError::Unterminated) } else { Ok(FieldEnd::Partial) };
            };
            let end = from + offset;
            if input[end] != quote || input.get(end + 1) == Some(&quote) {
                escaped = true;
                from = end + 2;
                continue;
            }
            let next = end + 1 + if trim { spaces(&input[end + 1..]) } else { 0 };
            let after = match &input[next..] {
                [byte, rest @ ..] if *byte == self.first && (!self.is_wide || rest.starts_with(&delimiter[1..])) => {
                    FieldEnd::Next(next + delimiter.len())
                }
                [byte, ..] if *byte == record_end => FieldEnd::Record(next + 1),
                [b'\r', b'\n', ..] if lines => FieldEnd::Record(next + 2),
                [] if at_end => FieldEnd::Record(input.len()),
                [] => FieldEnd::Partial,
                [b'\r'] if lines && at_end => FieldEnd::Record(input.len()),
                [b'\r'] if lines => FieldEnd::Partial,
                rest if self.is_wide && !at_end && delimiter.starts_with(rest) => FieldEnd::Partial,
                _ if strict => return Err(ScanError::TextAfterQuote),
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

/// Spaces at the start of some input.
fn spaces(input: &[u8]) -> usize {
    input.iter().take_while(|byte| **byte == b' ').count()
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
