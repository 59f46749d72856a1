//! `SHOW JOBS`, `SHOW JOB`, `PAUSE | RESUME | CANCEL JOB`.

use super::Text;
use super::query::Query;

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
