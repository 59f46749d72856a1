//! `IMPORT INTO`.

use arrow_schema::SchemaRef;
use lakeport_base::Secret;
use lakeport_base::id::ConnectionId;
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_catalog::model::{Column, Table};
use lakeport_connect::redact;
use lakeport_sql::stmt::KvOption;
use lakeport_sql::stmt::import::Import;

use super::options::{Values, require_feature};
use super::table::columns_named;
use super::{Cx, job};
use crate::error::Result;
use crate::import::options::OPTIONS;
use crate::import::{self, ImportOptions, ImportOrder};
use crate::job::{NewJob, Payload};
use crate::outcome::Outcome;
use crate::setting::FEATURE_IMPORT;

pub(crate) fn columns(statement: &Import) -> SchemaRef {
    job::run_columns(is_detached(&statement.options))
}

fn is_detached(options: &[KvOption]) -> bool {
    options.iter().any(|option| option.name == "detached")
}

pub(crate) async fn import(cx: &Cx<'_>, statement: &Import) -> Result<Outcome> {
    require_feature(cx, &FEATURE_IMPORT, "IMPORT")?;
    let new = plan(cx, statement).await?;
    job::run(cx, new, "IMPORT", is_detached(&statement.options)).await
}

/// Checks everything that can be checked before a file is opened, in CockroachDB's order.
async fn plan(cx: &Cx<'_>, statement: &Import) -> Result<NewJob> {
    let options = OPTIONS.read(cx, &statement.options)?;
    let uris = cx.strings(&statement.uris)?;
    for uri in &uris {
        cx.server.authorise_uri(cx.subject(), uri).await?;
    }
    if !options.has("detached") {
        cx.refuse_in_block("IMPORT cannot be used inside a multi-statement transaction without DETACHED option")?;
    }
    let table = cx.table(&statement.table)?;
    for privilege in import::PRIVILEGES {
        cx.subject().require_table(&table, privilege)?;
    }
    ImportOptions::parse(&statement.format, &options)?;
    let shown = shown(&options);
    let options = with_schema(cx, &statement.format, options).await?;
    let columns = columns_named(&table, &statement.columns)?;
    let order = ImportOrder {
        table: table.id,
        columns: statement.columns.clone(),
        format: statement.format.clone(),
        options: options.0,
        uris: Secret::new(uris.clone()),
    };
    Ok(NewJob {
        description: description(cx, &table, &columns, &order, &shown),
        payload: Payload::Import(order),
        owner: cx.user().to_string(),
        connections: connections(cx, &uris).await?,
    })
}

/// The statement in its canonical form: whole names, options sorted, URIs without secrets.
fn description(cx: &Cx<'_>, table: &Table, columns: &[Column], order: &ImportOrder, options: &[String]) -> String {
    let columns: Vec<_> = columns.iter().map(|column| quote_ident(&column.name)).collect();
    let uris: Vec<_> = order.uris.expose().iter().map(|uri| quote_literal(&redact(uri))).collect();
    let options = if options.is_empty() { String::new() } else { format!(" WITH OPTIONS ({})", options.join(", ")) };
    format!(
        "IMPORT INTO {}({}) {} DATA ({}){options}",
        cx.directory.full_name(table),
        columns.join(", "),
        order.format,
        uris.join(", ")
    )
}

/// The options as the description has them, sorted.
fn shown(options: &Values) -> Vec<String> {
    let option = |(name, value): &(String, Option<String>)| match (name.as_str(), value) {
        ("schema_uri", Some(uri)) => format!("{} = {}", quote_ident(name), quote_literal(&redact(uri))),
        (_, Some(value)) => format!("{} = {}", quote_ident(name), quote_literal(value)),
        (_, None) => quote_ident(name),
    };
    let mut shown: Vec<_> = options.0.iter().map(option).collect();
    shown.sort_unstable();
    shown
}

/// The options with the schema itself in place of its URI, which may hold secrets.
async fn with_schema(cx: &Cx<'_>, format: &str, mut options: Values) -> Result<Values> {
    let Some(uri) = options.get("schema_uri").map(str::to_string) else { return Ok(options) };
    let schema = import::read_small(cx.server, cx.subject(), &uri).await?;
    options.0.retain(|(name, _)| name != "schema_uri");
    options.0.push(("schema".into(), Some(schema)));
    ImportOptions::parse(format, &options)?;
    Ok(options)
}

/// The connections that the URIs go through, each once.
async fn connections(cx: &Cx<'_>, uris: &[String]) -> Result<Vec<ConnectionId>> {
    let mut ids = Vec::new();
    for uri in uris {
        if let Some((id, _)) = cx.server.resolve(uri).await?.connection {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
