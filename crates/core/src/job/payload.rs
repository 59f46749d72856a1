//! What jobs store: JSON with a version. A change of a shape is a new version with its own frozen sample in
//! `tests/payloads/`; old versions stay readable for ever. Secrets go to a column of their own, which the catalog seals.

use std::sync::Arc;

use lakeport_base::id::TableId;
use lakeport_base::{Secret, Sqlstate};
use lakeport_catalog::model::Job;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::task::{Done, Task};
use crate::error::{Error, Result};
use crate::import::{ImportOrder, ImportTask};

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
