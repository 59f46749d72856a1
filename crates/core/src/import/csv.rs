//! CSV to rows.

use lakeport_base::SqlType;

use super::batch::{Rows, Target};
use super::options::CsvOptions;
use super::scan::{Field, ScanError, Scanned, Scanner};
use super::text::{TextFormat, option_hint, wrong_field_count};
use crate::error::Result;

/// CSV with its options.
pub(super) struct Csv<'a> {
    options: &'a CsvOptions,
    target: &'a Target,
    scanner: Scanner,
}

impl<'a> Csv<'a> {
    pub fn new(options: &'a CsvOptions, target: &'a Target) -> Csv<'a> {
        let scanner = Scanner::new(options.delimiter, options.comment, options.strict_quotes);
        Csv { options, target, scanner }
    }
}

impl TextFormat for Csv<'_> {
    fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        self.scanner.scan(input, at_end)
    }

    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()> {
        let fields = self.scanner.fields();
        let columns = &self.target.columns;
        if fields.len() != columns.len() {
            return Err(wrong_field_count(columns.len(), fields.len(), record));
        }
        for (index, (field, column)) in fields.iter().zip(columns.iter()).enumerate() {
            let text = field.value(record);
            let text = if is_null(self.options, field, &text, &column.ty) { None } else { Some(text.as_ref()) };
            rows.push(index, text)?;
        }
        rows.end_row();
        Ok(())
    }

    fn record_end(&self) -> u8 {
        b'\n'
    }

    fn skip(&self) -> u64 {
        self.options.skip
    }

    fn hint(&self, record: u64) -> Option<&'static str> {
        option_hint(record)
    }
}

fn is_null(options: &CsvOptions, field: &Field, text: &str, ty: &SqlType) -> bool {
    let is_string = matches!(ty, SqlType::Text | SqlType::Varchar(_));
    match &options.nullif {
        Some(nullif) => (!field.quoted || options.allow_quoted_null) && text == nullif,
        None => (!field.quoted || options.allow_quoted_null) && text.is_empty() && !is_string,
    }
}
