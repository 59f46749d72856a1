//! The log of one table: its latest state in memory, and commits.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, AddCDCFile, Remove, Transaction, Version};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::state::DeltaTableState;
use lakeport_base::id::TableId;
use lakeport_catalog::model::Column;
use lakeport_core::engine::TableHandle;
use lakeport_core::{Error, Result};
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;
use url::Url;

use super::files::{DataFile, files_of};
use super::schema::{columns_of, delta_fields};
use super::staging::Staging;
use crate::clock::Clock;
use crate::error::{from_delta, from_store};

/// Key of a commit's time in its `commitInfo`: microseconds since the epoch, strictly increasing per server.
pub(crate) const TIMESTAMP_KEY: &str = "lakeport.timestamp";
/// Key of the rows that an idempotent append added.
pub(crate) const ROWS_KEY: &str = "lakeport.rows";
/// Key of the bytes that an idempotent append added.
pub(crate) const BYTES_KEY: &str = "lakeport.bytes";

/// Commits between two checkpoints.
const CHECKPOINT_INTERVAL: &str = "20";
/// How often a commit that only adds files is tried again after other writers.
const APPEND_RETRIES: usize = 15;

/// A table as of one version.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub state: Arc<DeltaTableState>,
    pub files: Arc<[DataFile]>,
}

impl Snapshot {
    fn new(state: DeltaTableState) -> Result<Snapshot> {
        let files = files_of(&state)?.into();
        Ok(Snapshot { state: Arc::new(state), files })
    }

    pub fn version(&self) -> Version {
        self.state.version()
    }

    /// The columns of the version, under their names of then.
    pub fn columns(&self) -> Vec<Column> {
        columns_of(self.state.schema().fields())
    }
}

/// What a commit does to a table.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    pub adds: Vec<Add>,
    pub removes: Vec<Remove>,
    pub change_files: Vec<AddCDCFile>,
    /// Application id of an idempotent append.
    pub application: Option<String>,
    /// Further `commitInfo` entries.
    pub info: Vec<(String, Value)>,
}

impl Changes {
    /// Whether the commit only adds rows, so that it fits on top of whatever others have committed.
    pub fn is_append(&self) -> bool {
        self.removes.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.adds.is_empty() && self.removes.is_empty() && self.application.is_none()
    }

    /// The files that the commit puts into the table.
    fn paths(&self) -> HashSet<&str> {
        let data = self.adds.iter().map(|add| add.path.as_str());
        data.chain(self.change_files.iter().map(|file| file.path.as_str())).collect()
    }

    fn operation(&self) -> DeltaOperation {
        if self.is_append() {
            DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
        } else {
            DeltaOperation::Update { predicate: None }
        }
    }

    fn actions(&self) -> Vec<Action> {
        let removes = self.removes.iter().cloned().map(Action::Remove);
        let adds = self.adds.iter().cloned().map(Action::Add);
        let change_files = self.change_files.iter().cloned().map(Action::Cdc);
        removes.chain(adds).chain(change_files).collect()
    }
}

/// The log of one table.
pub(crate) struct Log {
    id: TableId,
    clock: Arc<Clock>,
    /// Held from reading what a write depends on until its commit.
    writing: Arc<tokio::sync::Mutex<()>>,
    latest: Mutex<Option<Snapshot>>,
    /// Known commit times, see [`super::as_of`].
    pub(super) times: Mutex<HashMap<Version, i64>>,
}

/// The right to commit to a table; one writer has it.
pub(crate) type WriteLock = OwnedMutexGuard<()>;

impl Log {
    pub fn new(id: TableId, clock: Arc<Clock>) -> Log {
        Log { id, clock, writing: Arc::default(), latest: Mutex::default(), times: Mutex::default() }
    }

    /// Waits until no other statement writes the table.
    pub async fn lock(&self) -> WriteLock {
        Arc::clone(&self.writing).lock_owned().await
    }

    /// Writes version 0.
    pub async fn create(&self, table: &TableHandle) -> Result<()> {
        let comment = table.row.comment.clone().unwrap_or_default();
        let properties = [("delta.enableChangeDataFeed", "true"), ("delta.checkpointInterval", CHECKPOINT_INTERVAL)];
        let created = CreateBuilder::new()
            .with_log_store(self.store(Arc::clone(&table.store)))
            .with_save_mode(SaveMode::ErrorIfExists)
            .with_table_name(&table.row.name)
            .with_comment(comment)
            .with_columns(delta_fields(&table.row.columns)?)
            .with_configuration(properties.map(|(key, value)| (key, Some(value))))
            .with_commit_properties(CommitProperties::default().with_metadata([self.timestamp()]))
            .await
            .map_err(from_delta)?;
        self.set_latest(Snapshot::new(created.snapshot().map_err(from_delta)?.clone())?);
        Ok(())
    }

