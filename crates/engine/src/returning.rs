//! RETURNING: a select list over the rows that a statement wrote.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use datafusion::catalog::MemTable;
use datafusion::common::TableReference;
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_base::{QualifiedName, SqlType};
use lakeport_core::Result;
use lakeport_core::engine::{QueryContext, TableHandle};
use lakeport_core::rows::RowStream;

use crate::DataFusionEngine;
use crate::delta::scan::table_schema;
use crate::error::from_datafusion;
use crate::held::HeldRows;
use crate::query::{Planned, given_types, output_schema, run, shown};
use crate::sql::parse_query;

/// Where the select list of RETURNING finds its columns.
pub(crate) struct Returning<'a> {
    pub table: &'a TableHandle,
    pub name: &'a QualifiedName,
    pub alias: Option<&'a str>,
    pub list: &'a str,
}

/// The reference that DataFusion makes of a name.
pub(crate) fn reference_of(name: &QualifiedName) -> TableReference {
    match name.parts.as_slice() {
        [catalog, schema, table, ..] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
        [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
        _ => TableReference::bare(name.name()),
    }
}

impl DataFusionEngine {
    async fn plan_returning(
        &self,
        cx: &QueryContext,
        returning: &Returning<'_>,
        rows: Vec<RecordBatch>,
        declared: &[Option<SqlType>],
    ) -> Result<Planned> {
        let session = self.sessions.open(cx)?;
        let rows = MemTable::try_new(table_schema(&returning.table.row), vec![rows]).map_err(from_datafusion)?;
        session.register(&reference_of(returning.name), Arc::new(rows))?;
        let alias = returning.alias.map(|alias| format!(" AS {}", crate::key::quoted(alias))).unwrap_or_default();
        let statement = parse_query(&format!("SELECT {} FROM {}{alias}", returning.list, returning.name))?;
        self.plan_statement(cx, session, statement, declared, &HashMap::new()).await
    }

    /// The columns that RETURNING gives.
    pub(crate) async fn returning_columns(
        &self,
        cx: &QueryContext,
        returning: &Returning<'_>,
        declared: &[Option<SqlType>],
    ) -> Result<SchemaRef> {
        let planned = self.plan_returning(cx, returning, Vec::new(), declared).await?;
        Ok(output_schema(planned.bind(None).await?.schema()))
    }

    /// What RETURNING gives for the rows to be written. It is computed before the commit, so that an error in the list
    /// undoes the statement.
    pub(crate) async fn returned(
        &self,
        cx: &QueryContext,
        returning: Option<&Returning<'_>>,
        rows: Option<HeldRows>,
        params: &[ArrayRef],
    ) -> Result<Option<RowStream>> {
        let (Some(returning), Some(rows)) = (returning, rows) else { return Ok(None) };
        let planned = self.plan_returning(cx, returning, rows.batches().to_vec(), &given_types(params)).await?;
        let plan = planned.bind(Some(params)).await?;
        let schema = output_schema(plan.schema());
        let rows = run(&planned.session, &plan).await?;
        let rows: Vec<RecordBatch> = shown(rows, Arc::clone(&schema), cx).try_collect().await?;
        Ok(Some(RowStream { schema, batches: stream::iter(rows.into_iter().map(Ok)).boxed() }))
    }
}
