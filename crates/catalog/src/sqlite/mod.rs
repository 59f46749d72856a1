//! The SQLite store: one file in WAL mode, synced at every commit.
//!
//! One connection writes, several read. `tx` maps the trait onto one file per topic; `row` decodes rows; `open` makes
//! and locks the files and their first rows.

mod connection;
mod database;
mod drops;
mod event;
mod file_format;
mod grant;
mod job;
mod leftover;
mod open;
mod role;
mod row;
mod schedule;
mod setting;
mod stage;
mod table;
mod tx;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lakeport_base::{Env, Point};
use sqlx::SqlitePool;

use crate::error::Result;
use crate::seal::{DataKey, MasterKey};
use crate::{Catalog, Tx};
use tx::SqliteTx;

/// How long a transaction waits for its turn before it fails with [`Error::Busy`](crate::Error::Busy).
const TURN_WAIT: Duration = Duration::from_secs(30);
/// Read transactions that may be open at once; more wait for a turn.
const READERS_MAX: u32 = 16;

/// A catalog in one SQLite file.
pub struct SqliteCatalog {
    /// One connection, so that writers take turns.
    writer: SqlitePool,
    readers: SqlitePool,
    shared: Arc<Shared>,
    identity: String,
    /// Keeps other processes out while it is open.
    _lock: File,
}

/// What the transactions of one catalog share.
struct Shared {
    key: DataKey,
    generation: AtomicU64,
    env: Env,
}

impl Shared {
    /// Reaches a fault point.
    fn reach(&self, point: Point) -> Result<()> {
        Ok(self.env.fault(point).map_err(sqlx::Error::Io)?)
    }
}

impl SqliteCatalog {
    /// Opens the catalog in a file, making it if it is missing. `master` gives the master key; it is told whether the
    /// catalog has been sealed before, so that no new key is made for one that it would not open.
    ///
    /// # Errors
    /// [`Open`](crate::Error::Open) when the file cannot be made or another process has it open, [`MasterKey`](crate::Error::MasterKey) when it was
    /// sealed with another key, [`Store`](crate::Error::Store) when it is no catalog or one of a newer version.
    pub async fn open(
        path: &Path,
        master: impl FnOnce(bool) -> Result<MasterKey> + Send,
        env: Env,
    ) -> Result<SqliteCatalog> {
        let path = open::absolute(path)?;
        let lock = open::make_and_lock(&path)?;
        let writer = open::writer_pool(&path).await?;
        open::migrate(&writer).await?;
        let key = open::data_key(&writer, master, &env).await?;
        let identity = open::identity(&writer, &env).await?;
        let readers = open::reader_pool(&path).await?;
        let shared = Arc::new(Shared { key, generation: AtomicU64::new(0), env });
        Ok(SqliteCatalog { writer, readers, shared, identity, _lock: lock })
    }

    /// Wraps the data key under a new master key; from then on only the new one opens this catalog.
    ///
    /// # Errors
    /// [`Store`](crate::Error::Store) or [`Busy`](crate::Error::Busy); the old master key stays valid then.
    pub async fn rewrap(&self, master: &MasterKey) -> Result<()> {
        let wrapped = self.shared.key.wrap(master, &self.shared.env);
        let mut transaction = self.writer.begin_with(open::BEGIN_WRITE).await?;
        sqlx::query("UPDATE data_key SET wrapped = ?").bind(wrapped).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Waits for open transactions to end and closes the files.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn read(&self) -> Result<Box<dyn Tx>> {
        let mut transaction = self.readers.begin().await?;
        // SQLite chooses the state a transaction sees at its first read.
        sqlx::query("SELECT next FROM sequence").execute(&mut *transaction).await?;
        Ok(Box::new(SqliteTx::new(transaction, Arc::clone(&self.shared))))
    }

    async fn write(&self) -> Result<Box<dyn Tx>> {
        let transaction = self.writer.begin_with(open::BEGIN_WRITE).await?;
        Ok(Box::new(SqliteTx::new(transaction, Arc::clone(&self.shared))))
    }

    fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    fn identity(&self) -> &str {
        &self.identity
    }
}

#[cfg(test)]
mod tests;
