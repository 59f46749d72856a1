//! Functions that read JSONB. Documents are text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow_schema::DataType;
use datafusion::common::cast::{as_int64_array, as_list_array, as_string_array};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ScalarUDF, TypeSignature};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::value::{ColumnBuilder, Json, JsonKind, json_of_text, json_text};

use super::json_order::key;
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
    let functions = vec![
        getter(GET, SqlType::Jsonb),
        getter(GET_TEXT, SqlType::Text),
        path_getter(GET_PATH, SqlType::Jsonb),
        path_getter(GET_PATH_TEXT, SqlType::Text),
        path_arguments_getter("jsonb_extract_path", SqlType::Jsonb).with_aliases(&["json_extract_path"]),
        path_arguments_getter("jsonb_extract_path_text", SqlType::Text).with_aliases(&["json_extract_path_text"]),
        of_document("jsonb_typeof", SqlType::Text, |document| Some(document.kind().name().to_string()))
            .with_aliases(&["json_typeof"]),
        of_document("jsonb_pretty", SqlType::Text, |document| {
            let mut text = String::new();
            write_pretty(document, 0, &mut text);
            Some(text)
        }),
        of_document("jsonb_strip_nulls", SqlType::Jsonb, |document| Some(without_nulls(document)))
            .with_aliases(&["json_strip_nulls"]),
        array_length(),
        test(
            CONTAINS,
            |call| Ok((documents(call, 0)?, documents(call, 1)?)),
            |document, other| contains(document, Json::of(other)),
        ),
        test(EXISTS, |call| Ok((documents(call, 0)?, call.texts(1)?)), exists),
        exists_of(EXISTS_ANY, |keys, document| keys.iter().any(|key| exists(document, key))),
        exists_of(EXISTS_ALL, |keys, document| keys.iter().all(|key| exists(document, key))),
    ];
    functions.into_iter().map(Scalar::taking_json).collect()
}

/// What the value of a document is as a text.
pub(crate) fn plain_text() -> ScalarUDF {
    let plain = |document: Json<'_>| document.plain_text().map(Cow::into_owned);
    of_document("json_plain_text", SqlType::Text, plain).taking_json().into()
}

/// What a cast of a document reads; its type is a constant.
pub(crate) fn text_for() -> ScalarUDF {
    let body = |call: &Call<'_>| {
        let (documents, types) = (documents(call, 0)?, call.texts(1)?);
        let ty = types.iter().flatten().next().and_then(SqlType::parse).unwrap_or(SqlType::Text);
        let text = |row| Json::of(documents.value(row)).text_for(&ty).map(Cow::into_owned);
        call.each_row(|row| Ok(documents.is_valid(row).then(|| text(row)).flatten()))
    };
    Scalar::new("json_text_for", vec![DataType::Utf8; 2], SqlType::Text, body).taking_json().into()
}

/// A function of one document; NULL of NULL.
fn of_document(
    name: &'static str,
    returns: SqlType,
    body: impl Fn(Json<'_>) -> Option<String> + Send + Sync + 'static,
) -> Scalar {
    Scalar::new(name, vec![DataType::Utf8], returns, move |call| {
        let documents = documents(call, 0)?;
        call.each_row(|row| Ok(documents.is_valid(row).then(|| body(Json::of(documents.value(row)))).flatten()))
    })
}

/// An argument as documents: texts are brought into their form, JSONB has it.
pub(super) fn documents(call: &Call<'_>, index: usize) -> Result<StringArray> {
    let texts = call.texts(index)?;
    if sql_type(&call.fields[index]) == SqlType::Jsonb {
        return Ok(texts);
    }
    let document = |text: &str| json_of_text(text).map_err(|error| failed(error.into()));
    texts.iter().map(|text| text.map(document).transpose()).collect()
}

/// A document that was put together, as columns hold it, so that equal documents have equal texts.
///
/// # Errors
/// 54001 for what is nested too deeply.
pub(super) fn document(text: &str) -> Result<Option<String>> {
    json_text(text).map(Some).map_err(|error| failed(error.into()))
}

/// A part of a document: as a document, or as a text without quotes, JSON null as NULL.
fn shown(value: Json<'_>, returns: &SqlType) -> Option<String> {
    match returns {
        SqlType::Jsonb => Some(value.text().to_string()),
        _ => value.plain_text().map(Cow::into_owned),
    }
}

/// What a step of a path leads to: a member of an object, or an item of an array.
fn step<'a>(value: Json<'a>, key: &str) -> Option<Json<'a>> {
    match value.kind() {
        JsonKind::Array => value.item(key.parse().ok()?),
        _ => value.member(key),
    }
}

