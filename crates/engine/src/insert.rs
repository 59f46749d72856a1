//! INSERT: rows of a query into a table.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use datafusion::catalog::MemTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::sql::parser::Statement;
use futures::{StreamExt, stream};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_core::engine::{Description, QueryContext, TableHandle, Written};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::query::{Insert, OnConflict};
use sqlparser::ast::{self, Expr, SelectItem, SetExpr, UnaryOperator, Value, ValueWithSpan};

use crate::DataFusionEngine;
use crate::coerce::{coerce, table_batch};
use crate::context::Session;
use crate::error::{from_arrow, from_datafusion};
use crate::in_place::Documents;
use crate::literal::{parsed, typed_literal};
use crate::params::placeholder;
use crate::query::{given_types, run};
use crate::returning::Returning;
use crate::sql::{parse_query, quoted};
use crate::types::column_type;
use crate::upsert::check_conflict_columns;

/// For each column of a table, which column of the source gives its values.
pub(crate) struct Targets(Vec<Option<usize>>);

impl Targets {
    /// The source's columns go to `names` or, without names, to the table's columns in order.
    pub fn new(table: &Table, names: &[String], source_columns: usize) -> Result<Targets> {
        let wanted = if names.is_empty() { table.columns.len() } else { named_columns(table, names)?.len() };
        if source_columns > wanted {
            return Err(Error::new(Sqlstate::SYNTAX_ERROR, "INSERT has more expressions than target columns")
                .with_hint(format!("{source_columns} expressions, {wanted} columns")));
        }
        if source_columns < wanted && !names.is_empty() {
            return Err(Error::new(Sqlstate::SYNTAX_ERROR, "INSERT has more target columns than expressions")
                .with_hint(format!("{wanted} columns, {source_columns} expressions")));
        }
        let position = |(index, name): (usize, &String)| {
            let found = if names.is_empty() { Some(index) } else { names.iter().position(|given| given == name) };
            found.filter(|position| *position < source_columns)
        };
        Ok(Targets(table.columns.iter().map(|column| &column.name).enumerate().map(position).collect()))
    }

    /// What each column of the source becomes.
    fn types<'a>(&self, table: &'a Table, source_columns: usize) -> Vec<Option<&'a SqlType>> {
        let mut types = vec![None; source_columns];
        for (column, source) in table.columns.iter().zip(&self.0) {
            if let Some(position) = source {
                types[*position] = Some(&column.ty);
            }
        }
        types
    }

    /// The column of the source that gives a column its values.
    pub fn source_of(&self, column: usize) -> Option<usize> {
        self.0.get(column).copied().flatten()
    }
}

