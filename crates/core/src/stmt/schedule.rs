//! `CREATE | ALTER | PAUSE | RESUME | DROP SCHEDULE`.

mod create;
pub(crate) mod show;

use lakeport_base::Sqlstate;
use lakeport_base::id::ScheduleId;
use lakeport_catalog::Tx;
use lakeport_catalog::model::{OnFailure, OnRunning, Schedule};
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::schedule::{AlterSchedule, Control, ControlSchedules, ScheduleChange, ScheduleOptions};

pub(crate) use self::create::{columns, create};
use super::Cx;
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::schedule::{Recurrence, backup_of};

pub(crate) async fn control(cx: &Cx<'_>, statement: &ControlSchedules) -> Result<Outcome> {
    let mut tx = cx.server.config.catalog.write().await?;
    for text in &statement.ids {
        let mut schedule = own(cx, tx.as_mut(), text).await?;
        match statement.control {
            Control::Pause => schedule.next_run = None,
            Control::Resume => resume(&mut schedule, cx.now)?,
            Control::Drop => {
                drop(cx, tx.as_mut(), &schedule).await?;
                continue;
            }
        }
        tx.update_schedule(&schedule).await?;
    }
    cx.commit(tx).await?;
    Ok(Outcome::done(format!("{} SCHEDULES {}", statement.control, statement.ids.len())))
}

fn resume(schedule: &mut Schedule, now: i64) -> Result<()> {
    if schedule.next_run.is_none() {
        schedule.next_run = Some(Recurrence::parse(&schedule.plan.recurrence)?.after(now)?);
        schedule.run.state.clear();
    }
    Ok(())
}

/// Deletes a schedule. Incremental backups end with the full ones that they are added to.
async fn drop(cx: &Cx<'_>, tx: &mut dyn Tx, schedule: &Schedule) -> Result<()> {
    delete(cx, tx, schedule).await?;
    let Some(mut partner) = partner(tx, schedule).await? else { return Ok(()) };
    if backup_of(schedule)?.chain.is_some() {
        partner.plan.partner = None;
        partner.run.resumes_partner = false;
        return Ok(tx.update_schedule(&partner).await?);
    }
    cx.session.notice(Notice::new(format!("schedule {} of incremental backups is dropped too", partner.id)));
    delete(cx, tx, &partner).await
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

/// A label and options are for both schedules of a pair, a recurrence is for that of the incremental backups.
pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterSchedule) -> Result<Outcome> {
    let mut tx = cx.server.config.catalog.write().await?;
    let named = own(cx, tx.as_mut(), &statement.id).await?;
    let partner = partner(tx.as_mut(), &named).await?;
    let (id, is_pair) = (named.id, partner.is_some());
    for mut schedule in [Some(named), partner].into_iter().flatten() {
        let is_incremental = backup_of(&schedule)?.chain.is_some();
        for change in &statement.changes {
            match change {
                ScheduleChange::Label(label) => schedule.label = cx.string(label)?,
                ScheduleChange::Option(option) => set_option(cx, &mut schedule, option, is_incremental)?,
                ScheduleChange::Recurring(cron) if is_incremental || !is_pair => {
                    recur(&mut schedule, cx.string(cron)?, cx.now)?;
                }
                ScheduleChange::Execute if schedule.id == id => execute(&mut schedule, cx.now)?,
                ScheduleChange::Recurring(_) | ScheduleChange::Execute => {}
            }
        }
        tx.update_schedule(&schedule).await?;
    }
    cx.commit(tx).await?;
    Ok(Outcome::done("ALTER BACKUP SCHEDULE"))
}

fn execute(schedule: &mut Schedule, now: i64) -> Result<()> {
    if schedule.next_run.is_none() {
        let message = format!("schedule {} is paused", schedule.id);
        return Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_hint(format!("RESUME SCHEDULE {} first", schedule.id)));
    }
    schedule.next_run = Some(now);
    Ok(())
}

fn recur(schedule: &mut Schedule, cron: String, now: i64) -> Result<()> {
    let next = Recurrence::parse(&cron)?.after(now)?;
    schedule.plan.recurrence = cron;
    schedule.next_run = schedule.next_run.map(|_| next);
    Ok(())
}

fn set_option(cx: &Cx<'_>, schedule: &mut Schedule, option: &ScheduleOptions, is_incremental: bool) -> Result<()> {
    if option.retain.is_some() {
        return Err(Error::unsupported("retain of a schedule cannot be changed")
            .with_hint("DROP SCHEDULE, then CREATE SCHEDULE with another"));
    }
    if option.first_run.is_some() || option.ignore_existing_backups {
        return Err(Error::invalid("first_run and ignore_existing_backups are for CREATE SCHEDULE only"));
    }
    schedule.plan.on_failure = on_failure(cx, option)?.unwrap_or(schedule.plan.on_failure);
    let on_running = on_running(cx, option)?.filter(|_| !is_incremental);
    schedule.plan.on_running = on_running.unwrap_or(schedule.plan.on_running);
    Ok(())
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
    let id = id(cx, text)?;
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
