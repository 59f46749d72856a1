//! INSERT, UPSERT, UPDATE, DELETE.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use futures::StreamExt;
use lakeport_base::SqlType;
use lakeport_catalog::model::Table;
use lakeport_sql::stmt::query::{Delete, Insert, OnConflict, Update};

use super::Cx;
use super::query::{context, require_select};
use crate::engine::{Description, QueryContext, Write, Written};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::rows::RowStream;

pub(crate) async fn write(cx: &Cx<'_>, write: Write<'_>) -> Result<Outcome> {
    let table = cx.table(write.table())?;
    let context = write_context(cx, write, &table, true).await?;
    let handle = cx.handle(&table).await?;
    let written = cx.server.config.engine.write(&context, &handle, write, cx.params).await?;
    Ok(outcome(write, written))
}

pub(crate) async fn describe(cx: &Cx<'_>, write: Write<'_>, declared: &[Option<SqlType>]) -> Result<Description> {
    let table = cx.table(write.table())?;
    let context = write_context(cx, write, &table, false).await?;
    cx.server.config.engine.describe_write(&context, &cx.handle(&table).await?, write, declared).await
}

fn outcome(write: Write<'_>, written: Written) -> Outcome {
    let tag = match write {
        Write::Insert(_) => "INSERT 0",
        Write::Update(_) => "UPDATE",
        Write::Delete(_) => "DELETE",
    };
    match written.returning {
        Some(rows) => Outcome::Rows { tag, rows },
        None => Outcome::done(format!("{tag} {}", written.rows)),
    }
}

/// The context of a write, after the checks of what it reads and writes. Without `run`, sources such as `[SHOW ...]`
/// stand there empty.
async fn write_context(cx: &Cx<'_>, write: Write<'_>, table: &Table, run: bool) -> Result<QueryContext> {
    match write {
        Write::Insert(insert) => insert_context(cx, insert, table, run).await,
        Write::Update(update) => update_context(cx, update, table),
        Write::Delete(delete) => delete_context(cx, delete, table),
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
        Some(block) if !block.implicit => cx.session.variable("transaction_read_only"),
        _ => cx.session.variable("default_transaction_read_only"),
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
