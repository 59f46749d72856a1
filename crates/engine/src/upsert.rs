//! UPSERT and INSERT .. ON CONFLICT: rows whose key exists change the row that is there.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use datafusion::catalog::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_core::engine::{QueryContext, TableHandle, Written};
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::query::{Assignment, Insert, OnConflict};
use sqlparser::ast::{Expr, Ident, VisitMut, VisitorMut};

use crate::DataFusionEngine;
use crate::change::image_list;
use crate::context::Session;
use crate::delta::files::DataFile;
use crate::delta::scan::table_schema;
use crate::error::from_datafusion;
use crate::insert::{Source, Targets, complete, returning, undefined_column};
use crate::key::{key_list, keys_equal};
use crate::query::{first_row, given_types, run};
use crate::relations::table_provider;
use crate::sql::{parse_query, part, quoted};
use crate::stage::{Rewrite, Rewritten};

/// The relation of the new rows in ON CONFLICT's expressions.
const NEW: &str = "excluded";

impl DataFusionEngine {
    /// Adds or changes rows.
    pub(crate) async fn upsert_rows(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        insert: &Insert,
        mut source: Source,
        params: &[ArrayRef],
    ) -> Result<Written> {
        let mut new = self.sessions.hold("the rows of UPSERT");
        while let Some(batch) = source.batches.next().await {
            let batch = batch.map_err(from_datafusion)?;
            new.push(complete(&source.session, &table.row, &source.targets, &batch).await?)?;
        }
        let statement = Upsert { cx, table, insert, new: new.batches(), targets: &source.targets, params };
        match cx.transaction {
            Some(_) => self.try_upsert(&statement).await,
            None => self.retrying(table, || self.try_upsert(&statement)).await,
        }
    }

    async fn try_upsert(&self, statement: &Upsert<'_>) -> Result<Written> {
        let Upsert { cx, table, insert, params, .. } = *statement;
        let writing = self.start_writing(table, cx.transaction, &cx.cancel).await?;
        let returning = returning(table, insert);
        let shown = returning.as_ref().map(|_| self.sessions.hold("the rows of RETURNING"));
        let mut rewrite = Rewrite::new(&writing, &table.row, cx.zone)?.showing(shown);
        Conflict { engine: self, statement, files: &writing.files }.resolve(&mut rewrite).await?;
        let Rewritten { changes, rows, shown, .. } = rewrite.finish(&self.sessions).await?;
        let returning = self.returned(cx, returning.as_ref(), shown, params).await?;
        self.finish_writing(writing, changes).await?;
        Ok(Written { rows, returning })
    }
}

/// ON CONFLICT must name the primary key.
pub(crate) fn check_conflict_columns(table: &Table, conflict: &OnConflict) -> Result<()> {
    let columns = match conflict {
        OnConflict::Fail | OnConflict::Replace => return Ok(()),
        OnConflict::Nothing { columns } if columns.is_empty() => return Ok(()),
        OnConflict::Nothing { columns } | OnConflict::Update { columns, .. } => columns,
    };
    let named: HashSet<&String> = columns.iter().collect();
    if named == table.primary_key.iter().collect() {
        return Ok(());
    }
    Err(Error::new(
        Sqlstate::INVALID_COLUMN_REFERENCE,
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    )
    .with_hint(format!("the primary key of {:?} is ({})", table.name, table.primary_key.join(", "))))
}

/// An UPSERT or INSERT .. ON CONFLICT and its new rows.
struct Upsert<'a> {
    cx: &'a QueryContext,
    table: &'a TableHandle,
    insert: &'a Insert,
    new: &'a [RecordBatch],
    targets: &'a Targets,
    params: &'a [ArrayRef],
}

/// The new rows against the rows that are there.
struct Conflict<'a> {
    engine: &'a DataFusionEngine,
    statement: &'a Upsert<'a>,
    files: &'a Arc<[DataFile]>,
}

