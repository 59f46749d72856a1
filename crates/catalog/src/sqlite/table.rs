//! Tables.

use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode, field, one};
use crate::error::{Error, Result};
use crate::model::Table;
use crate::stored::{Shape, TableShape};

fn table(row: &SqliteRow) -> Result<Table> {
    let TableShape { columns, primary_key } = TableShape::decode(&field::<String>(row, "table", "shape")?)?;
    decode!(row, "table" => Table { id, schema, database, name, owner, version, comment, created; columns; primary_key })
}

fn shape(row: &Table) -> Result<String> {
    TableShape { columns: row.columns.clone(), primary_key: row.primary_key.clone() }.encode()
}

pub(super) async fn list(db: &mut SqliteConnection, database: DatabaseId) -> Result<Vec<Table>> {
    let list = query(
        "SELECT tables.* FROM tables JOIN schemas ON schemas.id = tables.schema
         WHERE tables.database = ? ORDER BY schemas.name, tables.name",
    );
    all(db, list.bind(database.0), table).await
}

pub(super) async fn find(db: &mut SqliteConnection, schema: SchemaId, name: &str) -> Result<Option<Table>> {
    one(db, query("SELECT * FROM tables WHERE schema = ? AND name = ?").bind(schema.0).bind(name), table).await
}

pub(super) async fn get(db: &mut SqliteConnection, id: TableId) -> Result<Option<Table>> {
    one(db, query("SELECT * FROM tables WHERE id = ?").bind(id.0), table).await
}

pub(super) async fn insert(db: &mut SqliteConnection, row: &Table) -> Result<()> {
    let insert = query(
        "INSERT INTO tables (id, schema, database, name, owner, version, shape, comment, created)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id.0)
    .bind(row.schema.0)
    .bind(row.database.0)
    .bind(&row.name)
    .bind(&row.owner)
    .bind(row.version)
    .bind(shape(row)?)
    .bind(&row.comment)
    .bind(row.created);
    change(db, insert, "table", &row.name).await
}

pub(super) async fn update(db: &mut SqliteConnection, row: &Table) -> Result<()> {
    let update = query(
        "UPDATE tables SET schema = ?, database = ?, name = ?, owner = ?, version = ?, shape = ?, comment = ?, created = ?
         WHERE id = ? AND version = ?",
    )
    .bind(row.schema.0)
    .bind(row.database.0)
    .bind(&row.name)
    .bind(&row.owner)
    .bind(row.version)
    .bind(shape(row)?)
    .bind(&row.comment)
    .bind(row.created)
    .bind(row.id.0)
    .bind(row.version.saturating_sub(1));
    match change(db, update, "table", &row.name).await {
        Err(Error::NotFound { what, name }) if get(db, row.id).await?.is_some() => Err(Error::Conflict { what, name }),
        outcome => outcome,
    }
}

pub(super) async fn delete(db: &mut SqliteConnection, id: TableId) -> Result<()> {
    change(db, query("DELETE FROM tables WHERE id = ?").bind(id.0), "table", id).await
}