/// `->` and `->>`: a member by name or an item by number from 0, from the end when negative.
fn getter(name: &'static str, returns: SqlType) -> Scalar {
    let (by_number, by_name) = (vec![DataType::Utf8, DataType::Int64], vec![DataType::Utf8, DataType::Utf8]);
    let signature = TypeSignature::OneOf(vec![TypeSignature::Exact(by_number), TypeSignature::Exact(by_name)]);
    let shown_as = returns.clone();
    let body = move |call: &Call<'_>| {
        let (documents, keys) = (documents(call, 0)?, call.column(1));
        call.each_row(|row| {
            if documents.is_null(row) || keys.is_null(row) {
                return Ok(None);
            }
            let document = Json::of(documents.value(row));
            let found = match keys.data_type() {
                DataType::Int64 => document.item(as_int64_array(keys)?.value(row)),
                _ => document.member(as_string_array(keys)?.value(row)),
            };
            Ok(found.and_then(|value| shown(value, &shown_as)))
        })
    };
    Scalar::of_any(name, &[2], returns, body).with_signature(signature)
}

/// `#>` and `#>>`: what a path of names and numbers leads to.
fn path_getter(name: &'static str, returns: SqlType) -> Scalar {
    let shown_as = returns.clone();
    Scalar::of_any(name, &[2], returns, move |call| {
        let documents = documents(call, 0)?;
        let paths = paths(call.column(1))?;
        let paths = as_list_array(&paths)?;
        call.each_row(|row| {
            if documents.is_null(row) || paths.is_null(row) {
                return Ok(None);
            }
            let keys = paths.value(row);
            let found = follow(Json::of(documents.value(row)), as_string_array(&keys)?.iter());
            Ok(found.and_then(|value| shown(value, &shown_as)))
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
        let documents = documents(call, 0)?;
        let keys = (1..call.columns().len()).map(|index| call.texts(index)).collect::<Result<Vec<_>>>()?;
        call.each_row(|row| {
            if documents.is_null(row) {
                return Ok(None);
            }
            let keys = keys.iter().map(|keys| keys.is_valid(row).then(|| keys.value(row)));
            Ok(follow(Json::of(documents.value(row)), keys).and_then(|value| shown(value, &shown_as)))
        })
    };
    Scalar::of_any(name, &[1], returns, body).with_signature(TypeSignature::VariadicAny)
}

fn follow<'a, 'k>(document: Json<'a>, mut keys: impl Iterator<Item = Option<&'k str>>) -> Option<Json<'a>> {
    keys.try_fold(document, |value, key| step(value, key?))
}

fn without_nulls(value: Json<'_>) -> String {
    match value.kind() {
        JsonKind::Array => Json::array_of(value.items().map(without_nulls)),
        JsonKind::Object => {
            let kept = value.entries().filter(|(_, value)| value.kind() != JsonKind::Null);
            Json::object_of(kept.map(|(name, value)| (name.text(), without_nulls(value))))
        }
        _ => value.text().to_string(),
    }
}

/// Writes a document with each member and item on a line of its own.
fn write_pretty(value: Json<'_>, depth: usize, out: &mut String) {
    let (open, close) = match value.kind() {
        JsonKind::Array => ('[', ']'),
        JsonKind::Object => ('{', '}'),
        _ => return out.push_str(value.text()),
    };
    let parts = value.items().map(|item| (None, item));
    let parts = parts.chain(value.entries().map(|(name, value)| (Some(name), value)));
    let begin_line = |depth: usize, out: &mut String| {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str("  "));
    };
    out.push(open);
    let mut is_empty = true;
    for (name, part) in parts {
        out.push_str(if is_empty { "" } else { "," });
        is_empty = false;
        begin_line(depth + 1, out);
        if let Some(name) = name {
            out.push_str(name.text());
            out.push_str(": ");
        }
        write_pretty(part, depth + 1, out);
    }
    if !is_empty {
        begin_line(depth, out);
    }
    out.push(close);
}

fn array_length() -> Scalar {
    let body = |call: &Call<'_>| -> Result<ArrayRef> {
        let documents = documents(call, 0)?;
        let lengths = documents.iter().map(|document| document.map(length).transpose());
        Ok(Arc::new(lengths.collect::<Result<Int32Array>>()?))
    };
    Scalar::new("jsonb_array_length", vec![DataType::Utf8], SqlType::Int4, body).with_aliases(&["json_array_length"])
}

