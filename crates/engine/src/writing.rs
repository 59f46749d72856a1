//! One statement's write to one table, from reading what it depends on until its commit.

use std::sync::Arc;

use lakeport_core::Result;
use lakeport_core::engine::{TableHandle, TransactionId};

use crate::DataFusionEngine;
use crate::delta::files::DataFile;
use crate::delta::log::{Changes, Log, Snapshot, WriteLock};
use crate::delta::staging::Staging;
use crate::error::conflict;

/// The right to write a table, what the statement sees of it, and the files it stages. Dropping it undoes the write.
pub(crate) struct Writing {
    pub table: TableHandle,
    pub base: Snapshot,
    /// The files that the statement sees: those of `base`, or what its block has made of them.
    pub files: Arc<[DataFile]>,
    pub staging: Staging,
    pub transaction: Option<TransactionId>,
    log: Arc<Log>,
    lock: WriteLock,
}

impl Writing {
    /// Milliseconds since the epoch, for deletion times.
    pub fn now_ms(&self) -> i64 {
        self.log.now_ms()
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }
}

impl DataFusionEngine {
    /// Waits for the table's turn and takes its state.
    pub(crate) async fn start_writing(
        &self,
        table: &TableHandle,
        transaction: Option<TransactionId>,
    ) -> Result<Writing> {
        let log = self.log(table);
        let lock = log.lock().await;
        if let Some(id) = transaction {
            self.transactions.check_table(id, table.row.id)?;
        }
        let base = self.version_seen(table, transaction).await?;
        let own = self.transactions.files(transaction, table.row.id);
        let files = own.unwrap_or_else(|| Arc::clone(&base.files));
        let staging = Staging::new(Arc::clone(&table.store));
        Ok(Writing { table: table.clone(), base, files, staging, transaction, log, lock })
    }

    /// The latest version or, in a block, the one that was the latest when it first looked.
    pub(crate) async fn version_seen(
        &self,
        table: &TableHandle,
        transaction: Option<TransactionId>,
    ) -> Result<Snapshot> {
        if let Some(pinned) = transaction.and_then(|id| self.transactions.pinned(id, table.row.id)) {
            return Ok(pinned);
        }
        let latest = self.log(table).latest(&table.store).await?;
        Ok(match transaction {
            Some(id) => self.transactions.pin(id, table.row.id, latest),
            None => latest,
        })
    }

    /// Commits, or adds to the block.
    pub(crate) async fn finish_writing(&self, writing: Writing, changes: Changes) -> Result<()> {
        let Writing { table, base, staging, transaction, log, lock, .. } = writing;
        if changes.is_empty() {
            return Ok(());
        }
        match transaction {
            Some(id) => self.transactions.add(id, &table, &base, changes, staging),
            None => log.commit(&table.store, &base, changes, staging, lock).await,
        }
    }

    /// Makes a block's writes one commit.
    pub(crate) async fn commit_block(&self, transaction: TransactionId) -> Result<()> {
        let Some(block) = self.transactions.end(transaction)? else { return Ok(()) };
        let log = self.log(&block.table);
        let lock = log.lock().await;
        let latest = log.latest(&block.table.store).await?;
        // Rows that others added meanwhile may have the keys that the block found free.
        let moved = latest.version() != block.base.version();
        if moved && (!block.changes.is_append() || !block.table.row.primary_key.is_empty()) {
            block.staging.discard().await;
            return Err(conflict());
        }
        log.commit(&block.table.store, &latest, block.changes, block.staging, lock).await
    }

    /// Forgets a block and deletes its files.
    pub(crate) async fn roll_back_block(&self, transaction: TransactionId) {
        if let Ok(Some(block)) = self.transactions.end(transaction) {
            block.staging.discard().await;
        }
    }
}
