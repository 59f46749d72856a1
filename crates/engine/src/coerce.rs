//! Values on their way into a column: PostgreSQL's assignment rules, and the constraints of a row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::cast;
use arrow_schema::DataType;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_core::rows::arrow_type;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};

use crate::delta::scan::table_schema;
use crate::error::from_arrow;
use crate::literal::shown_type;
use crate::zoned::{clocks, exactly, is_text, moments, parsed, printed};

/// The values as a column of type `ty`; `zone` is where the clocks of texts and TIMESTAMP are read.
pub(crate) fn coerce(values: &ArrayRef, ty: &SqlType, zone: Zone) -> Result<ArrayRef> {
    let wanted = arrow_type(ty);
    match values.data_type() {
        DataType::Null => Ok(new_null_array(&wanted, values.len())),
        source if is_text(source) && *ty == SqlType::Text => cast(values, &wanted).map_err(from_arrow),
        source if is_text(source) => parsed(exactly(values, &DataType::Utf8)?.as_string(), ty, zone),
        source if matches!(ty, SqlType::Text | SqlType::Varchar(_)) => {
            parsed(&printed(values, &shown_type(source), zone)?, ty, zone)
        }
        source if matches!(ty, SqlType::Uuid | SqlType::Jsonb) => {
            let found = shown_type(source);
            Err(Error::new(Sqlstate::DATATYPE_MISMATCH, format!("a value of type {found} is no {ty}")))
        }
        source if (*source == DataType::Boolean) != (wanted == DataType::Boolean) => {
            let found = shown_type(source);
            Err(Error::new(Sqlstate::DATATYPE_MISMATCH, format!("a value of type {found} is no {ty}")))
        }
        source if *source == wanted && !matches!(wanted, DataType::List(_)) => Ok(Arc::clone(values)),
        DataType::Timestamp(_, None) | DataType::Date32 if *ty == SqlType::TimestampTz => moments(values, zone),
        DataType::Timestamp(_, Some(_)) if matches!(ty, SqlType::Timestamp | SqlType::Date) => {
            exactly(&clocks(values, zone)?, &wanted)
        }
        source => {
            let rounded =
                if wanted.is_integer() && source.is_floating() { rounded(values) } else { Arc::clone(values) };
            relabelled(exactly(&rounded, &wanted)?, wanted)
        }
    }
}

/// The same values under a type that differs in the metadata of its elements only; a cast leaves those as they were.
fn relabelled(values: ArrayRef, wanted: DataType) -> Result<ArrayRef> {
    let DataType::List(item) = &wanted else { return Ok(values) };
    let list = values.as_list::<i32>();
    let elements = relabelled(Arc::clone(list.values()), item.data_type().clone())?;
    let relabelled = ListArray::try_new(Arc::clone(item), list.offsets().clone(), elements, list.nulls().cloned());
    Ok(Arc::new(relabelled.map_err(from_arrow)?))
}

/// To the nearest integer, halves to the even one, as PostgreSQL rounds floats.
fn rounded(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => {
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even))
        }
        DataType::Float64 => {
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even))
        }
        _ => Arc::clone(values),
    }
}

/// A row for each of the columns, in the table's order, with its types.
pub(crate) fn table_batch(table: &Table, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    check_not_null(table, &columns)?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(table_schema(table), columns, &options).map_err(from_arrow)
}

fn check_not_null(table: &Table, columns: &[ArrayRef]) -> Result<()> {
    let refused =
        table.columns.iter().zip(columns).find(|(column, values)| !column.nullable && values.null_count() > 0);
    match refused {
        None => Ok(()),
        Some((column, _)) => Err(Error::new(
            Sqlstate::NOT_NULL_VIOLATION,
            format!("null value in column {:?} of relation {:?} violates not-null constraint", column.name, table.name),
        )),
    }
}
