//! Audit events.

use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode};
use crate::error::Result;
use crate::model::AuditEvent;

fn event(row: &SqliteRow) -> Result<AuditEvent> {
    decode!(row, "event" => AuditEvent { at, user, event, object, detail })
}

pub(super) async fn insert(db: &mut SqliteConnection, row: &AuditEvent) -> Result<()> {
    let insert = query("INSERT INTO events (at, user, event, object, detail) VALUES (?, ?, ?, ?, ?)")
        .bind(row.at)
        .bind(&row.user)
        .bind(&row.event)
        .bind(&row.object)
        .bind(&row.detail);
    change(db, insert, "event", &row.event).await
}

pub(super) async fn newest(db: &mut SqliteConnection, limit: i64) -> Result<Vec<AuditEvent>> {
    // SQLite takes a negative limit for none.
    all(db, query("SELECT * FROM events ORDER BY id DESC LIMIT ?").bind(limit.max(0)), event).await
}
