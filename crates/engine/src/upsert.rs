//! UPSERT and INSERT .. ON CONFLICT: rows whose key exists change the row that is there.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use datafusion::catalog::MemTable;
use futures::StreamExt;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_core::engine::{QueryContext, TableHandle, Written};
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::query::{Assignment, Insert, OnConflict};
use sqlparser::ast::{Expr, Ident, VisitMut, VisitorMut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

use crate::DataFusionEngine;
use crate::change::{Changed, image_list};
use crate::coerce::{coerce, table_batch};
use crate::context::Session;
use crate::delta::scan::table_schema;
use crate::error::from_datafusion;
use crate::insert::{Source, Targets, complete, returning, undefined_column};
use crate::key::{first_row, key_list, keys_equal, quoted, register};
use crate::query::{given_types, run};
use crate::relations::table_provider;
use crate::sql::parse_query;
use crate::stage::Images;
use crate::writing::Writing;

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
        let writing = self.start_writing(table, cx.transaction).await?;
        let mut new = Vec::new();
        while let Some(batch) = source.batches.next().await {
            new.push(complete(&source.session, &table.row, &source.targets, &batch.map_err(from_datafusion)?).await?);
        }
        let conflict = Conflict { engine: self, cx, table, insert, writing: &writing, params };
        let images = conflict.images(new, &source.targets).await?;
        let written: Vec<RecordBatch> = images.after.iter().chain(&images.inserted).cloned().collect();
        let rows = written.iter().map(|batch| batch.num_rows() as u64).sum();
        let returning = self.returned(cx, returning(table, insert).as_ref(), written, params).await?;
        let changes = self.stage(&writing, &images).await?;
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

/// One statement's new rows against the rows that are there.
struct Conflict<'a> {
    engine: &'a DataFusionEngine,
    cx: &'a QueryContext,
    table: &'a TableHandle,
    insert: &'a Insert,
    writing: &'a Writing,
    params: &'a [ArrayRef],
}

impl Conflict<'_> {
    async fn images(&self, new: Vec<RecordBatch>, targets: &Targets) -> Result<Images> {
        let row = &self.table.row;
        let relation = quoted(&row.name);
        let equal = keys_equal(row, &relation, NEW);
        let fresh = format!("SELECT {NEW}.* FROM {NEW} LEFT ANTI JOIN {relation} ON {equal}");
        if matches!(self.insert.on_conflict, OnConflict::Nothing { .. }) {
            let keys = key_list(row, NEW);
            let once = format!("SELECT DISTINCT ON ({keys}) * FROM ({fresh}) AS {NEW} ORDER BY {keys}");
            let inserted = self.rows(self.session(new)?, &once).await?;
            return Ok(Images { inserted, ..Images::default() });
        }
        let session = self.session(new.clone())?;
        let keys = key_list(row, NEW);
        let twice = format!("SELECT {keys} FROM {NEW} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1");
        if first_row(&session, &twice).await?.is_some() {
            return Err(Error::new(
                Sqlstate::CARDINALITY_VIOLATION,
                "UPSERT or INSERT...ON CONFLICT command cannot affect row a second time",
            )
            .with_hint("give each key once in one statement"));
        }
        let (values, filter) = self.changed_values(&relation, targets)?;
        let list = image_list(row, &relation, &values);
        let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        let matched = format!("SELECT {list} FROM {relation} JOIN {NEW} ON {equal}{filter}");
        let mut changed = Changed::new(row, true, self.cx.zone);
        for batch in self.rows_of(session, &matched).await? {
            changed.add(&batch)?;
        }
        let inserted = self.rows(self.session(new)?, &fresh).await?;
        Ok(Images { inserted, ..changed.into_images() })
    }

    /// A session in which the table and its new rows stand under their names.
    fn session(&self, new: Vec<RecordBatch>) -> Result<Session> {
        let session = self.engine.sessions.open(self.cx)?;
        let provider = table_provider(self.table, Arc::clone(&self.writing.files), true)?;
        register(&session, &self.table.row.name, provider)?;
        let new = MemTable::try_new(table_schema(&self.table.row), vec![new]).map_err(from_datafusion)?;
        register(&session, NEW, Arc::new(new))?;
        Ok(session)
    }

    /// For each column its value in a changed row, and which matched rows change.
    fn changed_values(&self, relation: &str, targets: &Targets) -> Result<(Vec<String>, Option<String>)> {
        let row = &self.table.row;
        match &self.insert.on_conflict {
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
                    let from = if targets.gives(index) { NEW } else { relation };
                    format!("{from}.{}", quoted(&column.name))
                };
                Ok((row.columns.iter().enumerate().map(value).collect(), None))
            }
        }
    }

    async fn rows_of(&self, session: Session, sql: &str) -> Result<Vec<RecordBatch>> {
        let statement = parse_query(sql)?;
        let declared: Vec<Option<SqlType>> = given_types(self.params);
        let planned = self.engine.plan_statement(self.cx, session, statement, &declared, &Default::default()).await?;
        let mut batches = run(&planned.session, &planned.bind(Some(self.params))?).await?;
        let mut found = Vec::new();
        while let Some(batch) = batches.next().await {
            found.push(batch.map_err(from_datafusion)?);
        }
        Ok(found)
    }

    /// As rows of the table.
    async fn rows(&self, session: Session, sql: &str) -> Result<Vec<RecordBatch>> {
        let row = &self.table.row;
        let mut rows = Vec::new();
        for batch in self.rows_of(session, sql).await?.iter().filter(|batch| batch.num_rows() > 0) {
            let columns = batch.columns().iter().zip(&row.columns);
            let columns = columns.map(|(values, column)| coerce(values, &column.ty, self.cx.zone));
            rows.push(table_batch(row, columns.collect::<Result<_>>()?, batch.num_rows())?);
        }
        Ok(rows)
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
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).with_unescape(false).tokenize();
    let tokens = tokens.map_err(|error| Error::new(Sqlstate::SYNTAX_ERROR, error.to_string()))?;
    let parsed = Parser::new(&dialect).with_tokens(tokens).parse_expr();
    let mut expr = parsed.map_err(|error| Error::new(Sqlstate::SYNTAX_ERROR, error.to_string()))?;
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
