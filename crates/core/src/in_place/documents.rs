//! Rows as JSON values.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use lakeport_base::SqlType;

use crate::error::{Error, Result};
use crate::export::ndjson::JsonRows;
use crate::rows::arrow_field;
use crate::value::ColumnBuilder;

/// Each row of a batch as an object in the column `$1`; without it, rows of no columns.
pub fn documents_of(batch: &RecordBatch, wanted: bool) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let (mut fields, mut columns): (Vec<_>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    if wanted {
        let mut objects = JsonRows::new(batch)?;
        let mut builder = ColumnBuilder::new(&SqlType::Jsonb, rows);
        let mut text = String::new();
        for row in 0..rows {
            text.clear();
            objects.write_object(row, &mut text)?;
            builder.append_text(&text)?;
        }
        fields.push(arrow_field("$1", &SqlType::Jsonb, true));
        columns.push(builder.finish());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(Error::internal)
}
