//! `SHOW [CREATE] EXTERNAL CONNECTIONS`, `SHOW CONNECTIONS`, `DESC CONNECTION`: of many, a page after the other.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{Dialect, SqlType};
use lakeport_catalog::model::Connection;
use lakeport_connect::dialect::{databend, mask, render_redacted};
use lakeport_sql::stmt::connection::{ShowConnections, ShowCreateConnection};

use super::words;
use crate::authz::Subject;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::external::{missing_connection, target_of};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::{RowStream, schema_of};
use crate::server::Server;
use crate::setting;
use crate::show::rows::batch_of;
use crate::stmt::Cx;

/// Connections read at a time.
const PAGE_ROWS: u32 = 1000;

/// Who looks, for rows that are made while the client takes them.
#[derive(Clone)]
struct Looks {
    server: Arc<Server>,
    directory: Arc<Directory>,
    user: String,
    /// Who has logged in.
    login: String,
}

impl Looks {
    fn of(cx: &Cx<'_>) -> Looks {
        Looks {
            server: cx.server.clone(),
            directory: cx.directory.clone(),
            user: cx.user().to_string(),
            login: cx.session.user.clone(),
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject { directory: &self.directory, user: &self.user }
    }
}

pub(crate) fn show_columns(statement: &ShowConnections) -> SchemaRef {
    columns_in(statement.dialect)
}

fn columns_in(dialect: Dialect) -> SchemaRef {
    schema_of(&match dialect {
        Dialect::Databend => {
            [("name", SqlType::Text), ("storage_type", SqlType::Text), ("storage_params", SqlType::Text)]
        }
        _ => {
            [("connection_name", SqlType::Text), ("connection_uri", SqlType::Text), ("connection_type", SqlType::Text)]
        }
    })
}

pub(crate) async fn show(cx: &Cx<'_>, statement: &ShowConnections) -> Result<Outcome> {
    let dialect = statement.dialect;
    let Some(name) = &statement.name else {
        let looks = Looks::of(cx);
        let rows = pages(cx.server.clone()).and_then(move |page| {
            let looks = looks.clone();
            async move { visible(&looks.server, looks.subject(), &page, dialect).await }
        });
        let rows = RowStream { schema: show_columns(statement), batches: rows.boxed() };
        return Ok(Outcome::Rows { tag: "SHOW", rows });
    };
    let name = cx.string(name)?;
    let found = cx.server.config.catalog.read().await?.find_connection(&name).await?;
    let rows = visible(cx.server, cx.subject(), found.as_slice(), dialect).await?;
    match found {
        None if cx.subject().is_admin() => Err(words::missing(dialect, &name, "describe connection")),
        _ if rows.num_rows() == 0 => Err(words::hidden(cx, dialect, &name)),
        _ => Ok(Outcome::rows("SHOW", rows)),
    }
}

/// All connections by name, a page at a time, each page as it is when it is read.
fn pages(server: Arc<Server>) -> impl Stream<Item = Result<Vec<Connection>>> + Send {
    stream::try_unfold(Some(String::new()), move |after| {
        let server = server.clone();
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = server.config.catalog.read().await?.connections_after(&after, PAGE_ROWS).await?;
            let is_full = page.len() >= PAGE_ROWS as usize;
            let last = page.last().filter(|_| is_full).map(|connection| connection.name.clone());
            Ok(Some((page, last)))
        }
    })
}

/// The connections that a user may see.
async fn visible(
    server: &Server,
    subject: Subject<'_>,
    connections: &[Connection],
    dialect: Dialect,
) -> Result<RecordBatch> {
    let mut tx = server.config.catalog.read().await?;
    let mut rows = Vec::new();
    for connection in connections {
        let owned = subject.owns(&connection.owner);
        if owned || subject.has_on_connection(tx.as_mut(), connection.id, "USAGE").await? {
            rows.push(match dialect {
                Dialect::Databend => row![&connection.name, storage_type(connection), masked_parameters(connection)],
                _ => row![&connection.name, &connection.redacted, connection_type(connection)],
            });
        }
    }
    batch_of(columns_in(dialect), &rows)
}

