//! Runs the schedules of one server.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use lakeport_base::Point;
use lakeport_base::id::{JobId, ScheduleId};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Job, JobState, Schedule};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::life::{self, End};
use super::{Recurrence, backup_of};
use crate::error::{Error, Result};
use crate::server::Server;
use crate::session::{Session, Startup};
use crate::variable::{NO_ROLE, ROLE};

/// How often the rows are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Statements that may start their jobs at once; others wait for the next look.
const STARTING_MAX: usize = 8;

/// The schedules of one server, at work.
pub struct Scheduler {
    server: Arc<Server>,
    starting: JoinSet<()>,
    /// What is starting now, by task.
    ids: HashMap<tokio::task::Id, ScheduleId>,
}

/// How the jobs of a schedule ended that were running when it was last looked at.
type Ends = Vec<(JobId, End)>;

impl Scheduler {
    fn new(server: Arc<Server>) -> Scheduler {
        Scheduler { server, starting: JoinSet::new(), ids: HashMap::new() }
    }

    /// Runs schedules until `shutdown` fires, and returns when the last statement has started its job.
    pub async fn run(server: Arc<Server>, shutdown: CancellationToken) {
        let mut scheduler = Scheduler::new(server);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(LOOK_PERIOD) => {}
            }
            // A defect that one schedule meets must not end the runs of all others.
            match AssertUnwindSafe(scheduler.look()).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "schedules not looked at"),
                Err(_) => tracing::error!("looking at the schedules panicked"),
            }
        }
        while scheduler.starting.join_next().await.is_some() {}
    }

    /// Sees to every schedule that is due or has jobs.
    async fn look(&mut self) -> Result<()> {
        while let Some(ended) = self.starting.try_join_next_with_id() {
            let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
            self.ids.remove(&task);
        }
        let now = self.server.config.env.now_micros();
        let due = self.server.config.catalog.read().await?.due_schedules(now).await?;
        for schedule in due {
            if self.starting.len() >= STARTING_MAX {
                return Ok(());
            }
            if self.ids.values().any(|id| *id == schedule.id) {
                continue;
            }
            if let Err(error) = self.see_to(&schedule, now).await {
                tracing::warn!(schedule = schedule.id.0, %error, "schedule not seen to");
            }
        }
        Ok(())
    }

    async fn see_to(&mut self, found: &Schedule, now: i64) -> Result<()> {
        let ends = self.ends(found).await?;
        let mut foreseen = found.clone();
        let would_begin = advance(&mut foreseen, &ends, now)?;
        if foreseen == *found && !would_begin {
            return Ok(());
        }
        let mut tx = self.server.config.catalog.write().await?;
        let Some(mut schedule) = tx.schedule(found.id).await? else { return Ok(()) };
        let begins = advance(&mut schedule, &ends, now)?;
        if ends.iter().any(|(_, end)| matches!(end, End::Succeeded)) {
            resume_partner(tx.as_mut(), &mut schedule, now).await?;
        }
        tx.update_schedule(&schedule).await?;
        self.server.config.env.fault(Point::ScheduleBegin)?;
        tx.commit().await?;
        ends.iter().for_each(|(_, end)| self.server.schedule_runs.add(end));
        if begins {
            let id = schedule.id;
            let task = self.starting.spawn(start(self.server.clone(), schedule));
            self.ids.insert(task.id(), id);
        }
        Ok(())
    }

    /// The jobs of a schedule that have ended.
    async fn ends(&self, schedule: &Schedule) -> Result<Ends> {
        let mut ends = Vec::new();
        if schedule.run.jobs.is_empty() {
            return Ok(ends);
        }
        let mut tx = self.server.config.catalog.read().await?;
        for id in &schedule.run.jobs {
            match tx.job(*id).await? {
                Some(job) if !job.state.is_final() => {}
                Some(job) => ends.push((*id, end_of(job))),
                None => ends.push((*id, End::Failed(format!("job {id} ended, and is forgotten")))),
            }
        }
        Ok(ends)
    }
}

fn end_of(job: Job) -> End {
    match job.state {
        JobState::Succeeded => End::Succeeded,
        _ => End::Failed(job.error.unwrap_or_else(|| format!("job {} was canceled", job.id))),
    }
}

/// Notes the ends of jobs, then begins a run if it is time; answers whether it did.
fn advance(schedule: &mut Schedule, ends: &Ends, now: i64) -> Result<bool> {
    for (job, end) in ends {
        if schedule.run.jobs.contains(job) {
            life::settle(schedule, *job, end.clone(), now);
        }
    }
    life::begin(schedule, now)
}

/// Lets incremental backups begin after the first full one.
async fn resume_partner(tx: &mut dyn Tx, schedule: &mut Schedule, now: i64) -> Result<()> {
    if !std::mem::take(&mut schedule.run.resumes_partner) {
        return Ok(());
    }
    let Some(id) = schedule.plan.partner else { return Ok(()) };
    if let Some(mut partner) = tx.schedule(id).await?.filter(|partner| partner.next_run.is_none()) {
        partner.next_run = Some(Recurrence::parse(&partner.plan.recurrence)?.after(now)?);
        partner.run.state.clear();
        tx.update_schedule(&partner).await?;
    }
    Ok(())
}

/// Executes the statement of a schedule, which notes its job; else notes why there is none.
async fn start(server: Arc<Server>, schedule: Schedule) {
    let Err(error) = execute(&server, &schedule).await else { return };
    tracing::info!(schedule = schedule.id.0, %error, source = ?std::error::Error::source(&error), "scheduled run failed");
    let why = error.message().to_string();
    server.schedule_runs.add(&End::Failed(why.clone()));
    let noted = async {
        let mut tx = server.config.catalog.write().await?;
        // It may have been dropped meanwhile.
        let Some(mut schedule) = tx.schedule(schedule.id).await? else { return Ok(()) };
        life::not_started(&mut schedule, why, server.config.env.now_micros());
        tx.update_schedule(&schedule).await?;
        tx.commit().await
    };
    if let Err(error) = noted.await {
        tracing::error!(schedule = schedule.id.0, %error, "failure of a scheduled run not noted: it will be made again");
    }
}

/// Runs the statement in a session of its owner.
async fn execute(server: &Arc<Server>, schedule: &Schedule) -> Result<()> {
    backup_of(schedule)?;
    server.config.env.fault(Point::ScheduleBegun)?;
    // A default role would make jobs of its own.
    let as_owner = (ROLE.name.to_string(), NO_ROLE.to_string());
    let startup = Startup {
        user: schedule.owner.clone(),
        database: None,
        parameters: schedule.plan.variables.iter().cloned().chain([as_owner]).collect(),
        client_addr: ([127, 0, 0, 1], 0).into(),
        secure: true,
        schedule: Some(schedule.id),
    };
    let (session, _events) = server.open_session(startup).await?;
    let done = run_in(&session, &schedule.plan.statement).await;
    session.close().await;
    done?;
    Ok(server.config.env.fault(Point::ScheduleStarted)?)
}

/// Executes a statement; its answer tells nothing new.
async fn run_in(session: &Session, statement: &str) -> Result<()> {
    let none = || Error::internal("a schedule has no statement");
    let parsed = session.parse(statement).await?.pop().ok_or_else(none)?;
    session.execute(&parsed, &[]).await.map(drop)
}

#[cfg(test)]
mod tests;