impl Conflict<'_> {
    async fn resolve(&self, rewrite: &mut Rewrite<'_>) -> Result<()> {
        let row = &self.statement.table.row;
        let relation = quoted(&row.name);
        let equal = keys_equal(row, &relation, NEW);
        let fresh = format!("SELECT {NEW}.* FROM {NEW} LEFT ANTI JOIN {relation} ON {equal}");
        let keys = key_list(row, NEW);
        if matches!(self.statement.insert.on_conflict, OnConflict::Nothing { .. }) {
            let once = format!("SELECT DISTINCT ON ({keys}) * FROM ({fresh}) AS {NEW} ORDER BY {keys}");
            return self.insert(&once, rewrite).await;
        }
        self.refuse_twice(&keys).await?;
        let (values, filter) = self.changed_values(&relation)?;
        let list = image_list(row, &relation, &values);
        let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        let matched = format!("SELECT {list} FROM {relation} JOIN {NEW} ON {equal}{filter}");
        let mut batches = self.rows_of(&matched).await?;
        while let Some(batch) = batches.next().await {
            rewrite.update(&batch.map_err(from_datafusion)?).await?;
        }
        self.insert(&fresh, rewrite).await
    }

    /// # Errors
    /// 21000 when two new rows have one key.
    async fn refuse_twice(&self, keys: &str) -> Result<()> {
        let twice = format!("SELECT {keys} FROM {NEW} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1");
        match first_row(&self.session()?, &twice).await? {
            None => Ok(()),
            Some(_) => Err(Error::new(
                Sqlstate::CARDINALITY_VIOLATION,
                "UPSERT or INSERT...ON CONFLICT command cannot affect row a second time",
            )
            .with_hint("give each key once in one statement")),
        }
    }

    /// A session in which the table and its new rows stand under their names.
    fn session(&self) -> Result<Session> {
        let Upsert { cx, table, new, .. } = *self.statement;
        let session = self.engine.sessions.open(cx)?;
        session.register_bare(&table.row.name, table_provider(table, Arc::clone(self.files), true)?);
        let new = MemTable::try_new(table_schema(&table.row), vec![new.to_vec()]).map_err(from_datafusion)?;
        session.register_bare(NEW, Arc::new(new));
        Ok(session)
    }

    /// For each column its value in a changed row, and which matched rows change.
    fn changed_values(&self, relation: &str) -> Result<(Vec<String>, Option<String>)> {
        let row = &self.statement.table.row;
        match &self.statement.insert.on_conflict {
            OnConflict::Update { assignments, filter, .. } => {
                let qualify = |text: &str| qualified(text, row);
                let value = |column: &lakeport_catalog::model::Column| match assignments
                    .iter()
                    .find(|assignment| assignment.column == column.name)
                {
                    None => Ok(format!("{relation}.{}", quoted(&column.name))),
                    Some(assignment) => qualify(&assigned_text(assignment, column.default.as_deref())),
                };
                check_assigned(row, assignments)?;
                let values = row.columns.iter().map(value).collect::<Result<_>>()?;
                Ok((values, filter.as_deref().map(qualify).transpose()?))
            }
            _ => {
                let value = |(index, column): (usize, &lakeport_catalog::model::Column)| {
                    let from = if self.statement.targets.source_of(index).is_some() { NEW } else { relation };
                    format!("{from}.{}", quoted(&column.name))
                };
                Ok((row.columns.iter().enumerate().map(value).collect(), None))
            }
        }
    }

    async fn rows_of(&self, sql: &str) -> Result<SendableRecordBatchStream> {
        let Upsert { cx, params, .. } = *self.statement;
        let statement = parse_query(sql)?;
        let declared: Vec<Option<SqlType>> = given_types(params);
        let session = self.session()?;
        let planned = self.engine.plan_statement(cx, session, statement, &declared, &Default::default()).await?;
        run(&planned.session, &planned.bind(Some(params)).await?).await
    }

    /// Adds what a query gives, as rows of the table.
    async fn insert(&self, sql: &str, rewrite: &mut Rewrite<'_>) -> Result<()> {
        let mut batches = self.rows_of(sql).await?;
        while let Some(batch) = batches.next().await {
            rewrite.insert(&batch.map_err(from_datafusion)?).await?;
        }
        Ok(())
    }
}

/// Every assigned column exists and is assigned once.
pub(crate) fn check_assigned(table: &Table, assignments: &[Assignment]) -> Result<()> {
    for (index, assignment) in assignments.iter().enumerate() {
        if !table.columns.iter().any(|column| column.name == assignment.column) {
            return Err(undefined_column(table, &assignment.column));
        }
        if assignments[..index].iter().any(|earlier| earlier.column == assignment.column) {
            let message = format!("multiple assignments to same column {:?}", assignment.column);
            return Err(Error::new(Sqlstate::SYNTAX_ERROR, message));
        }
    }
    Ok(())
}

/// The assigned expression, DEFAULT filled in.
pub(crate) fn assigned_text(assignment: &Assignment, default: Option<&str>) -> String {
    if assignment.value.trim().eq_ignore_ascii_case("default") {
        return default.map_or_else(|| "NULL".to_string(), |default| format!("({default})"));
    }
    format!("({})", assignment.value)
}

/// The expression with bare column names made the table's own: in ON CONFLICT the new rows have the same names.
fn qualified(text: &str, table: &Table) -> Result<String> {
    let mut expr = part(text, |parser| parser.parse_expr())?;
    let _ = VisitMut::visit(&mut expr, &mut Qualifier(table));
    Ok(expr.to_string())
}

struct Qualifier<'a>(&'a Table);

impl VisitorMut for Qualifier<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr {
            let plain = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() };
            if self.0.columns.iter().any(|column| column.name == plain) {
                *expr = Expr::CompoundIdentifier(vec![
                    Ident::with_quote('"', self.0.name.clone()),
                    Ident::with_quote('"', plain),
                ]);
            }
        }
        ControlFlow::Continue(())
    }
}
