//! Building a small batch of rows by hand.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch};
use arrow_schema::SchemaRef;
use lakeport_base::SqlType;

use crate::error::{Error, Result};
use crate::rows::schema_of;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since the epoch, for TIMESTAMP and TIMESTAMPTZ.
    Time(i64),
    List(Vec<Cell>),
}

impl Cell {
    /// 0, FALSE or empty: a column's value where there is nothing to say and NULL is not allowed.
    pub fn zero(ty: &SqlType) -> Cell {
        match ty {
            SqlType::Bool => Cell::Bool(false),
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => Cell::Int(0),
            SqlType::Float4 | SqlType::Float8 => Cell::Float(0.0),
            SqlType::Timestamp | SqlType::TimestampTz => Cell::Time(0),
            SqlType::Array(_) => Cell::List(Vec::new()),
            _ => Cell::Text(String::new()),
        }
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Cell {
        Cell::Bool(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Cell {
        Cell::Int(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Cell {
        Cell::Int(i64::from(value))
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Cell {
        Cell::Float(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Cell {
        Cell::Text(value.to_string())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Cell {
        Cell::Text(value)
    }
}

impl From<&String> for Cell {
    fn from(value: &String) -> Cell {
        Cell::Text(value.clone())
    }
}

impl<T: Into<Cell>> From<Vec<T>> for Cell {
    fn from(values: Vec<T>) -> Cell {
        Cell::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Null, Into::into)
    }
}

/// A row from values that each turn into a [`Cell`].
#[macro_export]
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::show::rows::Cell::from($value)),*] };
}

/// Columns by name and type, and rows of as many cells.
///
/// # Errors
/// Internal, when a cell does not fit its column.
pub fn batch(columns: &[(&str, SqlType)], rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    batch_of(schema_of(columns), rows)
}

/// As [`batch`], for a schema made with [`schema_of`].
pub fn batch_of(schema: SchemaRef, rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let cells = rows.iter().map(|row| row.get(index).unwrap_or(&Cell::Null));
        arrays.push(column(&crate::rows::sql_type(field), cells)?);
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(Error::internal)
}

/// An array of cells of one type.
///
/// # Errors
/// Internal, when a cell is of another type.
pub fn column<'a>(ty: &SqlType, cells: impl Iterator<Item = &'a Cell>) -> Result<ArrayRef> {
    macro_rules! build {
        ($builder:expr, $($cell:pat => $value:expr),+) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    $($cell => builder.append_value($value),)+
                    Cell::Null => builder.append_null(),
                    other => return Err(Error::internal(format!("{other:?} in a column of type {ty}"))),
                }
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    match ty {
        SqlType::Bool => build!(BooleanBuilder::new(), Cell::Bool(value) => *value),
        SqlType::Int4 => {
            build!(Int32Builder::new(), Cell::Int(value) => i32::try_from(*value).map_err(Error::internal)?)
        }
        SqlType::Int8 => build!(Int64Builder::new(), Cell::Int(value) => *value),
        SqlType::Float8 => build!(Float64Builder::new(), Cell::Float(value) => *value),
        SqlType::Timestamp => build!(TimestampMicrosecondBuilder::new(), Cell::Time(value) => *value),
        SqlType::TimestampTz => {
            build!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), Cell::Time(value) => *value)
        }
        SqlType::Array(element) => lists(element, cells),
        _ => build!(StringBuilder::new(), Cell::Text(value) => value),
    }
}

fn lists<'a>(element: &SqlType, cells: impl Iterator<Item = &'a Cell>) -> Result<ArrayRef> {
    let (mut items, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let list: &[Cell] = if let Cell::List(list) = cell { list } else { &[] };
        items.extend(list);
        lengths.push(list.len());
        valid.push(matches!(cell, Cell::List(_)));
    }
    let item = Arc::new(crate::rows::arrow_field("item", element, true));
    // Boxed, since a list may hold lists.
    let values = column(element, &mut items.into_iter() as &mut dyn Iterator<Item = &Cell>)?;
    let offsets = arrow_buffer::OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(item, offsets, values, Some(valid.into())).map_err(Error::internal)?;
    Ok(Arc::new(list))
}
