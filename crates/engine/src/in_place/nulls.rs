//! Columns of files in which some texts mean NULL.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit, when};
use lakeport_base::SqlType;
use lakeport_core::rows::sql_type;

/// The table with NULL where one of these texts stands.
pub(super) fn with_nulls(
    name: &str,
    files: Arc<dyn TableProvider>,
    null_if: &[String],
) -> Result<Arc<dyn TableProvider>> {
    let schema = files.schema();
    let columns = schema.fields().iter().map(|field| column(field, null_if)).collect::<Result<Vec<_>>>()?;
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(files), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// Those that files have themselves are views; those of folders and names are not.
fn column(field: &Field, null_if: &[String]) -> Result<Expr> {
    let column = Expr::Column(Column::new_unqualified(field.name()));
    if *field.data_type() != DataType::Utf8View || sql_type(field) != SqlType::Text {
        return Ok(column);
    }
    let texts = null_if.iter().map(|text| lit(ScalarValue::Utf8View(Some(text.clone())))).collect();
    let is_null = column.clone().in_list(texts, false);
    Ok(when(is_null, lit(ScalarValue::Utf8View(None))).otherwise(column)?.alias(field.name()))
}
