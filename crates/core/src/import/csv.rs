//! CSV to rows.

use lakeport_base::SqlType;

use super::batch::{Rows, Target};
use super::options::{CsvOptions, EmptyField};
use super::scan::{Field, ScanError, Scanned, Scanner};
use super::text::{FieldTexts, Fields, TextFormat};
use crate::error::Result;

/// CSV with its options.
pub(crate) struct Csv<'a> {
    options: &'a CsvOptions,
    target: &'a Target,
    scanner: Scanner,
}

impl<'a> Csv<'a> {
    pub fn new(options: &'a CsvOptions, target: &'a Target) -> Csv<'a> {
        Csv { options, target, scanner: Scanner::new(options.syntax.clone()) }
    }
}

impl TextFormat for Csv<'_> {
    fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        self.scanner.scan(input, at_end)
    }

    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()> {
        let fields = self.scanner.fields();
        if !self.target.takes(fields.len()) {
            return Err(self.target.refused_count(fields.len(), record));
        }
        for (index, column) in self.target.columns.iter().enumerate() {
            let Some(field) = fields.get(self.target.field_of(index)) else {
                rows.push(index, None)?;
                continue;
            };
            let text = self.scanner.value(field, record);
            if text.is_empty() && !field.quoted && self.options.empty == EmptyField::Default {
                rows.push_default(index)?;
                continue;
            }
            let text = if is_null(self.options, field, &text, &column.ty) { None } else { Some(text.as_ref()) };
            rows.push(index, text)?;
        }
        rows.end_row();
        Ok(())
    }

    fn record_end(&self) -> u8 {
        self.options.syntax.record_end
    }

    fn skip(&self) -> u64 {
        self.options.skip
    }

    fn hint(&self, record: u64) -> Option<&'static str> {
        self.target.option_hint(record)
    }
}

impl FieldTexts for Csv<'_> {
    fn texts(&self, record: &str) -> Fields {
        let text = |field: &Field| {
            let text = self.scanner.value(field, record);
            (!is_null(self.options, field, &text, &SqlType::Text)).then(|| text.into_owned())
        };
        self.scanner.fields().iter().map(text).collect()
    }
}

fn is_null(options: &CsvOptions, field: &Field, text: &str, ty: &SqlType) -> bool {
    let is_empty_null = || match options.empty {
        EmptyField::Text => false,
        EmptyField::NullUnlessText => !matches!(ty, SqlType::Text | SqlType::Varchar(_)),
        EmptyField::Null | EmptyField::Default => true,
    };
    let is_named = options.nullif.as_deref() == Some(text) && (!field.quoted || options.allow_quoted_null);
    is_named || (text.is_empty() && !field.quoted && is_empty_null())
}
