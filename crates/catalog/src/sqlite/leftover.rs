//! Folders of tables that the catalog does not know.

use lakeport_base::id::TableId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode};
use crate::error::Result;
use crate::model::Leftover;

fn leftover(row: &SqliteRow) -> Result<Leftover> {
    decode!(row, "leftover" => Leftover { id, database, owner, location })
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<Leftover>> {
    all(db, query("SELECT * FROM leftovers ORDER BY id"), leftover).await
}

pub(super) async fn insert(db: &mut SqliteConnection, row: &Leftover) -> Result<()> {
    let insert = query("INSERT INTO leftovers (id, database, owner, location) VALUES (?, ?, ?, ?)")
        .bind(row.id.0)
        .bind(row.database.0)
        .bind(&row.owner)
        .bind(&row.location);
    change(db, insert, "leftover", row.id).await
}

pub(super) async fn delete(db: &mut SqliteConnection, id: TableId) -> Result<()> {
    change(db, query("DELETE FROM leftovers WHERE id = ?").bind(id.0), "leftover", id).await
}
