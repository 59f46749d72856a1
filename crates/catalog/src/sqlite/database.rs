//! Databases and their schemas.

use lakeport_base::id::{DatabaseId, SchemaId};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode, one};
use crate::error::Result;
use crate::model::{Database, Schema};

fn database(row: &SqliteRow) -> Result<Database> {
    decode!(row, "database" => Database { id, name, owner, location, comment, created })
}

fn schema(row: &SqliteRow) -> Result<Schema> {
    decode!(row, "schema" => Schema { id, database, name, owner })
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<Database>> {
    all(db, query("SELECT * FROM databases ORDER BY name"), database).await
}

pub(super) async fn find(db: &mut SqliteConnection, name: &str) -> Result<Option<Database>> {
    one(db, query("SELECT * FROM databases WHERE name = ?").bind(name), database).await
}

pub(super) async fn insert(db: &mut SqliteConnection, row: &Database) -> Result<()> {
    let insert = query("INSERT INTO databases (id, name, owner, location, comment, created) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(row.id.0)
        .bind(&row.name)
        .bind(&row.owner)
        .bind(&row.location)
        .bind(&row.comment)
        .bind(row.created);
    change(db, insert, "database", &row.name).await
}

pub(super) async fn update(db: &mut SqliteConnection, row: &Database) -> Result<()> {
    let update = query("UPDATE databases SET name = ?, owner = ?, location = ?, comment = ?, created = ? WHERE id = ?")
        .bind(&row.name)
        .bind(&row.owner)
        .bind(&row.location)
        .bind(&row.comment)
        .bind(row.created)
        .bind(row.id.0);
    change(db, update, "database", &row.name).await
}

pub(super) async fn delete(db: &mut SqliteConnection, id: DatabaseId) -> Result<()> {
    change(db, query("DELETE FROM databases WHERE id = ?").bind(id.0), "database", id).await
}

pub(super) async fn list_schemas(db: &mut SqliteConnection, id: DatabaseId) -> Result<Vec<Schema>> {
    all(db, query("SELECT * FROM schemas WHERE database = ? ORDER BY name").bind(id.0), schema).await
}

pub(super) async fn find_schema(db: &mut SqliteConnection, id: DatabaseId, name: &str) -> Result<Option<Schema>> {
    let find = query("SELECT * FROM schemas WHERE database = ? AND name = ?").bind(id.0).bind(name);
    one(db, find, schema).await
}

pub(super) async fn insert_schema(db: &mut SqliteConnection, row: &Schema) -> Result<()> {
    let insert = query("INSERT INTO schemas (id, database, name, owner) VALUES (?, ?, ?, ?)")
        .bind(row.id.0)
        .bind(row.database.0)
        .bind(&row.name)
        .bind(&row.owner);
    change(db, insert, "schema", &row.name).await
}

pub(super) async fn delete_schema(db: &mut SqliteConnection, id: SchemaId) -> Result<()> {
    change(db, query("DELETE FROM schemas WHERE id = ?").bind(id.0), "schema", id).await
}
