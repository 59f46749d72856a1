//! Failures of the backup format in the words of a client.

use lakeport_backup as backup;

use crate::error::Error;
use crate::external::store_error;

impl From<backup::Error> for Error {
    fn from(error: backup::Error) -> Error {
        match error {
            backup::Error::Storage(error) => store_error(error),
            error => Error::new(error.sqlstate(), error.to_string()).with_hint_opt(error.hint().map(str::to_string)),
        }
    }
}
