//! Rows to CSV: RFC 4180, quotes only where needed, no header.

use arrow_array::RecordBatch;
use lakeport_base::Sqlstate;

use super::piece::TextRows;
use crate::error::{Error, Result};
use crate::rows::sql_type;
use crate::value::{TextColumn, is_plain};

/// The rows of a batch as CSV.
pub(super) struct CsvRows<'a> {
    columns: Vec<TextColumn>,
    delimiter: u8,
    null_text: Option<&'a str>,
    /// Values of [plain](TextColumn::is_plain) columns never need quotes.
    plain_is_bare: bool,
}

impl<'a> CsvRows<'a> {
    pub fn new(batch: &RecordBatch, delimiter: u8, null_text: Option<&'a str>) -> CsvRows<'a> {
        let fields = batch.schema_ref().fields().iter();
        let columns = fields.zip(batch.columns()).map(|(field, column)| TextColumn::new(column, &sql_type(field)));
        let plain_is_bare = !is_plain(delimiter) && !null_text.is_some_and(|text| text.bytes().all(is_plain));
        CsvRows { columns: columns.collect(), delimiter, null_text, plain_is_bare }
    }

    /// Whether the value would read as something else without quotes.
    fn needs_quotes(&self, text: &str) -> bool {
        let special = |byte: u8| byte == self.delimiter || matches!(byte, b'"' | b'\r' | b'\n');
        // An empty line would be no row.
        let is_whole_row = self.columns.len() == 1 && text.is_empty();
        is_whole_row || text.bytes().any(special) || self.null_text == Some(text)
    }

    fn write_value(&self, text: &str, out: &mut String) {
        if self.needs_quotes(text) { quote(text, out) } else { out.push_str(text) }
    }
}

impl TextRows for CsvRows<'_> {
    /// # Errors
    /// 22004 for a NULL when nothing stands for it.
    fn write(&mut self, row: usize, out: &mut String) -> Result<()> {
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(char::from(self.delimiter));
            }
            if column.is_null(row) {
                out.push_str(self.null_text.ok_or_else(null_without_text)?);
            } else if self.plain_is_bare && column.is_plain() {
                column.write(row, out).map_err(Error::internal)?;
            } else if let Some(text) = column.text(row) {
                self.write_value(text, out);
            } else {
                let mut text = String::new();
                column.write(row, &mut text).map_err(Error::internal)?;
                self.write_value(&text, out);
            }
        }
        out.push('\n');
        Ok(())
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for (at, part) in text.split('"').enumerate() {
        out.push_str(if at > 0 { "\"\"" } else { "" });
        out.push_str(part);
    }
    out.push('"');
}

fn null_without_text() -> Error {
    Error::new(
        Sqlstate::NULL_VALUE_NOT_ALLOWED,
        "NULL value encountered during EXPORT, use `WITH nullas` to specify the string representation of NULL",
    )
}
