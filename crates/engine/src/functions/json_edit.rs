//! Functions that make one JSONB document out of another.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::common::cast::{as_boolean_array, as_int64_array, as_list_array, as_string_array};
use datafusion::logical_expr::TypeSignature;
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::value::{Json, JsonKind};

use super::json::{document, documents, paths};
use super::scalar::{Call, Scalar, failed};

/// Names of the functions behind operators.
pub(crate) const CONCAT: &str = "jsonb_concat";
pub(super) const DELETE: &str = "jsonb_delete";
pub(super) const DELETE_PATH: &str = "jsonb_delete_path";

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    let functions = vec![
        Scalar::new(CONCAT, vec![DataType::Utf8; 2], SqlType::Jsonb, concat),
        Scalar::of_any(DELETE, &[2], SqlType::Jsonb, delete),
        Scalar::of_any(DELETE_PATH, &[2], SqlType::Jsonb, |call| edited(call, |_| Some(Change::Remove))),
        Scalar::of_any("jsonb_set", &[3, 4], SqlType::Jsonb, set)
            .with_signature(TypeSignature::OneOf(vec![TypeSignature::Any(3), TypeSignature::Any(4)])),
    ];
    functions.into_iter().map(Scalar::taking_json).collect()
}

/// What becomes of the place that a path leads to.
#[derive(Clone, Copy)]
enum Change<'a> {
    Remove,
    /// Holds a document from now on, which may be another one there.
    Set {
        document: &'a str,
        create: bool,
    },
}

/// Members of both objects, of one name the right one's; else the items of both as one array.
fn concat(call: &Call<'_>) -> Result<ArrayRef> {
    let (left, right) = (documents(call, 0)?, documents(call, 1)?);
    call.each_row(|row| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        let (left, right) = (Json::of(left.value(row)), Json::of(right.value(row)));
        document(&match (left.kind(), right.kind()) {
            (JsonKind::Object, JsonKind::Object) => {
                Json::object_of(left.entries().chain(right.entries()).map(|(name, value)| (name.text(), value.text())))
            }
            _ => Json::array_of(items(left).into_iter().chain(items(right)).map(Json::text)),
        })
    })
}

fn items(value: Json<'_>) -> Vec<Json<'_>> {
    match value.kind() {
        JsonKind::Array => value.items().collect(),
        _ => vec![value],
    }
}

/// `document - key`, `document - index` and `document - keys`.
fn delete(call: &Call<'_>) -> Result<ArrayRef> {
    let (documents, keys) = (documents(call, 0)?, call.column(1));
    call.each_row(|row| {
        if documents.is_null(row) || keys.is_null(row) {
            return Ok(None);
        }
        let value = Json::of(documents.value(row));
        document(&match keys.data_type() {
            DataType::List(_) => {
                let keys = as_list_array(keys)?.value(row);
                let keys: Vec<&str> = as_string_array(&keys)?.iter().flatten().collect();
                without_keys(value, &keys)
            }
            integer if integer.is_integer() => {
                let numbers = arrow_cast::cast(keys, &DataType::Int64)?;
                without_item(value, as_int64_array(&numbers)?.value(row))?
            }
            _ => without_keys(value, &[as_string_array(keys)?.value(row)]),
        })
    })
}

/// Takes out members, or the items that are such a text.
fn without_keys(value: Json<'_>, keys: &[&str]) -> String {
    let is_key = |text: Json<'_>| {
        text.kind() == JsonKind::String && text.plain_text().is_some_and(|text| keys.contains(&text.as_ref()))
    };
    match value.kind() {
        JsonKind::Object => {
            let kept = value.entries().filter(|(name, _)| !is_key(*name));
            Json::object_of(kept.map(|(name, value)| (name.text(), value.text())))
        }
        JsonKind::Array => Json::array_of(value.items().filter(|item| !is_key(*item)).map(Json::text)),
        _ => value.text().to_string(),
    }
}

