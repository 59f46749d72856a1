//! `SHOW JOBS`, `SHOW JOB`, `PAUSE | RESUME | CANCEL JOB`.

use std::fmt;

use sqlparser::tokenizer::Token;

use super::query::{self, Query};
use super::{Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// Which jobs a statement speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum Jobs {
    /// One or more ids, each a literal or `$n`.
    Ids(Vec<Text>),
    /// A query whose first column is job ids.
    Select(Box<Query>),
    /// `ALL {BACKUP | CHANGEFEED | RESTORE | IMPORT} JOBS`, upper case.
    AllOfType(String),
}

/// `SHOW [AUTOMATIC] JOBS`, `SHOW JOBS select`, `SHOW JOBS WHEN COMPLETE select`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowJobs {
    /// `None` is all.
    pub jobs: Option<Jobs>,
    pub when_complete: bool,
}

/// `SHOW JOB id`, `SHOW JOB WHEN COMPLETE id`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowJob {
    pub id: Text,
    pub when_complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    Pause,
    Resume,
    Cancel,
}

/// `{PAUSE | RESUME | CANCEL} {JOB id | JOBS select | ALL type JOBS} [WITH REASON = 's']`
#[derive(Clone, Debug, PartialEq)]
pub struct ControlJob {
    pub control: Control,
    pub jobs: Jobs,
    pub reason: Option<Text>,
}

/// Types that `ALL type JOBS` may name.
const JOB_TYPES: &[&str] = &["BACKUP", "CHANGEFEED", "RESTORE", "IMPORT"];

/// After `SHOW JOBS` or `SHOW AUTOMATIC JOBS`.
pub(super) fn show_jobs(c: &mut Cursor) -> Result<Statement> {
    let when_complete = c.keywords("WHEN COMPLETE");
    let jobs = if c.is_at_end() && !when_complete { None } else { Some(jobs(c)?) };
    Ok(Statement::ShowJobs(ShowJobs { jobs, when_complete }))
}

/// After `SHOW JOB`.
pub(super) fn show_job(c: &mut Cursor) -> Result<Statement> {
    let when_complete = c.keywords("WHEN COMPLETE");
    Ok(Statement::ShowJob(ShowJob { id: c.scalar()?, when_complete }))
}

/// After `PAUSE`, `RESUME` or `CANCEL`.
pub(super) fn control(control: Control, c: &mut Cursor) -> Result<Statement> {
    let jobs = match c.one_of(&["JOBS", "JOB", "ALL"]) {
        Some("JOBS") => jobs(c)?,
        Some("JOB") => Jobs::Ids(vec![c.scalar()?]),
        Some(_) => {
            let job_type = c.one_of(JOB_TYPES).ok_or_else(|| c.error())?;
            c.expect("JOBS")?;
            Jobs::AllOfType(job_type.into())
        }
        None => return Err(c.error()),
    };
    let reason = if c.keywords("WITH REASON") { Some(reason(c)?) } else { None };
    Ok(Statement::ControlJob(ControlJob { control, jobs, reason }))
}

fn reason(c: &mut Cursor) -> Result<Text> {
    c.expect_symbol(&Token::Eq)?;
    c.text_value()
}

/// A list of ids, or a query up to `WITH REASON`.
fn jobs(c: &mut Cursor) -> Result<Jobs> {
    match selection(c, |c| query::until(c, "WITH REASON"))? {
        Some(query) => Ok(Jobs::Select(Box::new(query))),
        None => Ok(Jobs::Ids(c.comma_list(Cursor::scalar)?)),
    }
}

/// Reads a query; `None` when ids come next.
pub(super) fn selection(c: &mut Cursor, read: impl Fn(&mut Cursor) -> Result<Query>) -> Result<Option<Query>> {
    let is_query = ["SELECT", "VALUES", "WITH", "TABLE"].iter().any(|word| c.is_next(word)) || c.is_open();
    is_query.then(|| read(c)).transpose()
}

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Jobs::Ids(ids) => f.write_str(&print::list(ids)),
            Jobs::Select(query) => query.fmt(f),
            Jobs::AllOfType(job_type) => write!(f, "ALL {job_type} JOBS"),
        }
    }
}

impl fmt::Display for ShowJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when_complete = print::when(self.when_complete, " WHEN COMPLETE");
        write!(f, "SHOW JOBS{when_complete}{}", print::optional(" ", self.jobs.as_ref()))
    }
}

impl fmt::Display for ShowJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW JOB {}{}", print::when(self.when_complete, "WHEN COMPLETE "), self.id)
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Control::Pause => "PAUSE",
            Control::Resume => "RESUME",
            Control::Cancel => "CANCEL",
        })
    }
}

impl fmt::Display for ControlJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = print::when(!matches!(self.jobs, Jobs::AllOfType(_)), "JOBS ");
        let reason = print::optional(" WITH REASON = ", self.reason.as_ref());
        write!(f, "{} {jobs}{}{reason}", self.control, self.jobs)
    }
}
