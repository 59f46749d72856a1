//! UPDATE and DELETE: a query finds the rows and their new values, then their files are written again without them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use lakeport_base::{QualifiedName, SqlType};
use lakeport_catalog::model::Table;
use lakeport_core::Result;
use lakeport_core::engine::{Description, QueryContext, TableHandle, Written};
use lakeport_sql::stmt::query::{Delete, Update};

use crate::DataFusionEngine;
use crate::delta::files::DataFile;
use crate::delta::scan::{FILE_COLUMN, ROW_COLUMN};
use crate::error::from_datafusion;
use crate::query::{Planned, given_types, run};
use crate::relations::table_provider;
use crate::returning::Returning;
use crate::sql::{parse_query, quoted};
use crate::stage::{Rewrite, Rewritten};
use crate::upsert::{assigned_text, check_assigned};

/// An UPDATE or DELETE as the query that finds its rows.
struct Change<'a> {
    table: &'a TableHandle,
    name: &'a QualifiedName,
    alias: Option<&'a str>,
    returning: Option<&'a str>,
    /// Gives the hidden position columns, the old values and, for an UPDATE, the new ones.
    query: String,
    /// Types of parameters that are a column's new value as they stand.
    expected: HashMap<usize, SqlType>,
    updates: bool,
    /// The statement may change keys.
    keys_change: bool,
}

impl DataFusionEngine {
    pub(crate) async fn plan_update(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        update: &Update,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        self.describe_change(cx, &Change::of_update(table, update)?, declared).await
    }

    pub(crate) async fn plan_delete(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        delete: &Delete,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        self.describe_change(cx, &Change::of_delete(table, delete), declared).await
    }

    pub(crate) async fn run_update(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        update: &Update,
        params: &[ArrayRef],
    ) -> Result<Written> {
        self.run_change(cx, &Change::of_update(table, update)?, params).await
    }

    pub(crate) async fn run_delete(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        delete: &Delete,
        params: &[ArrayRef],
    ) -> Result<Written> {
        self.run_change(cx, &Change::of_delete(table, delete), params).await
    }

    async fn plan_change(
        &self,
        cx: &QueryContext,
        change: &Change<'_>,
        files: Arc<[DataFile]>,
        declared: &[Option<SqlType>],
    ) -> Result<Planned> {
        let session = self.sessions.open(cx)?;
        session.register_bare(TARGET, table_provider(change.table, files, true)?);
        let statement: Statement = parse_query(&change.query)?;
        self.plan_statement(cx, session, statement, declared, &change.expected).await
    }

    async fn describe_change(
        &self,
        cx: &QueryContext,
        change: &Change<'_>,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        let planned = self.plan_change(cx, change, Arc::default(), declared).await?;
        planned.bind(None).await?;
        let params = planned.params.types();
        let columns = self.returning_columns(cx, change.returning().as_ref(), &params).await?;
        Ok(Description { params, columns })
    }

    async fn run_change(&self, cx: &QueryContext, change: &Change<'_>, params: &[ArrayRef]) -> Result<Written> {
        match cx.transaction {
            Some(_) => self.try_change(cx, change, params).await,
            None => self.retrying(change.table, || self.try_change(cx, change, params)).await,
        }
    }

    async fn try_change(&self, cx: &QueryContext, change: &Change<'_>, params: &[ArrayRef]) -> Result<Written> {
        let writing = self.start_writing(change.table, cx.transaction, &cx.cancel).await?;
        let planned = self.plan_change(cx, change, Arc::clone(&writing.files), &given_types(params)).await?;
        let mut batches = run(&planned.session, &planned.bind(Some(params)).await?).await?;
        let returning = change.returning();
        let shown = returning.as_ref().map(|_| self.sessions.hold("the rows of RETURNING"));
        let mut rewrite = Rewrite::new(&writing, &change.table.row, cx.zone)?.showing(shown);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(from_datafusion)?;
            if change.updates { rewrite.update(&batch).await? } else { rewrite.delete(&batch).await? }
        }
        let Rewritten { changes, rows, shown, untouched } = rewrite.finish(&self.sessions).await?;
        if change.keys_change {
            self.check_keys(change.table, &changes.adds, &untouched).await?;
        }
        let returning = self.returned(cx, returning.as_ref(), shown, params).await?;
        self.finish_writing(writing, changes).await?;
        Ok(Written { rows, returning })
    }
}

/// The changed table with its hidden columns. Other mentions of the table in the statement do not see those.
pub(crate) const TARGET: &str = "__lakeport_target";

impl<'a> Change<'a> {
    fn of_update(table: &'a TableHandle, update: &'a Update) -> Result<Change<'a>> {
        let row = &table.row;
        check_assigned(row, &update.assignments)?;
        let relation = quoted(update.alias.as_deref().unwrap_or(update.table.name()));
        let assigned = |name: &str| update.assignments.iter().find(|assignment| assignment.column == name);
        let mut expected = HashMap::new();
        let mut values = Vec::with_capacity(row.columns.len());
        for column in &row.columns {
            let Some(assignment) = assigned(&column.name) else {
                values.push(format!("{relation}.{}", quoted(&column.name)));
                continue;
            };
            if let Some(number) = assignment.value.trim().strip_prefix('$').and_then(|number| number.parse().ok()) {
                expected.insert(number, column.ty.clone());
            }
            values.push(assigned_text(assignment, column.default.as_deref()));
        }
        let more = update.from.as_deref();
        Ok(Change {
            query: change_query(row, &update.table, update.alias.as_deref(), &values, more, update.filter.as_deref()),
            table,
            name: &update.table,
            alias: update.alias.as_deref(),
            returning: update.returning.as_deref(),
            expected,
            updates: true,
            keys_change: row.primary_key.iter().any(|name| assigned(name).is_some()),
        })
    }

    fn of_delete(table: &'a TableHandle, delete: &'a Delete) -> Change<'a> {
        let (alias, more) = (delete.alias.as_deref(), delete.using.as_deref());
        Change {
            query: change_query(&table.row, &delete.table, alias, &[], more, delete.filter.as_deref()),
            table,
            name: &delete.table,
            alias,
            returning: delete.returning.as_deref(),
            expected: HashMap::new(),
            updates: false,
            keys_change: false,
        }
    }

    fn returning(&self) -> Option<Returning> {
        Some(Returning::of_table(self.table, self.name, self.alias, self.returning?))
    }
}

fn change_query(
    table: &Table,
    name: &QualifiedName,
    alias: Option<&str>,
    values: &[String],
    more: Option<&str>,
    filter: Option<&str>,
) -> String {
    let relation = quoted(alias.unwrap_or(name.name()));
    let list = image_list(table, &relation, values);
    let more = more.map(|more| format!(", {more}")).unwrap_or_default();
    let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
    format!("SELECT {list} FROM {TARGET} AS {relation}{more}{filter}")
}

/// The select list that [`Rewrite::update`] reads: position, old values, new values.
pub(crate) fn image_list(table: &Table, relation: &str, values: &[String]) -> String {
    let mut items = vec![format!("{relation}.{FILE_COLUMN} AS f"), format!("{relation}.{ROW_COLUMN} AS r")];
    let old = table.columns.iter().enumerate();
    items.extend(old.map(|(index, column)| format!("{relation}.{} AS o{index}", quoted(&column.name))));
    items.extend(values.iter().enumerate().map(|(index, value)| format!("{value} AS n{index}")));
    items.join(", ")
}
