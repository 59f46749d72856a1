//! `SHOW JOBS`, `SHOW JOB`, `PAUSE | RESUME | CANCEL JOB`.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use futures::TryStreamExt;
use lakeport_base::id::JobId;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Job;
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::job::{ControlJob, Jobs as Selection, ShowJob, ShowJobs};
use lakeport_sql::stmt::query::Query;

use super::Cx;
use crate::authz::Subject;
use crate::error::{Error, Result};
use crate::job::wait::missing;
use crate::job::{Jobs, NewJob, payload, state};
use crate::outcome::{Notice, Outcome};
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};

/// Finished jobs older than this are left out of plain SHOW JOBS, in microseconds.
const RECENT_MICROS: i64 = 12 * 3600 * 1_000_000;
/// Longest description in a list, in characters.
const DESCRIPTION_CHARS_MAX: usize = 100;

pub(crate) fn show_columns() -> SchemaRef {
    schema_of(&[
        ("job_id", SqlType::Int8),
        ("job_type", SqlType::Text),
        ("description", SqlType::Text),
        ("user_name", SqlType::Text),
        ("status", SqlType::Text),
        ("running_status", SqlType::Text),
        ("created", SqlType::TimestampTz),
        ("finished", SqlType::TimestampTz),
        ("modified", SqlType::TimestampTz),
        ("fraction_completed", SqlType::Float8),
        ("error", SqlType::Text),
        ("coordinator_id", SqlType::Int8),
    ])
}

/// The columns of a statement that makes a job.
pub(crate) fn run_columns(is_detached: bool) -> SchemaRef {
    if is_detached {
        return schema_of(&[("job_id", SqlType::Int8)]);
    }
    schema_of(&[
        ("job_id", SqlType::Int8),
        ("status", SqlType::Text),
        ("fraction_completed", SqlType::Float8),
        ("rows", SqlType::Int8),
        ("index_entries", SqlType::Int8),
        ("bytes", SqlType::Int8),
    ])
}

/// Makes a job and, unless detached, waits for its end.
pub(crate) async fn run(cx: &Cx<'_>, new: NewJob, tag: &'static str, is_detached: bool) -> Result<Outcome> {
    let row = if is_detached {
        if cx.session.open_block().is_some_and(|block| !block.implicit) {
            cx.session.notice(Notice::new("the job runs whatever becomes of the transaction"));
        }
        let id = cx.cancel.commit(cx.server.jobs.submit(cx.server, new, cx.session.schedule)).await?;
        row![id.0]
    } else {
        finished_row(&Jobs::run_to_end(cx.server, cx.session, new, &cx.cancel).await?)?
    };
    Ok(Outcome::rows(tag, batch_of(run_columns(is_detached), &[row])?))
}

fn finished_row(job: &Job) -> Result<Vec<Cell>> {
    let done = job.result.as_deref().map(payload::decode_done).transpose()?;
    let count = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let (rows, bytes) = (count(done.map(|done| done.rows)), count(done.map(|done| done.bytes)));
    Ok(row![job.id.0, job.state.as_str(), job.fraction, rows, 0_i64, bytes])
}

pub(crate) async fn show_jobs(cx: &Cx<'_>, statement: &ShowJobs) -> Result<Outcome> {
    let ids = match &statement.jobs {
        None => None,
        Some(selection) => Some(ids(cx, selection).await?),
    };
    if let (Some(ids), true) = (&ids, statement.when_complete) {
        wait_for(cx, ids).await?;
    }
    let mut jobs = visible(cx, ids.as_deref()).await?;
    if ids.is_none() {
        let oldest = cx.server.config.env.now_micros() - RECENT_MICROS;
        jobs.retain(|job| job.finished.is_none_or(|finished| finished >= oldest));
    }
    // The unfinished first, then by time, newest first.
    jobs.sort_by_key(|job| std::cmp::Reverse((job.finished.unwrap_or(i64::MAX), job.created)));
    let rows: Vec<_> = jobs.iter().map(|job| job_row(job, shortened(&job.description))).collect();
    Ok(Outcome::rows("SHOW JOBS", batch_of(show_columns(), &rows)?))
}

pub(crate) async fn show_job(cx: &Cx<'_>, statement: &ShowJob) -> Result<Outcome> {
    let id = id(cx, &statement.id)?;
    if statement.when_complete {
        wait_for(cx, &[id]).await?;
    }
    let jobs = visible(cx, Some(&[id])).await?;
    if jobs.is_empty() {
        return Err(missing(id));
    }
    let rows: Vec<_> = jobs.iter().map(|job| job_row(job, job.description.clone())).collect();
    Ok(Outcome::rows("SHOW JOB", batch_of(show_columns(), &rows)?))
}

