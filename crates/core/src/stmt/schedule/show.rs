//! `SHOW SCHEDULES`, `SHOW CREATE SCHEDULE`.

use arrow_schema::SchemaRef;
use lakeport_base::SqlType;
use lakeport_catalog::model::{OnFailure, OnRunning, Schedule};
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::backup::Backup;
use lakeport_sql::stmt::schedule::{
    CreateSchedule, FullCadence, ScheduleOptions, ShowCreateSchedules, ShowSchedules, Shown,
};
use serde_json::json;

use super::own;
use crate::error::Result;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::schedule::backup_of;
use crate::show::rows::{Cell, batch_of};
use crate::stmt::Cx;

pub(crate) fn columns() -> SchemaRef {
    schema_of(&[
        ("id", SqlType::Int8),
        ("label", SqlType::Text),
        ("schedule_status", SqlType::Text),
        ("next_run", SqlType::TimestampTz),
        ("state", SqlType::Text),
        ("recurrence", SqlType::Text),
        ("jobsrunning", SqlType::Int8),
        ("owner", SqlType::Text),
        ("created", SqlType::TimestampTz),
        ("on_previous_running", SqlType::Text),
        ("on_execution_failure", SqlType::Text),
        ("command", SqlType::Jsonb),
    ])
}

pub(crate) async fn show(cx: &Cx<'_>, statement: &ShowSchedules) -> Result<Outcome> {
    let schedules = match &statement.shown {
        Shown::One(id) => vec![own(cx, cx.server.config.catalog.read().await?.as_mut(), id).await?],
        _ => visible(cx).await?,
    };
    let is_shown = |schedule: &&Schedule| match statement.shown {
        Shown::Running => schedule.next_run.is_some(),
        Shown::Paused => schedule.next_run.is_none(),
        Shown::All | Shown::One(_) => true,
    };
    let rows = schedules.iter().filter(is_shown).map(row).collect::<Result<Vec<_>>>()?;
    Ok(Outcome::rows("SHOW SCHEDULES", batch_of(columns(), &rows)?))
}

/// The schedules that the user owns.
async fn visible(cx: &Cx<'_>) -> Result<Vec<Schedule>> {
    let mut schedules = cx.server.config.catalog.read().await?.schedules().await?;
    schedules.retain(|schedule| cx.subject().owns(&schedule.owner));
    Ok(schedules)
}

fn row(schedule: &Schedule) -> Result<Vec<Cell>> {
    let Schedule { id, label, owner, created, next_run, plan, run } = schedule;
    let on_running = match plan.on_running {
        OnRunning::Start => "NO_WAIT",
        OnRunning::Skip => "SKIP",
        OnRunning::Wait => "WAIT",
    };
    let on_failure = match plan.on_failure {
        OnFailure::Retry => "RETRY_SOON",
        OnFailure::Reschedule => "RETRY_SCHED",
        OnFailure::Pause => "PAUSE_SCHED",
    };
    let backup_type = if backup_of(schedule)?.chain.is_some() { "INCREMENTAL" } else { "FULL" };
    let command = json!({ "backup_statement": plan.statement, "backup_type": backup_type });
    Ok(row![
        id.0,
        label,
        if next_run.is_some() { "ACTIVE" } else { "PAUSED" },
        next_run.map_or(Cell::Null, Cell::Time),
        &run.state,
        &plan.recurrence,
        run.jobs.len() as i64,
        owner,
        Cell::Time(*created),
        on_running,
        on_failure,
        command.to_string(),
    ])
}

pub(crate) fn create_columns() -> SchemaRef {
    schema_of(&[("schedule_id", SqlType::Int8), ("create_statement", SqlType::Text)])
}

pub(crate) async fn show_create(cx: &Cx<'_>, statement: &ShowCreateSchedules) -> Result<Outcome> {
    let all = visible(cx).await?;
    let shown = match &statement.id {
        Some(id) => vec![own(cx, cx.server.config.catalog.read().await?.as_mut(), id).await?],
        // One statement makes both of a pair.
        None => all.iter().filter(|schedule| !is_second(schedule, &all)).cloned().collect(),
    };
    let rows = shown.iter().map(|schedule| {
        let partner = all.iter().find(|other| Some(other.id) == schedule.plan.partner);
        Ok(row![schedule.id.0, create_statement(schedule, partner)?.to_string()])
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Ok(Outcome::rows("SHOW CREATE SCHEDULE", batch_of(create_columns(), &rows)?))
}

/// Whether a schedule was made with another one that is listed.
fn is_second(schedule: &Schedule, all: &[Schedule]) -> bool {
    schedule.plan.partner.is_some_and(|id| id < schedule.id && all.iter().any(|other| other.id == id))
}

/// The statement that makes a schedule and its partner.
fn create_statement(schedule: &Schedule, partner: Option<&Schedule>) -> Result<CreateSchedule> {
    let text = |text: &str| Text::Literal(text.to_string());
    let mut backup = backup_of(schedule)?;
    // Backups of a schedule are so without saying it.
    backup.options.detached = false;
    let (full, incremental) = match partner {
        Some(full) if backup.chain.is_some() => (full, Some(schedule)),
        incremental => (schedule, incremental),
    };
    let full_backup = match incremental {
        Some(_) => FullCadence::Cron(text(&full.plan.recurrence)),
        None => FullCadence::Always,
    };
    Ok(CreateSchedule {
        label: Some(text(&schedule.label)),
        if_not_exists: false,
        backup: Backup { chain: None, ..backup },
        recurring: text(&incremental.unwrap_or(full).plan.recurrence),
        full_backup: Some(full_backup),
        options: ScheduleOptions {
            on_execution_failure: Some(text(full.plan.on_failure.as_str())),
            on_previous_running: Some(text(full.plan.on_running.as_str())),
            ignore_existing_backups: full.plan.ignores_existing,
            ..ScheduleOptions::default()
        },
    })
}
