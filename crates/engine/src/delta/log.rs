//! The log of one table: its latest version in memory, and commits.
//!
//! A version is replayed from checkpoint and entries once. After that a commit of ours is applied in memory, and one
//! request asks whether another writer has made the next version, so that neither grows with the table's history.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltalake::kernel::transaction::CommitProperties;
use deltalake::kernel::{Action, Add, StructField, Version};
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::SaveMode;
use deltalake::table::state::DeltaTableState;
use lakeport_base::Point;
use lakeport_base::id::TableId;
use lakeport_catalog::model::Table;
use lakeport_core::Result;
use lakeport_core::engine::TableHandle;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::entry::{Changes, Entry, Stamp, TIMESTAMP_KEY, broken_tip, entry_path};
use super::marks::{self, Marks};
use super::snapshot::Snapshot;
use super::staging::{Staging, Stagings};
use crate::clock::Clock;
use crate::error::{conflict, from_delta, from_store, uncertain};
use crate::group::Waiting;

/// Commits between two checkpoints, as other writers are told; our own are written in the background.
const CHECKPOINT_INTERVAL: &str = "100";
/// How long the absence of the next entry tells that the known version is the latest, in microseconds. Entries are kept
/// longer than this, so a version that was looked at since cannot have lost its successors.
const TRUSTED_MICROS: i64 = 30 * 60 * 1_000_000;

/// The latest version that this process knows.
struct Known {
    snapshot: Snapshot,
    /// When it was found to be the latest, in microseconds since the epoch.
    at: i64,
}

/// The log of one table.
pub(crate) struct Log {
    id: TableId,
    clock: Arc<Clock>,
    /// Held from reading what a write depends on until its commit.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// The table as the last ALTER of this process left it.
    altered: Mutex<Option<Arc<Table>>>,
    latest: Mutex<Option<Known>>,
    /// Known commit times, see [`super::as_of`].
    pub(super) times: Mutex<HashMap<Version, i64>>,
    /// The marks of the latest version for which somebody asked.
    marks: tokio::sync::Mutex<Option<Arc<Marks>>>,
    /// Appends that wait to be committed together.
    pub waiting: Waiting,
    stagings: Stagings,
    /// Commits of this process since the last upkeep.
    commits: AtomicU64,
    /// Held by upkeep.
    upkeep: Arc<tokio::sync::Mutex<()>>,
    /// Fires when the table is dropped.
    dropped: CancellationToken,
}

/// The right to commit to a table; one writer has it.
pub(crate) type WriteLock = OwnedMutexGuard<()>;
/// The right to look after a table; upkeep goes on as long as a share of it is held.
pub(crate) type UpkeepTurn = OwnedMutexGuard<()>;

impl Log {
    pub fn new(id: TableId, clock: Arc<Clock>) -> Log {
        Log {
            id,
            clock,
            writing: Arc::default(),
            altered: Mutex::default(),
            latest: Mutex::default(),
            times: Mutex::default(),
            marks: tokio::sync::Mutex::default(),
            waiting: Waiting::default(),
            stagings: Stagings::default(),
            commits: AtomicU64::new(0),
            upkeep: Arc::default(),
            dropped: CancellationToken::new(),
        }
    }

    /// Waits until no other statement writes the table.
    pub async fn lock(&self) -> WriteLock {
        Arc::clone(&self.writing).lock_owned().await
    }

    /// Asks, under the lock, whether a write planned on a table's row may be committed.
    ///
    /// # Errors
    /// 40001 when the table has been altered or dropped since.
    pub fn require_current(&self, row: &Table) -> Result<()> {
        let altered = self.altered.lock().unwrap_or_else(PoisonError::into_inner);
        let current = altered.as_ref().is_none_or(|now| now.version <= row.version || now.has_columns_of(row));
        if current && !self.dropped.is_cancelled() { Ok(()) } else { Err(conflict()) }
    }

    /// Makes known, under the lock, what ALTER has made of the table.
    pub fn set_altered(&self, row: Arc<Table>) {
        *self.altered.lock().unwrap_or_else(PoisonError::into_inner) = Some(row);
    }