/// The indexes of named columns.
fn named_columns(table: &Table, names: &[String]) -> Result<Vec<usize>> {
    let mut indexes = Vec::with_capacity(names.len());
    for name in names {
        let index = table.columns.iter().position(|column| column.name == *name);
        let index = index.ok_or_else(|| undefined_column(table, name))?;
        if indexes.contains(&index) {
            return Err(Error::new(Sqlstate::DUPLICATE_COLUMN, format!("column {name:?} specified more than once")));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

/// 42703
pub(crate) fn undefined_column(table: &Table, name: &str) -> Error {
    let near = lakeport_base::nearest::nearest(name, table.columns.iter().map(|column| column.name.as_str()));
    Error::new(Sqlstate::UNDEFINED_COLUMN, format!("column {name:?} of relation {:?} does not exist", table.name))
        .with_hint_opt(near.map(|near| format!("did you mean {near:?}?")))
}

/// The rows of an INSERT's source on their way.
pub(crate) struct Source {
    pub session: Session,
    pub targets: Targets,
    pub batches: SendableRecordBatchStream,
}

impl DataFusionEngine {
    pub(crate) async fn plan_insert(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        insert: &Insert,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        let (statement, expected) = source_statement(&table.row, insert, cx.zone)?;
        let planned = self.plan_statement(cx, self.sessions.open(cx)?, statement, declared, &expected).await?;
        Targets::new(&table.row, &insert.columns, planned.plan.schema().fields().len())?;
        let params = planned.params.types();
        let columns = self.returning_columns(cx, returning(table, insert).as_ref(), &params).await?;
        Ok(Description { params, columns })
    }

    pub(crate) async fn run_insert(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        insert: &Insert,
        params: &[ArrayRef],
    ) -> Result<Written> {
        let source = self.open_source(cx, table, insert, params).await?;
        check_conflict_columns(&table.row, &insert.on_conflict)?;
        match &insert.on_conflict {
            OnConflict::Fail => self.insert_rows(cx, table, insert, source, params).await,
            // Without a key no row is in conflict.
            _ if table.row.primary_key.is_empty() => self.insert_rows(cx, table, insert, source, params).await,
            _ => self.upsert_rows(cx, table, insert, source, params).await,
        }
    }

    async fn open_source(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        insert: &Insert,
        params: &[ArrayRef],
    ) -> Result<Source> {
        let (statement, expected) = source_statement(&table.row, insert, cx.zone)?;
        let session = self.sessions.open(cx)?;
        let planned = self.plan_statement(cx, session, statement, &given_types(params), &expected).await?;
        let plan = planned.bind(Some(params)).await?;
        // DEFAULT VALUES has one column that goes nowhere.
        let columns = if insert.source.is_some() { plan.schema().fields().len() } else { 0 };
        let targets = Targets::new(&table.row, &insert.columns, columns)?;
        let plan = Documents::new().assigned(plan, &targets.types(&table.row, columns)).map_err(from_datafusion)?;
        let batches = run(&planned.session, &plan).await?;
        Ok(Source { session: self.sessions.open(cx)?, targets, batches })
    }

    async fn insert_rows(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        insert: &Insert,
        source: Source,
        params: &[ArrayRef],
    ) -> Result<Written> {
        let Source { session, targets, batches } = source;
        let (session, targets) = (&session, &targets);
        let rows = batches.then(|batch| async move {
            complete(session, &table.row, targets, &batch.map_err(from_datafusion)?).await
        });
        let Some(returning) = returning(table, insert) else {
            let appended = self.add_rows(table, rows.boxed(), cx.transaction, &cx.cancel).await?;
            return Ok(Written { rows: appended.rows, returning: None });
        };
        let mut held = self.sessions.hold("the rows of RETURNING");
        let mut rows = pin!(rows);
        while let Some(batch) = rows.next().await {
            held.push(batch?)?;
        }
        let rows = stream::iter(held.batches().to_vec().into_iter().map(Ok));
        let returned = self.returned(cx, Some(&returning), Some(held), params).await?;
        let appended = self.add_rows(table, rows.boxed(), cx.transaction, &cx.cancel).await?;
        Ok(Written { rows: appended.rows, returning: returned })
    }
}

pub(crate) fn returning(table: &TableHandle, insert: &Insert) -> Option<Returning> {
    Some(Returning::of_table(table, &insert.table, None, insert.returning.as_deref()?))
}

/// A batch of a source as rows of the table: columns that the source lacks take their defaults.
pub(crate) async fn complete(
    session: &Session,
    table: &Table,
    targets: &Targets,
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let missing = table.columns.iter().enumerate().filter(|(index, _)| targets.source_of(*index).is_none());
    let missing: Vec<&str> = missing.filter_map(|(_, column)| column.default.as_deref()).collect();
    let mut defaults = default_values(session, &missing, rows).await?.into_iter();
    let mut columns = Vec::with_capacity(table.columns.len());
    for (column, target) in table.columns.iter().zip(&targets.0) {
        let values = match target {
            Some(position) => coerce(batch.column(*position), &column.ty, session.zone)?,
            None if column.default.is_some() => {
                let values = defaults.next().ok_or_else(|| Error::internal("a default has no value"))?;
                coerce(&values, &column.ty, session.zone)?
            }
            None => new_null_array(&arrow_type(&column.ty), rows),
        };
        columns.push(values);
    }
    table_batch(table, columns, rows)
}

/// The values of default expressions for so many rows; a volatile one gives each row its own.
async fn default_values(session: &Session, defaults: &[&str], rows: usize) -> Result<Vec<ArrayRef>> {
    if defaults.is_empty() {
        return Ok(Vec::new());
    }
    let schema = Arc::new(Schema::new(vec![Field::new("number", DataType::Int64, false)]));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers]).map_err(from_arrow)?;
    let relation = format!("{DEFAULTS_RELATION}{}", rows);
    let memory = MemTable::try_new(schema, vec![vec![batch]]).map_err(from_datafusion)?;
    session.register_bare(&relation, Arc::new(memory));
    let list: Vec<String> = defaults.iter().enumerate().map(|(index, text)| format!("({text}) AS d{index}")).collect();
    let statement = parse_query(&format!("SELECT {} FROM {}", list.join(", "), quoted(&relation)))?;
    let plan = session.plan(|scope| async move { scope.statement_to_plan(statement) }).await?;
    let schema = Arc::new(plan.schema().as_arrow().clone());
    let mut batches = run(session, &plan).await?;
    let mut found = Vec::new();
    while let Some(batch) = batches.next().await {
        found.push(batch.map_err(from_datafusion)?);
    }
    let all = arrow_select::concat::concat_batches(&schema, &found).map_err(from_arrow)?;
    Ok(all.columns().to_vec())
}

/// Rows that default expressions are evaluated over; the number of rows is part of the name.
const DEFAULTS_RELATION: &str = "__lakeport_rows_";

/// The query of an INSERT with DEFAULT filled in, and the types of parameters that are a column's value as they stand.
fn source_statement(table: &Table, insert: &Insert, zone: Zone) -> Result<(Statement, HashMap<usize, SqlType>)> {
    let Some(source) = &insert.source else { return Ok((parse_query("SELECT 1")?, HashMap::new())) };
    let mut statement = parse_query(&source.text)?;
    let order = named_columns(table, &insert.columns)?;
    let column = |position: usize| {
        let index = if order.is_empty() { Some(&position) } else { order.get(position) };
        index.and_then(|index| table.columns.get(*index))
    };
    let mut expected = HashMap::new();
    let mut note = |position: usize, expr: &Expr| {
        if let (Some(number), Some(column)) = (placeholder(expr), column(position)) {
            expected.insert(number, column.ty.clone());
        }
    };
    match body(&mut statement) {
        Some(SetExpr::Values(values)) => {
            for row in &mut values.rows {
                for (position, expr) in row.content.iter_mut().enumerate() {
                    let typed = column(position).filter(|column| takes_literals(&column.ty));
                    let literal = typed.and_then(|column| Some((plain_text(expr, &column.ty)?, &column.ty)));
                    if let Some((text, ty)) = literal {
                        *expr = typed_literal(&text, ty, zone)?;
                    } else if is_default(expr) {
                        *expr = default_expr(column(position).and_then(|column| column.default.as_deref()))?;
                    }
                    note(position, expr);
                }
            }
        }
        Some(SetExpr::Select(select)) => {
            for (position, item) in select.projection.iter().enumerate() {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    note(position, expr);
                }
            }
        }
        _ => {}
    }
    Ok((statement, expected))
}

