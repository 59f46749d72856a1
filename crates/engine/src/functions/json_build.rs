//! Functions that make JSONB out of other values.

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use datafusion::common::cast::{as_boolean_array, as_list_array, as_string_array};
use datafusion::common::{DataFusionError, Result};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::value::{Json, TextColumn, Zone, json_of_text};
use serde_json::Value;

use super::json::document;
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
            Ok(Some(Json::array_of(items)))
        })
    })
}

fn to_jsonb(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        call.each_row(|row| match call.column(0).is_null(row) {
            true => Ok(None),
            false => document(&argument(call, 0, row, zone)?),
        })
    };
    Scalar::of_any("to_jsonb", &[1], SqlType::Jsonb, body).with_aliases(&["to_json"])
}

fn build_array(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        call.each_row(|row| {
            let items = (0..call.columns().len()).map(|index| argument(call, index, row, zone));
            document(&Json::array_of(items.collect::<Result<Vec<_>>>()?))
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
            let places = (0..call.columns().len()).step_by(2);
            let members = places.map(|at| Ok((name(call, at, row, zone)?, argument(call, at + 1, row, zone)?)));
            document(&Json::object_of(members.collect::<Result<Vec<_>>>()?))
        })
    };
    Scalar::of_any("jsonb_build_object", &[0], SqlType::Jsonb, body).with_aliases(&["json_build_object"]).variadic()
}

/// The text of a value as a member's name.
fn name(call: &Call<'_>, index: usize, row: usize, zone: Zone) -> Result<String> {
    match Json::of(&argument(call, index, row, zone)?).plain_text() {
        Some(name) => Ok(quoted(&name)),
        None => Err(failed(Error::invalid(format!("argument {}: key must not be null", index + 1)))),
    }
}

fn argument(call: &Call<'_>, index: usize, row: usize, zone: Zone) -> Result<String> {
    json_of(call.column(index), row, &call.fields[index], zone)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A value as JSON: numbers, truth values, lists and documents as such, all else as its text.
fn json_of(column: &ArrayRef, row: usize, field: &Field, zone: Zone) -> Result<String> {
    if column.is_null(row) {
        return Ok("null".to_string());
    }
    let ty = sql_type(field);
    match &ty {
        SqlType::Bool => Ok(as_boolean_array(column)?.value(row).to_string()),
        SqlType::Array(_) => {
            let items = as_list_array(column)?.value(row);
            let DataType::List(field) = column.data_type() else { return Ok("null".to_string()) };
            let items = (0..items.len()).map(|item| json_of(&items, item, field, zone));
            Ok(Json::array_of(items.collect::<Result<Vec<_>>>()?))
        }
        SqlType::Jsonb => text_of(column, row, &ty, zone),
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Float4 | SqlType::Float8 | SqlType::Decimal(..) => {
            let text = text_of(column, row, &ty, zone)?;
            Ok(json_of_text(&text).unwrap_or_else(|_| quoted(&text)))
        }
        SqlType::Timestamp => Ok(quoted(&text_of(column, row, &ty, zone)?.replacen(' ', "T", 1))),
        SqlType::TimestampTz => Ok(quoted(&iso_8601(&text_of(column, row, &ty, zone)?))),
        _ => Ok(quoted(&text_of(column, row, &ty, zone)?)),
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
