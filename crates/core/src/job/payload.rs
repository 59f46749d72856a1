//! What jobs store: JSON with a version. A change of a shape is a new version with its own frozen sample in
//! `tests/payloads/`; old versions stay readable for ever. Secrets go to a column of their own, which the catalog seals.

use std::sync::Arc;

use lakeport_base::id::TableId;
use lakeport_base::{Secret, Sqlstate};
use lakeport_catalog::model::Job;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::task::{Done, Task};
use crate::engine::StagedRows;
use crate::error::{Error, Result};
use crate::import::{Extent, ImportOrder, ImportTask, StagedImport, StagedPart};

/// What a job is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    Import(ImportOrder),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredPayload {
    #[serde(rename = "1")]
    V1(StoredOrder),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOrder {
    Import { table: i64, columns: Vec<String>, format: String, options: Vec<(String, Option<String>)> },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredSecrets {
    #[serde(rename = "1")]
    V1 { uris: Vec<String> },
}

/// How far a job has got.
#[derive(Clone, Debug, PartialEq)]
pub enum Checkpoint {
    /// The work is done and has only to be told.
    Done(Done),
    Import(StagedImport),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredCheckpoint {
    #[serde(rename = "1")]
    Done { rows: u64, bytes: u64 },
    #[serde(rename = "2")]
    Import { source: u64, parts: Vec<StoredPart> },
}

#[derive(Serialize, Deserialize)]
struct StoredPart {
    files: String,
    rows: u64,
    bytes: u64,
    start: u64,
    end: u64,
    records: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredDone {
    #[serde(rename = "1")]
    V1 { rows: u64, bytes: u64 },
}

impl Payload {
    /// The `job_type` of SHOW JOBS.
    pub fn job_type(&self) -> &'static str {
        match self {
            Payload::Import(_) => "IMPORT",
        }
    }

    /// The payload as stored: the plain part and the secret part.
    pub fn encode(&self) -> Result<(String, Option<Secret<String>>)> {
        let Payload::Import(ImportOrder { table, columns, format, options, uris }) = self;
        let order = StoredOrder::Import {
            table: table.0,
            columns: columns.clone(),
            format: format.clone(),
            options: options.clone(),
        };
        let secrets = StoredSecrets::V1 { uris: uris.expose().clone() };
        let secrets = serde_json::to_string(&secrets).map_err(Error::internal)?;
        Ok((serde_json::to_string(&StoredPayload::V1(order)).map_err(Error::internal)?, Some(Secret::new(secrets))))
    }

    /// The payload of any version.
    ///
    /// # Errors
    /// XX001 naming the job.
    pub fn decode(job: &Job) -> Result<Payload> {
        let StoredPayload::V1(StoredOrder::Import { table, columns, format, options }) = decoded(&job.payload, job)?;
        let StoredSecrets::V1 { uris } = match &job.secrets {
            Some(secrets) => decoded(secrets.expose(), job)?,
            None => StoredSecrets::V1 { uris: Vec::new() },
        };
        Ok(Payload::Import(ImportOrder { table: TableId(table), columns, format, options, uris: Secret::new(uris) }))
    }

    /// The work that it stands for.
    pub fn into_task(self) -> Arc<dyn Task> {
        match self {
            Payload::Import(order) => Arc::new(ImportTask(order)),
        }
    }
}

/// Keeps the text out of the error: it may be secret.
fn decoded<T: DeserializeOwned>(text: &str, job: &Job) -> Result<T> {
    serde_json::from_str(text).map_err(|_| {
        let message = format!("the payload of job {} cannot be read; a newer version may have written it", job.id);
        Error::new(Sqlstate::DATA_CORRUPTED, message)
    })
}

impl Checkpoint {
    /// The checkpoint as stored.
    pub fn encode(&self) -> Result<String> {
        let stored = match self {
            Checkpoint::Done(Done { rows, bytes }) => StoredCheckpoint::Done { rows: *rows, bytes: *bytes },
            Checkpoint::Import(StagedImport { source, parts }) => {
                StoredCheckpoint::Import { source: *source, parts: parts.iter().map(StoredPart::of).collect() }
            }
        };
        serde_json::to_string(&stored).map_err(Error::internal)
    }

    /// A checkpoint of any version.
    ///
    /// # Errors
    /// XX001
    pub fn decode(text: &str) -> Result<Checkpoint> {
        let stored = serde_json::from_str(text).map_err(|error| {
            Error::new(Sqlstate::DATA_CORRUPTED, "the checkpoint of a job cannot be read").with_source(error)
        })?;
        Ok(match stored {
            StoredCheckpoint::Done { rows, bytes } => Checkpoint::Done(Done { rows, bytes }),
            StoredCheckpoint::Import { source, parts } => {
                let parts = parts.into_iter().map(StoredPart::into_part).collect();
                Checkpoint::Import(StagedImport { source, parts })
            }
        })
    }
}

impl StoredPart {
    fn of(part: &StagedPart) -> StoredPart {
        let StagedPart { rows: StagedRows { files, rows, bytes }, extent } = part;
        let Extent { start, end, records } = *extent;
        StoredPart { files: files.clone(), rows: *rows, bytes: *bytes, start, end, records }
    }

    fn into_part(self) -> StagedPart {
        let StoredPart { files, rows, bytes, start, end, records } = self;
        StagedPart { rows: StagedRows { files, rows, bytes }, extent: Extent { start, end, records } }
    }
}

/// The outcome of a job as stored.
pub fn encode_done(Done { rows, bytes }: Done) -> Result<String> {
    serde_json::to_string(&StoredDone::V1 { rows, bytes }).map_err(Error::internal)
}

/// An outcome of any version.
///
/// # Errors
/// XX001
pub fn decode_done(text: &str) -> Result<Done> {
    let stored: StoredDone = serde_json::from_str(text).map_err(|error| {
        Error::new(Sqlstate::DATA_CORRUPTED, "the result of a job cannot be read").with_source(error)
    })?;
    let StoredDone::V1 { rows, bytes } = stored;
    Ok(Done { rows, bytes })
}