fn body(statement: &mut Statement) -> Option<&mut SetExpr> {
    let Statement::Statement(inner) = statement else { return None };
    let ast::Statement::Query(query) = inner.as_mut() else { return None };
    Some(query.body.as_mut())
}

/// Whether a string literal for the column is read here; text stays as it is.
fn takes_literals(ty: &SqlType) -> bool {
    !matches!(ty, SqlType::Text | SqlType::Varchar(_) | SqlType::Bytes)
}

/// The text of a literal that takes the type of its column: a string, or a number for a float, which would lose digits
/// on its way through DECIMAL; one with an exponent is cast to that already.
fn plain_text(expr: &Expr, ty: &SqlType) -> Option<String> {
    let float = matches!(ty, SqlType::Float4 | SqlType::Float8);
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text.clone()),
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) if float => Some(digits.clone()),
        Expr::Cast { expr, data_type, .. } if float && matches!(column_type(data_type), Some(SqlType::Decimal(..))) => {
            plain_text(expr, ty)
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } if float => Some(format!("-{}", plain_text(expr, ty)?)),
        _ => None,
    }
}

/// The word DEFAULT in a VALUES list.
pub(crate) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}

fn default_expr(default: Option<&str>) -> Result<Expr> {
    parsed(&default.map_or_else(|| "NULL".to_string(), |text| format!("({text})")))
}
