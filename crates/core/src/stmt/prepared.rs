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
    let select =
        texts.iter().enumerate().map(|(index, text)| format!("({text}) AS p{index}")).collect::<Vec<_>>().join(", ");
    let context = cx.query_context(None, Default::default());
    let rows = cx.server.config.engine.query(&context, &format!("SELECT {select}"), &[]).await?;
    let batches: Vec<_> = rows.batches.try_collect().await?;
    let row = batches.iter().find(|batch| batch.num_rows() > 0).ok_or_else(|| Error::internal("SELECT gave no row"))?;
    let cast = |(array, ty): (&ArrayRef, &SqlType)| {
        arrow_cast::cast(array, &crate::rows::arrow_type(ty)).map_err(|error| {
            Error::new(Sqlstate::DATATYPE_MISMATCH, format!("argument is not of type {ty}")).with_source(error)
        })
    };
    row.columns().iter().zip(&described.params).map(cast).collect()
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
