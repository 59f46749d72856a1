//! Values in text form.

use bytes::{BufMut, BytesMut};
use lakeport_core::value::TextColumn;
use lakeport_core::{Error, Result};

use super::{NULL_LENGTH, with_length};

/// Writes a value with its length before it.
pub(super) fn write(column: &TextColumn, row: usize, out: &mut BytesMut) -> Result<()> {
    if column.is_null(row) {
        out.put_i32(NULL_LENGTH);
        return Ok(());
    }
    with_length(out, |out| column.write(row, out).map_err(Error::internal))
}
