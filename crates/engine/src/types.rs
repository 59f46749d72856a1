//! SQL type names in casts.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use lakeport_base::SqlType;
use lakeport_core::rows::{arrow_field, arrow_type};
use sqlparser::ast;

/// Plans our column types first, then PostgreSQL's object identifier types (`regclass`, ...).
#[derive(Debug)]
pub(crate) struct SqlTypes;

impl TypePlanner for SqlTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        match column_type(sql_type) {
            Some(ty) if is_plain(&ty) => Ok(Some(Arc::new(Field::new("", plain_type(&ty), true)))),
            Some(ty) => Ok(Some(Arc::new(arrow_field("", &ty, true).with_data_type(plain_type(&ty))))),
            None => PgOidTypePlanner.plan_type_field(sql_type),
        }
    }
}

/// Whether the Arrow type alone tells the type.
pub(crate) fn is_plain(ty: &SqlType) -> bool {
    match ty {
        SqlType::Array(element) => is_plain(element),
        ty => !matches!(ty, SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb | SqlType::Bytes),
    }
}

/// The Arrow type without our metadata on elements, so that arrays of one type are of one Arrow type.
pub(crate) fn plain_type(ty: &SqlType) -> DataType {
    match ty {
        SqlType::Array(element) => DataType::List(Arc::new(Field::new("item", plain_type(element), true))),
        ty => arrow_type(ty),
    }
}

/// The column type of a written type.
pub(crate) fn column_type(sql_type: &ast::DataType) -> Option<SqlType> {
    let text = sql_type.to_string().to_ascii_lowercase();
    SqlType::parse(text.strip_prefix("pg_catalog.").unwrap_or(&text))
}
