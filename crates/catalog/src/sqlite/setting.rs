//! Cluster settings.

use sqlx::{SqliteConnection, query};

use super::row::{all, change, field};
use crate::error::Result;

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<(String, String)>> {
    let list = query("SELECT * FROM settings ORDER BY name");
    all(db, list, |row| Ok((field(row, "setting", "name")?, field(row, "setting", "value")?))).await
}

pub(super) async fn put(db: &mut SqliteConnection, name: &str, value: &str) -> Result<()> {
    let put = query(
        "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
    change(db, put.bind(name).bind(value), "setting", name).await
}

pub(super) async fn delete(db: &mut SqliteConnection, name: &str) -> Result<()> {
    change(db, query("DELETE FROM settings WHERE name = ?").bind(name), "setting", name).await
}
