//! RETURNING: a select list over the rows that a statement wrote.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
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
use crate::error::{from_arrow, from_datafusion};
use crate::held::HeldRows;
use crate::query::{Planned, given_types, output_schema, run, shown};
use crate::sql::{parse_query, quoted};

/// A RETURNING, and where its select list finds its columns.
pub(crate) struct Returning {
    /// The columns of the rows that were written.
    pub columns: SchemaRef,
    /// The relation that holds them, and how FROM names it.
    pub relation: TableReference,
    pub from: String,
    pub list: String,
}

impl Returning {
    /// Over the columns of a table that the statement names so.
    pub fn of_table(table: &TableHandle, name: &QualifiedName, alias: Option<&str>, list: &str) -> Returning {
        let alias = alias.map(|alias| format!(" AS {}", quoted(alias))).unwrap_or_default();
        Returning {
            columns: table_schema(&table.row),
            relation: reference_of(name),
            from: format!("{name}{alias}"),
            list: list.to_string(),
        }
    }

    /// The rows under the names that the list knows.
    fn renamed(&self, rows: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let renamed = |batch: &RecordBatch| {
            let count = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&self.columns), batch.columns().to_vec(), &count)
        };
        rows.iter().map(renamed).collect::<std::result::Result<_, _>>().map_err(from_arrow)
    }
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
        returning: &Returning,
        rows: &[RecordBatch],
        declared: &[Option<SqlType>],
    ) -> Result<Planned> {
        let session = self.sessions.open(cx)?;
        let rows = vec![returning.renamed(rows)?];
        let rows = MemTable::try_new(Arc::clone(&returning.columns), rows).map_err(from_datafusion)?;
        session.register(&returning.relation, Arc::new(rows));
        let statement = parse_query(&format!("SELECT {} FROM {}", returning.list, returning.from))?;
        self.plan_statement(cx, session, statement, declared, &HashMap::new()).await
    }

    /// The columns that RETURNING gives, for parameters of these types.
    pub(crate) async fn returning_columns(
        &self,
        cx: &QueryContext,
        returning: Option<&Returning>,
        params: &[SqlType],
    ) -> Result<Option<SchemaRef>> {
        let Some(returning) = returning else { return Ok(None) };
        let declared: Vec<_> = params.iter().cloned().map(Some).collect();
        let planned = self.plan_returning(cx, returning, &[], &declared).await?;
        Ok(Some(output_schema(planned.bind(None).await?.schema())))
    }

    /// What RETURNING gives for the rows to be written. It is computed before the commit, so that an error in the list
    /// undoes the statement.
    pub(crate) async fn returned(
        &self,
        cx: &QueryContext,
        returning: Option<&Returning>,
        rows: Option<HeldRows>,
        params: &[ArrayRef],
    ) -> Result<Option<RowStream>> {
        let (Some(returning), Some(rows)) = (returning, rows) else { return Ok(None) };
        let planned = self.plan_returning(cx, returning, rows.batches(), &given_types(params)).await?;
        let plan = planned.bind(Some(params)).await?;
        let schema = output_schema(plan.schema());
        let rows = run(&planned.session, &plan).await?;
        let rows: Vec<RecordBatch> = shown(rows, Arc::clone(&schema), cx).try_collect().await?;
        Ok(Some(RowStream { schema, batches: stream::iter(rows.into_iter().map(Ok)).boxed() }))
    }
}