fn without_item(value: Json<'_>, number: i64) -> Result<String> {
    if value.kind() != JsonKind::Array {
        return Err(failed(Error::invalid("cannot delete from object using integer index")));
    }
    let mut items: Vec<&str> = value.items().map(Json::text).collect();
    if let Some(index) = index(items.len(), number) {
        items.remove(index);
    }
    Ok(Json::array_of(items))
}

/// The place of an item, counted from the end when the number is negative.
fn index(length: usize, number: i64) -> Option<usize> {
    let number = if number < 0 { i64::try_from(length).ok()? + number } else { number };
    usize::try_from(number).ok().filter(|index| *index < length)
}

/// A value with a change where a path leads.
fn changed(value: Json<'_>, path: &[&str], change: Change<'_>) -> String {
    match (path.split_first(), value.kind()) {
        (Some((name, rest)), JsonKind::Object) => changed_object(value, name, rest, change),
        (Some((number, rest)), JsonKind::Array) => match number.parse() {
            Ok(number) => changed_array(value, number, rest, change),
            Err(_) => value.text().to_string(),
        },
        _ => value.text().to_string(),
    }
}

fn changed_object(value: Json<'_>, key: &str, rest: &[&str], change: Change<'_>) -> String {
    let mut members: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let mut is_there = false;
    for (name, member) in value.entries() {
        let is_meant = name.plain_text().as_deref() == Some(key);
        is_there |= is_meant;
        let member = match change {
            _ if !is_meant => Cow::Borrowed(member.text()),
            _ if !rest.is_empty() => Cow::Owned(changed(member, rest, change)),
            Change::Remove => continue,
            Change::Set { document, .. } => Cow::Borrowed(document),
        };
        members.push((Cow::Borrowed(name.text()), member));
    }
    if let Change::Set { document, create: true } = change
        && !is_there
        && rest.is_empty()
    {
        members.push((Cow::Owned(serde_json::Value::from(key).to_string()), Cow::Borrowed(document)));
    }
    Json::object_of(members)
}

fn changed_array(value: Json<'_>, number: i64, rest: &[&str], change: Change<'_>) -> String {
    let mut items: Vec<Cow<'_, str>> = value.items().map(|item| Cow::Borrowed(item.text())).collect();
    match (index(items.len(), number), change) {
        (Some(index), _) if !rest.is_empty() => {
            let item = changed(Json::of(&items[index]), rest, change);
            items[index] = Cow::Owned(item);
        }
        (Some(index), Change::Remove) => {
            items.remove(index);
        }
        (Some(index), Change::Set { document, .. }) => items[index] = Cow::Borrowed(document),
        (None, Change::Set { document, create: true }) if rest.is_empty() => {
            let index = if number < 0 { 0 } else { items.len() };
            items.insert(index, Cow::Borrowed(document));
        }
        (None, _) => {}
    }
    Json::array_of(items)
}

/// `jsonb_set(document, path, value [, create_if_missing])`
fn set(call: &Call<'_>) -> Result<ArrayRef> {
    let new = documents(call, 2)?;
    let create = call.columns().get(3).map(as_boolean_column).transpose()?;
    edited(call, |row| {
        let create = create.as_ref().is_none_or(|create| create.is_valid(row) && create.value(row));
        new.is_valid(row).then(|| Change::Set { document: new.value(row), create })
    })
}

fn as_boolean_column(column: &ArrayRef) -> Result<arrow_array::BooleanArray> {
    Ok(as_boolean_array(column)?.clone())
}

/// Every document with the change of its row; NULL where an argument is.
fn edited<'a>(call: &Call<'_>, change: impl Fn(usize) -> Option<Change<'a>>) -> Result<ArrayRef> {
    let documents = documents(call, 0)?;
    let paths = paths(call.column(1))?;
    let paths = paths.as_list::<i32>();
    let any_null = |row: usize| call.columns().iter().any(|column| column.is_null(row));
    call.each_row(|row| {
        let Some(change) = change(row).filter(|_| !any_null(row)) else { return Ok(None) };
        let keys = paths.value(row);
        let keys: &StringArray = as_string_array(&keys)?;
        let path: Vec<&str> = keys.iter().flatten().collect();
        document(&changed(Json::of(documents.value(row)), &path, change))
    })
}
