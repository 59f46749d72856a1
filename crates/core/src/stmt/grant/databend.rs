//! Databend's `GRANT OWNERSHIP`, and its answer to `SHOW GRANTS ON CONNECTION`.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use lakeport_base::SqlType;
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Connection, Grant as Row, Object, Stage};
use lakeport_sql::stmt::grant::{GrantOwnership, ShowGrants, Target};

use super::{add, audit, checked_roles};
use crate::databend::Number;
use crate::error::{Error, Result};
use crate::external::missing_connection;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stage::place::missing_stage;
use crate::stmt::Cx;

/// Makes a role the owner, with every privilege; the owner before keeps none.
pub(crate) async fn grant_ownership(cx: &Cx<'_>, statement: &GrantOwnership) -> Result<Outcome> {
    let owners = checked_roles(cx, std::slice::from_ref(&statement.owner))?;
    let mut tx = cx.server.config.catalog.write().await?;
    for name in names(&statement.target) {
        let old = owned(cx, tx.as_mut(), name).await?;
        require_own_role(cx, &statement.owner)?;
        transfer(cx, tx.as_mut(), old, &statement.owner).await?;
    }
    if let Target::Stages(names) = &statement.target {
        for name in names {
            transfer_stage(cx, tx.as_mut(), name, &statement.owner).await?;
        }
    }
    audit(cx, tx.as_mut(), "grant", &["OWNERSHIP".to_string()], &owners).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("GRANT"))
}

fn names(target: &Target) -> &[String] {
    if let Target::Connections(names) = target { names } else { &[] }
}

/// The connection, if the user owns it. The refusal is the same whether or not there is one.
async fn owned(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str) -> Result<Connection> {
    match tx.find_connection(name).await? {
        Some(connection) if cx.subject().owns(&connection.owner) => Ok(connection),
        None if cx.subject().is_admin() => Err(missing_connection(name)),
        _ => {
            let message = format!("only owner can grant ownership of connection {name}");
            Err(Error::databend(Number::ILLEGAL_GRANT, message))
        }
    }
}

/// # Errors
/// 0LP01 for a role that is not the user's own, since it could not be had back.
fn require_own_role(cx: &Cx<'_>, role: &str) -> Result<()> {
    if cx.subject().owns(role) {
        return Ok(());
    }
    Err(Error::databend(Number::ILLEGAL_GRANT, format!("invalid new owner {role}: not a role of {}", cx.session.user)))
}

async fn transfer(cx: &Cx<'_>, tx: &mut dyn Tx, old: Connection, owner: &str) -> Result<()> {
    let object = Object::Connection(old.id);
    for row in tx.grants_on(object).await?.iter().filter(|row| row.grantee == old.owner) {
        tx.delete_grant(object, &row.grantee, &row.privilege).await?;
    }
    add(tx, object, owner, "ALL", false).await?;
    let (owner, version, updated) = (owner.to_string(), old.version + 1, cx.server.config.env.now_micros());
    Ok(tx.update_connection(&Connection { owner, version, updated, ..old }).await?)
}

/// The stage's new owner has all privileges without a grant. The refusal is the same whether or not there is a stage.
async fn transfer_stage(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str, owner: &str) -> Result<()> {
    let stage = match tx.find_stage(name).await? {
        Some(stage) if cx.subject().owns(&stage.owner) => stage,
        None if cx.subject().is_admin() => return Err(missing_stage(name)),
        _ => {
            let message = format!("only owner can grant ownership of stage {name}");
            return Err(Error::databend(Number::ILLEGAL_GRANT, message));
        }
    };
    require_own_role(cx, owner)?;
    Ok(tx.update_stage(&Stage { owner: owner.to_string(), version: stage.version + 1, ..stage }).await?)
}

pub(super) fn show_columns() -> SchemaRef {
    schema_of(&[
        ("privileges", SqlType::Text),
        ("object_name", SqlType::Text),
        ("object_id", SqlType::Int8),
        ("grant_to", SqlType::Text),
        ("name", SqlType::Text),
        ("grants", SqlType::Text),
    ])
}

pub(super) async fn show(cx: &Cx<'_>, statement: &ShowGrants) -> Result<Outcome> {
    let grantees = checked_roles(cx, &statement.grantees)?;
    let mut tx = cx.server.config.catalog.read().await?;
    let mut rows = Vec::new();
    for name in statement.target.iter().flat_map(names) {
        let connection = seen(cx, tx.as_mut(), name).await?;
        let grants = tx.grants_on(Object::Connection(connection.id)).await?;
        let held = held(&connection, &grants).into_iter();
        let asked = held.filter(|(grantee, _)| grantees.is_empty() || grantees.iter().any(|role| role == grantee));
        rows.extend(asked.map(|(grantee, privileges)| {
            row![privileges.join(", "), name, Cell::Null, sort_of(cx, grantee), grantee, ""]
        }));
    }
    Ok(Outcome::rows("SHOW", batch_of(show_columns(), &rows)?))
}

/// The connection, if the user may know of it.
async fn seen(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str) -> Result<Connection> {
    let found = tx.find_connection(name).await?;
    match found {
        Some(connection) if cx.subject().owns(&connection.owner) => Ok(connection),
        Some(connection) if cx.subject().has_on_connection(tx, connection.id, "USAGE").await? => Ok(connection),
        None if cx.subject().is_admin() => Err(missing_connection(name)),
        _ => Err(cx.subject().grants_denied(name)),
    }
}

/// Who has what on a connection, in Databend's words: its owner everything.
fn held<'a>(connection: &'a Connection, grants: &'a [Row]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut held = BTreeMap::from([(connection.owner.as_str(), vec!["OWNERSHIP"])]);
    for row in grants.iter().filter(|row| row.grantee != connection.owner) {
        let privilege = if row.privilege == "USAGE" { "ACCESS CONNECTION" } else { &row.privilege };
        held.entry(&row.grantee).or_default().push(privilege);
    }
    held
}

fn sort_of(cx: &Cx<'_>, grantee: &str) -> &'static str {
    let logs_in = cx.directory.roles.get(grantee).is_some_and(|role| role.login);
    if logs_in { "USER" } else { "ROLE" }
}
