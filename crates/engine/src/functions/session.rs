//! Functions that tell of the session.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_schema::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::cast::as_boolean_array;
use lakeport_base::SqlType;
use lakeport_core::engine::QueryContext;
use lakeport_core::variable::SERVER_VERSION;

use super::scalar::Scalar;

/// The functions for one session.
pub(super) fn functions(cx: &QueryContext) -> Vec<Scalar> {
    vec![
        text("current_user", &cx.user).with_aliases(&["user"]),
        text("current_role", &cx.role),
        text("session_user", &cx.session_user),
        text("current_database", &cx.database).with_aliases(&["current_catalog"]),
        text("current_schema", &cx.schema),
        text("version", &version()),
        current_schemas(cx.schema.clone()),
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
