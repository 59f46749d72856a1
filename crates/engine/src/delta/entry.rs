//! Entries of a table's log: what one commit does, as it is written and as it is read back.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::kernel::{Action, Add, AddCDCFile, Metadata, Remove, Transaction, Version};
use futures::TryStreamExt;
use lakeport_base::Sqlstate;
use lakeport_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde_json::{Map, Value, json};

use crate::error::from_store;

/// Key of a commit's time in its `commitInfo`: microseconds since the epoch, strictly increasing per server.
pub(crate) const TIMESTAMP_KEY: &str = "lakeport.timestamp";
/// Key of the id by which the writer of a commit knows it again.
const COMMIT_KEY: &str = "lakeport.commit";
/// Key of the rows that an idempotent append added.
pub(crate) const ROWS_KEY: &str = "lakeport.rows";
/// Key of the bytes that an idempotent append added.
pub(crate) const BYTES_KEY: &str = "lakeport.bytes";

/// Folder of a table's log, as Delta's protocol names it.
pub(crate) const LOG_FOLDER: &str = "_delta_log";

/// What a commit does to a table.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    pub adds: Vec<Add>,
    pub removes: Vec<Remove>,
    pub change_files: Vec<AddCDCFile>,
    pub metadata: Option<Metadata>,
    /// Application id of an idempotent append.
    pub application: Option<String>,
    /// Application ids that get the commit's moment, see [`super::marks`].
    pub marks: Vec<String>,
    /// Further `commitInfo` entries.
    pub info: Vec<(String, Value)>,
}

/// What tells one commit from all others.
pub(crate) struct Stamp {
    pub id: String,
    /// Microseconds since the epoch.
    pub at: i64,
}

impl Changes {
    /// Whether the commit only adds rows, so that it fits on top of whatever others have committed.
    pub fn is_append(&self) -> bool {
        self.removes.is_empty() && self.metadata.is_none()
    }

    pub fn is_empty(&self) -> bool {
        let says_nothing = self.application.is_none() && self.marks.is_empty();
        self.adds.is_empty() && self.removes.is_empty() && self.metadata.is_none() && says_nothing
    }

    /// Whether rows or columns are others after the commit; files that only hold the same rows in another way do not
    /// count.
    pub fn changes_rows(&self) -> bool {
        self.metadata.is_some()
            || self.adds.iter().any(|add| add.data_change)
            || self.removes.iter().any(|remove| remove.data_change)
    }

    /// The files that the commit puts into the table.
    pub fn paths(&self) -> HashSet<&str> {
        let data = self.adds.iter().map(|add| add.path.as_str());
        data.chain(self.change_files.iter().map(|file| file.path.as_str())).collect()
    }

    /// The entry as it stands in the log: one action a line.
    ///
    /// # Errors
    /// An action that is no JSON.
    pub fn to_entry(&self, stamp: &Stamp) -> Result<Bytes> {
        let mut text =
            serde_json::to_vec(&json!({ "commitInfo": self.commit_info(stamp) })).map_err(Error::internal)?;
        for action in self.actions(stamp) {
            text.push(b'\n');
            serde_json::to_writer(&mut text, &action).map_err(Error::internal)?;
        }
        Ok(text.into())
    }

    fn actions(&self, stamp: &Stamp) -> impl Iterator<Item = Action> {
        let metadata = self.metadata.iter().cloned().map(Action::Metadata);
        let removes = self.removes.iter().cloned().map(Action::Remove);
        let adds = self.adds.iter().cloned().map(Action::Add);
        let change_files = self.change_files.iter().cloned().map(Action::Cdc);
        let applications = self.application.iter().map(|id| Action::Txn(Transaction::new(id, 1)));
        let mark = |id| Action::Txn(Transaction::new_with_last_update(id, stamp.at, Some(stamp.at / 1000)));
        let marks = self.marks.iter().map(mark);
        metadata.chain(removes).chain(adds).chain(change_files).chain(applications).chain(marks)
    }

    fn commit_info(&self, stamp: &Stamp) -> Map<String, Value> {
        let operation = match self {
            Changes { metadata: Some(_), .. } => "SET TBLPROPERTIES",
            changes if changes.is_append() => "WRITE",
            changes if changes.changes_rows() => "UPDATE",
            _ => "OPTIMIZE",
        };
        let parameters = if operation == "WRITE" { json!({ "mode": "Append" }) } else { json!({}) };
        let mut info = Map::new();
        info.insert("timestamp".into(), Value::from(stamp.at / 1000));
        info.insert("operation".into(), Value::from(operation));
        info.insert("operationParameters".into(), parameters);
        info.insert("engineInfo".into(), Value::from("lakeport"));
        info.insert(TIMESTAMP_KEY.into(), Value::from(stamp.at));
        info.insert(COMMIT_KEY.into(), Value::from(stamp.id.clone()));
        info.extend(self.info.iter().cloned());
        info
    }
}

