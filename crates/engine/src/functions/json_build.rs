//! Functions that make JSONB out of other values.

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use datafusion::common::cast::{as_boolean_array, as_list_array, as_string_array};
use datafusion::common::{DataFusionError, Result};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::value::{TextColumn, Zone};
use serde_json::{Map, Value};

use super::json::{parsed, text};
use super::scalar::{Call, Scalar, failed};

/// Every function of this file; TIMESTAMPTZ shows as clocks of the zone do.
pub(super) fn functions(zone: Zone) -> Vec<Scalar> {
    let functions = [to_jsonb(zone), build_array(zone), build_object(zone), array_of_documents()];
    functions.into_iter().map(Scalar::taking_json).collect()
}

/// Name of the function that makes an array of a list of documents.
pub(crate) const ARRAY_OF_DOCUMENTS: &str = "jsonb_of_list";

/// A list of documents as an array; an element that is NULL is JSON's null.
fn array_of_documents() -> Scalar {
    Scalar::of_any(ARRAY_OF_DOCUMENTS, &[1], SqlType::Jsonb, |call| {
        let lists = as_list_array(call.column(0))?;
        call.each_row(|row| {
            if lists.is_null(row) {
                return Ok(None);
            }
            let items = arrow_cast::cast(&lists.value(row), &DataType::Utf8)?;
            let items: Vec<_> = as_string_array(&items)?.iter().map(|item| item.unwrap_or("null")).collect();
            Ok(Some(format!("[{}]", items.join(", "))))
        })
    })
}

fn to_jsonb(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        call.each_row(|row| match call.column(0).is_null(row) {
            true => Ok(None),
            false => argument(call, 0, row, zone).and_then(|value| text(&value)).map(Some),
        })
    };
    Scalar::of_any("to_jsonb", &[1], SqlType::Jsonb, body).with_aliases(&["to_json"])
}

fn build_array(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        call.each_row(|row| {
            let items = (0..call.columns().len()).map(|index| argument(call, index, row, zone));
            text(&Value::Array(items.collect::<Result<_>>()?)).map(Some)
        })
    };
    Scalar::of_any("jsonb_build_array", &[0], SqlType::Jsonb, body).with_aliases(&["json_build_array"]).variadic()
}

fn build_object(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        if call.columns().len() % 2 == 1 {
            return Err(failed(Error::invalid("argument list must have even number of elements")));
        }
        call.each_row(|row| {
            let mut members = Map::new();
            for index in (0..call.columns().len()).step_by(2) {
                members.insert(name(call, index, row, zone)?, argument(call, index + 1, row, zone)?);
            }
            text(&Value::Object(members)).map(Some)
        })
    };
    Scalar::of_any("jsonb_build_object", &[0], SqlType::Jsonb, body).with_aliases(&["json_build_object"]).variadic()
}

fn name(call: &Call<'_>, index: usize, row: usize, zone: Zone) -> Result<String> {
    match argument(call, index, row, zone)? {
        Value::Null => Err(failed(Error::invalid(format!("argument {}: key must not be null", index + 1)))),
        Value::String(name) => Ok(name),
        other => Ok(other.to_string()),
    }
}

fn argument(call: &Call<'_>, index: usize, row: usize, zone: Zone) -> Result<Value> {
    json_of(call.column(index), row, &call.fields[index], zone)
}

/// A value as JSON: numbers, truth values, lists and documents as such, all else as its text.
fn json_of(column: &ArrayRef, row: usize, field: &Field, zone: Zone) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let ty = sql_type(field);
    match &ty {
        SqlType::Bool => Ok(Value::Bool(as_boolean_array(column)?.value(row))),
        SqlType::Array(_) => {
            let items = as_list_array(column)?.value(row);
            let DataType::List(field) = column.data_type() else { return Ok(Value::Null) };
            (0..items.len()).map(|item| json_of(&items, item, field, zone)).collect()
        }
        SqlType::Jsonb => parsed(&text_of(column, row, &ty, zone)?),
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Float4 | SqlType::Float8 | SqlType::Decimal(..) => {
            let text = text_of(column, row, &ty, zone)?;
            Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        SqlType::Timestamp => Ok(Value::String(text_of(column, row, &ty, zone)?.replacen(' ', "T", 1))),
        SqlType::TimestampTz => Ok(Value::String(iso_8601(&text_of(column, row, &ty, zone)?))),
        _ => Ok(Value::String(text_of(column, row, &ty, zone)?)),
    }
}

/// A moment with `T` before the time, and minutes in its offset.
fn iso_8601(text: &str) -> String {
    let hours_only = text.len() > 3 && text.as_bytes()[text.len() - 3] != b':';
    format!("{}{}", text.replacen(' ', "T", 1), if hours_only { ":00" } else { "" })
}

fn text_of(column: &ArrayRef, row: usize, ty: &SqlType, zone: Zone) -> Result<String> {
    let mut text = String::new();
    TextColumn::in_zone(&column.slice(row, 1), ty, zone)
        .write(0, &mut text)
        .map_err(|error| DataFusionError::External(error.into()))?;
    Ok(text)
}
