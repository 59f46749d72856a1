//! Columns as fields of Delta's schema, which keeps what is needed to read a past version under the names of its time.

use deltalake::kernel::{ArrayType, DataType, MetadataValue, PrimitiveType, StructField};
use lakeport_base::SqlType;
use lakeport_catalog::model::{Column, Table};
use lakeport_core::rows::SQL_TYPE_KEY;
use lakeport_core::{Error, Result};

use crate::error::from_delta;

/// Key of a field's metadata: the column's name, which differs from the field's after a rename.
const NAME_KEY: &str = "lakeport.name";
/// Key of a field's metadata: the column was dropped; its data remain in old files.
const DROPPED_KEY: &str = "lakeport.dropped";

/// The Delta fields of a table's columns, under their stored names. SQL type and column name go along as metadata.
pub(crate) fn delta_fields(columns: &[Column]) -> Result<Vec<StructField>> {
    columns.iter().map(delta_field).collect()
}

/// The Delta field of one column.
pub(crate) fn delta_field(column: &Column) -> Result<StructField> {
    let field = StructField::new(&column.stored_name, delta_type(&column.ty)?, column.nullable);
    let ty = MetadataValue::String(column.ty.to_string());
    Ok(field.with_metadata([(SQL_TYPE_KEY, ty), (NAME_KEY, MetadataValue::String(column.name.clone()))]))
}

/// Marks a field as that of a dropped column. New files lack it, so it becomes nullable.
pub(crate) fn mark_dropped(field: &mut StructField) {
    field.nullable = true;
    field.metadata.insert(DROPPED_KEY.to_string(), MetadataValue::Boolean(true));
}

/// Gives the field of a column that the table has the column's name.
pub(crate) fn mark_kept(field: &mut StructField, column: &Column) {
    field.nullable |= column.nullable;
    field.metadata.remove(DROPPED_KEY);
    field.metadata.insert(NAME_KEY.to_string(), MetadataValue::String(column.name.clone()));
}

/// Whether the field is of a column that was made here.
pub(crate) fn is_ours(field: &StructField) -> bool {
    field.metadata.contains_key(NAME_KEY)
}

/// The table with its columns under the names that its files have, which are never the same twice.
pub(crate) fn by_stored_names(mut table: Table) -> Table {
    for key in &mut table.primary_key {
        if let Some(column) = table.columns.iter().find(|column| column.name == *key) {
            key.clone_from(&column.stored_name);
        }
    }
    table.columns.iter_mut().for_each(|column| column.name.clone_from(&column.stored_name));
    table
}

/// The columns that a Delta schema tells of. Defaults and comments, which reading does not need, are absent.
pub(crate) fn columns_of<'a>(fields: impl Iterator<Item = &'a StructField>) -> Vec<Column> {
    let kept = fields.filter(|field| !matches!(field.metadata.get(DROPPED_KEY), Some(MetadataValue::Boolean(true))));
    kept.map(column_of).collect()
}

fn column_of(field: &StructField) -> Column {
    let text = |key: &str| match field.metadata.get(key) {
        Some(MetadataValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let declared = text(SQL_TYPE_KEY).and_then(|text| SqlType::parse(&text));
    let declared = declared.filter(|ty| delta_type(ty).is_ok_and(|ty| ty == field.data_type));
    Column {
        name: text(NAME_KEY).unwrap_or_else(|| field.name().clone()),
        stored_name: field.name().clone(),
        ty: declared.unwrap_or_else(|| sql_type(&field.data_type)),
        nullable: field.nullable,
        default: None,
        comment: None,
    }
}

/// The nearest type of a field that another writer added; text for what has none.
fn sql_type(ty: &DataType) -> SqlType {
    match ty {
        DataType::Primitive(PrimitiveType::Boolean) => SqlType::Bool,
        DataType::Primitive(PrimitiveType::Byte | PrimitiveType::Short) => SqlType::Int2,
        DataType::Primitive(PrimitiveType::Integer) => SqlType::Int4,
        DataType::Primitive(PrimitiveType::Long) => SqlType::Int8,
        DataType::Primitive(PrimitiveType::Float) => SqlType::Float4,
        DataType::Primitive(PrimitiveType::Double) => SqlType::Float8,
        DataType::Primitive(PrimitiveType::Decimal(decimal)) => SqlType::Decimal(decimal.precision(), decimal.scale()),
        DataType::Primitive(PrimitiveType::Binary) => SqlType::Bytes,
        DataType::Primitive(PrimitiveType::Date) => SqlType::Date,
        DataType::Primitive(PrimitiveType::Timestamp) => SqlType::TimestampTz,
        DataType::Primitive(PrimitiveType::TimestampNtz) => SqlType::Timestamp,
        DataType::Array(array) => SqlType::Array(Box::new(sql_type(array.element_type()))),
        _ => SqlType::Text,
    }
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
        SqlType::Interval => return Err(Error::internal("a table cannot hold intervals")),
        SqlType::Array(element) => ArrayType::new(delta_type(element)?, true).into(),
    })
}
