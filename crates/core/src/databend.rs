//! The error numbers of Databend's statements: `[2512] Connection 'c' already exists.`
//! Its drivers tell errors apart by the number, those of PostgreSQL by the SQLSTATE; both are sent.

use std::fmt;

use lakeport_base::Sqlstate;

use crate::error::Error;

/// A number of Databend's, with the SQLSTATE that means the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    number: u16,
    state: Sqlstate,
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $state:ident;)*) => {
        impl Number {
            $($(#[$doc])* pub const $name: Number = Number { number: $number, state: Sqlstate::$state };)*

            #[cfg(test)]
            const ALL: &'static [Number] = &[$(Number::$name),*];
        }
    };
}

numbers! {
    /// More than one commit takes.
    COMMIT_LIMIT = 1001, PROGRAM_LIMIT_EXCEEDED;
    /// Understood, and not supported.
    UNIMPLEMENTED = 1002, FEATURE_NOT_SUPPORTED;
    /// No statement.
    SYNTAX = 1005, SYNTAX_ERROR;
    /// An argument that does not fit the others, or what is there.
    BAD_ARGUMENTS = 1006, INVALID_PARAMETER_VALUE;
    /// Rows that do not fit.
    BAD_BYTES = 1046, BAD_COPY_FILE_FORMAT;
    /// A privilege that cannot be granted so.
    ILLEGAL_GRANT = 1061, INVALID_GRANT_OPERATION;
    /// A privilege that the user lacks.
    PERMISSION_DENIED = 1063, INSUFFICIENT_PRIVILEGE;
    /// Columns that files do not have in that form.
    SEMANTIC = 1065, INVALID_COLUMN_REFERENCE;
    /// A value that an option does not take.
    INVALID_ARGUMENT = 2004, INVALID_PARAMETER_VALUE;
    /// No such stage.
    UNKNOWN_STAGE = 2501, UNDEFINED_OBJECT;
    /// A stage of that name.
    STAGE_EXISTS = 2502, DUPLICATE_OBJECT;
    /// A file format that stages do not take.
    ILLEGAL_STAGE_FORMAT = 2505, FEATURE_NOT_SUPPORTED;
    /// What cannot be done with that stage.
    STAGE_PERMISSION = 2506, WRONG_OBJECT_TYPE;
    /// No such file format.
    UNKNOWN_FILE_FORMAT = 2507, UNDEFINED_OBJECT;
    /// Options that do not make a file format.
    ILLEGAL_FILE_FORMAT = 2508, INVALID_PARAMETER_VALUE;
    /// A file format of that name.
    FILE_FORMAT_EXISTS = 2509, DUPLICATE_OBJECT;
    /// No such connection.
    UNKNOWN_CONNECTION = 2510, UNDEFINED_OBJECT;
    /// A connection of that name.
    CONNECTION_EXISTS = 2512, DUPLICATE_OBJECT;
    /// A file that is not there.
    STORAGE_NOT_FOUND = 3001, UNDEFINED_FILE;
    /// Whatever else is wrong with storage or its parameters.
    STORAGE = 4000, INVALID_PARAMETER_VALUE;
}

/// The number in brackets.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.number)
    }
}

impl Error {
    /// An error of a statement of Databend's, in its words.
    pub fn databend(number: Number, message: impl Into<String>) -> Error {
        Error::new(number.state, message).numbered(number)
    }
}

/// What is wrong with the parameters of a connection or a place.
pub(crate) fn invalid_parameter(error: lakeport_connect::Error) -> Error {
    let hint = error.hint().map(str::to_string);
    let (number, message) = match &error {
        lakeport_connect::Error::Unsupported(_) => (Number::UNIMPLEMENTED, error.to_string()),
        _ => (Number::STORAGE, format!("invalid input parameter ({error})")),
    };
    Error::databend(number, message).with_hint_opt(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_before_the_message() {
        let error = Error::databend(Number::CONNECTION_EXISTS, "Connection 'c' already exists.");
        assert_eq!(error.message(), "[2512] Connection 'c' already exists.");
        assert_eq!(error.code(), Sqlstate::DUPLICATE_OBJECT);
        let error = Error::denied("refused").numbered(Number::STORAGE);
        assert_eq!((error.message(), error.code()), ("[4000] refused", Sqlstate::INSUFFICIENT_PRIVILEGE));
    }

    #[test]
    fn each_number_is_there_once() {
        assert!(Number::ALL.is_sorted_by(|a, b| a.number < b.number));
    }
}
