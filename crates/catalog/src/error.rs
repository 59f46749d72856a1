//! What a catalog call can fail with.

use std::path::PathBuf;

use lakeport_base::Retry;
use thiserror::Error;

/// The outcome of a catalog call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a catalog call failed.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{what} {name:?} does not exist")]
    NotFound { what: &'static str, name: String },
    #[error("{what} {name:?} already exists")]
    Exists { what: &'static str, name: String },
    /// Another transaction changed the row first.
    #[error("{what} {name:?} was changed by another transaction")]
    Conflict { what: &'static str, name: String },
    /// The store is locked by another process or too many writers.
    #[error("the catalog is busy")]
    Busy(#[source] sqlx::Error),
    /// A stored row cannot be decoded or unsealed.
    #[error("corrupt catalog row in {what}: {detail}")]
    Corrupt { what: &'static str, detail: String },
    /// The store cannot be read or written.
    #[error("the catalog store failed")]
    Store(#[source] sqlx::Error),
    /// A file of the store cannot be made, read or locked.
    #[error("cannot open {path:?}: {reason}")]
    Open {
        path: PathBuf,
        reason: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// The master key cannot be read, or does not open this catalog.
    #[error("master key: {0}")]
    MasterKey(String),
}

impl Error {
    /// Whether trying again may help.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Conflict { .. } | Error::Busy(_) => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Primary result codes of SQLite for a lock that was not had in time: `SQLITE_BUSY` and `SQLITE_LOCKED`.
const SQLITE_LOCK_CODES: [u32; 2] = [5, 6];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        let busy = match &error {
            sqlx::Error::PoolTimedOut => true,
            // The low byte of an extended code is its primary code.
            sqlx::Error::Database(failure) => failure
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .is_some_and(|code| SQLITE_LOCK_CODES.contains(&(code & 0xff))),
            _ => false,
        };
        if busy { Error::Busy(error) } else { Error::Store(error) }
    }
}
