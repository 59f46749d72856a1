//! What a catalog call can fail with.

use std::io;
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
    /// The store's disk has no room left.
    #[error("no space left on the disk of the catalog")]
    Full(#[source] sqlx::Error),
    /// The store cannot be read or written.
    #[error("the catalog store failed")]
    Store(#[source] sqlx::Error),
    /// A file of the store cannot be made, read or locked.
    #[error("cannot open {path:?}: {reason}")]
    Open {
        path: PathBuf,
        reason: &'static str,
        #[source]
        source: io::Error,
    },
    /// The master key cannot be read, or does not open this catalog.
    #[error("master key: {0}")]
    MasterKey(String),
}

impl Error {
    /// Whether trying again may help.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Conflict { .. } | Error::Busy(_) | Error::Full(_) => Retry::Later,
            _ => Retry::Never,
        }
    }
}

/// Primary result codes of SQLite for a lock that was not had in time: `SQLITE_BUSY` and `SQLITE_LOCKED`.
const SQLITE_LOCK_CODES: [u32; 2] = [5, 6];
/// Result codes of SQLite for a full disk: `SQLITE_FULL` and, for the file that readers and writers share,
/// `SQLITE_IOERR_SHMSIZE`.
const SQLITE_FULL_CODES: [u32; 2] = [13, 4874];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        match &error {
            sqlx::Error::PoolTimedOut => Error::Busy(error),
            sqlx::Error::Io(failure) if failure.kind() == io::ErrorKind::StorageFull => Error::Full(error),
            _ => match sqlite_code(&error) {
                // The low byte of an extended code is its primary code.
                Some(code) if SQLITE_LOCK_CODES.contains(&(code & 0xff)) => Error::Busy(error),
                Some(code) if SQLITE_FULL_CODES.contains(&code) => Error::Full(error),
                _ => Error::Store(error),
            },
        }
    }
}

fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}
