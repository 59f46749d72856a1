//! Values on their way into a column: PostgreSQL's assignment rules, and the constraints of a row.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow_schema::{DECIMAL128_MAX_PRECISION, DataType};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_core::rows::arrow_type;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};

use crate::delta::scan::table_schema;
use crate::error::from_arrow;
use crate::literal::shown_type;
use crate::zoned::{clocks, exactly, intervals, is_text, moments, parsed, printed};

/// The values as a column of type `ty`, by the rules of assignment; `zone` is where the clocks of texts and TIMESTAMP
/// are read.
pub(crate) fn coerce(values: &ArrayRef, ty: &SqlType, zone: Zone) -> Result<ArrayRef> {
    let source = values.data_type();
    let mismatch = is_document(ty) || (*source == DataType::Boolean) != (*ty == SqlType::Bool);
    if mismatch && *source != DataType::Null && !is_text(source) && !is_string(ty) {
        let found = shown_type(source);
        return Err(Error::new(Sqlstate::DATATYPE_MISMATCH, format!("a value of type {found} is no {ty}")));
    }
    converted(values, &shown_type(source), ty, zone)
}

fn is_document(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Uuid | SqlType::Jsonb)
}

fn is_string(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Text | SqlType::Varchar(_))
}

/// The values as a column of another type, by the rules of an explicit cast: what is too long is cut.
pub(crate) fn cast_to(values: &ArrayRef, source: &SqlType, target: &SqlType, zone: Zone) -> Result<ArrayRef> {
    match target {
        SqlType::Varchar(length) => cut(&converted(values, source, &SqlType::Text, zone)?, *length as usize),
        _ => converted(values, source, target, zone),
    }
}

fn converted(values: &ArrayRef, source: &SqlType, target: &SqlType, zone: Zone) -> Result<ArrayRef> {
    let wanted = arrow_type(target);
    match values.data_type() {
        DataType::Null => Ok(new_null_array(&wanted, values.len())),
        found if is_text(found) && *target == SqlType::Text => exactly(values, &wanted),
        found if is_text(found) => parsed(exactly(values, &DataType::Utf8)?.as_string(), target, zone),
        DataType::Boolean if is_string(target) => exactly(values, &wanted),
        found if is_string(target) || (found.is_floating() && matches!(target, SqlType::Decimal(..))) => {
            parsed(&printed(values, source, zone)?, target, zone)
        }
        DataType::Duration(_) if *target == SqlType::Interval => Ok(Arc::new(intervals(values)?)),
        DataType::List(_) => converted_list(values, source, target, zone),
        found if *found == wanted => Ok(Arc::clone(values)),
        DataType::Timestamp(_, None) | DataType::Date32 if *target == SqlType::TimestampTz => moments(values, zone),
        DataType::Timestamp(_, Some(_)) if matches!(target, SqlType::Timestamp | SqlType::Date) => {
            exactly(&clocks(values, zone)?, &wanted)
        }
        _ if wanted.is_integer() => exactly(&rounded(values), &wanted).map_err(integer_range),
        _ => exactly(values, &wanted),
    }
}

fn integer_range(error: Error) -> Error {
    match error.code() {
        Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE => Error::new(error.code(), "integer out of range"),
        _ => error,
    }
}

/// Lists with each element converted.
fn converted_list(values: &ArrayRef, source: &SqlType, target: &SqlType, zone: Zone) -> Result<ArrayRef> {
    let (SqlType::Array(source), SqlType::Array(target), DataType::List(item)) = (source, target, arrow_type(target))
    else {
        return exactly(values, &arrow_type(target));
    };
    let list = values.as_list::<i32>();
    let elements = converted(list.values(), source, target, zone)?;
    let converted = ListArray::try_new(item, list.offsets().clone(), elements, list.nulls().cloned());
    Ok(Arc::new(converted.map_err(from_arrow)?))
}

/// Texts with no more than so many characters.
fn cut(texts: &ArrayRef, length: usize) -> Result<ArrayRef> {
    let cut = |text: &str| match text.char_indices().nth(length) {
        Some((end, _)) => text[..end].to_string(),
        None => text.to_string(),
    };
    let texts = texts.as_string::<i32>().iter().map(|text| text.map(cut));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// To the nearest integer: of two equally near ones a float goes to the even one, a decimal away from 0.
fn rounded(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => {
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even))
        }
        DataType::Float64 => {
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even))
        }
        DataType::Decimal128(_, scale @ 1..) => {
            let one = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let round = |units: i128| units / one + (units % one) / (one / 2);
            let whole = values.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(round);
            Arc::new(whole.with_data_type(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)))
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
