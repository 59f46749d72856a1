//! INSERT, UPSERT, UPDATE, DELETE, MERGE.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use futures::StreamExt;
use lakeport_base::SqlType;
use lakeport_catalog::model::Table;
use lakeport_sql::stmt::query::{Insert, MergeAction, OnConflict};

use super::Cx;
use super::query::{context, located};
use crate::engine::{Description, QueryContext, Write, Written};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::rows::RowStream;

pub(crate) async fn write(cx: &Cx<'_>, write: Write<'_>) -> Result<Outcome> {
    let table = cx.table(write.table())?;
    let context = write_context(cx, write, &table, true).await?;
    let handle = cx.handle(&table).await?;
    let written = cx.server.config.engine.write(&context, &handle, write, cx.params).await;
    let written = written.map_err(|error| match write {
        Write::Insert(Insert { source: Some(source), .. }) => located(source, error),
        _ => error,
    })?;
    Ok(outcome(write, written))
}

pub(crate) async fn describe(cx: &Cx<'_>, write: Write<'_>, declared: &[Option<SqlType>]) -> Result<Description> {
    if let Write::Insert(Insert { source: Some(source), .. }) = write {
        super::query::refuse_parameters(source, declared.len())?;
    }
    let table = cx.table(write.table())?;
    let context = write_context(cx, write, &table, false).await?;
    cx.server.config.engine.describe_write(&context, &cx.handle(&table).await?, write, declared).await
}

fn outcome(write: Write<'_>, written: Written) -> Outcome {
    let tag = match write {
        Write::Insert(_) => "INSERT 0",
        Write::Update(_) => "UPDATE",
        Write::Delete(_) => "DELETE",
        Write::Merge(_) => "MERGE",
    };
    match written.returning {
        Some(rows) => Outcome::Rows { tag, rows },
        None => Outcome::done(format!("{tag} {}", written.rows)),
    }
}

/// The context of a write, after the checks of the table written: what stands there already is read by any change of it.
/// Without `run`, sources such as `[SHOW ...]` stand there empty.
async fn write_context(cx: &Cx<'_>, write: Write<'_>, table: &Table, run: bool) -> Result<QueryContext> {
    for privilege in privileges(write) {
        cx.subject().require_table(table, privilege)?;
    }
    match write {
        Write::Insert(Insert { source: Some(source), .. }) => context(cx, source, run).await,
        _ => Ok(cx.query_context(None, HashMap::new())),
    }
}

/// The privileges on the table that a write needs.
fn privileges(write: Write<'_>) -> Vec<&'static str> {
    match write {
        Write::Insert(insert) => match &insert.on_conflict {
            OnConflict::Fail if insert.returning.is_none() => vec!["INSERT"],
            OnConflict::Fail | OnConflict::Nothing { .. } => vec!["INSERT", "SELECT"],
            OnConflict::Update { .. } | OnConflict::Replace => vec!["INSERT", "SELECT", "UPDATE"],
        },
        Write::Update(_) => vec!["UPDATE", "SELECT"],
        Write::Delete(_) => vec!["DELETE", "SELECT"],
        Write::Merge(merge) => {
            let of_action = |action: &MergeAction| match action {
                MergeAction::Update(_) => Some("UPDATE"),
                MergeAction::Delete => Some("DELETE"),
                MergeAction::Insert { .. } => Some("INSERT"),
                MergeAction::Nothing => None,
            };
            let of_actions = merge.clauses.iter().filter_map(|clause| of_action(&clause.action));
            ["SELECT"].into_iter().chain(of_actions).collect()
        }
    }
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
