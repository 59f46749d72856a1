//! Column types as Delta's.

use deltalake::kernel::{ArrayType, DataType, MetadataValue, StructField};
use lakeport_base::SqlType;
use lakeport_catalog::model::Column;
use lakeport_core::Result;
use lakeport_core::rows::SQL_TYPE_KEY;

use crate::error::from_delta;

/// The Delta fields of a table's columns, under their stored names. The SQL type goes along as metadata.
pub(crate) fn delta_fields(columns: &[Column]) -> Result<Vec<StructField>> {
    columns.iter().map(delta_field).collect()
}

/// The Delta field of one column.
pub(crate) fn delta_field(column: &Column) -> Result<StructField> {
    let field = StructField::new(&column.stored_name, delta_type(&column.ty)?, column.nullable);
    Ok(field.with_metadata([(SQL_TYPE_KEY, MetadataValue::String(column.ty.to_string()))]))
}

fn delta_type(ty: &SqlType) -> Result<DataType> {
    Ok(match ty {
        SqlType::Bool => DataType::BOOLEAN,
        SqlType::Int2 => DataType::SHORT,
        SqlType::Int4 => DataType::INTEGER,
        SqlType::Int8 => DataType::LONG,
        SqlType::Float4 => DataType::FLOAT,
        SqlType::Float8 => DataType::DOUBLE,
        SqlType::Decimal(precision, scale) => {
            DataType::decimal(*precision, *scale).map_err(|error| from_delta(error.into()))?
        }
        SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb => DataType::STRING,
        SqlType::Bytes => DataType::BINARY,
        SqlType::Date => DataType::DATE,
        SqlType::Timestamp => DataType::TIMESTAMP_NTZ,
        SqlType::TimestampTz => DataType::TIMESTAMP,
        SqlType::Array(element) => ArrayType::new(delta_type(element)?, true).into(),
    })
}
