//! INSERT, UPSERT, UPDATE, DELETE.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use futures::StreamExt;
use lakeport_base::SqlType;
use lakeport_catalog::model::Table;
use lakeport_sql::Statement;
use lakeport_sql::stmt::query::{Delete, Insert, OnConflict, Update};

use super::Cx;
use super::query::{context, require_select};
use crate::engine::{Description, QueryContext, Written};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::rows::RowStream;

pub(crate) async fn insert(cx: &Cx<'_>, statement: &Insert) -> Result<Outcome> {
    let table = cx.table(&statement.table)?;
    let context = insert_context(cx, statement, &table, true).await?;
    let handle = cx.handle(&table).await?;
    let written = cx.server.config.engine.insert(&context, &handle, statement, cx.params).await?;
    Ok(outcome(written, "INSERT", |rows| format!("INSERT 0 {rows}")))
}

pub(crate) async fn update(cx: &Cx<'_>, statement: &Update) -> Result<Outcome> {
    let table = cx.table(&statement.table)?;
    let context = update_context(cx, statement, &table)?;
    let handle = cx.handle(&table).await?;
    let written = cx.server.config.engine.update(&context, &handle, statement, cx.params).await?;
    Ok(outcome(written, "UPDATE", |rows| format!("UPDATE {rows}")))
}

pub(crate) async fn delete(cx: &Cx<'_>, statement: &Delete) -> Result<Outcome> {
    let table = cx.table(&statement.table)?;
    let context = delete_context(cx, statement, &table)?;
    let handle = cx.handle(&table).await?;
    let written = cx.server.config.engine.delete(&context, &handle, statement, cx.params).await?;
    Ok(outcome(written, "DELETE", |rows| format!("DELETE {rows}")))
}

fn outcome(written: Written, tag: &'static str, done: impl Fn(u64) -> String) -> Outcome {
    match written.returning {
        Some(rows) if tag == "INSERT" => Outcome::Rows { tag: "INSERT 0", rows },
        Some(rows) => Outcome::Rows { tag, rows },
        None => Outcome::done(done(written.rows)),
    }
}

pub(crate) async fn describe(cx: &Cx<'_>, statement: &Statement, declared: &[Option<SqlType>]) -> Result<Description> {
    let engine = &cx.server.config.engine;
    match statement {
        Statement::Insert(statement) => {
            let table = cx.table(&statement.table)?;
            let context = insert_context(cx, statement, &table, false).await?;
            engine.describe_insert(&context, &cx.handle(&table).await?, statement, declared).await
        }
        Statement::Update(statement) => {
            let table = cx.table(&statement.table)?;
            let context = update_context(cx, statement, &table)?;
            engine.describe_update(&context, &cx.handle(&table).await?, statement, declared).await
        }
        Statement::Delete(statement) => {
            let table = cx.table(&statement.table)?;
            let context = delete_context(cx, statement, &table)?;
            engine.describe_delete(&context, &cx.handle(&table).await?, statement, declared).await
        }
        other => Err(Error::internal(format!("{other:?} is no write"))),
    }
}

async fn insert_context(cx: &Cx<'_>, statement: &Insert, table: &Table, run: bool) -> Result<QueryContext> {
    refuse_read_only(cx, "INSERT")?;
    cx.subject().require_table(table, "INSERT")?;
    match &statement.on_conflict {
        OnConflict::Fail => {}
        OnConflict::Nothing { .. } => cx.subject().require_table(table, "SELECT")?,
        OnConflict::Update { .. } | OnConflict::Replace => {
            cx.subject().require_table(table, "SELECT")?;
            cx.subject().require_table(table, "UPDATE")?;
        }
    }
    if statement.returning.is_some() {
        cx.subject().require_table(table, "SELECT")?;
    }
    match &statement.source {
        Some(source) => context(cx, source, run).await,
        None => Ok(cx.query_context(None, HashMap::new())),
    }
}

fn update_context(cx: &Cx<'_>, statement: &Update, table: &Table) -> Result<QueryContext> {
    refuse_read_only(cx, "UPDATE")?;
    cx.subject().require_table(table, "UPDATE")?;
    if statement.filter.is_some() || statement.returning.is_some() {
        cx.subject().require_table(table, "SELECT")?;
    }
    require_select(cx, &statement.reads)?;
    Ok(cx.query_context(None, HashMap::new()))
}

fn delete_context(cx: &Cx<'_>, statement: &Delete, table: &Table) -> Result<QueryContext> {
    refuse_read_only(cx, "DELETE")?;
    cx.subject().require_table(table, "DELETE")?;
    if statement.filter.is_some() || statement.returning.is_some() {
        cx.subject().require_table(table, "SELECT")?;
    }
    require_select(cx, &statement.reads)?;
    Ok(cx.query_context(None, HashMap::new()))
}

/// 25006 in a read-only block or session.
pub(crate) fn refuse_read_only(cx: &Cx<'_>, action: &str) -> Result<()> {
    let read_only = match cx.session.open_block() {
        Some(_) => cx.session.variable("transaction_read_only"),
        None => cx.session.variable("default_transaction_read_only"),
    };
    if read_only != "on" {
        return Ok(());
    }
    let message = format!("cannot execute {action} in a read-only transaction");
    Err(Error::new(lakeport_base::Sqlstate::READ_ONLY_SQL_TRANSACTION, message))
}

/// The rows under other column names, by position.
pub(crate) fn renamed(rows: RowStream, names: &[String]) -> Result<RowStream> {
    if rows.schema.fields().len() != names.len() {
        let (found, wanted) = (rows.schema.fields().len(), names.len());
        return Err(Error::internal(format!("{found} columns under {wanted} names")));
    }
    let fields: Vec<_> =
        rows.schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    let schema = Arc::new(Schema::new(fields));
    let renamed = schema.clone();
    let batches = rows
        .batches
        .map(move |batch| RecordBatch::try_new(renamed.clone(), batch?.columns().to_vec()).map_err(Error::internal));
    Ok(RowStream { schema, batches: batches.boxed() })
}
