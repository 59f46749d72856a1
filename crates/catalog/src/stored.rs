//! Nested shapes as stored: JSON that names its version. A change of a shape is a new version with its own frozen
//! sample in `samples/`; old versions stay readable for ever.

use lakeport_base::SqlType;
use lakeport_base::id::{ConnectionId, JobId, ScheduleId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{Column, FormatOptions, OnFailure, OnRunning, SchedulePlan, ScheduleRun};

/// A value of the model that is stored as JSON in one column.
pub(crate) trait Shape: Sized {
    /// What it is part of, for errors.
    const WHAT: &'static str;
    /// Every stored version of it.
    type Stored: Serialize + DeserializeOwned;

    /// The value in the newest version.
    fn to_stored(&self) -> Self::Stored;

    /// The value of any version, or why there is none.
    fn from_stored(stored: Self::Stored) -> std::result::Result<Self, String>;

    /// # Errors
    /// A value that could not be read again: nothing that is stored may keep others from being found.
    fn encode(&self) -> Result<String> {
        let text = serde_json::to_string(&self.to_stored()).map_err(|error| corrupt::<Self>(error.to_string()))?;
        Self::decode(&text).map(|_| text)
    }

    fn decode(text: &str) -> Result<Self> {
        let stored = serde_json::from_str(text).map_err(|error| corrupt::<Self>(error.to_string()))?;
        Self::from_stored(stored).map_err(corrupt::<Self>)
    }
}

fn corrupt<S: Shape>(detail: String) -> Error {
    Error::Corrupt { what: S::WHAT, detail }
}

/// Columns and primary key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableShape {
    pub columns: Vec<Column>,
    pub primary_key: Vec<String>,
}

/// What a role has besides its plain columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RoleProfile {
    pub options: Vec<String>,
    pub defaults: Vec<(String, String)>,
}

