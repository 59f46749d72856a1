//! Rows as JSON values.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use lakeport_base::SqlType;

use crate::error::{Error, Result};
use crate::export::ndjson::JsonRows;
use crate::import::columns;
use crate::rows::arrow_field;
use crate::value::ColumnBuilder;

/// A batch with NULL where one of these texts stands, at the rows' own level.
pub fn with_nulls(batch: &RecordBatch, null_if: &[String]) -> Result<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let column = columns::with_nulls(column, field, null_if)?;
        let nullable = field.is_nullable() || column.null_count() > 0;
        fields.push(field.as_ref().clone().with_nullable(nullable));
        arrays.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(Error::internal)
}

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
