//! Values as PostgreSQL writes them: text and binary form to Arrow columns ([`ColumnBuilder`]), and Arrow columns to
//! text ([`TextColumn`]).
//!
//! Both directions work column by column and allocate nothing per value in the common cases: EXPORT, IMPORT and COPY
//! push millions of values through them. TIMESTAMPTZ is written and read in UTC unless a [`Zone`] is given: sessions have
//! theirs, files have none.

mod array;
pub mod binary;
mod builder;
mod datetime;
mod document;
mod format;
mod interval;
mod json;
mod parse;
mod zone;

#[cfg(test)]
mod tests;

use std::fmt;

use lakeport_base::{SqlType, Sqlstate};

pub use builder::ColumnBuilder;
pub use document::{Json, JsonKind, string_length};
pub use format::{TextColumn, format_value, is_plain, without_zeros};
pub use interval::{Span, Unit};
pub use json::canonical as json_text;
pub use zone::Zone;

/// Longest part of a refused value that an error message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Why a text is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    pub message: String,
    pub code: Sqlstate,
}

impl ValueError {
    /// An error with its message and code.
    pub fn new(code: Sqlstate, message: impl Into<String>) -> ValueError {
        ValueError { message: message.into(), code }
    }

    /// 22P02: the text has not the form of the type.
    pub(crate) fn form(text: &str, ty: &SqlType) -> ValueError {
        ValueError::unparsable(Sqlstate::INVALID_TEXT_REPRESENTATION, text, ty)
    }

    /// `could not parse "b" as type int8` under a given code.
    pub(crate) fn unparsable(code: Sqlstate, text: &str, ty: &SqlType) -> ValueError {
        ValueError::new(code, format!("could not parse {:?} as type {}", shown(text), type_name(ty)))
    }

    /// 22003: a number beyond the type's range.
    pub(crate) fn range(text: &str, ty: &SqlType) -> ValueError {
        let message = format!("value {:?} is out of range for type {}", shown(text), type_name(ty));
        ValueError::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ValueError {}

impl From<ValueError> for crate::error::Error {
    fn from(error: ValueError) -> Self {
        Self::new(error.code, error.message)
    }
}

/// The one text of a JSON value that any text stands for.
///
/// # Errors
/// 22P02 for what is no JSON, 54001 for what is nested too deeply.
pub fn json_of_text(text: &str) -> Result<String, ValueError> {
    parse::json(text, &SqlType::Jsonb)
}

/// The DECIMAL that keeps a number as it is written, for a NUMERIC without precision.
pub fn decimal_of_text(text: &str) -> Option<SqlType> {
    parse::decimal_type(text)
}

/// The same for a number in binary form.
pub fn decimal_of_binary(bytes: &[u8]) -> Option<SqlType> {
    binary::decimal_type(bytes)
}

fn type_name(ty: &SqlType) -> String {
    ty.to_string().to_ascii_lowercase()
}

/// The text, or its beginning with dots when it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}
