//! What may be asked of values beside their types, and in whose words they are refused.

use lakeport_base::Sqlstate;
use lakeport_catalog::model::Column;

use super::batch::Target;
use super::text::{option_hint, shown};
use crate::error::Error;

/// What may be asked of values beside their types.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// They are refused in Databend's words.
    pub in_databend: bool,
    /// What is no JSON is NULL.
    pub lax_json: bool,
    /// Texts that mean NULL, as values of their own.
    pub null_if: Vec<String>,
    /// The columns' defaults, for fields that take them; NULL for those that are not here.
    pub defaults: Vec<FieldDefault>,
}

/// What a field is that takes its column's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldDefault {
    Null,
    Text(String),
    /// It differs from row to row.
    Computed,
}

impl Rules {
    pub fn default_of(&self, column: usize) -> &FieldDefault {
        self.defaults.get(column).unwrap_or(&FieldDefault::Null)
    }
}

/// Refusals.
impl Target {
    /// As Databend names it: `column 2 (b INT8 NULL)`
    fn column_text(&self, index: usize) -> String {
        let Column { name, ty, nullable, .. } = &self.columns[index];
        format!("column {} ({name} {ty}{})", index + 1, if *nullable { " NULL" } else { "" })
    }

    pub fn refused_value(&self, index: usize, text: &str, error: Error) -> Error {
        if self.rules.in_databend {
            let what = format!("Invalid value '{}' for {}", shown(text), self.column_text(index));
            return error.prefixed(&what);
        }
        let column = &self.columns[index];
        error.prefixed(&format!("parse {:?} as {}", column.name, column.ty))
    }

    /// 23502
    pub fn refused_null(&self, index: usize) -> Error {
        let message = match self.rules.in_databend {
            true => format!("Invalid value NULL for {}: the column is NOT NULL", self.column_text(index)),
            false => format!("null value in column {:?} violates not-null constraint", self.columns[index].name),
        };
        Error::new(Sqlstate::NOT_NULL_VIOLATION, message)
    }

    /// A row has not as many fields as there are columns: 22P04.
    pub fn refused_count(&self, fields: usize, record: &str) -> Error {
        let columns = self.columns.len();
        if !self.rules.in_databend {
            let message = format!("expected {columns} fields, got {fields} (row: {})", shown(record));
            return Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message);
        }
        let message =
            format!("Number of columns in file ({fields}) does not match that of the corresponding table ({columns})");
        let delimiter =
            if fields == 1 { "FIELD_DELIMITER in FILE_FORMAT says what stands between fields; " } else { "" };
        Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message).with_hint(format!(
            "{delimiter}COPY INTO table (column, ...) names the columns that files fill; ERROR_ON_COLUMN_COUNT_MISMATCH = \
             FALSE in FILE_FORMAT takes rows of any number; ON_ERROR = CONTINUE leaves them out"
        ))
    }

    /// A column that the file does not have: 42703.
    pub fn missing_column(&self, index: usize) -> Error {
        if !self.rules.in_databend {
            let message = format!("column {:?} is not in the file", self.columns[index].name);
            return Error::new(Sqlstate::UNDEFINED_COLUMN, message);
        }
        let column = self.column_text(index);
        let message = format!("Missing value for {column}. current FILE_FORMAT option: MISSING_FIELD_AS=ERROR");
        Error::new(Sqlstate::UNDEFINED_COLUMN, message).with_hint(
            "MISSING_FIELD_AS = FIELD_DEFAULT in FILE_FORMAT takes the column's default; COPY INTO table (column, ...) names \
             the columns that files fill",
        )
    }

    /// 0A000
    pub fn no_constant(&self, index: usize) -> Error {
        let message =
            format!("the default of {} is no constant, so that no field can stand for it", self.column_text(index));
        Error::unsupported(message).with_hint("name the other columns behind the table, and leave this one out")
    }

    /// The option that helps when the values of a record, counted from 1, have not their columns' types.
    pub fn option_hint(&self, record: u64) -> Option<&'static str> {
        if self.rules.in_databend {
            return (record == 1).then_some("FILE_FORMAT = (... SKIP_HEADER = 1) leaves out a header");
        }
        option_hint(record)
    }
}
