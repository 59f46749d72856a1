//! Rows as JSON values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Schema};
use arrow_select::nullif::nullif;
use lakeport_base::SqlType;

use crate::error::{Error, Result};
use crate::export::ndjson::JsonRows;
use crate::import::columns::is_text;
use crate::rows::{arrow_field, sql_type};
use crate::value::ColumnBuilder;

/// A batch with NULL where one of these texts stands, at the rows' own level.
pub fn with_nulls(batch: &RecordBatch, null_if: &[String]) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let is_text = sql_type(field) == SqlType::Text && is_text(column.data_type());
        fields.push(if is_text { Arc::new(field.as_ref().clone().with_nullable(true)) } else { Arc::clone(field) });
        columns.push(if is_text { without(column, null_if)? } else { Arc::clone(column) });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(Error::internal)
}

fn without(texts: &ArrayRef, null_if: &[String]) -> Result<ArrayRef> {
    let views = arrow_cast::cast(texts, &DataType::Utf8View).map_err(Error::internal)?;
    let is_null = |text: Option<&str>| Some(text.is_some_and(|text| null_if.iter().any(|null| null == text)));
    let nulls: BooleanArray = views.as_string_view().iter().map(is_null).collect();
    nullif(texts, &nulls).map_err(Error::internal)
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