/// What Databend calls the kind, or the kind's own name.
fn storage_type(connection: &Connection) -> &str {
    let spec = lakeport_connect::kind_named(&connection.kind).map(|kind| kind.spec());
    spec.and_then(|spec| spec.databend_type).unwrap_or(&connection.kind)
}

/// One definition that is not understood hides no other.
fn masked_parameters(connection: &Connection) -> String {
    target_of(connection).map_or_else(|_| mask(""), |target| databend::masked_parameters(&target))
}

fn connection_type(connection: &Connection) -> &'static str {
    lakeport_connect::kind_named(&connection.kind).map_or("UNKNOWN", |kind| kind.spec().role.as_str())
}

/// The privilege of looking at every definition.
const SEES_ALL: &str = "VIEWCLUSTERMETADATA";

pub(crate) fn show_create_columns() -> SchemaRef {
    schema_of(&[("connection_name", SqlType::Text), ("create_statement", SqlType::Text)])
}

pub(crate) async fn show_create(cx: &Cx<'_>, statement: &ShowCreateConnection) -> Result<Outcome> {
    let sees_all = cx.subject().has_system(SEES_ALL);
    let Some(name) = &statement.name else {
        if !sees_all {
            return Err(Error::denied(
                "must have VIEWCLUSTERMETADATA privilege to run `SHOW CREATE ALL EXTERNAL CONNECTIONS`",
            )
            .with_hint(cx.subject().system_remedy(SEES_ALL)));
        }
        let looks = Looks::of(cx);
        let rows = pages(cx.server.clone()).and_then(move |page| {
            let looks = looks.clone();
            async move { definitions(&looks, &page).await }
        });
        let rows = RowStream { schema: show_create_columns(), batches: rows.boxed() };
        return Ok(Outcome::Rows { tag: "SHOW", rows });
    };
    let name = cx.string(name)?;
    let found = cx.server.config.catalog.read().await?.find_connection(&name).await?;
    if !sees_all && found.as_ref().is_none_or(|connection| !cx.subject().owns(&connection.owner)) {
        return Err(Error::denied(format!(
            "must have VIEWCLUSTERMETADATA privilege or be owner of the External Connection {name:?}"
        ))
        .with_hint(cx.subject().system_remedy(SEES_ALL)));
    }
    let connection = found.ok_or_else(|| missing_connection(&name))?;
    Ok(Outcome::rows("SHOW", definitions(&Looks::of(cx), &[connection]).await?))
}

/// The statements that make connections again, in clear where the setting and the owner allow it.
async fn definitions(looks: &Looks, connections: &[Connection]) -> Result<RecordBatch> {
    let (server, subject) = (&looks.server, looks.subject());
    let clear = setting::SHOW_CREATE_SECRETS.is_on(subject.directory);
    let mut rows = Vec::new();
    for connection in connections {
        let full = clear && subject.owns(&connection.owner);
        if full {
            server.audit(&looks.login, "show_create_external_connection", &connection.name, "secrets shown").await;
        }
        let text = match full {
            true => connection.definition.expose().clone(),
            false => redacted(connection)?,
        };
        rows.push(row![&connection.name, create_statement(connection, &text)]);
    }
    batch_of(show_create_columns(), &rows)
}

/// The definition in its own dialect.
fn redacted(connection: &Connection) -> Result<String> {
    match connection.dialect {
        Dialect::Cockroach => Ok(connection.redacted.clone()),
        dialect => Ok(render_redacted(&target_of(connection)?, dialect)?),
    }
}

fn create_statement(connection: &Connection, definition: &str) -> String {
    let name = &connection.name;
    match connection.dialect {
        Dialect::Cockroach => {
            format!("CREATE EXTERNAL CONNECTION {} AS {}", quote_literal(name), quote_literal(definition))
        }
        Dialect::Databend | Dialect::Materialize => format!("CREATE CONNECTION {} {definition}", quote_ident(name)),
    }
}
