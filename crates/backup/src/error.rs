//! Everything that can go wrong with a collection of backups.

use lakeport_base::Sqlstate;
use thiserror::Error as ThisError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, classified by what its reader can do about it.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A request to the storage failed.
    #[error("{0}")]
    Storage(#[from] object_store::Error),
    /// The collection has no such backup.
    #[error("{message}")]
    Missing {
        /// In CockroachDB's words where it has some.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
    /// A file is not what the format says, or not what was written.
    #[error("{file} is damaged: {what}")]
    Corrupt {
        /// Path in the collection.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another Lakeport wrote the file.
    #[error("{file} is in version {version} of the backup format; this server reads version {}", crate::format::FORMAT)]
    Newer {
        /// Path in the collection.
        file: String,
        /// The version found.
        version: u64,
    },
    /// The keys given do not open the backup.
    #[error("{message}")]
    Key {
        /// Says which key, never the key.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
    /// A key service failed.
    #[error("{0}")]
    Kms(#[from] lakeport_connect::Error),
    /// Something is there already, or in use.
    #[error("{message}")]
    Conflict {
        /// What, and by whom.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
    /// The text of a statement asks for what cannot be.
    #[error("{message}")]
    Invalid {
        /// In CockroachDB's words where it has some.
        message: String,
        /// The remedy.
        hint: Option<String>,
    },
}

impl Error {
    /// A backup that is not there.
    pub fn missing(message: impl Into<String>) -> Error {
        Error::Missing { message: message.into(), hint: None }
    }

    /// A damaged file.
    pub fn corrupt(file: impl Into<String>, what: impl Into<String>) -> Error {
        Error::Corrupt { file: file.into(), what: what.into() }
    }

    /// A key that does not fit.
    pub fn key(message: impl Into<String>) -> Error {
        Error::Key { message: message.into(), hint: None }
    }

    /// Something in the way.
    pub fn conflict(message: impl Into<String>) -> Error {
        Error::Conflict { message: message.into(), hint: None }
    }

    /// A wrong request.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::Invalid { message: message.into(), hint: None }
    }

    /// Adds a remedy to an error that has a place for one.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Error {
        match &mut self {
            Error::Missing { hint, .. }
            | Error::Key { hint, .. }
            | Error::Conflict { hint, .. }
            | Error::Invalid { hint, .. } => *hint = Some(text.into()),
            Error::Storage(_) | Error::Corrupt { .. } | Error::Newer { .. } | Error::Kms(_) => {}
        }
        self
    }

    /// The remedy.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Error::Missing { hint, .. }
            | Error::Key { hint, .. }
            | Error::Conflict { hint, .. }
            | Error::Invalid { hint, .. } => hint.as_deref(),
            Error::Corrupt { .. } => Some(
                "RESTORE an earlier moment of it AS OF SYSTEM TIME, or another backup; SHOW BACKUP lists what can be read",
            ),
            Error::Newer { version, .. } => (*version > crate::format::FORMAT).then_some("use a newer Lakeport"),
            Error::Kms(error) => error.hint(),
            Error::Storage(_) => None,
        }
    }

    /// The SQLSTATE of an error that is not the storage's own.
    pub fn sqlstate(&self) -> Sqlstate {
        match self {
            Error::Storage(_) => Sqlstate::IO_ERROR,
            Error::Missing { .. } => Sqlstate::UNDEFINED_FILE,
            Error::Corrupt { .. } => Sqlstate::DATA_CORRUPTED,
            Error::Newer { .. } => Sqlstate::FEATURE_NOT_SUPPORTED,
            Error::Key { .. } | Error::Invalid { .. } => Sqlstate::INVALID_PARAMETER_VALUE,
            Error::Kms(error) => error.sqlstate(),
            Error::Conflict { .. } => Sqlstate::OBJECT_IN_USE,
        }
    }
}