/// An entry that somebody wrote.
pub(crate) struct Entry(Vec<Value>);

impl Entry {
    /// The entry of a version; `None` when there is none (yet, or any more).
    pub async fn read(store: &Arc<dyn ObjectStore>, version: Version) -> Result<Option<Entry>> {
        let text = match store.get(&entry_path(version)).await {
            Ok(found) => found.bytes().await.map_err(from_store)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(from_store(error)),
        };
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let action = |line| serde_json::from_slice(line).map(Value::Object);
        let actions = lines.map(|line| action(line).map_err(|error| broken(version).with_source(error)));
        match actions.collect::<Result<Vec<_>>>()? {
            actions if actions.is_empty() => Err(broken(version)),
            actions => Ok(Some(Entry(actions))),
        }
    }

    /// When it was committed, in microseconds: our own time, or another writer's in milliseconds.
    pub fn time(&self) -> Option<i64> {
        let info = self.info()?;
        let ours = info[TIMESTAMP_KEY].as_i64();
        let theirs = info["inCommitTimestamp"].as_i64().or_else(|| info["timestamp"].as_i64());
        ours.or_else(|| theirs?.checked_mul(1000))
    }

    /// Whether a commit with this stamp wrote it.
    pub fn is_of(&self, stamp: &Stamp) -> bool {
        self.info().is_some_and(|info| info[COMMIT_KEY].as_str() == Some(&stamp.id))
    }

    /// Whether it is the append of an application id.
    pub fn is_append_of(&self, application: &str) -> bool {
        self.0.iter().any(|action| action["txn"]["appId"] == application)
    }

    /// The application ids that it has, each with its version.
    pub fn applications(&self) -> impl Iterator<Item = (&str, i64)> {
        let txns = self.0.iter().map(|action| &action["txn"]);
        txns.filter_map(|txn| Some((txn["appId"].as_str()?, txn["version"].as_i64()?)))
    }

    /// A number of the `commitInfo`.
    pub fn count(&self, key: &str) -> Option<u64> {
        self.info()?[key].as_u64()
    }

    /// What it does to rows; `None` when it does more than that, so that the whole log must be read to know the table.
    pub fn changes(self) -> Option<Changes> {
        let mut changes = Changes::default();
        for action in self.0 {
            match serde_json::from_value(action).ok()? {
                Action::Add(add) => changes.adds.push(add),
                Action::Remove(remove) => changes.removes.push(remove),
                Action::CommitInfo(_) | Action::Cdc(_) | Action::Txn(_) | Action::DomainMetadata(_) => {}
                Action::Metadata(_) | Action::Protocol(_) => return None,
            }
        }
        Some(changes)
    }

    /// What it does to rows and columns, whatever else it does.
    ///
    /// # Errors
    /// An action that is none of the protocol's.
    pub fn rows_and_columns(self) -> Result<Changes> {
        let mut changes = Changes::default();
        for action in self.0 {
            match serde_json::from_value(action).map_err(Error::internal)? {
                Action::Add(add) => changes.adds.push(add),
                Action::Remove(remove) => changes.removes.push(remove),
                Action::Metadata(metadata) => changes.metadata = Some(metadata),
                Action::CommitInfo(_) | Action::Cdc(_) | Action::Txn(_) => {}
                Action::DomainMetadata(_) | Action::Protocol(_) => {}
            }
        }
        Ok(changes)
    }

    fn info(&self) -> Option<&Value> {
        self.0.iter().find_map(|action| action.get("commitInfo"))
    }
}

/// Where the entry of a version lies.
pub(crate) fn entry_path(version: Version) -> Path {
    Path::from(format!("{LOG_FOLDER}/{version:020}.json"))
}

/// Our own entries appear whole; another writer's may be half there.
fn broken(version: Version) -> Error {
    let message = format!("the log entry of version {version} of the table cannot be read");
    let hint = format!(
        "run the statement again: another program may be writing the entry; if it has died there, remove {}",
        entry_path(version)
    );
    Error::new(Sqlstate::DATA_CORRUPTED, message).with_hint(hint)
}

/// Who planned a statement before the table was dropped finds nothing in its folder.
fn gone() -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, "the table has no log any more")
        .with_hint("it was dropped, or its folder was removed from the storage")
}

/// Why a log cannot be replayed, as far as its entries tell: there are none, or the newest cannot be read.
pub(crate) async fn broken_tip(store: &Arc<dyn ObjectStore>) -> Option<Error> {
    let listed: Vec<ObjectMeta> = store.list(Some(&Path::from(LOG_FOLDER))).try_collect().await.ok()?;
    let versions = listed.iter().filter_map(|file| file.location.filename()?.strip_suffix(".json")?.parse().ok());
    match versions.max() {
        Some(latest) => Entry::read(store, latest).await.err(),
        None => Some(gone()),
    }
}
