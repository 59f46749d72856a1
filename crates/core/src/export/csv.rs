//! Rows to lines of text: CSV as in RFC 4180, or fields with backslashes.

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use lakeport_base::Sqlstate;

use super::options::{CsvForm, Format, Quoting};
use super::piece::TextRows;
use crate::error::{Error, Result};
use crate::rows::sql_type;
use crate::value::{TextColumn, is_plain};

/// The rows of a batch as lines.
pub(super) struct CsvRows<'a> {
    columns: Vec<TextColumn>,
    form: &'a CsvForm,
    /// Values of [plain](TextColumn::is_plain) columns are never marked.
    plain_is_bare: bool,
}

impl<'a> CsvRows<'a> {
    pub fn new(batch: &RecordBatch, form: &'a CsvForm) -> CsvRows<'a> {
        let fields = batch.schema_ref().fields().iter();
        let columns = fields.zip(batch.columns()).map(|(field, column)| TextColumn::new(column, &sql_type(field)));
        let is_null_plain = form.null_text.as_ref().is_some_and(|text| text.bytes().all(is_plain));
        CsvRows { columns: columns.collect(), form, plain_is_bare: !is_plain(form.delimiter) && !is_null_plain }
    }

    fn write_value(&self, text: &str, is_text: bool, out: &mut String) {
        let is_only = self.columns.len() == 1;
        match self.form.quoting {
            Quoting::WhereNeeded { quote, escape } if self.form.needs_quotes(text, quote, is_only) => {
                write_quoted(text, quote, escape, out);
            }
            Quoting::AroundText { quote, escape } if is_text || self.form.needs_quotes(text, quote, is_only) => {
                write_quoted(text, quote, escape, out);
            }
            Quoting::WhereNeeded { .. } | Quoting::AroundText { .. } => out.push_str(text),
            Quoting::Backslash => self.form.write_escaped(text, out),
        }
    }
}

impl TextRows for CsvRows<'_> {
    /// # Errors
    /// 22004 for a NULL when nothing stands for it.
    fn write(&mut self, row: usize, out: &mut String) -> Result<()> {
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(char::from(self.form.delimiter));
            }
            if column.is_null(row) {
                out.push_str(self.form.null_text.as_deref().ok_or_else(null_without_text)?);
            } else if self.plain_is_bare && column.is_plain() {
                column.write(row, out).map_err(Error::internal)?;
            } else if let Some(text) = column.text(row) {
                self.write_value(text, true, out);
            } else {
                let mut text = String::new();
                column.write(row, &mut text).map_err(Error::internal)?;
                self.write_value(&text, false, out);
            }
        }
        out.push_str(&self.form.line_end);
        Ok(())
    }
}

impl CsvForm {
    /// Whether a value would read as something else without quotes. An empty line would be no row.
    fn needs_quotes(&self, text: &str, quote: u8, is_only: bool) -> bool {
        let special = |byte: u8| byte == self.delimiter || byte == quote || self.ends_line(byte);
        (is_only && text.is_empty()) || text.bytes().any(special) || self.null_text.as_deref() == Some(text)
    }

    fn ends_line(&self, byte: u8) -> bool {
        matches!(byte, b'\r' | b'\n') || self.line_end.as_bytes().contains(&byte)
    }

    fn write_escaped(&self, text: &str, out: &mut String) {
        for c in text.chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c == '\\' || c == char::from(self.delimiter) || self.line_end.contains(c) => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }
}

impl Format {
    /// The line of names that a file begins with, if it does.
    pub(super) fn header(&self, schema: &Schema) -> Option<String> {
        let Format::Csv(form) = self else { return None };
        if !form.has_header {
            return None;
        }
        let mut line = String::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                line.push(char::from(form.delimiter));
            }
            match form.quoting {
                Quoting::WhereNeeded { quote, escape } | Quoting::AroundText { quote, escape }
                    if form.needs_quotes(field.name(), quote, schema.fields().len() == 1) =>
                {
                    write_quoted(field.name(), quote, escape, &mut line);
                }
                Quoting::Backslash => form.write_escaped(field.name(), &mut line),
                _ => line.push_str(field.name()),
            }
        }
        Some(line + &form.line_end)
    }
}

/// A quote in the text is doubled, or comes after the escape character, as does that one itself.
fn write_quoted(text: &str, quote: u8, escape: Option<u8>, out: &mut String) {
    let (quote, escape) = (char::from(quote), escape.map(char::from));
    out.push(quote);
    for c in text.chars() {
        if c == quote || Some(c) == escape {
            out.push(escape.unwrap_or(quote));
        }
        out.push(c);
    }
    out.push(quote);
}

fn null_without_text() -> Error {
    Error::new(
        Sqlstate::NULL_VALUE_NOT_ALLOWED,
        "NULL value encountered during EXPORT, use `WITH nullas` to specify the string representation of NULL",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn lines(form: CsvForm, texts: &[Option<&str>]) -> String {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
        let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("a,b", texts)]).unwrap();
        let mut out = Format::Csv(form.clone()).header(batch.schema_ref()).unwrap_or_default();
        let mut rows = CsvRows::new(&batch, &form);
        (0..batch.num_rows()).for_each(|row| rows.write(row, &mut out).unwrap());
        out
    }

    fn form(quoting: Quoting) -> CsvForm {
        CsvForm { quoting, has_header: true, ..CsvForm::new(b',', Some("\\N".into())) }
    }

    #[test]
    fn values_read_back_as_what_they_are() {
        let texts = [Some("x"), None, Some(""), Some("\\N"), Some("a\"b\\"), Some("1,2\r\n")];
        let (quote, escape) = (b'"', None);
        assert_eq!(
            lines(form(Quoting::WhereNeeded { quote, escape }), &texts),
            "n,\"a,b\"\n0,x\n1,\\N\n2,\n3,\"\\N\"\n4,\"a\"\"b\\\"\n5,\"1,2\r\n\"\n"
        );
        assert_eq!(
            lines(form(Quoting::AroundText { quote: b'\'', escape: Some(b'\\') }), &texts),
            "n,'a,b'\n0,'x'\n1,\\N\n2,''\n3,'\\\\N'\n4,'a\"b\\\\'\n5,'1,2\r\n'\n"
        );
        let form = CsvForm { delimiter: b'\t', line_end: "|".into(), ..form(Quoting::Backslash) };
        assert_eq!(lines(form, &texts), "n\ta,b|0\tx|1\t\\N|2\t|3\t\\\\N|4\ta\"b\\\\|5\t1,2\\r\\n|");
    }
}
