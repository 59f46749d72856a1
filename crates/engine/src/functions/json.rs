//! Functions that read JSONB. Documents are text.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow_schema::DataType;
use datafusion::common::cast::{as_int64_array, as_list_array, as_string_array};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ScalarUDF, TypeSignature};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::value::{ColumnBuilder, json_text};
use serde_json::Value;

use super::scalar::{Call, Scalar, failed};

/// Names of the functions behind operators.
pub(super) const GET: &str = "jsonb_get";
pub(super) const GET_TEXT: &str = "jsonb_get_text";
pub(super) const GET_PATH: &str = "jsonb_get_path";
pub(super) const GET_PATH_TEXT: &str = "jsonb_get_path_text";
pub(super) const CONTAINS: &str = "jsonb_contains";
pub(super) const EXISTS: &str = "jsonb_exists";
pub(super) const EXISTS_ANY: &str = "jsonb_exists_any";
pub(super) const EXISTS_ALL: &str = "jsonb_exists_all";

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    vec![
        getter(GET, SqlType::Jsonb),
        getter(GET_TEXT, SqlType::Text),
        path_getter(GET_PATH, SqlType::Jsonb),
        path_getter(GET_PATH_TEXT, SqlType::Text),
        path_arguments_getter("jsonb_extract_path", SqlType::Jsonb).with_aliases(&["json_extract_path"]),
        path_arguments_getter("jsonb_extract_path_text", SqlType::Text).with_aliases(&["json_extract_path_text"]),
        Scalar::of_texts("jsonb_typeof", 1, SqlType::Text, |texts| Ok(Some(kind(&parsed(texts[0])?).to_string())))
            .with_aliases(&["json_typeof"]),
        Scalar::of_texts("jsonb_pretty", 1, SqlType::Text, |texts| Ok(Some(format!("{:#}", parsed(texts[0])?)))),
        Scalar::of_texts("jsonb_strip_nulls", 1, SqlType::Jsonb, |texts| {
            text(&without_nulls(parsed(texts[0])?)).map(Some)
        })
        .with_aliases(&["json_strip_nulls"]),
        array_length(),
        test(CONTAINS, |document, other| Ok(contains(&parsed(document)?, &parsed(other)?))),
        test(EXISTS, |document, key| Ok(exists(&parsed(document)?, key))),
        exists_of(EXISTS_ANY, |keys, document| keys.iter().any(|key| exists(document, key))),
        exists_of(EXISTS_ALL, |keys, document| keys.iter().all(|key| exists(document, key))),
    ]
}

/// What the value of a document is as a text.
pub(crate) fn plain_text() -> ScalarUDF {
    let plain = |texts: &[&str]| Ok(lakeport_core::value::plain_text(texts[0]).map(Cow::into_owned));
    Scalar::of_texts("json_plain_text", 1, SqlType::Text, plain).into()
}

/// The text of a document as columns hold it, so that equal documents have equal texts.
pub(super) fn text(value: &Value) -> Result<String> {
    json_text(&value.to_string()).map_err(|error| failed(error.into()))
}

/// The document of a text.
pub(super) fn parsed(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the text is no JSON document: {error}");
        failed(Error::new(Sqlstate::INVALID_TEXT_REPRESENTATION, message))
    })
}

/// A member's text: strings without quotes, JSON null as NULL.
fn shown(value: &Value, returns: &SqlType) -> Result<Option<String>> {
    match (value, returns) {
        (value, SqlType::Jsonb) => text(value).map(Some),
        (Value::Null, _) => Ok(None),
        (Value::String(text), _) => Ok(Some(text.clone())),
        (value, _) => text(value).map(Some),
    }
}

fn item(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let index = if index < 0 { i64::try_from(items.len()).ok()? + index } else { index };
    items.get(usize::try_from(index).ok()?)
}

/// What a step of a path leads to: a member of an object, or an item of an array.
fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(key),
        Value::Array(_) => item(value, key.parse().ok()?),
        _ => None,
    }
}

/// `->` and `->>`: a member by name or an item by number from 0, from the end when negative.
fn getter(name: &'static str, returns: SqlType) -> Scalar {
    let (by_number, by_name) = (vec![DataType::Utf8, DataType::Int64], vec![DataType::Utf8, DataType::Utf8]);
    let signature = TypeSignature::OneOf(vec![TypeSignature::Exact(by_number), TypeSignature::Exact(by_name)]);
    let shown_as = returns.clone();
    let body = move |call: &Call<'_>| {
        let (documents, keys) = (call.texts(0)?, call.column(1));
        call.each_row(|row| {
            if documents.is_null(row) || keys.is_null(row) {
                return Ok(None);
            }
            let document = parsed(documents.value(row))?;
            let found = match keys.data_type() {
                DataType::Int64 => item(&document, as_int64_array(keys)?.value(row)),
                _ => document.get(as_string_array(keys)?.value(row)),
            };
            found.map_or(Ok(None), |value| shown(value, &shown_as))
        })
    };
    Scalar::of_any(name, &[2], returns, body).with_signature(signature)
}

