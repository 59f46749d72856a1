//! `CREATE | ALTER | PAUSE | RESUME | DROP SCHEDULE`.

mod alter;
mod create;
pub(crate) mod show;

use std::collections::HashSet;

use lakeport_base::Sqlstate;
use lakeport_base::id::ScheduleId;
use lakeport_base::name::fault_of;
use lakeport_catalog::Tx;
use lakeport_catalog::model::{OnFailure, OnRunning, Schedule};
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::schedule::{Control, ControlSchedules, ScheduleOptions, Schedules};

pub(crate) use self::alter::alter;
pub(crate) use self::create::{columns, create, is_storable};
use super::{Cx, job};
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::schedule::{Recurrence, backup_of};

pub(crate) async fn control(cx: &Cx<'_>, statement: &ControlSchedules) -> Result<Outcome> {
    let ids = ids(cx, &statement.schedules).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    let mut dropped = HashSet::new();
    for id in &ids {
        // With the full backups end the incremental ones, which may be named too.
        if dropped.contains(id) {
            continue;
        }
        let mut schedule = owned(cx, tx.as_mut(), *id).await?;
        match statement.control {
            Control::Pause => schedule.next_run = None,
            Control::Resume => resume(&mut schedule, cx.now)?,
            Control::Drop => {
                dropped.extend(drop(cx, tx.as_mut(), &schedule, &ids).await?);
                continue;
            }
        }
        tx.update_schedule(&schedule).await?;
    }
    cx.commit(tx).await?;
    Ok(Outcome::done(format!("{} SCHEDULES {}", statement.control, ids.len())))
}

/// The chosen ids, each once.
async fn ids(cx: &Cx<'_>, schedules: &Schedules) -> Result<Vec<ScheduleId>> {
    let mut ids: Vec<ScheduleId> = match schedules {
        Schedules::Ids(texts) => texts.iter().map(|text| id(cx, text)).collect::<Result<_>>()?,
        Schedules::Select(query) => job::selected(cx, query, "schedule").await?.into_iter().map(ScheduleId).collect(),
    };
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The label that a statement gives.
///
/// # Errors
/// 42602 for what is no name.
fn label(cx: &Cx<'_>, text: &Text) -> Result<String> {
    let label = cx.string(text)?;
    match fault_of(&label) {
        None => Ok(label),
        Some(fault) => Err(Error::new(Sqlstate::INVALID_NAME, format!("label of a schedule: {fault}"))),
    }
}

fn resume(schedule: &mut Schedule, now: i64) -> Result<()> {
    if schedule.next_run.is_none() {
        schedule.next_run = Some(Recurrence::parse(&schedule.plan.recurrence)?.after(now)?);
        schedule.run.state.clear();
    }
    Ok(())
}

/// Deletes a schedule. Incremental backups end with the full ones that they are added to; then answers their schedule.
async fn drop(cx: &Cx<'_>, tx: &mut dyn Tx, schedule: &Schedule, named: &[ScheduleId]) -> Result<Option<ScheduleId>> {
    delete(cx, tx, schedule).await?;
    let Some(mut partner) = partner(tx, schedule).await? else { return Ok(None) };
    if backup_of(schedule)?.chain.is_some() {
        partner.plan.partner = None;
        partner.run.resumes_partner = false;
        tx.update_schedule(&partner).await?;
        return Ok(None);
    }
    if !named.contains(&partner.id) {
        cx.session.notice(Notice::new(format!("schedule {} of incremental backups is dropped too", partner.id)));
    }
    delete(cx, tx, &partner).await?;
    Ok(Some(partner.id))
}

async fn delete(cx: &Cx<'_>, tx: &mut dyn Tx, schedule: &Schedule) -> Result<()> {
    tx.delete_schedule(schedule.id).await?;
    let event = cx.server.audit_event(&cx.session.user, "drop_schedule", &schedule.id.to_string(), &schedule.label);
    Ok(tx.insert_event(&event).await?)
}

async fn partner(tx: &mut dyn Tx, schedule: &Schedule) -> Result<Option<Schedule>> {
    match schedule.plan.partner {
        Some(id) => Ok(tx.schedule(id).await?),
        None => Ok(None),
    }
}

fn on_failure(cx: &Cx<'_>, options: &ScheduleOptions) -> Result<Option<OnFailure>> {
    let Some(text) = &options.on_execution_failure else { return Ok(None) };
    let word = cx.string(text)?;
    OnFailure::parse(&word).map(Some).ok_or_else(|| {
        Error::invalid(format!("invalid value for on_execution_failure: {word:?}"))
            .with_hint("retry, reschedule or pause")
    })
}

fn on_running(cx: &Cx<'_>, options: &ScheduleOptions) -> Result<Option<OnRunning>> {
    let Some(text) = &options.on_previous_running else { return Ok(None) };
    let word = cx.string(text)?;
    OnRunning::parse(&word).map(Some).ok_or_else(|| {
        Error::invalid(format!("invalid value for on_previous_running: {word:?}")).with_hint("start, skip or wait")
    })
}

/// A schedule that the user owns.
async fn own(cx: &Cx<'_>, tx: &mut dyn Tx, text: &Text) -> Result<Schedule> {
    owned(cx, tx, id(cx, text)?).await
}

async fn owned(cx: &Cx<'_>, tx: &mut dyn Tx, id: ScheduleId) -> Result<Schedule> {
    let schedule = tx.schedule(id).await?.ok_or_else(|| missing(id))?;
    if cx.subject().owns(&schedule.owner) {
        return Ok(schedule);
    }
    // As if it did not exist: whose it is concerns nobody else.
    Err(missing(id))
}

fn id(cx: &Cx<'_>, text: &Text) -> Result<ScheduleId> {
    let text = cx.string(text)?;
    text.trim().parse().map(ScheduleId).map_err(|_| {
        Error::new(Sqlstate::INVALID_TEXT_REPRESENTATION, format!("invalid schedule id {text:?}"))
            .with_hint("a schedule id is a whole number; SHOW SCHEDULES lists them")
    })
}

fn missing(id: ScheduleId) -> Error {
    Error::new(Sqlstate::UNDEFINED_OBJECT, format!("schedule with ID {id} does not exist"))
        .with_hint("SHOW SCHEDULES lists the schedules you may see")
}