/// The connections a job uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JobConnections(pub Vec<ConnectionId>);

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredTable {
    /// Version 1 also listed the names of dropped columns, which the table's log knows.
    #[serde(rename = "2", alias = "1")]
    V2 { columns: Vec<StoredColumn>, primary_key: Vec<String> },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StoredColumn {
    name: String,
    stored_name: String,
    /// SQL spelling of the type.
    ty: String,
    nullable: bool,
    default: Option<String>,
    comment: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredRole {
    #[serde(rename = "1")]
    V1 { options: Vec<String>, defaults: Vec<(String, String)> },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredJobConnections {
    #[serde(rename = "1")]
    V1 { ids: Vec<i64> },
}

impl Shape for TableShape {
    const WHAT: &'static str = "table";
    type Stored = StoredTable;

    fn to_stored(&self) -> StoredTable {
        let columns = self.columns.iter().map(StoredColumn::from).collect();
        StoredTable::V2 { columns, primary_key: self.primary_key.clone() }
    }

    fn from_stored(stored: StoredTable) -> std::result::Result<Self, String> {
        let StoredTable::V2 { columns, primary_key } = stored;
        let columns = columns.into_iter().map(Column::try_from).collect::<std::result::Result<_, _>>()?;
        Ok(TableShape { columns, primary_key })
    }
}

impl From<&Column> for StoredColumn {
    fn from(column: &Column) -> Self {
        let Column { name, stored_name, ty, nullable, default, comment } = column.clone();
        StoredColumn { name, stored_name, ty: ty.to_string(), nullable, default, comment }
    }
}

impl TryFrom<StoredColumn> for Column {
    type Error = String;

    fn try_from(column: StoredColumn) -> std::result::Result<Self, String> {
        let StoredColumn { name, stored_name, ty, nullable, default, comment } = column;
        let ty = SqlType::parse(&ty).ok_or_else(|| format!("column {name:?} has the unknown type {ty:?}"))?;
        Ok(Column { name, stored_name, ty, nullable, default, comment })
    }
}

impl Shape for RoleProfile {
    const WHAT: &'static str = "role";
    type Stored = StoredRole;

    fn to_stored(&self) -> StoredRole {
        let RoleProfile { options, defaults } = self.clone();
        StoredRole::V1 { options, defaults }
    }

    fn from_stored(StoredRole::V1 { options, defaults }: StoredRole) -> std::result::Result<Self, String> {
        Ok(RoleProfile { options, defaults })
    }
}

impl Shape for JobConnections {
    const WHAT: &'static str = "job";
    type Stored = StoredJobConnections;

    fn to_stored(&self) -> StoredJobConnections {
        StoredJobConnections::V1 { ids: self.0.iter().map(|id| id.0).collect() }
    }

    fn from_stored(StoredJobConnections::V1 { ids }: StoredJobConnections) -> std::result::Result<Self, String> {
        Ok(JobConnections(ids.into_iter().map(ConnectionId).collect()))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredFormatOptions {
    #[serde(rename = "1")]
    V1 { options: Vec<(String, Vec<String>)> },
}

impl Shape for FormatOptions {
    const WHAT: &'static str = "file format";
    type Stored = StoredFormatOptions;

    fn to_stored(&self) -> StoredFormatOptions {
        StoredFormatOptions::V1 { options: self.0.clone() }
    }

    fn from_stored(StoredFormatOptions::V1 { options }: StoredFormatOptions) -> std::result::Result<Self, String> {
        Ok(FormatOptions(options))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredPlan {
    #[serde(rename = "1")]
    V1 {
        recurrence: String,
        statement: String,
        variables: Vec<(String, String)>,
        on_failure: String,
        on_running: String,
        partner: Option<i64>,
    },
    #[serde(rename = "2")]
    V2 {
        recurrence: String,
        statement: String,
        variables: Vec<(String, String)>,
        on_failure: String,
        on_running: String,
        partner: Option<i64>,
        ignores_existing: bool,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
pub(crate) enum StoredRun {
    #[serde(rename = "1")]
    V1 { starting: bool, jobs: Vec<i64>, state: String, resumes_partner: bool },
}

impl Shape for SchedulePlan {
    const WHAT: &'static str = "schedule";
    type Stored = StoredPlan;

    fn to_stored(&self) -> StoredPlan {
        let SchedulePlan { recurrence, statement, variables, on_failure, on_running, partner, ignores_existing } =
            self.clone();
        StoredPlan::V2 {
            recurrence,
            statement,
            variables,
            on_failure: on_failure.as_str().to_string(),
            on_running: on_running.as_str().to_string(),
            partner: partner.map(|id| id.0),
            ignores_existing,
        }
    }

    fn from_stored(stored: StoredPlan) -> std::result::Result<Self, String> {
        let (recurrence, statement, variables, on_failure, on_running, partner, ignores_existing) = match stored {
            StoredPlan::V1 { recurrence, statement, variables, on_failure, on_running, partner } => {
                (recurrence, statement, variables, on_failure, on_running, partner, false)
            }
            StoredPlan::V2 { recurrence, statement, variables, on_failure, on_running, partner, ignores_existing } => {
                (recurrence, statement, variables, on_failure, on_running, partner, ignores_existing)
            }
        };
        let unknown = |word: &str| format!("a schedule does not know the choice {word:?}");
        Ok(SchedulePlan {
            recurrence,
            statement,
            variables,
            on_failure: OnFailure::parse(&on_failure).ok_or_else(|| unknown(&on_failure))?,
            on_running: OnRunning::parse(&on_running).ok_or_else(|| unknown(&on_running))?,
            partner: partner.map(ScheduleId),
            ignores_existing,
        })
    }
}

impl Shape for ScheduleRun {
    const WHAT: &'static str = "schedule";
    type Stored = StoredRun;

    fn to_stored(&self) -> StoredRun {
        let ScheduleRun { starting, jobs, state, resumes_partner } = self.clone();
        StoredRun::V1 { starting, jobs: jobs.into_iter().map(|id| id.0).collect(), state, resumes_partner }
    }

    fn from_stored(stored: StoredRun) -> std::result::Result<Self, String> {
        let StoredRun::V1 { starting, jobs, state, resumes_partner } = stored;
        Ok(ScheduleRun { starting, jobs: jobs.into_iter().map(JobId).collect(), state, resumes_partner })
    }
}

#[cfg(test)]
mod tests;
