//! The parts of JSON documents as lists; FROM and select lists unnest them.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::builder::{ListBuilder, StringBuilder};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::value::{Json, JsonKind};

use super::json::documents;
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
    let functions = vec![
        list("jsonb_elements", |document| Ok(elements(document)?.map(notation).collect())),
        list("jsonb_elements_text", |document| Ok(elements(document)?.map(Json::plain_text).collect())),
        list("jsonb_keys", |document| Ok(members(document)?.map(|(name, _)| Some(name)).collect())),
        list("jsonb_values", |document| Ok(members(document)?.map(|(_, value)| notation(value)).collect())),
        list("jsonb_values_text", |document| Ok(members(document)?.map(|(_, value)| value.plain_text()).collect())),
    ];
    functions.into_iter().map(Scalar::taking_json).collect()
}

type Parts<'a> = lakeport_core::Result<Vec<Option<Cow<'a, str>>>>;

fn list(name: &'static str, parts: fn(Json<'_>) -> Parts<'_>) -> Scalar {
    let returns = SqlType::Array(Box::new(SqlType::Text));
    Scalar::of_any(name, &[1], returns, move |call| {
        let documents = documents(call, 0)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..call.rows {
            let found = documents.is_valid(row).then(|| parts(Json::of(documents.value(row))).map_err(failed));
            lists.append_option(found.transpose()?);
        }
        Ok(Arc::new(lists.finish()))
    })
}

fn notation(value: Json<'_>) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(value.text()))
}

fn elements(document: Json<'_>) -> lakeport_core::Result<impl Iterator<Item = Json<'_>>> {
    match document.kind() {
        JsonKind::Array => Ok(document.items()),
        _ => Err(Error::invalid("cannot extract elements from what is no JSON array")),
    }
}

fn members(document: Json<'_>) -> lakeport_core::Result<impl Iterator<Item = (Cow<'_, str>, Json<'_>)>> {
    match document.kind() {
        JsonKind::Object => Ok(document.members()),
        _ => Err(Error::invalid("cannot take the members of what is no JSON object")),
    }
}
