//! `EXPORT INTO`.

use arrow_schema::SchemaRef;
use lakeport_base::SqlType;
use lakeport_connect::redact;
use lakeport_sql::stmt::export::Export;
use tokio_util::sync::CancellationToken;

use super::Cx;
use super::options::require_feature;
use crate::error::{Error, Result};
use crate::export::options::OPTIONS;
use crate::export::{self, ExportOptions, Exported, Place};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::setting::FEATURE_EXPORT;
use crate::show::rows::{Cell, batch_of};

/// Random bytes in the names of one export's files.
const RUN_ID_BYTES: usize = 16;

pub(crate) fn columns() -> SchemaRef {
    schema_of(&[("filename", SqlType::Text), ("rows", SqlType::Int8), ("bytes", SqlType::Int8)])
}

pub(crate) async fn export(cx: &Cx<'_>, statement: &Export) -> Result<Outcome> {
    cx.refuse_in_block("EXPORT cannot be used inside a multi-statement transaction")?;
    require_feature(cx, &FEATURE_EXPORT, "EXPORT")?;
    OPTIONS.check_format(&statement.format)?;
    let values = OPTIONS.read(cx, &statement.options)?;
    let uri = cx.string(&statement.uri)?;
    cx.server.authorise_uri(cx.subject(), &uri).await?;
    let options = ExportOptions::parse(&statement.format, &values)?;
    cx.server.require_writable(&uri).await?;
    let store = cx.server.open_storage(cx.user(), &uri).await?;
    let rows = super::query::rows(cx, &statement.query).await?;
    let run_id = cx.server.config.env.random_hex(RUN_ID_BYTES);
    let prefix = format!("export{run_id}-n{}", cx.server.config.node_id);
    let extension = options.extension();
    let name = Box::new(move |_: &str, index| Ok(format!("{prefix}.{index}.{extension}")));
    let place = Place { store, uri: redact(&uri), name, has_parts: false, is_chosen: false };
    let stop = CancellationToken::new();
    let stop_if_dropped = stop.clone().drop_guard();
    let files = export::start(rows, options, place, stop).await.map_err(Error::internal)??;
    drop(stop_if_dropped);
    let rows: Vec<_> = files.into_iter().map(file_row).collect();
    Ok(Outcome::rows("EXPORT", batch_of(columns(), &rows)?))
}

fn file_row(Exported { name, rows, bytes, .. }: Exported) -> Vec<Cell> {
    let count = |count: u64| i64::try_from(count).ok();
    row![name, count(rows), count(bytes)]
}
