//! `PREPARE`, `EXECUTE`, `DEALLOCATE`: statements prepared by SQL text.

use arrow_array::ArrayRef;
use futures::TryStreamExt;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_sql::stmt::prepared::{Deallocate, Execute, Prepare};

use super::Cx;
use crate::engine::Description;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::session::Prepared;

pub(crate) fn prepare(cx: &Cx<'_>, statement: &Prepare) -> Result<Outcome> {
    let parsed = lakeport_sql::parse_one(&statement.statement.to_string())?;
    let declared = |name: &String| match SqlType::parse(name) {
        _ if name == "unknown" => Ok(None),
        Some(ty) => Ok(Some(ty)),
        None => Err(Error::new(Sqlstate::UNDEFINED_OBJECT, format!("type {name:?} does not exist"))),
    };
    let types = statement.types.iter().map(declared).collect::<Result<_>>()?;
    if cx.session.prepare(&statement.name, Prepared { parsed, types }) {
        return Ok(Outcome::done("PREPARE"));
    }
    let message = format!("prepared statement {:?} already exists", statement.name);
    Err(Error::new(Sqlstate::DUPLICATE_PREPARED_STATEMENT, message))
}

pub(crate) async fn execute(cx: &Cx<'_>, statement: &Execute) -> Result<Outcome> {
    let prepared = cx.session.prepared(&statement.name).ok_or_else(|| unknown(&statement.name))?;
    let params = arguments(cx, &prepared, &statement.arguments).await?;
    super::run(cx.session, &prepared.parsed, &params, cx.cancel.clone()).await
}

/// The arguments' values, each cast to its parameter's type.
async fn arguments(cx: &Cx<'_>, prepared: &Prepared, texts: &[String]) -> Result<Vec<ArrayRef>> {
    let described = super::describe(cx.session, &prepared.parsed, &prepared.types, cx.cancel.clone()).await?;
    if described.params.len() != texts.len() {
        let (wanted, given) = (described.params.len(), texts.len());
        return Err(Error::new(
            Sqlstate::SYNTAX_ERROR,
            format!("wrong number of parameters: expected {wanted}, got {given}"),
        ));
    }
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let typed = texts.iter().zip(&described.params).enumerate();
    let value = |(index, (text, ty)): (usize, (&String, &SqlType))| {
        // A cast to VARCHAR(n) would cut what is too long for the column that the argument goes to.
        let ty = if matches!(ty, SqlType::Varchar(_)) { &SqlType::Text } else { ty };
        format!("CAST(({text}) AS {ty}) AS p{index}")
    };
    let values: Vec<_> = typed.map(value).collect();
    let context = cx.query_context(None, Default::default());
    let select = format!("SELECT {}", values.join(", "));
    let rows = cx.server.config.engine.query(&context, &select, &[]).await?;
    let batches: Vec<_> = rows.batches.try_collect().await?;
    let row = batches.iter().find(|batch| batch.num_rows() > 0).ok_or_else(|| Error::internal("SELECT gave no row"))?;
    Ok(row.columns().to_vec())
}

pub(crate) async fn describe(cx: &Cx<'_>, statement: &Execute) -> Result<Description> {
    let prepared = cx.session.prepared(&statement.name).ok_or_else(|| unknown(&statement.name))?;
    let described = super::describe(cx.session, &prepared.parsed, &prepared.types, cx.cancel.clone()).await?;
    Ok(Description { params: Vec::new(), columns: described.columns })
}

pub(crate) fn deallocate(cx: &Cx<'_>, statement: &Deallocate) -> Result<Outcome> {
    if cx.session.deallocate(statement.name.as_deref()) {
        return Ok(Outcome::done(if statement.name.is_some() { "DEALLOCATE" } else { "DEALLOCATE ALL" }));
    }
    Err(unknown(statement.name.as_deref().unwrap_or_default()))
}

fn unknown(name: &str) -> Error {
    Error::new(Sqlstate::INVALID_SQL_STATEMENT_NAME, format!("prepared statement {name:?} does not exist"))
}
