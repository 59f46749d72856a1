//! The one error that reaches a client.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};

use lakeport_base::{Dialect, Sqlstate};

use crate::databend::Number;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed statement: PostgreSQL's error fields. The source chain stays behind for the log and is
/// never part of the message.
#[derive(Debug)]
pub struct Error(Box<Fields>);

#[derive(Debug)]
struct Fields {
    code: Sqlstate,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with its code and message.
    pub fn new(code: Sqlstate, message: impl Into<String>) -> Error {
        let message = message.into();
        Error(Box::new(Fields { code, message, detail: None, hint: None, position: None, source: None }))
    }

    /// A fault of ours: the client sees an id, the log has the cause under it.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(Sqlstate::INTERNAL_ERROR, "internal error").with_source(source)
    }

    /// Adds what is known beyond the message.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the remedy.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the remedy if there is one.
    pub fn with_hint_opt(mut self, hint: Option<String>) -> Error {
        self.0.hint = hint.or(self.0.hint.take());
        self
    }

    /// Adds the character offset in the statement's text, from 1.
    pub fn with_position(mut self, position: usize) -> Error {
        self.0.position = Some(position);
        self
    }

    /// Adds the cause, for the log.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// Puts `prefix` and a colon before the message.
    pub fn prefixed(mut self, prefix: &str) -> Error {
        self.0.message = format!("{prefix}: {}", self.0.message);
        self
    }

    /// Puts the number of Databend's before the message.
    pub fn numbered(mut self, number: Number) -> Error {
        self.0.message = format!("{number} {}", self.0.message);
        self
    }

    pub fn code(&self) -> Sqlstate {
        self.0.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub fn position(&self) -> Option<usize> {
        self.0.position
    }

    /// Whether this is a fault of ours rather than of the statement or the outside.
    pub fn is_internal(&self) -> bool {
        self.0.code == Sqlstate::INTERNAL_ERROR
    }

    /// 53100
    pub fn disk_full(message: impl Into<String>) -> Error {
        Error::new(Sqlstate::DISK_FULL, message).with_hint("make room on the disk, then run the statement again")
    }

    /// 57014: what a cancelled or timed out statement answers.
    pub fn canceled() -> Error {
        Error::new(Sqlstate::QUERY_CANCELED, "canceling statement due to user request")
    }

    /// 42501
    pub fn denied(message: impl Into<String>) -> Error {
        Error::new(Sqlstate::INSUFFICIENT_PRIVILEGE, message)
    }

    /// 22023
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Sqlstate::INVALID_PARAMETER_VALUE, message)
    }

    /// 0A000
    pub fn unsupported(message: impl Into<String>) -> Error {
        Error::new(Sqlstate::FEATURE_NOT_SUPPORTED, message)
    }

    /// 42P01
    pub fn undefined_table(name: impl fmt::Display) -> Error {
        Error::new(Sqlstate::UNDEFINED_TABLE, format!("relation {:?} does not exist", name.to_string()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        let failed = match is_disk_full(&error) {
            true => Error::disk_full("no space left on the disk"),
            false => Error::new(Sqlstate::IO_ERROR, "input/output error"),
        };
        failed.with_source(error)
    }
}

/// Whether a full disk or an exhausted quota is at the root of an error.
pub fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let is_full = |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    // What an `io::Error` was made of is not its source.
    let within = |error: &io::Error| error.get_ref().is_some_and(|inner| is_disk_full(inner));
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| is_full(error) || within(error)) || error.source().is_some_and(is_disk_full)
}

impl From<lakeport_sql::SyntaxError> for Error {
    fn from(error: lakeport_sql::SyntaxError) -> Error {
        use lakeport_sql::error::SyntaxErrorKind;
        let code = match error.kind {
            SyntaxErrorKind::Syntax => Sqlstate::SYNTAX_ERROR,
            SyntaxErrorKind::Unsupported => Sqlstate::FEATURE_NOT_SUPPORTED,
            SyntaxErrorKind::TooComplex => Sqlstate::STATEMENT_TOO_COMPLEX,
            SyntaxErrorKind::TooManyColumns => Sqlstate::TOO_MANY_COLUMNS,
            SyntaxErrorKind::Grant => Sqlstate::INVALID_GRANT_OPERATION,
            SyntaxErrorKind::Argument => Sqlstate::INVALID_PARAMETER_VALUE,
            SyntaxErrorKind::Name => Sqlstate::INVALID_NAME,
            SyntaxErrorKind::Type => Sqlstate::UNDEFINED_OBJECT,
        };
        let refused = Error::new(code, error.message).with_hint_opt(error.hint).with_position(error.position);
        match (error.dialect, error.kind) {
            (Dialect::Databend, SyntaxErrorKind::Unsupported) => refused.numbered(Number::UNIMPLEMENTED),
            (Dialect::Databend, SyntaxErrorKind::Argument) => refused.numbered(Number::BAD_ARGUMENTS),
            (Dialect::Databend, SyntaxErrorKind::Grant) => refused.numbered(Number::ILLEGAL_GRANT),
            (Dialect::Databend, _) => refused.numbered(Number::SYNTAX),
            (Dialect::Cockroach | Dialect::Materialize, _) => refused,
        }
    }
}

impl From<lakeport_catalog::Error> for Error {
    fn from(error: lakeport_catalog::Error) -> Error {
        use lakeport_catalog::Error as Catalog;
        let code = match &error {
            Catalog::Full(_) => return Error::disk_full(error.to_string()).with_source(error),
            Catalog::NotFound { .. } => Sqlstate::UNDEFINED_OBJECT,
            Catalog::Exists { what: "table", name } => {
                let message = format!("relation {name:?} already exists");
                return Error::new(Sqlstate::DUPLICATE_TABLE, message).with_source(error);
            }
            Catalog::Exists { what: "database", .. } => Sqlstate::DUPLICATE_DATABASE,
            Catalog::Exists { what: "schema", .. } => Sqlstate::DUPLICATE_SCHEMA,
            Catalog::Exists { .. } => Sqlstate::DUPLICATE_OBJECT,
            Catalog::Conflict { .. } => Sqlstate::SERIALIZATION_FAILURE,
            Catalog::Busy(_) => Sqlstate::LOCK_NOT_AVAILABLE,
            Catalog::Corrupt { .. } | Catalog::MasterKey(_) => Sqlstate::DATA_CORRUPTED,
            Catalog::Store(_) | Catalog::Open { .. } => Sqlstate::IO_ERROR,
        };
        Error::new(code, error.to_string()).with_source(error)
    }
}