    /// Writes version 0: a table of these fields and files.
    pub async fn create(&self, table: &TableHandle, fields: Vec<StructField>, files: Vec<Add>) -> Result<()> {
        self.clock.fault(Point::LogCreate)?;
        let comment = table.row.comment.clone().unwrap_or_default();
        let properties = [
            ("delta.enableChangeDataFeed", "true".to_string()),
            ("delta.checkpointInterval", CHECKPOINT_INTERVAL.to_string()),
            ("delta.setTransactionRetentionDuration", marks::retention()),
        ];
        let timestamp = (TIMESTAMP_KEY.to_string(), Value::from(self.clock.next()));
        let created = CreateBuilder::new()
            .with_log_store(self.store(Arc::clone(&table.store)))
            .with_save_mode(SaveMode::ErrorIfExists)
            .with_table_name(&table.row.name)
            .with_comment(comment)
            .with_columns(fields)
            .with_actions(files.into_iter().map(Action::Add))
            .with_configuration(properties.map(|(key, value)| (key, Some(value))))
            .with_commit_properties(CommitProperties::default().with_metadata([timestamp]))
            .await
            .map_err(from_delta)?;
        self.remember(Snapshot::of(created.snapshot().map_err(from_delta)?)?);
        Ok(())
    }

    /// The latest version. What this process committed is known; one request asks for commits of others.
    pub async fn latest(&self, store: &Arc<dyn ObjectStore>) -> Result<Snapshot> {
        let Some(mut snapshot) = self.known() else { return self.load(store).await };
        while let Some(entry) = Entry::read(store, snapshot.version() + 1).await? {
            entry.time().into_iter().for_each(|at| self.clock.pass(at));
            snapshot = match entry.changes() {
                Some(changes) => snapshot.after(&changes)?,
                None => return self.load(store).await,
            };
        }
        Ok(self.remember(snapshot))
    }

    /// The latest version, replayed from the log.
    async fn load(&self, store: &Arc<dyn ObjectStore>) -> Result<Snapshot> {
        let latest = self.replay(store, None).await?;
        // Replaying takes an entry without a line for a whole one: one that its writer has not filled yet.
        let entry = Entry::read(store, latest.version()).await?;
        entry.and_then(|entry| entry.time()).into_iter().for_each(|at| self.clock.pass(at));
        Ok(self.remember(latest))
    }

    /// An earlier version.
    pub async fn at(&self, store: &Arc<dyn ObjectStore>, version: Version) -> Result<Snapshot> {
        self.replay(store, Some(version)).await
    }

    async fn replay(&self, store: &Arc<dyn ObjectStore>, version: Option<Version>) -> Result<Snapshot> {
        match DeltaTableState::try_new(&self.store(Arc::clone(store)), version).await {
            Ok(state) => Snapshot::of(&state),
            Err(error) => Err(broken_tip(store).await.unwrap_or_else(|| from_delta(error))),
        }
    }

    /// Writes the version after `base`.
    ///
    /// # Errors
    /// 40001 when another writer has made that version, or `base` lacks a file that the changes remove. After any other
    /// error of the storage the version may have been made.
    pub async fn commit(&self, store: &Arc<dyn ObjectStore>, base: &Snapshot, changes: &Changes) -> Result<Snapshot> {
        base.check_fits(changes)?;
        let next = base.after(changes)?;
        let version = next.version();
        let stamp = Stamp { id: self.clock.random_id(), at: self.clock.next() };
        let entry = changes.to_entry(&stamp)?;
        self.clock.fault(Point::LogCommit)?;
        let put = store.put_opts(&entry_path(version), entry.into(), PutMode::Create.into()).await;
        if let Err(error) = put {
            check_made(store, version, &stamp, error).await?;
        }
        self.clock.fault(Point::LogCommitted)?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(self.remember(next))
    }

    /// Commits in a task of its own, which a caller that goes away does not stop. The next writer may go on when the
    /// lock that comes back is dropped.
    ///
    /// # Errors
    /// As [`Log::commit`].
    pub async fn commit_staged(
        self: Arc<Self>,
        store: Arc<dyn ObjectStore>,
        base: Snapshot,
        changes: Arc<Changes>,
        staging: Arc<Staging>,
        lock: WriteLock,
    ) -> Result<WriteLock> {
        let log = self;
        let commit = tokio::spawn(async move {
            let committed = log.commit(&store, &base, &changes).await;
            staging.settle(&committed, &changes).await;
            committed.map(|_| lock)
        });
        commit.await.map_err(lakeport_core::Error::internal)?
    }

