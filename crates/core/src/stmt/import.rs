//! `IMPORT INTO`.

use arrow_schema::SchemaRef;
use lakeport_base::id::ConnectionId;
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{Secret, SqlType};
use lakeport_catalog::model::{Column, Job, Table};
use lakeport_connect::redact;
use lakeport_sql::stmt::KvOption;
use lakeport_sql::stmt::import::Import;

use super::Cx;
use super::options::{Values, require_feature};
use super::table::columns_named;
use crate::error::Result;
use crate::import::options::OPTIONS;
use crate::import::{self, ImportOptions, ImportOrder};
use crate::job::{Jobs, NewJob, Payload, payload};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::setting::FEATURE_IMPORT;
use crate::show::rows::batch_of;

pub(crate) fn columns(statement: &Import) -> SchemaRef {
    if is_detached(&statement.options) {
        return schema_of(&[("job_id", SqlType::Int8)]);
    }
    schema_of(&[
        ("job_id", SqlType::Int8),
        ("status", SqlType::Text),
        ("fraction_completed", SqlType::Float8),
        ("rows", SqlType::Int8),
        ("index_entries", SqlType::Int8),
        ("bytes", SqlType::Int8),
    ])
}

fn is_detached(options: &[KvOption]) -> bool {
    options.iter().any(|option| option.name == "detached")
}

pub(crate) async fn import(cx: &Cx<'_>, statement: &Import) -> Result<Outcome> {
    require_feature(cx, &FEATURE_IMPORT, "IMPORT")?;
    let job = plan(cx, statement).await?;
    let row = if is_detached(&statement.options) {
        let id = cx.cancel.commit(cx.server.jobs.submit(cx.server, job)).await?;
        row![id.0]
    } else {
        finished_row(&Jobs::run_to_end(cx.server, cx.session, job, &cx.cancel).await?)?
    };
    Ok(Outcome::rows("IMPORT", batch_of(columns(statement), &[row])?))
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
        owner: cx.session.user.clone(),
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

fn finished_row(job: &Job) -> Result<Vec<crate::show::rows::Cell>> {
    let done = job.result.as_deref().map(payload::decode_done).transpose()?;
    let count = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let (rows, bytes) = (count(done.map(|done| done.rows)), count(done.map(|done| done.bytes)));
    Ok(row![job.id.0, job.state.as_str(), job.fraction, rows, 0_i64, bytes])
}
