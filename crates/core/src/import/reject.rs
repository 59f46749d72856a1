//! Rows that do not fit, kept for a file beside theirs.

use lakeport_base::Sqlstate;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::source::SourceFile;
use super::text::LeaveOut;
use crate::error::{Error, Result};
use crate::external::store_error;

/// What the names of such files end with.
pub(super) const SUFFIX: &str = ".rejected";
/// Rows of one file that may be left out; more of them mean that the file is another one than was thought.
const ROWS_MAX: u64 = 1000;
/// Bytes of such rows in one file.
const BYTES_MAX: usize = 64 << 20;

/// The rows of one file that were left out, as they are.
#[derive(Default)]
pub(crate) struct Rejected {
    bytes: Vec<u8>,
    rows: u64,
}

impl LeaveOut for Rejected {
    /// # Errors
    /// 54000 when they are too many.
    fn leave_out(&mut self, _: u64, row: &[u8], _: Error) -> Result<()> {
        self.rows += 1;
        self.bytes.extend_from_slice(row);
        if !row.ends_with(b"\n") {
            self.bytes.push(b'\n');
        }
        if self.rows <= ROWS_MAX && self.bytes.len() <= BYTES_MAX {
            return Ok(());
        }
        Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, format!("too many parsing errors ({})", self.rows))
            .with_hint(format!("experimental_save_rejected leaves out {ROWS_MAX} rows of a file at most")))
    }
}

impl Rejected {
    /// Writes the rows beside their file, if there are any.
    pub async fn save(self, file: &SourceFile) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let path = Path::from(format!("{}{SUFFIX}", file.meta.location));
        file.store.put(&path, PutPayload::from(self.bytes)).await.map_err(store_error)?;
        tracing::info!(file = file.name, rows = self.rows, "rows left out by an import");
        Ok(())
    }
}