    /// The marks up to a version at least.
    pub async fn marks(&self, store: &Arc<dyn ObjectStore>, version: Version) -> Result<Arc<Marks>> {
        let mut known = self.marks.lock().await;
        let marks = Marks::of(store, known.as_ref(), version).await?;
        Ok(Arc::clone(known.insert(marks)))
    }

    /// The log as delta-rs opens it, on exactly this store.
    pub fn store(&self, store: Arc<dyn ObjectStore>) -> LogStoreRef {
        let url = Url::parse(&format!("lakeport://{}/", self.id)).expect("a number is a valid host");
        default_logstore(Arc::clone(&store), store, &url, &StorageConfig::default())
    }

    /// A place for files on their way into the table.
    pub fn staging(&self, store: &Arc<dyn ObjectStore>) -> Staging {
        self.stagings.open(store, &self.clock)
    }

    /// Files that writes of this process have staged and not committed.
    pub fn staged_files(&self) -> HashSet<Path> {
        self.stagings.files()
    }

    /// Commits of this process since the last upkeep.
    pub fn commits_since_upkeep(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Waits for the last upkeep to end, and begins to count commits anew.
    pub async fn start_upkeep(&self) -> Arc<UpkeepTurn> {
        let turn = Arc::clone(&self.upkeep).lock_owned().await;
        self.commits.store(0, Ordering::Relaxed);
        Arc::new(turn)
    }

    /// Fires when the table is dropped.
    pub fn dropped(&self) -> &CancellationToken {
        &self.dropped
    }

    /// Ends upkeep and writes for good, so that none finds its files deleted and none leaves any behind.
    pub async fn retire(&self) {
        self.dropped.cancel();
        drop(self.upkeep.lock().await);
        drop(self.writing.lock().await);
    }

    /// Reaches a fault point of those who hold the log.
    pub fn fault(&self, point: Point) -> Result<()> {
        Ok(self.clock.fault(point)?)
    }

    /// Whether a version is in memory.
    pub fn is_known(&self) -> bool {
        self.latest_known().is_some()
    }

    /// Lets go of the version in memory, and of the marks unless somebody reads them.
    pub fn rest(&self) {
        *self.latest_known() = None;
        if let Ok(mut marks) = self.marks.try_lock() {
            *marks = None;
        }
    }

    /// Milliseconds since the epoch, for deletion times.
    pub fn now_ms(&self) -> i64 {
        self.clock.now() / 1000
    }

    /// The latest version known, unless it was looked at too long ago to be trusted.
    fn known(&self) -> Option<Snapshot> {
        let latest = self.latest_known();
        let known = latest.as_ref().filter(|known| self.clock.now() - known.at < TRUSTED_MICROS);
        known.map(|known| known.snapshot.clone())
    }

    /// Never goes back: a slow reader may finish after a commit.
    fn remember(&self, snapshot: Snapshot) -> Snapshot {
        let at = self.clock.now();
        let mut latest = self.latest_known();
        if latest.as_ref().is_none_or(|known| known.snapshot.version() <= snapshot.version()) {
            *latest = Some(Known { snapshot: snapshot.clone(), at });
        }
        snapshot
    }

    fn latest_known(&self) -> MutexGuard<'_, Option<Known>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a commit was made although the request for it failed: its answer may have been lost. An entry that is there but
/// not yet durable is made so before it is read.
async fn check_made(
    store: &Arc<dyn ObjectStore>,
    version: Version,
    stamp: &Stamp,
    error: object_store::Error,
) -> Result<()> {
    match Entry::read(store, version).await {
        Ok(Some(entry)) if entry.is_of(stamp) => Ok(()),
        Ok(Some(_)) => Err(conflict()),
        Ok(None) => Err(from_store(error)),
        Err(_) => Err(uncertain(error)),
    }
}
