//! Functions that make JSONB out of other values.

use arrow_array::{Array, ArrayRef};
use arrow_schema::Field;
use datafusion::common::cast::{as_boolean_array, as_list_array};
use datafusion::common::{DataFusionError, Result};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::value::format_value;
use serde_json::{Map, Value};

use super::json::parsed;
use super::scalar::{Call, Scalar, failed};

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    vec![to_jsonb(), build_array(), build_object()]
}

fn to_jsonb() -> Scalar {
    let body = |call: &Call<'_>| {
        call.each_row(|row| match call.column(0).is_null(row) {
            true => Ok(None),
            false => argument(call, 0, row).map(|value| Some(value.to_string())),
        })
    };
    Scalar::of_any("to_jsonb", &[1], SqlType::Jsonb, body).with_aliases(&["to_json"])
}

fn build_array() -> Scalar {
    let body = |call: &Call<'_>| {
        call.each_row(|row| {
            let items = (0..call.columns().len()).map(|index| argument(call, index, row));
            Ok(Some(Value::Array(items.collect::<Result<_>>()?).to_string()))
        })
    };
    Scalar::of_any("jsonb_build_array", &[0], SqlType::Jsonb, body).with_aliases(&["json_build_array"]).variadic()
}

fn build_object() -> Scalar {
    let body = |call: &Call<'_>| {
        if call.columns().len() % 2 == 1 {
            return Err(failed(Error::invalid("argument list must have even number of elements")));
        }
        call.each_row(|row| {
            let mut members = Map::new();
            for index in (0..call.columns().len()).step_by(2) {
                members.insert(name(call, index, row)?, argument(call, index + 1, row)?);
            }
            Ok(Some(Value::Object(members).to_string()))
        })
    };
    Scalar::of_any("jsonb_build_object", &[0], SqlType::Jsonb, body).with_aliases(&["json_build_object"]).variadic()
}

fn name(call: &Call<'_>, index: usize, row: usize) -> Result<String> {
    match argument(call, index, row)? {
        Value::Null => Err(failed(Error::invalid(format!("argument {}: key must not be null", index + 1)))),
        Value::String(name) => Ok(name),
        other => Ok(other.to_string()),
    }
}

fn argument(call: &Call<'_>, index: usize, row: usize) -> Result<Value> {
    json_of(call.column(index), row, &call.fields[index])
}

/// A value as JSON: numbers, truth values, lists and documents as such, all else as its text.
fn json_of(column: &ArrayRef, row: usize, field: &Field) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let ty = sql_type(field);
    match &ty {
        SqlType::Bool => Ok(Value::Bool(as_boolean_array(column)?.value(row))),
        SqlType::Array(_) => {
            let items = as_list_array(column)?.value(row);
            let arrow_schema::DataType::List(field) = column.data_type() else { return Ok(Value::Null) };
            (0..items.len()).map(|item| json_of(&items, item, field)).collect()
        }
        SqlType::Jsonb => parsed(&text_of(column, row, &ty)?),
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Float4 | SqlType::Float8 | SqlType::Decimal(..) => {
            let text = text_of(column, row, &ty)?;
            Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        SqlType::Timestamp | SqlType::TimestampTz => {
            Ok(Value::String(text_of(column, row, &ty)?.replacen(' ', "T", 1)))
        }
        _ => Ok(Value::String(text_of(column, row, &ty)?)),
    }
}

fn text_of(column: &ArrayRef, row: usize, ty: &SqlType) -> Result<String> {
    let mut text = String::new();
    format_value(column, row, ty, &mut text).map_err(|error| DataFusionError::External(error.into()))?;
    Ok(text)
}