/// `#>` and `#>>`: what a path of names and numbers leads to.
fn path_getter(name: &'static str, returns: SqlType) -> Scalar {
    let shown_as = returns.clone();
    Scalar::of_any(name, &[2], returns, move |call| {
        let documents = call.texts(0)?;
        let paths = paths(call.column(1))?;
        let paths = as_list_array(&paths)?;
        call.each_row(|row| {
            if documents.is_null(row) || paths.is_null(row) {
                return Ok(None);
            }
            let keys = paths.value(row);
            let found = follow(documents.value(row), as_string_array(&keys)?.iter())?;
            found.map_or(Ok(None), |value| shown(&value, &shown_as))
        })
    })
}

/// Paths as lists of texts; a text such as `{a,b}` is read as one.
pub(super) fn paths(column: &ArrayRef) -> Result<ArrayRef> {
    let ty = SqlType::Array(Box::new(SqlType::Text));
    if matches!(column.data_type(), DataType::List(_)) {
        return Ok(arrow_cast::cast(column, &lakeport_core::rows::arrow_type(&ty))?);
    }
    let texts = arrow_cast::cast(column, &DataType::Utf8)?;
    let mut lists = ColumnBuilder::new(&ty, texts.len());
    for text in as_string_array(&texts)? {
        match text {
            Some(text) => lists.append_text(text).map_err(|error| failed(error.into()))?,
            None => lists.append_null(),
        }
    }
    Ok(lists.finish())
}

fn path_arguments_getter(name: &'static str, returns: SqlType) -> Scalar {
    let shown_as = returns.clone();
    let body = move |call: &Call<'_>| {
        let columns = (0..call.columns().len()).map(|index| call.texts(index)).collect::<Result<Vec<StringArray>>>()?;
        let Some((documents, keys)) = columns.split_first() else { return call.each_row(|_| Ok(None)) };
        call.each_row(|row| {
            if documents.is_null(row) {
                return Ok(None);
            }
            let keys = keys.iter().map(|keys| keys.is_valid(row).then(|| keys.value(row)));
            follow(documents.value(row), keys)?.map_or(Ok(None), |value| shown(&value, &shown_as))
        })
    };
    Scalar::of_any(name, &[1], returns, body).with_signature(TypeSignature::VariadicAny)
}

fn follow<'a>(document: &str, keys: impl Iterator<Item = Option<&'a str>>) -> Result<Option<Value>> {
    let document = parsed(document)?;
    let mut value = &document;
    for key in keys {
        match key.and_then(|key| step(value, key)) {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value.clone()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        scalar => scalar,
    }
}

fn array_length() -> Scalar {
    let body = |call: &Call<'_>| -> Result<ArrayRef> {
        let documents = call.texts(0)?;
        let lengths = documents.iter().map(|document| document.map(length).transpose());
        Ok(Arc::new(lengths.collect::<Result<Int32Array>>()?))
    };
    Scalar::new("jsonb_array_length", vec![DataType::Utf8], SqlType::Int4, body).with_aliases(&["json_array_length"])
}

fn length(document: &str) -> Result<i32> {
    match parsed(document)? {
        Value::Array(items) => i32::try_from(items.len()).map_err(|error| DataFusionError::External(error.into())),
        other => Err(failed(Error::invalid(format!("cannot get array length of a {}", kind(&other))))),
    }
}

/// `?|` and `?&`: whether some or all texts of an array exist in a document.
fn exists_of(name: &'static str, found: fn(&[&str], &Value) -> bool) -> Scalar {
    Scalar::of_any(name, &[2], SqlType::Bool, move |call| {
        let documents = call.texts(0)?;
        let keys = paths(call.column(1))?;
        let keys = as_list_array(&keys)?;
        let tested = (0..call.rows).map(|row| {
            if documents.is_null(row) || keys.is_null(row) {
                return Ok(None);
            }
            let keys = keys.value(row);
            let keys: Vec<&str> = as_string_array(&keys)?.iter().flatten().collect();
            Ok(Some(found(&keys, &parsed(documents.value(row))?)))
        });
        Ok(Arc::new(tested.collect::<Result<BooleanArray>>()?))
    })
}

/// A function from two texts to a truth value; NULL when an argument is.
fn test(name: &'static str, body: fn(&str, &str) -> Result<bool>) -> Scalar {
    Scalar::new(name, vec![DataType::Utf8; 2], SqlType::Bool, move |call| {
        let (left, right) = (call.texts(0)?, call.texts(1)?);
        let tested = left.iter().zip(&right).map(|pair| match pair {
            (Some(left), Some(right)) => body(left, right).map(Some),
            _ => Ok(None),
        });
        Ok(Arc::new(tested.collect::<Result<BooleanArray>>()?))
    })
}

/// `@>`: whether every part of `other` is in `value` at the same place; order and repetition of array items are free.
fn contains(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Object(members), Value::Object(others)) => others.iter().all(|(name, other)| {
            members.get(name).is_some_and(|value| same_kind(value, other) && contains(value, other))
        }),
        (Value::Array(items), Value::Array(others)) => {
            others.iter().all(|other| items.iter().any(|value| same_kind(value, other) && contains(value, other)))
        }
        (Value::Array(items), scalar) if !scalar.is_object() => items.contains(scalar),
        (value, other) => value == other,
    }
}

fn same_kind(value: &Value, other: &Value) -> bool {
    kind(value) == kind(other)
}

/// `?`: whether a text is a member's name, an item or the document itself.
fn exists(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(members) => members.contains_key(key),
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(key)),
        scalar => scalar.as_str() == Some(key),
    }
}
