//! What jobs store: JSON with a version. A change of a shape is a new version with its own frozen sample in
//! `tests/payloads/`; old versions stay readable for ever. Secrets go to a column of their own, which the catalog seals.

use std::sync::Arc;

use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::{Pack, Targets};
use lakeport_base::id::TableId;
use lakeport_base::{Secret, Sqlstate};
use lakeport_catalog::model::Job;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::task::{Done, Task};
use crate::backup::restore::{Restored, RestoredDatabase, RestoredTable, SystemPart};
use crate::backup::{BackupOrder, BackupTask, Copied, CopiedFile, KeyTexts, RestoreOrder, RestoreTask};
use crate::engine::StagedRows;
use crate::error::{Error, Result};
use crate::import::{Extent, ImportOrder, ImportTask, StagedImport, StagedPart};

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
    Import {
        table: i64,
        columns: Vec<String>,
        format: String,
        options: Vec<(String, Option<String>)>,
    },
    Backup {
        subdir: String,
        start: Option<i64>,
        end: i64,
        revision_history: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retain_micros: Option<i64>,
        targets: Targets,
        tables: Vec<i64>,
    },
    Restore {
        subdir: String,
        layer_end: i64,
        moment: i64,
        /// Id in the backup, name here.
        databases: Vec<(i64, String)>,
        /// Id in the backup, database and schema here.
        tables: Vec<(i64, String, String)>,
        schema_only: bool,
        verify: bool,
        grants: bool,
        system: StoredSystem,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredSystem {
    Nothing,
    Users,
    All,
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
    /// All tables are made and may be published.
    Restore(Restored),
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
    #[serde(rename = "4")]
    Restore { tables: Vec<i64>, rows: u64, bytes: u64 },
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    table: i64,
    path: String,
    pack: usize,
    offset: u64,
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
            Payload::Backup(_) => "BACKUP",
            Payload::Restore(_) => "RESTORE",
        }
    }

    /// The payload as stored: the plain part and the secret part.
    pub fn encode(&self) -> Result<(String, Option<Secret<String>>)> {
        let (order, secrets) = match self {
            Payload::Import(order) => stored_import(order),
            Payload::Backup(order) => stored_backup(order),
            Payload::Restore(order) => stored_restore(order),
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
        match (order, secrets) {
            (StoredOrder::Import { table, columns, format, options }, StoredSecrets::V1 { uris }) => {
                let uris = Secret::new(uris);
                Ok(Payload::Import(ImportOrder { table: TableId(table), columns, format, options, uris }))
            }
            (order, StoredSecrets::V2 { collection, keys }) => {
                let secrets = (Secret::new(collection), keys.into_texts());
                chain_order(order, secrets).ok_or_else(|| unreadable(job))
            }
            _ => Err(unreadable(job)),
        }
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

fn stored_import(order: &ImportOrder) -> (StoredOrder, StoredSecrets) {
    let ImportOrder { table, columns, format, options, uris } = order;
    let stored = StoredOrder::Import {
        table: table.0,
        columns: columns.clone(),
        format: format.clone(),
        options: options.clone(),
    };
    (stored, StoredSecrets::V1 { uris: uris.expose().clone() })
}

fn stored_backup(order: &BackupOrder) -> (StoredOrder, StoredSecrets) {
    let BackupOrder { collection, keys, subdir, start, end, revision_history, retain_micros, targets, tables } = order;
    let stored = StoredOrder::Backup {
        subdir: subdir.to_string(),
        start: *start,
        end: *end,
        revision_history: *revision_history,
        retain_micros: *retain_micros,
        targets: targets.clone(),
        tables: tables.iter().map(|table| table.0).collect(),
    };
    (stored, StoredSecrets::V2 { collection: collection.expose().clone(), keys: StoredKeys::of(keys) })
}

fn stored_restore(order: &RestoreOrder) -> (StoredOrder, StoredSecrets) {
    let table = |table: &RestoredTable| (table.id, table.database.clone(), table.schema.clone());
    let stored = StoredOrder::Restore {
        subdir: order.subdir.to_string(),
        layer_end: order.layer_end,
        moment: order.moment,
        databases: order.databases.iter().map(|database| (database.id, database.name.clone())).collect(),
        tables: order.tables.iter().map(table).collect(),
        schema_only: order.schema_only,
        verify: order.verify,
        grants: order.grants,
        system: match order.system {
            SystemPart::Nothing => StoredSystem::Nothing,
            SystemPart::Users => StoredSystem::Users,
            SystemPart::All => StoredSystem::All,
        },
    };
    (stored, StoredSecrets::V2 { collection: order.collection.expose().clone(), keys: StoredKeys::of(&order.keys) })
}

/// A BACKUP or RESTORE; `None` for another order, or a folder that is none.
fn chain_order(stored: StoredOrder, (collection, keys): (Secret<String>, KeyTexts)) -> Option<Payload> {
    Some(match stored {
        StoredOrder::Import { .. } => return None,
        StoredOrder::Backup { subdir, start, end, revision_history, retain_micros, targets, tables } => {
            let tables = tables.into_iter().map(TableId).collect();
            let subdir = Subdir::parse(&subdir).ok()?;
            Payload::Backup(BackupOrder {
                collection,
                keys,
                subdir,
                start,
                end,
                revision_history,
                retain_micros,
                targets,
                tables,
            })
        }
        StoredOrder::Restore { subdir, layer_end, moment, databases, tables, schema_only, verify, grants, system } => {
            let table = |(id, database, schema)| RestoredTable { id, database, schema };
            Payload::Restore(RestoreOrder {
                collection,
                keys,
                subdir: Subdir::parse(&subdir).ok()?,
                layer_end,
                moment,
                databases: databases.into_iter().map(|(id, name)| RestoredDatabase { id, name }).collect(),
                tables: tables.into_iter().map(table).collect(),
                schema_only,
                verify,
                grants,
                system: match system {
                    StoredSystem::Nothing => SystemPart::Nothing,
                    StoredSystem::Users => SystemPart::Users,
                    StoredSystem::All => SystemPart::All,
                },
            })
        }
    })
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
            Checkpoint::Restore(Restored { tables, done: Done { rows, bytes } }) => StoredCheckpoint::Restore {
                tables: tables.iter().map(|table| table.0).collect(),
                rows: *rows,
                bytes: *bytes,
            },
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
            StoredCheckpoint::Restore { tables, rows, bytes } => {
                let tables = tables.into_iter().map(TableId).collect();
                Checkpoint::Restore(Restored { tables, done: Done { rows, bytes } })
            }
        })
    }
}

impl StoredFile {
    fn of(file: &CopiedFile) -> StoredFile {
        let CopiedFile { table, path, pack, offset } = file.clone();
        StoredFile { table, path, pack, offset }
    }

    fn into_file(self) -> CopiedFile {
        let StoredFile { table, path, pack, offset } = self;
        CopiedFile { table, path, pack, offset }
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
