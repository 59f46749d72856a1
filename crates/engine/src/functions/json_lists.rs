//! The parts of JSON documents as lists; FROM and select lists unnest them.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::builder::{ListBuilder, StringBuilder};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::value::json_text;
use serde_json::Value;

use super::json::parsed;
use super::scalar::{Scalar, failed};

/// Functions of PostgreSQL that return sets, with the list functions behind their columns and the columns' names.
pub(crate) const JSON_SETS: &[(&str, &[(&str, &str)])] = &[
    ("array_elements", &[("jsonb_elements", "value")]),
    ("array_elements_text", &[("jsonb_elements_text", "value")]),
    ("object_keys", &[("jsonb_keys", "jsonb_object_keys")]),
    ("each", &[("jsonb_keys", "key"), ("jsonb_values", "value")]),
    ("each_text", &[("jsonb_keys", "key"), ("jsonb_values_text", "value")]),
];

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    vec![
        list("jsonb_elements", |document| elements(document)?.iter().map(document_text).collect()),
        list("jsonb_elements_text", |document| Ok(elements(document)?.iter().map(plain_text).collect())),
        list("jsonb_keys", |document| Ok(members(document)?.keys().cloned().map(Some).collect())),
        list("jsonb_values", |document| members(document)?.values().map(document_text).collect()),
        list("jsonb_values_text", |document| Ok(members(document)?.values().map(plain_text).collect())),
    ]
}

type Parts = lakeport_core::Result<Vec<Option<String>>>;

fn list(name: &'static str, parts: fn(&Value) -> Parts) -> Scalar {
    let returns = SqlType::Array(Box::new(SqlType::Text));
    Scalar::of_any(name, &[1], returns, move |call| {
        let documents = call.texts(0)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..call.rows {
            let found = documents.is_valid(row).then(|| parts(&parsed(documents.value(row))?).map_err(failed));
            lists.append_option(found.transpose()?);
        }
        Ok(Arc::new(lists.finish()))
    })
}

fn document_text(value: &Value) -> lakeport_core::Result<Option<String>> {
    Ok(Some(json_text(&value.to_string())?))
}

/// Strings without quotes, null as NULL.
fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn elements(document: &Value) -> lakeport_core::Result<&Vec<Value>> {
    document.as_array().ok_or_else(|| Error::invalid("cannot extract elements from what is no JSON array"))
}

fn members(document: &Value) -> lakeport_core::Result<&serde_json::Map<String, Value>> {
    document.as_object().ok_or_else(|| Error::invalid("cannot take the members of what is no JSON object"))
}
