//! Functions that tell of the session.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{Array, BooleanArray};
use arrow_schema::DataType;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::TypeSignature;
use lakeport_base::SqlType;
use lakeport_core::engine::QueryContext;
use lakeport_core::variable::{SERVER_VERSION, Variable};

use super::scalar::{Call, Scalar, failed};

/// The functions for one session.
pub(super) fn functions(cx: &QueryContext) -> Vec<Scalar> {
    vec![
        text("current_user", &cx.user).with_aliases(&["session_user", "user", "current_role"]),
        text("current_database", &cx.database).with_aliases(&["current_catalog"]),
        text("current_schema", &cx.schema),
        text("version", &version()),
        current_schemas(cx.schema.clone()),
        current_setting(cx),
        Scalar::of_texts("set_config", 2, SqlType::Text, |texts| Ok(Some(texts[1].to_string())))
            .with_signature(TypeSignature::Exact(vec![DataType::Utf8, DataType::Utf8, DataType::Boolean])),
    ]
}

/// What `version()` says.
fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} (Lakeport {})", env!("CARGO_PKG_VERSION"))
}

fn text(name: &'static str, value: &str) -> Scalar {
    Scalar::constant(name, &[0], SqlType::Text, ScalarValue::from(value))
}

/// The schemas of the search path; with TRUE, also the one that is searched without being named.
fn current_schemas(schema: String) -> Scalar {
    let returns = SqlType::Array(Box::new(SqlType::Text));
    Scalar::new("current_schemas", vec![DataType::Boolean], returns, move |call| {
        let implicit = as_boolean_array(call.column(0))?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for implicit in implicit {
            let first = (implicit == Some(true)).then_some("pg_catalog");
            lists.append_option(implicit.map(|_| first.into_iter().chain([schema.as_str()]).map(Some)));
        }
        Ok(Arc::new(lists.finish()))
    })
}

/// `current_setting(name [, missing_ok])`: what the statement's context knows, else the variable's default.
fn current_setting(cx: &QueryContext) -> Scalar {
    let own = [
        ("timezone", cx.zone.to_string()),
        ("database", cx.database.clone()),
        ("search_path", cx.schema.clone()),
        ("session_user", cx.user.clone()),
        ("session_authorization", cx.user.clone()),
    ];
    let with_missing_ok = TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]);
    let signature = TypeSignature::OneOf(vec![TypeSignature::Exact(vec![DataType::Utf8]), with_missing_ok]);
    Scalar::of_any("current_setting", &[1], SqlType::Text, move |call| {
        let names = call.texts(0)?;
        let missing_ok = missing_ok(call)?;
        call.each_row(|row| match names.is_valid(row) {
            true => setting(names.value(row), missing_ok.value(row), &own),
            false => Ok(None),
        })
    })
    .with_signature(signature)
}

fn missing_ok(call: &Call<'_>) -> Result<BooleanArray> {
    match call.columns().get(1) {
        Some(column) => Ok(as_boolean_array(column)?.clone()),
        None => Ok(BooleanArray::from(vec![false; call.rows])),
    }
}

fn setting(name: &str, missing_ok: bool, own: &[(&str, String)]) -> Result<Option<String>> {
    match Variable::find(name) {
        Ok(variable) => {
            let known = own.iter().find(|(own, _)| *own == variable.name);
            Ok(Some(known.map_or_else(|| variable.default.to_string(), |(_, value)| value.clone())))
        }
        Err(_) if missing_ok => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
