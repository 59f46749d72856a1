//! The version of the format.

use serde::Deserialize;

use crate::error::{Error, Result};

/// The version that this crate writes, and the newest that it reads.
pub const FORMAT: u64 = 1;

/// Whether this crate reads a file of JSON, by its field `format`.
///
/// # Errors
/// [`Error::Newer`] for a version that this crate does not read.
pub(crate) fn check_format(path: &str, json: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let found: Format = serde_json::from_slice(json).map_err(|error| Error::corrupt(path, error.to_string()))?;
    match found.format {
        FORMAT => Ok(()),
        version => Err(Error::Newer { file: path.to_string(), version }),
    }
}
