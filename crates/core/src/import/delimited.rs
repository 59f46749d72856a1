//! Delimited text, as MySQL's `SELECT INTO OUTFILE` writes it, to rows.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

use super::batch::{Rows, Target};
use super::options::{DelimitedOptions, EmptyField};
use super::scan::{ScanError, Scanned};
use super::text::{FieldTexts, Fields, TextFormat};
use crate::error::Result;

/// Delimited text with its options.
pub(crate) struct Delimited<'a> {
    options: &'a DelimitedOptions,
    target: &'a Target,
    /// Of the record found last.
    fields: Vec<Field>,
}

/// One field of a record.
#[derive(Clone, Copy, Debug)]
struct Field {
    /// Range in the record, enclosing characters left out.
    start: usize,
    end: usize,
    enclosed: bool,
    /// Holds characters that do not stand for themselves.
    escaped: bool,
}

impl Field {
    fn is_empty(&self) -> bool {
        self.start == self.end && !self.enclosed
    }
}

/// How a field ended.
enum FieldEnd {
    /// The next field starts here.
    Next(usize),
    /// The record ends before this byte.
    Record(usize),
    Partial,
}

impl<'a> Delimited<'a> {
    pub fn new(options: &'a DelimitedOptions, target: &'a Target) -> Delimited<'a> {
        Delimited { options, target, fields: Vec::new() }
    }

    /// A field without enclosing characters.
    fn bare(&mut self, input: &[u8], start: usize, at_end: bool) -> FieldEnd {
        let DelimitedOptions { row_end, cuts_return, trim, field_end, escape, .. } = *self.options;
        let mut escaped = false;
        let mut from = start;
        loop {
            let rest = &input[from.min(input.len())..];
            let found = match escape {
                Some(escape) => memchr3(field_end, row_end, escape, rest),
                None => memchr2(field_end, row_end, rest),
            };
            let end = found.map_or(input.len(), |offset| from + offset);
            let after = match input.get(end) {
                Some(byte) if Some(*byte) == escape => {
                    escaped = true;
                    from = end + 2;
                    continue;
                }
                // First, so that fields that end as rows do are whole rows.
                Some(byte) if *byte == row_end => FieldEnd::Record(end + 1),
                Some(_) => FieldEnd::Next(end + 1),
                None if at_end => FieldEnd::Record(end),
                None => return FieldEnd::Partial,
            };
            // One that is escaped lies before `from`.
            let has_return = cuts_return && matches!(after, FieldEnd::Record(_)) && input[..end].ends_with(b"\r");
            let mut end = if has_return && end > from { end - 1 } else { end };
            while trim && end > from && input[end - 1] == b' ' {
                end -= 1;
            }
            let spaces = input[start..end].iter().take_while(|byte| trim && **byte == b' ').count();
            let start = start + spaces;
            self.fields.push(Field { start, end, enclosed: false, escaped });
            return after;
        }
    }

    /// A field whose enclosing character stands before `start`. One that is doubled stands for itself, as does one that
    /// no end follows.
    fn enclosed(
        &mut self,
        input: &[u8],
        start: usize,
        enclosure: u8,
        at_end: bool,
    ) -> std::result::Result<FieldEnd, ScanError> {
        let DelimitedOptions { row_end, field_end, escape, .. } = *self.options;
        let mut escaped = false;
        let mut from = start;
        loop {
            let rest = &input[from.min(input.len())..];
            let found = match escape {
                Some(escape) => memchr2(enclosure, escape, rest),
                None => memchr(enclosure, rest),
            };
            let Some(offset) = found else {
                return if at_end { Err(ScanError::Unterminated) } else { Ok(FieldEnd::Partial) };
            };
            let end = from + offset;
            let after = match input.get(end + 1) {
                _ if input[end] != enclosure => None,
                Some(byte) if *byte == field_end => Some(FieldEnd::Next(end + 2)),
                Some(byte) if *byte == row_end => Some(FieldEnd::Record(end + 2)),
                Some(_) => None,
                None if at_end => Some(FieldEnd::Record(end + 1)),
                None => return Ok(FieldEnd::Partial),
            };
            if let Some(after) = after {
                self.fields.push(Field { start, end, enclosed: true, escaped });
                return Ok(after);
            }
            let is_pair = input[end] != enclosure || input.get(end + 1) == Some(&enclosure);
            escaped |= is_pair;
            from = end + if is_pair { 2 } else { 1 };
        }
    }

    fn value<'r>(&self, field: Field, record: &'r str) -> Option<Cow<'r, str>> {
        let text = &record[field.start..field.end];
        let is_nulls = |text: &str| match &self.options.nullif {
            Some(nullif) => text == nullif,
            None => text == "NULL",
        };
        let is_null =
            !field.enclosed && (is_nulls(text) || (text.is_empty() && self.options.empty != EmptyField::Text));
        let escaped_null =
            matches!((text.as_bytes(), self.options.escape), ([first, b'N'], Some(escape)) if *first == escape);
        if is_null || (escaped_null && !field.enclosed) {
            return None;
        }
        Some(if field.escaped { Cow::Owned(self.unescaped(text, field.enclosed)) } else { Cow::Borrowed(text) })
    }

    fn unescaped(&self, text: &str, enclosed: bool) -> String {
        let escape = self.options.escape.map(char::from);
        let doubled = self.options.enclosure.map(char::from).filter(|_| enclosed);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if Some(c) == escape {
                out.extend(rest.next().map(meant));
                continue;
            }
            if Some(c) == doubled {
                rest.next_if_eq(&c);
            }
            out.push(c);
        }
        out
    }
}

/// What an escaped character means.
fn meant(c: char) -> char {
    match c {
        '0' => '\0',
        'b' => '\u{8}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\u{1A}',
        other => other,
    }
}

impl TextFormat for Delimited<'_> {
    fn scan(&mut self, input: &[u8], at_end: bool) -> std::result::Result<Scanned, ScanError> {
        if input.is_empty() {
            return Ok(Scanned::Partial);
        }
        self.fields.clear();
        let mut at = 0;
        loop {
            let end = match (self.options.enclosure, input.get(at)) {
                (Some(enclosure), Some(first)) if *first == enclosure => {
                    self.enclosed(input, at + 1, enclosure, at_end)?
                }
                _ => self.bare(input, at, at_end),
            };
            match end {
                FieldEnd::Next(next) => at = next,
                FieldEnd::Record(end) => return Ok(Scanned::Record(end)),
                FieldEnd::Partial => return Ok(Scanned::Partial),
            }
        }
    }

    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()> {
        let columns = self.target.columns.len();
        if !self.target.takes(self.fields.len()) {
            return Err(self.target.refused_count(self.fields.len(), record));
        }
        for index in 0..columns {
            let field = self.fields.get(self.target.field_of(index));
            if self.options.empty == EmptyField::Default && field.is_some_and(Field::is_empty) {
                rows.push_default(index)?;
                continue;
            }
            rows.push(index, field.and_then(|field| self.value(*field, record)).as_deref())?;
        }
        rows.end_row();
        Ok(())
    }

    fn record_end(&self) -> u8 {
        self.options.row_end
    }

    fn skip(&self) -> u64 {
        self.options.skip
    }

    fn hint(&self, record: u64) -> Option<&'static str> {
        self.target.option_hint(record)
    }
}

impl FieldTexts for Delimited<'_> {
    fn texts(&self, record: &str) -> Fields {
        self.fields.iter().map(|field| self.value(*field, record).map(Cow::into_owned)).collect()
    }
}
