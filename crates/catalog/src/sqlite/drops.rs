//! When something was last dropped.

use lakeport_base::id::DatabaseId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::grant::{columns, object_of};
use super::row::{all, decode};
use crate::error::Result;
use crate::model::{LastDrop, Object};

fn drop(row: &SqliteRow) -> Result<LastDrop> {
    let object = object_of(row, "drop")?;
    decode!(row, "drop" => LastDrop { at; object })
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<LastDrop>> {
    all(db, query("SELECT * FROM drops ORDER BY object_kind, object_id"), drop).await
}

pub(super) async fn record(db: &mut SqliteConnection, LastDrop { object, at }: LastDrop) -> Result<()> {
    let (kind, id) = columns(object);
    let put = query(
        "INSERT INTO drops (object_kind, object_id, at) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
    );
    put.bind(kind).bind(id).bind(at).execute(db).await?;
    Ok(())
}

pub(super) async fn forget(db: &mut SqliteConnection, id: DatabaseId) -> Result<()> {
    let (kind, id) = columns(Object::Database(id));
    query("DELETE FROM drops WHERE object_kind = ? AND object_id = ?").bind(kind).bind(id).execute(db).await?;
    Ok(())
}
