//! What jobs store: JSON with a version. A change of a shape is a new version with its own frozen sample in
//! `tests/payloads/`; old versions stay readable for ever. Secrets go to a column of their own, which the catalog seals.

mod backup;
mod import;
mod restore;

use std::sync::Arc;

use lakeport_backup::manifest::Pack;
use lakeport_base::{Secret, Sqlstate};
use lakeport_catalog::model::Job;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::backup::{StoredBackup, StoredFile};
use self::import::{StoredImport, StoredPart};
use self::restore::StoredRestore;
use super::task::{Done, Task};
use crate::backup::{BackupOrder, BackupTask, Copied, KeyTexts, RestoreOrder, RestoreTask};
use crate::error::{Error, Result};
use crate::import::{ImportOrder, ImportTask, StagedImport};

/// What a job is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    Import(ImportOrder),
    Backup(BackupOrder),
    Restore(RestoreOrder),
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
    Import(StoredImport),
    Backup(StoredBackup),
    Restore(StoredRestore),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredSecrets {
    #[serde(rename = "1")]
    V1 { uris: Vec<String> },
    #[serde(rename = "2")]
    V2 { collection: String, keys: StoredKeys },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKeys {
    None,
    Passphrase(String),
    Kms(Vec<String>),
}

/// How far a job has got.
#[derive(Clone, Debug, PartialEq)]
pub enum Checkpoint {
    /// The work is done and has only to be told.
    Done(Done),
    Import(StagedImport),
    /// The packs that are written.
    Backup(Copied),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredCheckpoint {
    #[serde(rename = "1")]
    Done { rows: u64, bytes: u64 },
    #[serde(rename = "2")]
    Import { source: u64, parts: Vec<StoredPart> },
    #[serde(rename = "3")]
    Backup { packs: Vec<Pack>, files: Vec<StoredFile> },
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
            Payload::Backup(_) => "BACKUP",
            Payload::Restore(_) => "RESTORE",
        }
    }

    /// The payload as stored: the plain part and the secret part.
    pub fn encode(&self) -> Result<(String, Option<Secret<String>>)> {
        let (order, secrets) = match self {
            Payload::Import(order) => {
                let uris = order.uris.expose().clone();
                (StoredOrder::Import(StoredImport::of(order)), StoredSecrets::V1 { uris })
            }
            Payload::Backup(order) => {
                (StoredOrder::Backup(StoredBackup::of(order)), StoredSecrets::of_chain(&order.collection, &order.keys))
            }
            Payload::Restore(order) => (
                StoredOrder::Restore(StoredRestore::of(order)),
                StoredSecrets::of_chain(&order.collection, &order.keys),
            ),
        };
        let secrets = serde_json::to_string(&secrets).map_err(Error::internal)?;
        Ok((serde_json::to_string(&StoredPayload::V1(order)).map_err(Error::internal)?, Some(Secret::new(secrets))))
    }

    /// The payload of any version.
    ///
    /// # Errors
    /// XX001 naming the job.
    pub fn decode(job: &Job) -> Result<Payload> {
        let StoredPayload::V1(order) = decoded(&job.payload, job)?;
        let secrets = match &job.secrets {
            Some(secrets) => decoded(secrets.expose(), job)?,
            None => StoredSecrets::V1 { uris: Vec::new() },
        };
        let payload = match (order, secrets) {
            (StoredOrder::Import(order), StoredSecrets::V1 { uris }) => Some(Payload::Import(order.into_order(uris))),
            (StoredOrder::Backup(order), StoredSecrets::V2 { collection, keys }) => {
                order.into_order(Secret::new(collection), keys.into_texts()).map(Payload::Backup)
            }
            (StoredOrder::Restore(order), StoredSecrets::V2 { collection, keys }) => {
                order.into_order(Secret::new(collection), keys.into_texts()).map(Payload::Restore)
            }
            _ => None,
        };
        payload.ok_or_else(|| unreadable(job))
    }

    /// The work that it stands for.
    pub fn into_task(self) -> Arc<dyn Task> {
        match self {
            Payload::Import(order) => Arc::new(ImportTask(order)),
            Payload::Backup(order) => Arc::new(BackupTask(order)),
            Payload::Restore(order) => Arc::new(RestoreTask(order)),
        }
    }
}

impl StoredSecrets {
    /// Those of a collection of backups.
    fn of_chain(collection: &Secret<String>, keys: &KeyTexts) -> StoredSecrets {
        StoredSecrets::V2 { collection: collection.expose().clone(), keys: StoredKeys::of(keys) }
    }
}

impl StoredKeys {
    fn of(keys: &KeyTexts) -> StoredKeys {
        match keys {
            KeyTexts::None => StoredKeys::None,
            KeyTexts::Passphrase(passphrase) => StoredKeys::Passphrase(passphrase.expose().clone()),
            KeyTexts::Kms(uris) => StoredKeys::Kms(uris.expose().clone()),
        }
    }

    fn into_texts(self) -> KeyTexts {
        match self {
            StoredKeys::None => KeyTexts::None,
            StoredKeys::Passphrase(passphrase) => KeyTexts::Passphrase(Secret::new(passphrase)),
            StoredKeys::Kms(uris) => KeyTexts::Kms(Secret::new(uris)),
        }
    }
}

/// Keeps the text out of the error: it may be secret.
fn decoded<T: DeserializeOwned>(text: &str, job: &Job) -> Result<T> {
    serde_json::from_str(text).map_err(|_| unreadable(job))
}

fn unreadable(job: &Job) -> Error {
    let message = format!("the payload of job {} cannot be read; a newer version may have written it", job.id);
    Error::new(Sqlstate::DATA_CORRUPTED, message)
}

impl Checkpoint {
    /// The checkpoint as stored.
    pub fn encode(&self) -> Result<String> {
        let stored = match self {
            Checkpoint::Done(Done { rows, bytes }) => StoredCheckpoint::Done { rows: *rows, bytes: *bytes },
            Checkpoint::Import(StagedImport { source, parts }) => {
                StoredCheckpoint::Import { source: *source, parts: parts.iter().map(StoredPart::of).collect() }
            }
            Checkpoint::Backup(Copied { packs, files }) => {
                StoredCheckpoint::Backup { packs: packs.clone(), files: files.iter().map(StoredFile::of).collect() }
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
            StoredCheckpoint::Backup { packs, files } => {
                let files = files.into_iter().map(StoredFile::into_file).collect();
                Checkpoint::Backup(Copied { packs, files })
            }
        })
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
