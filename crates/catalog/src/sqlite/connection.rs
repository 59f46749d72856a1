//! External connections. The definition is sealed for its id and version.

use lakeport_base::Env;
use lakeport_base::id::ConnectionId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{Query, all, change, decode, field, one};
use crate::error::{Error, Result};
use crate::model::{Check, Connection};
use crate::seal::{DataKey, Place};

const WHAT: &str = "connection";

fn connection(row: &SqliteRow, key: &DataKey) -> Result<Connection> {
    let id: ConnectionId = field(row, WHAT, "id")?;
    let version: i64 = field(row, WHAT, "version")?;
    let sealed: Vec<u8> = field(row, WHAT, "definition")?;
    let definition = key.open(&sealed, place(&id.to_string(), version))?;
    let check_at: Option<i64> = field(row, WHAT, "check_at")?;
    let check_error = field(row, WHAT, "check_error")?;
    let last_check = check_at.map(|at| Check { at, error: check_error });
    decode!(row, "connection" => Connection {
        name, kind, dialect, redacted, owner, created, updated; id; version; definition; last_check
    })
}

fn place(id: &str, version: i64) -> Place<'_> {
    Place { kind: WHAT, id, version }
}

fn seal(row: &Connection, key: &DataKey, env: &Env) -> Vec<u8> {
    key.seal(&row.definition, place(&row.id.to_string(), row.version), env)
}

pub(super) async fn list(db: &mut SqliteConnection, key: &DataKey) -> Result<Vec<Connection>> {
    all(db, query("SELECT * FROM connections ORDER BY name"), |row| connection(row, key)).await
}

pub(super) async fn list_after(
    db: &mut SqliteConnection,
    key: &DataKey,
    name: &str,
    limit: u32,
) -> Result<Vec<Connection>> {
    let page = query("SELECT * FROM connections WHERE name > ? ORDER BY name LIMIT ?").bind(name).bind(limit);
    all(db, page, |row| connection(row, key)).await
}

pub(super) async fn find(db: &mut SqliteConnection, key: &DataKey, name: &str) -> Result<Option<Connection>> {
    let find = query("SELECT * FROM connections WHERE name = ?").bind(name);
    one(db, find, |row| connection(row, key)).await
}

/// Binds every column in the order of both statements below, the id last.
fn bound<'q>(statement: &'static str, key: &DataKey, env: &Env, row: &'q Connection) -> Query<'q> {
    let check = row.last_check.as_ref();
    query(statement)
        .bind(&row.name)
        .bind(&row.kind)
        .bind(row.dialect.as_str())
        .bind(seal(row, key, env))
        .bind(&row.redacted)
        .bind(&row.owner)
        .bind(row.version)
        .bind(row.created)
        .bind(row.updated)
        .bind(check.map(|check| check.at))
        .bind(check.and_then(|check| check.error.clone()))
        .bind(row.id.0)
}

pub(super) async fn insert(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Connection) -> Result<()> {
    let insert = "INSERT INTO connections
             (name, kind, dialect, definition, redacted, owner, version, created, updated, check_at, check_error, id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    change(db, bound(insert, key, env, row), WHAT, &row.name).await
}

pub(super) async fn update(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Connection) -> Result<()> {
    let update = "UPDATE connections SET name = ?, kind = ?, dialect = ?, definition = ?, redacted = ?, owner = ?,
             version = ?, created = ?, updated = ?, check_at = ?, check_error = ?
         WHERE id = ? AND version = ?";
    let update = bound(update, key, env, row).bind(row.version.saturating_sub(1));
    match change(db, update, WHAT, &row.name).await {
        Err(Error::NotFound { what, name }) if exists(db, row.id).await? => Err(Error::Conflict { what, name }),
        outcome => outcome,
    }
}

async fn exists(db: &mut SqliteConnection, id: ConnectionId) -> Result<bool> {
    let find = query("SELECT 1 FROM connections WHERE id = ?").bind(id.0);
    Ok(one(db, find, |_| Ok(())).await?.is_some())
}

pub(super) async fn record_check(db: &mut SqliteConnection, id: ConnectionId, check: &Check) -> Result<()> {
    let update = query("UPDATE connections SET check_at = ?, check_error = ? WHERE id = ?")
        .bind(check.at)
        .bind(&check.error)
        .bind(id.0);
    change(db, update, WHAT, id).await
}

pub(super) async fn delete(db: &mut SqliteConnection, id: ConnectionId) -> Result<()> {
    change(db, query("DELETE FROM connections WHERE id = ?").bind(id.0), WHAT, id).await
}