pub(crate) async fn control(cx: &Cx<'_>, statement: &ControlJob) -> Result<Outcome> {
    let reason = statement.reason.as_ref().map(|reason| cx.string(reason)).transpose()?;
    let chosen = match &statement.jobs {
        Selection::AllOfType(_) => None,
        selection => Some(ids(cx, selection).await?),
    };
    let now = cx.server.config.env.now_micros();
    let mut tx = cx.server.config.catalog.write().await?;
    let jobs = match (&statement.jobs, chosen) {
        (_, Some(ids)) => {
            let mut jobs = Vec::with_capacity(ids.len());
            for id in ids {
                let job = tx.job(id).await?.ok_or_else(|| missing(id))?;
                require_control(cx.subject(), &job)?;
                jobs.push(job);
            }
            jobs
        }
        (Selection::AllOfType(ty), None) => {
            let jobs = tx.unfinished_jobs().await?.into_iter();
            let fits = |job: &Job| job.ty == *ty && state::requested(statement.control, job.state).is_ok();
            jobs.filter(|job| fits(job) && may_control(cx.subject(), job)).collect()
        }
        (_, None) => Vec::new(),
    };
    let count = jobs.len();
    for mut job in jobs {
        if state::request(&mut job, statement.control, reason.as_deref(), now)? {
            tx.update_job(&job).await?;
        }
    }
    cx.commit(tx).await?;
    cx.server.jobs.wake();
    Ok(Outcome::done(format!("{} JOBS {count}", statement.control)))
}

/// Waits for jobs the user may see; others, which SHOW leaves out, are not waited for.
async fn wait_for(cx: &Cx<'_>, ids: &[JobId]) -> Result<()> {
    for job in visible(cx, Some(ids)).await? {
        Jobs::until(cx.server, cx.session, job.id, |job| job.state.is_final()).await?;
    }
    Ok(())
}

/// The jobs of these ids, or all, that the user may see.
async fn visible(cx: &Cx<'_>, ids: Option<&[JobId]>) -> Result<Vec<Job>> {
    let mut tx = cx.server.config.catalog.read().await?;
    let mut jobs = Vec::new();
    match ids {
        None => jobs = tx.jobs().await?,
        Some(ids) => {
            for id in ids {
                jobs.extend(tx.job(*id).await?);
            }
        }
    }
    let subject = cx.subject();
    let sees_all = ["VIEWJOB", "CONTROLJOB"].iter().any(|privilege| subject.has_system(privilege));
    jobs.retain(|job| sees_all || subject.owns(&job.owner));
    Ok(jobs)
}

fn may_control(subject: Subject<'_>, job: &Job) -> bool {
    let controls = subject.has_system("CONTROLJOB") && !subject.directory.is_admin(&job.owner);
    subject.owns(&job.owner) || controls
}

fn require_control(subject: Subject<'_>, job: &Job) -> Result<()> {
    if may_control(subject, job) {
        return Ok(());
    }
    Err(Error::denied(format!("user {} does not have privileges for job {}", subject.user, job.id)))
}

fn id(cx: &Cx<'_>, text: &Text) -> Result<JobId> {
    let text = cx.string(text)?;
    text.trim().parse().map(JobId).map_err(|_| {
        Error::new(Sqlstate::INVALID_TEXT_REPRESENTATION, format!("invalid job id {text:?}"))
            .with_hint("a job id is a whole number; SHOW JOBS lists them")
    })
}

/// The chosen ids, each once.
async fn ids(cx: &Cx<'_>, selection: &Selection) -> Result<Vec<JobId>> {
    let mut ids = match selection {
        Selection::Ids(texts) => texts.iter().map(|text| id(cx, text)).collect::<Result<Vec<_>>>()?,
        Selection::Select(query) => selected(cx, query, "job").await?.into_iter().map(JobId).collect(),
        Selection::AllOfType(ty) => {
            let jobs = visible(cx, None).await?;
            jobs.into_iter().filter(|job| job.ty == *ty).map(|job| job.id).collect()
        }
    };
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The one column of a query as ids of something.
pub(super) async fn selected(cx: &Cx<'_>, query: &Query, what: &str) -> Result<Vec<i64>> {
    let message = format!("the query must have one column of {what} ids (INT8)");
    let wrong = || Error::new(Sqlstate::DATATYPE_MISMATCH, message.clone());
    let rows = super::query::rows(cx, query).await?;
    if rows.schema.fields().len() != 1 || !rows.schema.field(0).data_type().is_integer() {
        return Err(wrong());
    }
    let batches: Vec<_> = rows.batches.try_collect().await?;
    let mut ids = Vec::new();
    for batch in batches {
        let column = cast(batch.column(0), &DataType::Int64).map_err(|_| wrong())?;
        ids.extend(column.as_primitive::<Int64Type>().iter().flatten());
    }
    Ok(ids)
}

fn job_row(job: &Job, description: String) -> Vec<Cell> {
    let time = |at: Option<i64>| at.map_or(Cell::Null, Cell::Time);
    row![
        job.id.0,
        &job.ty,
        description,
        &job.owner,
        job.state.as_str(),
        job.running_status.clone(),
        time(Some(job.created)),
        time(job.finished),
        time(Some(job.modified)),
        job.fraction,
        job.error.as_deref().unwrap_or_default(),
        job.lease.map(|lease| lease.node),
    ]
}

fn shortened(description: &str) -> String {
    match description.char_indices().nth(DESCRIPTION_CHARS_MAX) {
        Some(_) => description.chars().take(DESCRIPTION_CHARS_MAX - 3).chain("...".chars()).collect(),
        None => description.to_string(),
    }
}
