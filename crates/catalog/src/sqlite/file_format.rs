//! File formats.

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode, field, one};
use crate::error::Result;
use crate::model::{FileFormat, FormatOptions};
use crate::stored::Shape;

const WHAT: &str = "file format";

fn file_format(row: &SqliteRow) -> Result<FileFormat> {
    let options = FormatOptions::decode(&field::<String>(row, WHAT, "options")?)?;
    decode!(row, "file format" => FileFormat { name, owner, created; options })
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<FileFormat>> {
    all(db, query("SELECT * FROM file_formats ORDER BY name"), file_format).await
}

pub(super) async fn find(db: &mut SqliteConnection, name: &str) -> Result<Option<FileFormat>> {
    one(db, query("SELECT * FROM file_formats WHERE name = ?").bind(name), file_format).await
}

pub(super) async fn put(db: &mut SqliteConnection, row: &FileFormat) -> Result<()> {
    let put = query(
        "INSERT INTO file_formats (name, options, owner, created) VALUES (?, ?, ?, ?)
         ON CONFLICT (name) DO UPDATE SET options = excluded.options, owner = excluded.owner, created = excluded.created",
    );
    let put = put.bind(&row.name).bind(row.options.encode()?).bind(&row.owner).bind(row.created);
    change(db, put, WHAT, &row.name).await
}

pub(super) async fn delete(db: &mut SqliteConnection, name: &str) -> Result<()> {
    change(db, query("DELETE FROM file_formats WHERE name = ?").bind(name), WHAT, name).await
}