    /// The latest version. What this process committed is known; one request asks for commits of others.
    pub async fn latest(&self, store: &Arc<dyn ObjectStore>) -> Result<Snapshot> {
        let Some(known) = self.known() else {
            let state = DeltaTableState::try_new(&self.store(Arc::clone(store)), None).await.map_err(from_delta)?;
            return self.remember(Snapshot::new(state)?);
        };
        let next = format!("_delta_log/{:020}.json", known.version() + 1).into();
        match store.head(&next).await {
            Err(object_store::Error::NotFound { .. }) => Ok(known),
            Err(error) => Err(from_store(error)),
            Ok(_) => {
                let mut state = known.state.as_ref().clone();
                state.update(&self.store(Arc::clone(store)), None).await.map_err(from_delta)?;
                self.remember(Snapshot::new(state)?)
            }
        }
    }

    /// An earlier version.
    pub async fn at(&self, store: &Arc<dyn ObjectStore>, version: Version) -> Result<Snapshot> {
        let state =
            DeltaTableState::try_new(&self.store(Arc::clone(store)), Some(version)).await.map_err(from_delta)?;
        Snapshot::new(state)
    }

    /// Commits on top of `base`. Runs to its end even if the caller goes away, so that it never leaves files half owned.
    pub async fn commit(
        self: &Arc<Self>,
        store: &Arc<dyn ObjectStore>,
        base: &Snapshot,
        changes: Changes,
        staging: Staging,
        lock: WriteLock,
    ) -> Result<()> {
        let log = Arc::clone(self);
        let base = base.clone();
        let log_store = self.store(Arc::clone(store));
        let commit = tokio::spawn(async move {
            let committed = log.write(log_store, &base, &changes).await;
            match &committed {
                Ok(()) => staging.keep_only(changes.paths()).await,
                Err(error) if error.code() == lakeport_base::Sqlstate::SERIALIZATION_FAILURE => staging.discard().await,
                // After any other failure the commit may have been stored.
                Err(_) => staging.keep(),
            }
            drop(lock);
            committed
        });
        commit.await.map_err(Error::internal)?
    }

    async fn write(&self, store: LogStoreRef, base: &Snapshot, changes: &Changes) -> Result<()> {
        let metadata = changes.info.iter().cloned().chain([self.timestamp()]);
        let application = changes.application.iter().map(|id| Transaction::new(id, 1)).collect();
        let properties = CommitProperties::default()
            .with_metadata(metadata)
            .with_application_transactions(application)
            .with_max_retries(if changes.is_append() { APPEND_RETRIES } else { 0 });
        let committed = CommitBuilder::from(properties)
            .with_actions(changes.actions())
            .build(Some(base.state.as_ref()), store, changes.operation())
            .await
            .map_err(from_delta)?;
        self.set_latest(Snapshot::new(committed.snapshot())?);
        Ok(())
    }

    /// Commits new metadata.
    pub async fn commit_metadata(
        &self,
        store: &Arc<dyn ObjectStore>,
        base: &Snapshot,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<()> {
        let committed =
            CommitBuilder::from(CommitProperties::default().with_metadata([self.timestamp()]).with_max_retries(0))
                .with_actions(actions)
                .build(Some(base.state.as_ref()), self.store(Arc::clone(store)), operation)
                .await
                .map_err(from_delta)?;
        self.set_latest(Snapshot::new(committed.snapshot())?);
        Ok(())
    }

    /// The log as delta-rs opens it, on exactly this store.
    pub fn store(&self, store: Arc<dyn ObjectStore>) -> LogStoreRef {
        let url = Url::parse(&format!("lakeport://{}/", self.id)).expect("a number is a valid host");
        default_logstore(Arc::clone(&store), store, &url, &StorageConfig::default())
    }

    /// Milliseconds since the epoch, for deletion times.
    pub fn now_ms(&self) -> i64 {
        self.clock.now() / 1000
    }

    fn timestamp(&self) -> (String, Value) {
        (TIMESTAMP_KEY.to_string(), Value::from(self.clock.next()))
    }

    fn known(&self) -> Option<Snapshot> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, snapshot: Snapshot) -> Result<Snapshot> {
        self.set_latest(snapshot.clone());
        Ok(snapshot)
    }

    /// Never goes back: a slow reader may finish after a commit.
    fn set_latest(&self, snapshot: Snapshot) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref().is_none_or(|known| known.version() <= snapshot.version()) {
            *latest = Some(snapshot);
        }
    }
}
