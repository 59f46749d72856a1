//! Grants.

use lakeport_base::id::{ConnectionId, DatabaseId, SchemaId, StageId, TableId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode, field};
use crate::error::{Error, Result};
use crate::model::{Grant, Object};

fn grant(row: &SqliteRow) -> Result<Grant> {
    let object = object_of(row, "grant")?;
    decode!(row, "grant" => Grant { grantee, privilege, grant_option; object })
}

/// The object that a row of something is about.
pub(super) fn object_of(row: &SqliteRow, what: &'static str) -> Result<Object> {
    let kind: String = field(row, what, "object_kind")?;
    let id: i64 = field(row, what, "object_id")?;
    Ok(match kind.as_str() {
        "system" => Object::System,
        "connection" => Object::Connection(ConnectionId(id)),
        "database" => Object::Database(DatabaseId(id)),
        "schema" => Object::Schema(SchemaId(id)),
        "table" => Object::Table(TableId(id)),
        "stage" => Object::Stage(StageId(id)),
        _ => return Err(Error::Corrupt { what, detail: format!("unknown object kind {kind:?}") }),
    })
}

/// An object as stored: its kind and its id.
pub(super) fn columns(object: Object) -> (&'static str, i64) {
    match object {
        Object::System => ("system", 0),
        Object::Connection(id) => ("connection", id.0),
        Object::Database(id) => ("database", id.0),
        Object::Schema(id) => ("schema", id.0),
        Object::Table(id) => ("table", id.0),
        Object::Stage(id) => ("stage", id.0),
    }
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<Grant>> {
    all(db, query("SELECT * FROM grants ORDER BY object_kind, object_id, grantee, privilege"), grant).await
}

pub(super) async fn list_beside_connections(db: &mut SqliteConnection) -> Result<Vec<Grant>> {
    // The kinds are named, so that the table's key finds their rows without a look at the others.
    let list = query(
        "SELECT * FROM grants WHERE object_kind IN ('system', 'database', 'schema', 'table', 'stage')
         OR object_kind = 'connection' AND object_id = 0
         ORDER BY object_kind, object_id, grantee, privilege",
    );
    all(db, list, grant).await
}

pub(super) async fn list_on(db: &mut SqliteConnection, object: Object) -> Result<Vec<Grant>> {
    let (kind, id) = columns(object);
    let list = query("SELECT * FROM grants WHERE object_kind = ? AND object_id = ? ORDER BY grantee, privilege");
    all(db, list.bind(kind).bind(id), grant).await
}

pub(super) async fn put(db: &mut SqliteConnection, row: &Grant) -> Result<()> {
    let (kind, id) = columns(row.object);
    let put = query(
        "INSERT INTO grants (object_kind, object_id, grantee, privilege, grant_option) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (object_kind, object_id, grantee, privilege)
         DO UPDATE SET grant_option = excluded.grant_option",
    )
    .bind(kind)
    .bind(id)
    .bind(&row.grantee)
    .bind(&row.privilege)
    .bind(row.grant_option);
    change(db, put, "grant", &row.privilege).await
}

pub(super) async fn delete(db: &mut SqliteConnection, object: Object, grantee: &str, privilege: &str) -> Result<()> {
    let (kind, id) = columns(object);
    let delete = query("DELETE FROM grants WHERE object_kind = ? AND object_id = ? AND grantee = ? AND privilege = ?")
        .bind(kind)
        .bind(id)
        .bind(grantee)
        .bind(privilege);
    change(db, delete, "grant", privilege).await
}

pub(super) async fn delete_on(db: &mut SqliteConnection, object: Object) -> Result<()> {
    let (kind, id) = columns(object);
    let delete = query("DELETE FROM grants WHERE object_kind = ? AND object_id = ?").bind(kind).bind(id);
    delete.execute(db).await?;
    Ok(())
}
