//! Schedules.

use lakeport_base::id::ScheduleId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{Query, all, change, decode, field, one};
use crate::error::Result;
use crate::model::{Schedule, SchedulePlan, ScheduleRun};
use crate::stored::Shape;

const WHAT: &str = "schedule";

fn schedule(row: &SqliteRow) -> Result<Schedule> {
    let plan = SchedulePlan::decode(&field::<String>(row, WHAT, "plan")?)?;
    let run = ScheduleRun::decode(&field::<String>(row, WHAT, "run")?)?;
    decode!(row, "schedule" => Schedule { id, label, owner, created, next_run; plan; run })
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<Schedule>> {
    all(db, query("SELECT * FROM schedules ORDER BY id"), schedule).await
}

pub(super) async fn due(db: &mut SqliteConnection, now: i64) -> Result<Vec<Schedule>> {
    let due = query("SELECT * FROM schedules WHERE busy OR next_run <= ? ORDER BY next_run, id");
    all(db, due.bind(now), schedule).await
}

pub(super) async fn get(db: &mut SqliteConnection, id: ScheduleId) -> Result<Option<Schedule>> {
    one(db, query("SELECT * FROM schedules WHERE id = ?").bind(id.0), schedule).await
}

/// Binds every column in the order of both statements below, the id last.
fn bound<'q>(statement: &'static str, row: &'q Schedule) -> Result<Query<'q>> {
    Ok(query(statement)
        .bind(&row.label)
        .bind(&row.owner)
        .bind(row.created)
        .bind(row.next_run)
        .bind(row.run.is_busy())
        .bind(row.plan.encode()?)
        .bind(row.run.encode()?)
        .bind(row.id.0))
}

pub(super) async fn insert(db: &mut SqliteConnection, row: &Schedule) -> Result<()> {
    let insert = "INSERT INTO schedules (label, owner, created, next_run, busy, plan, run, id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    change(db, bound(insert, row)?, WHAT, row.id).await
}

pub(super) async fn update(db: &mut SqliteConnection, row: &Schedule) -> Result<()> {
    let update = "UPDATE schedules SET label = ?, owner = ?, created = ?, next_run = ?, busy = ?, plan = ?, run = ?
         WHERE id = ?";
    change(db, bound(update, row)?, WHAT, row.id).await
}

pub(super) async fn delete(db: &mut SqliteConnection, id: ScheduleId) -> Result<()> {
    change(db, query("DELETE FROM schedules WHERE id = ?").bind(id.0), WHAT, id).await
}
