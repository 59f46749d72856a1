//! Rows on their way to a client, and the Arrow form of column types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use futures::stream::{BoxStream, StreamExt};
use lakeport_base::SqlType;

use crate::error::Result;

/// Metadata key of an Arrow field that holds the column's [`SqlType`], where the Arrow type alone does not tell it
/// (UUID and JSONB travel as text).
pub const SQL_TYPE_KEY: &str = "lakeport.type";

/// A stream of batches with one schema.
pub struct RowStream {
    pub schema: SchemaRef,
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

impl RowStream {
    /// A stream of batches made beforehand.
    pub fn of(batch: RecordBatch) -> RowStream {
        RowStream { schema: batch.schema(), batches: futures::stream::iter([Ok(batch)]).boxed() }
    }
}

/// Bytes of values that are encoded at once for a client or a file.
const PIECE_BYTES: usize = 1 << 20;

/// About how many bytes a row of a batch takes.
pub fn row_bytes(batch: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(PIECE_BYTES);
    batch.columns().iter().map(bytes).sum::<usize>().div_ceil(batch.num_rows().max(1)).max(1)
}

/// A batch, whose rows take about so many bytes each, cut so that encoding a piece takes little memory. Without rows there
/// is no piece.
pub fn pieces(batch: &RecordBatch, row_bytes: usize) -> Vec<RecordBatch> {
    let (rows, step) = (batch.num_rows(), (PIECE_BYTES / row_bytes).max(1));
    (0..rows).step_by(step).map(|start| batch.slice(start, step.min(rows - start))).collect()
}

/// The Arrow field of a column, type metadata included.
pub fn arrow_field(name: &str, ty: &SqlType, nullable: bool) -> Field {
    let metadata = HashMap::from([(SQL_TYPE_KEY.to_string(), ty.to_string())]);
    Field::new(name, arrow_type(ty), nullable).with_metadata(metadata)
}

/// A schema of such fields, all nullable; for SHOW results.
pub fn schema_of(columns: &[(&str, SqlType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(name, ty)| arrow_field(name, ty, true)).collect::<Vec<_>>()))
}

/// How values of a column type are held in Arrow.
pub fn arrow_type(ty: &SqlType) -> DataType {
    match ty {
        SqlType::Bool => DataType::Boolean,
        SqlType::Int2 => DataType::Int16,
        SqlType::Int4 => DataType::Int32,
        SqlType::Int8 => DataType::Int64,
        SqlType::Float4 => DataType::Float32,
        SqlType::Float8 => DataType::Float64,
        SqlType::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale as i8),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb => DataType::Utf8,
        SqlType::Bytes => DataType::Binary,
        SqlType::Date => DataType::Date32,
        SqlType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        SqlType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        SqlType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        SqlType::Array(element) => DataType::List(Arc::new(arrow_field("item", element, true))),
    }
}

/// The column type of an Arrow field: its metadata, else the nearest type of ours. Text for what has none.
pub fn sql_type(field: &Field) -> SqlType {
    let declared = field.metadata().get(SQL_TYPE_KEY).and_then(|text| SqlType::parse(text));
    declared.filter(|ty| same_shape(ty, field.data_type())).unwrap_or_else(|| nearest_type(field.data_type()))
}

/// Whether metadata still fits the data: an expression may keep its input's metadata and change the type.
fn same_shape(ty: &SqlType, data_type: &DataType) -> bool {
    match (ty, data_type) {
        (SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb, data_type) => is_text(data_type),
        (SqlType::Array(_), data_type) => matches!(data_type, DataType::List(_) | DataType::LargeList(_)),
        (ty, data_type) => nearest_type(data_type) == *ty,
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn nearest_type(data_type: &DataType) -> SqlType {
    match data_type {
        DataType::Boolean => SqlType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => SqlType::Int2,
        DataType::Int32 | DataType::UInt16 => SqlType::Int4,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => SqlType::Int8,
        DataType::Float16 | DataType::Float32 => SqlType::Float4,
        DataType::Float64 => SqlType::Float8,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => SqlType::Decimal((*precision).min(38), (*scale).clamp(0, 38) as u8),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            SqlType::Bytes
        }
        DataType::Date32 | DataType::Date64 => SqlType::Date,
        DataType::Timestamp(_, None) => SqlType::Timestamp,
        DataType::Timestamp(_, Some(_)) => SqlType::TimestampTz,
        DataType::Interval(_) | DataType::Duration(_) => SqlType::Interval,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            SqlType::Array(Box::new(sql_type(field)))
        }
        DataType::Dictionary(_, value) => nearest_type(value),
        _ => SqlType::Text,
    }
}
