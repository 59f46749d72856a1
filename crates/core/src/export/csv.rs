//! Rows to CSV: RFC 4180, quotes only where needed, no header.

use arrow_array::RecordBatch;
use lakeport_base::Sqlstate;

use super::text::TextRows;
use crate::error::{Error, Result};
use crate::rows::sql_type;
use crate::value::TextColumn;

/// The rows of a batch as CSV.
pub(super) struct CsvRows<'a> {
    columns: Vec<TextColumn>,
    delimiter: u8,
    null_text: Option<&'a str>,
    /// Values of [plain](TextColumn::is_plain) columns never need quotes.
    plain_is_bare: bool,
    /// The value under way.
    text: String,
}

impl<'a> CsvRows<'a> {
    pub fn new(batch: &RecordBatch, delimiter: u8, null_text: Option<&'a str>) -> CsvRows<'a> {
        let fields = batch.schema_ref().fields().iter();
        let columns = fields.zip(batch.columns()).map(|(field, column)| TextColumn::new(column, &sql_type(field)));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" +-.:".contains(&byte);
        let plain_is_bare = !plain(delimiter) && !null_text.is_some_and(|text| text.bytes().all(plain));
        CsvRows { columns: columns.collect(), delimiter, null_text, plain_is_bare, text: String::new() }
    }

    /// Whether the value would read as something else without quotes.
    fn needs_quotes(&self) -> bool {
        let special = |byte: u8| byte == self.delimiter || matches!(byte, b'"' | b'\r' | b'\n');
        // An empty line would be no row.
        let is_whole_row = self.columns.len() == 1 && self.text.is_empty();
        is_whole_row || self.text.bytes().any(special) || self.null_text == Some(&self.text)
    }
}

impl TextRows for CsvRows<'_> {
    /// # Errors
    /// 22004 for a NULL when nothing stands for it.
    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        for index in 0..self.columns.len() {
            if index > 0 {
                out.push(self.delimiter);
            }
            let column = &self.columns[index];
            if column.is_null(row) {
                out.extend_from_slice(self.null_text.ok_or_else(null_without_text)?.as_bytes());
                continue;
            }
            self.text.clear();
            column.write(row, &mut self.text).map_err(Error::internal)?;
            let is_bare = self.plain_is_bare && column.is_plain();
            if !is_bare && self.needs_quotes() {
                quote(&self.text, out)
            } else {
                out.extend_from_slice(self.text.as_bytes())
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn null_without_text() -> Error {
    Error::new(
        Sqlstate::NULL_VALUE_NOT_ALLOWED,
        "NULL value encountered during EXPORT, use `WITH nullas` to specify the string representation of NULL",
    )
}