fn length(document: &str) -> Result<i32> {
    let document = Json::of(document);
    match document.kind() {
        JsonKind::Array => {
            i32::try_from(document.items().count()).map_err(|error| DataFusionError::External(error.into()))
        }
        other => Err(failed(Error::invalid(format!("cannot get array length of a {}", other.name())))),
    }
}

/// `?|` and `?&`: whether some or all texts of an array exist in a document.
fn exists_of(name: &'static str, found: fn(&[&str], Json<'_>) -> bool) -> Scalar {
    Scalar::of_any(name, &[2], SqlType::Bool, move |call| {
        let documents = documents(call, 0)?;
        let keys = paths(call.column(1))?;
        let keys = as_list_array(&keys)?;
        let tested = (0..call.rows).map(|row| {
            if documents.is_null(row) || keys.is_null(row) {
                return Ok(None);
            }
            let keys = keys.value(row);
            let keys: Vec<&str> = as_string_array(&keys)?.iter().flatten().collect();
            Ok(Some(found(&keys, Json::of(documents.value(row)))))
        });
        Ok(Arc::new(tested.collect::<Result<BooleanArray>>()?))
    })
}

/// A function from a document and a text to a truth value; NULL when an argument is.
fn test(
    name: &'static str,
    arguments: fn(&Call<'_>) -> Result<(StringArray, StringArray)>,
    body: fn(Json<'_>, &str) -> bool,
) -> Scalar {
    Scalar::new(name, vec![DataType::Utf8; 2], SqlType::Bool, move |call| {
        let (documents, others) = arguments(call)?;
        let tested = documents.iter().zip(&others).map(|pair| match pair {
            (Some(document), Some(other)) => Some(body(Json::of(document), other)),
            _ => None,
        });
        Ok(Arc::new(tested.collect::<BooleanArray>()))
    })
}

/// `@>`: whether every part of `other` is in `value` at the same place; order and repetition of array items are free.
fn contains(value: Json<'_>, other: Json<'_>) -> bool {
    match (value.kind(), other.kind()) {
        (JsonKind::Object, JsonKind::Object) => {
            let members: HashMap<_, _> = value.members().collect();
            other.members().all(|(name, other)| members.get(&name).is_some_and(|value| contains_part(*value, other)))
        }
        (JsonKind::Array, JsonKind::Array) => {
            let items: Vec<_> = value.items().collect();
            let keys: HashSet<_> = items.iter().map(|item| key(*item)).collect();
            let is_nested = |value: Json<'_>| matches!(value.kind(), JsonKind::Object | JsonKind::Array);
            other.items().all(|other| {
                keys.contains(&key(other)) || is_nested(other) && items.iter().any(|item| contains_part(*item, other))
            })
        }
        (JsonKind::Array, kind) if kind != JsonKind::Object => {
            let wanted = key(other);
            value.items().any(|item| key(item) == wanted)
        }
        _ => key(value) == key(other),
    }
}

fn contains_part(value: Json<'_>, other: Json<'_>) -> bool {
    value.kind() == other.kind() && contains(value, other)
}

/// `?`: whether a text is a member's name, an item or the document itself.
fn exists(value: Json<'_>, key: &str) -> bool {
    let is_key = |value: Json<'_>| value.kind() == JsonKind::String && value.plain_text().as_deref() == Some(key);
    match value.kind() {
        JsonKind::Object => value.member(key).is_some(),
        JsonKind::Array => value.items().any(is_key),
        _ => is_key(value),
    }
}
