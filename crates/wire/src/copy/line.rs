//! Lines of text and CSV copies: where they end, and how their fields read.

use lakeport_core::Result;
use lakeport_sql::stmt::copy::{CopyFormat, CopyOptions};

use crate::message::invalid_utf8;

/// Finds the ends of lines in data that come piece by piece.
#[derive(Default)]
pub(super) struct LineFinder {
    /// Bytes already looked at.
    scanned: usize,
    in_quotes: bool,
    /// The byte before takes this one's meaning away.
    escaped: bool,
}

impl LineFinder {
    /// Offset of the newline that ends the first line. A newline behind a backslash, or in CSV one within quotes, is
    /// data. After an answer the next call must start with the following line.
    pub(super) fn find(&mut self, data: &[u8], options: &CopyOptions) -> Option<usize> {
        let csv = options.format == CopyFormat::Csv;
        for (at, &byte) in data.iter().enumerate().skip(self.scanned) {
            if self.escaped {
                self.escaped = false;
            } else if csv && self.in_quotes && byte == options.escape && options.escape != options.quote {
                self.escaped = true;
            } else if csv && byte == options.quote {
                self.in_quotes = !self.in_quotes;
            } else if !csv && byte == b'\\' {
                self.escaped = true;
            } else if byte == b'\n' && !self.in_quotes {
                self.scanned = 0;
                return Some(at);
            }
        }
        self.scanned = data.len();
        None
    }

    /// Whether the data so far end within quotes.
    pub(super) fn is_in_quotes(&self) -> bool {
        self.in_quotes
    }
}

/// Reads the fields of one line, one after another.
pub(super) struct Fields<'a> {
    rest: Option<&'a str>,
    options: &'a CopyOptions,
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a str, options: &'a CopyOptions) -> Fields<'a> {
        Fields { rest: Some(line), options }
    }

    /// Whether every field has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_none()
    }

    /// The next field, `Some(None)` for NULL; `None` after the last. Fields that are rewritten go through `scratch`.
    pub(super) fn next<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<Option<Option<&'s str>>>
    where
        'a: 's,
    {
        let Some(rest) = self.rest else { return Ok(None) };
        let csv = self.options.format == CopyFormat::Csv;
        let (raw, after) = if csv { self.split_csv(rest) } else { self.split_text(rest) };
        self.rest = after;
        if raw == self.options.null {
            return Ok(Some(None));
        }
        let plain = if csv { !raw.as_bytes().contains(&self.options.quote) } else { !raw.contains('\\') };
        if plain {
            return Ok(Some(Some(raw)));
        }
        scratch.clear();
        if csv {
            self.unquote(raw.as_bytes(), scratch)
        } else {
            unescape(raw.as_bytes(), scratch)
        }
        str::from_utf8(scratch).map(|text| Some(Some(text))).map_err(|_| invalid_utf8())
    }

    /// The field up to the first delimiter that no backslash protects, and what follows it.
    fn split_text(&self, line: &'a str) -> (&'a str, Option<&'a str>) {
        let mut escaped = false;
        let end = line.bytes().position(|byte| {
            let ends = !escaped && byte == self.options.delimiter;
            escaped = !escaped && byte == b'\\';
            ends
        });
        split_at_delimiter(line, end)
    }

    /// The field up to the first delimiter outside quotes, and what follows it.
    fn split_csv(&self, line: &'a str) -> (&'a str, Option<&'a str>) {
        let CopyOptions { delimiter, quote, escape, .. } = *self.options;
        let (mut in_quotes, mut escaped) = (false, false);
        let end = line.bytes().position(|byte| {
            if escaped {
                escaped = false;
            } else if in_quotes && byte == escape && escape != quote {
                escaped = true;
            } else if byte == quote {
                in_quotes = !in_quotes;
            } else if byte == delimiter {
                return !in_quotes;
            }
            false
        });
        split_at_delimiter(line, end)
    }

    /// Removes the quotes around a field, or around parts of it, and the escapes within.
    fn unquote(&self, raw: &[u8], out: &mut Vec<u8>) {
        let CopyOptions { quote, escape, .. } = *self.options;
        let mut in_quotes = false;
        let mut bytes = raw.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            let escaped =
                if in_quotes && byte == escape { bytes.next_if(|next| [quote, escape].contains(next)) } else { None };
            if let Some(escaped) = escaped {
                out.push(escaped);
            } else if byte == quote {
                in_quotes = !in_quotes;
            } else {
                out.push(byte);
            }
        }
    }
}

fn split_at_delimiter(line: &str, end: Option<usize>) -> (&str, Option<&str>) {
    match end {
        Some(end) => (&line[..end], Some(&line[end + 1..])),
        None => (line, None),
    }
}

/// Takes back the sequences `\b \f \n \r \t \v \ooo \xhh`; any other character behind a backslash stands for itself.
fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some((&first, rest)) = raw.split_first() {
        raw = rest;
        let Some((&letter, rest)) = rest.split_first().filter(|_| first == b'\\') else {
            out.push(first);
            continue;
        };
        raw = rest;
        match letter {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'0'..=b'7' => {
                let (value, rest) = number(raw, 8, 2, u32::from(letter - b'0'));
                (raw, _) = (rest, out.push(value));
            }
            b'x' if raw.first().is_some_and(u8::is_ascii_hexdigit) => {
                let (value, rest) = number(raw, 16, 2, 0);
                (raw, _) = (rest, out.push(value));
            }
            other => out.push(other),
        }
    }
}

/// Goes on with a number by at most so many digits; its low eight bits and what follows.
fn number(mut text: &[u8], base: u32, digits_max: usize, start: u32) -> (u8, &[u8]) {
    let mut value = start;
    for _ in 0..digits_max {
        let Some((&byte, rest)) = text.split_first() else { break };
        let Some(digit) = char::from(byte).to_digit(base) else { break };
        (value, text) = (value * base + digit, rest);
    }
    (value as u8, text)
}
