//! Functions that make one JSONB document out of another.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::common::cast::{as_boolean_array, as_int64_array, as_list_array, as_string_array};
use datafusion::logical_expr::TypeSignature;
use lakeport_base::SqlType;
use lakeport_core::Error;
use serde_json::Value;

use super::json::{parsed, paths, text};
use super::scalar::{Call, Scalar, failed};

/// Names of the functions behind operators.
pub(crate) const CONCAT: &str = "jsonb_concat";
pub(super) const DELETE: &str = "jsonb_delete";
pub(super) const DELETE_PATH: &str = "jsonb_delete_path";

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    let functions = vec![
        Scalar::of_texts(CONCAT, 2, SqlType::Jsonb, |texts| {
            text(&concatenated(parsed(texts[0])?, parsed(texts[1])?)).map(Some)
        }),
        Scalar::of_any(DELETE, &[2], SqlType::Jsonb, delete),
        Scalar::of_any(DELETE_PATH, &[2], SqlType::Jsonb, |call| {
            edited(call, |document, path, _| {
                remove_path(document, path);
            })
        }),
        Scalar::of_any("jsonb_set", &[3, 4], SqlType::Jsonb, set)
            .with_signature(TypeSignature::OneOf(vec![TypeSignature::Any(3), TypeSignature::Any(4)])),
    ];
    functions.into_iter().map(Scalar::taking_json).collect()
}

/// Members of both objects, the later ones first; else the items of both as one array.
fn concatenated(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::Object(mut members), Value::Object(others)) => {
            members.extend(others);
            Value::Object(members)
        }
        (left, right) => [left, right].into_iter().flat_map(items).collect(),
    }
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => vec![other],
    }
}

/// `document - key`, `document - index` and `document - keys`.
fn delete(call: &Call<'_>) -> Result<ArrayRef> {
    let (documents, keys) = (call.texts(0)?, call.column(1));
    call.each_row(|row| {
        if documents.is_null(row) || keys.is_null(row) {
            return Ok(None);
        }
        let mut document = parsed(documents.value(row))?;
        match keys.data_type() {
            DataType::List(_) => {
                let keys = as_list_array(keys)?.value(row);
                as_string_array(&keys)?.iter().flatten().for_each(|key| remove_key(&mut document, key));
            }
            integer if integer.is_integer() => {
                let numbers = arrow_cast::cast(keys, &DataType::Int64)?;
                remove_item(&mut document, as_int64_array(&numbers)?.value(row))?;
            }
            _ => remove_key(&mut document, as_string_array(keys)?.value(row)),
        }
        text(&document).map(Some)
    })
}

/// Takes out a member, or the items that are this text.
fn remove_key(document: &mut Value, key: &str) {
    match document {
        Value::Object(members) => {
            members.remove(key);
        }
        Value::Array(items) => items.retain(|item| item.as_str() != Some(key)),
        _ => {}
    }
}

fn remove_item(document: &mut Value, number: i64) -> Result<()> {
    let Value::Array(items) = document else {
        return Err(failed(Error::invalid("cannot delete from object using integer index")));
    };
    if let Some(index) = index(items.len(), number) {
        items.remove(index);
    }
    Ok(())
}

/// The place of an item, counted from the end when the number is negative.
fn index(length: usize, number: i64) -> Option<usize> {
    let number = if number < 0 { i64::try_from(length).ok()? + number } else { number };
    usize::try_from(number).ok().filter(|index| *index < length)
}

fn remove_path(document: &mut Value, path: &[&str]) {
    let Some((last, outer)) = path.split_last() else { return };
    let Some(place) = outer.iter().try_fold(document, |value, key| inner(value, key)) else { return };
    match place {
        Value::Array(items) => {
            if let Some(index) = last.parse().ok().and_then(|number| index(items.len(), number)) {
                items.remove(index);
            }
        }
        other => remove_key(other, last),
    }
}

fn inner<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(members) => members.get_mut(key),
        Value::Array(items) => {
            let index = index(items.len(), key.parse().ok()?)?;
            items.get_mut(index)
        }
        _ => None,
    }
}

/// `jsonb_set(document, path, value [, create_if_missing])`
fn set(call: &Call<'_>) -> Result<ArrayRef> {
    let values = call.texts(2)?;
    let create = call.columns().get(3).map(as_boolean_column).transpose()?;
    let checked = (0..call.rows).map(|row| values.is_valid(row).then(|| parsed(values.value(row))).transpose());
    let new = checked.collect::<Result<Vec<_>>>()?;
    edited(call, |document, path, row| {
        if let Some(value) = &new[row] {
            let create = create.as_ref().is_none_or(|create| create.is_valid(row) && create.value(row));
            set_path(document, path, value, create);
        }
    })
}

fn as_boolean_column(column: &ArrayRef) -> Result<arrow_array::BooleanArray> {
    Ok(as_boolean_array(column)?.clone())
}

fn set_path(document: &mut Value, path: &[&str], value: &Value, create: bool) {
    let Some((last, outer)) = path.split_last() else { return };
    let Some(place) = outer.iter().try_fold(document, |value, key| inner(value, key)) else { return };
    match place {
        Value::Object(members) if create || members.contains_key(*last) => {
            members.insert((*last).to_string(), value.clone());
        }
        Value::Array(items) => {
            let Ok(number) = last.parse::<i64>() else { return };
            match index(items.len(), number) {
                Some(index) => items[index] = value.clone(),
                None if create && number < 0 => items.insert(0, value.clone()),
                None if create => items.push(value.clone()),
                None => {}
            }
        }
        _ => {}
    }
}

/// Every document changed by what is done with its path; NULL where an argument is.
fn edited(call: &Call<'_>, edit: impl Fn(&mut Value, &[&str], usize)) -> Result<ArrayRef> {
    let documents = call.texts(0)?;
    let paths = paths(call.column(1))?;
    let paths = paths.as_list::<i32>();
    let any_null = |row: usize| call.columns().iter().any(|column| column.is_null(row));
    call.each_row(|row| {
        if any_null(row) {
            return Ok(None);
        }
        let keys = paths.value(row);
        let keys: &StringArray = as_string_array(&keys)?;
        let path: Vec<&str> = keys.iter().flatten().collect();
        let mut document = parsed(documents.value(row))?;
        edit(&mut document, &path, row);
        text(&document).map(Some)
    })
}
