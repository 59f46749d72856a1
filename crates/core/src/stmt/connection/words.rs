//! What each dialect says of connections, and which privileges its statements take.

use lakeport_base::{Dialect, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::Connection;
use lakeport_connect::KindSpec;

use crate::databend::Number;
use crate::error::{Error, Result};
use crate::external::missing_connection;
use crate::setting;
use crate::stmt::{Cx, session};

/// CockroachDB's prefix of every refusal of a definition.
pub(super) const REFUSED: &str = "failed to construct External Connection details";

/// # Errors
/// 42501 unless the user may make connections with the dialect's statement.
pub(super) fn require_create(cx: &Cx<'_>, dialect: Dialect) -> Result<()> {
    if dialect == Dialect::Databend {
        let by_privilege = session::is_on(cx, &setting::CONNECTION_PRIVILEGES);
        return cx.subject().require_create_connection(cx.session.set_role().as_deref(), by_privilege);
    }
    cx.subject().require_system("EXTERNALCONNECTION", || {
        "only users with the EXTERNALCONNECTION system privilege are allowed to CREATE EXTERNAL CONNECTION".to_string()
    })
}

/// What dropping or replacing a connection takes.
pub(super) fn drop_privileges(dialect: Dialect) -> &'static [&'static str] {
    if dialect == Dialect::Databend { &["USAGE", "DROP"] } else { &["DROP"] }
}

/// # Errors
/// 42501 unless the user has the privileges on the connection of a name; the same where there is none.
pub(super) async fn require(
    cx: &Cx<'_>,
    tx: &mut dyn Tx,
    dialect: Dialect,
    (name, found): (&str, Option<&Connection>),
    privileges: &[&str],
) -> Result<()> {
    for privilege in privileges {
        let allowed = match found {
            Some(connection) => cx.subject().has_on_connection(tx, connection.id, privilege).await?,
            None => cx.subject().is_admin(),
        };
        if !allowed {
            return Err(denied(cx, dialect, name, privilege));
        }
    }
    Ok(())
}

fn denied(cx: &Cx<'_>, dialect: Dialect, name: &str, privilege: &str) -> Error {
    let object = format!("CONNECTION {name}");
    match dialect {
        Dialect::Databend if privilege == "USAGE" => cx.subject().denied_in_databend("AccessConnection", &object),
        // Databend has no word for granting it.
        Dialect::Databend => {
            let remedy = cx.subject().connection_remedy(name, privilege);
            cx.subject().denied_in_databend("Drop", &object).with_hint(remedy)
        }
        _ => cx.subject().connection_denied(name, privilege),
    }
}

/// 42501 for looking at a connection.
pub(super) fn hidden(cx: &Cx<'_>, dialect: Dialect, name: &str) -> Error {
    match dialect {
        Dialect::Databend => denied(cx, dialect, name, "USAGE"),
        _ => Error::denied(format!("must have USAGE privilege or be owner of the External Connection {name:?}"))
            .with_hint(cx.subject().connection_remedy(name, "USAGE")),
    }
}

/// 42710
pub(super) fn exists(dialect: Dialect, name: &str) -> Error {
    if dialect == Dialect::Databend {
        let message = format!("Connection '{name}' already exists.");
        return Error::databend(Number::CONNECTION_EXISTS, message)
            .with_hint("CREATE OR REPLACE CONNECTION changes it");
    }
    let message = format!(
        "failed to create external connection: external connection with connection name '{name}' already exists"
    );
    Error::new(Sqlstate::DUPLICATE_OBJECT, message).with_hint("ALTER EXTERNAL CONNECTION changes it")
}

/// 42704
pub(super) fn missing(dialect: Dialect, name: &str, doing: &str) -> Error {
    if dialect == Dialect::Databend {
        let message = format!("Connection '{name}' does not exist. (while {doing})");
        return Error::databend(Number::UNKNOWN_CONNECTION, message)
            .with_hint("SHOW CONNECTIONS lists the connections you may use");
    }
    missing_connection(name)
}

/// A failed check of a connection of a kind.
pub(super) fn failed_check(dialect: Dialect, kind: &KindSpec, error: Error) -> Error {
    if dialect == Dialect::Databend { error.numbered(Number::STORAGE) } else { error.prefixed(&refusal_prefix(kind)) }
}

/// How the refusal of a URI of a kind begins.
pub(super) fn refusal_prefix(kind: &KindSpec) -> String {
    format!("{REFUSED}: failed to create {} external connection", kind.called())
}
