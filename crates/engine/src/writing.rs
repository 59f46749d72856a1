//! One statement's write to one table, from reading what it depends on until its commit.

use std::sync::Arc;

use lakeport_base::Sqlstate;
use lakeport_core::Result;
use lakeport_core::engine::{TableHandle, TransactionId};

use crate::DataFusionEngine;
use crate::append::{Incoming, Staged};
use crate::delta::entry::Changes;
use crate::delta::files::DataFile;
use crate::delta::log::{Log, WriteLock};
use crate::delta::snapshot::Snapshot;
use crate::delta::staging::Staging;
use crate::error::conflict;
use crate::transaction::Block;

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

/// How often a write is tried when other writers of the log get ahead of it.
pub(crate) const ATTEMPTS: usize = 15;

impl Writing {
    /// Milliseconds since the epoch, for deletion times.
    pub fn now_ms(&self) -> i64 {
        self.log.now_ms()
    }

    /// Commits what was staged for this version, and ends the table's turn.
    pub async fn commit(self, changes: Arc<Changes>, staging: Arc<Staging>) -> Result<()> {
        self.log.commit_staged(self.table.store, self.base, changes, staging, self.lock).await
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
        let staging = log.staging(&table.store);
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
    pub(crate) async fn finish_writing(&self, mut writing: Writing, changes: Changes) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let staging = std::mem::replace(&mut writing.staging, writing.log.staging(&writing.table.store));
        match writing.transaction {
            Some(id) => self.transactions.add(id, &writing.table, &writing.base, changes, staging),
            None => writing.commit(Arc::new(changes), Arc::new(staging)).await,
        }
    }

    /// Makes a block's writes one commit.
    pub(crate) async fn commit_block(&self, transaction: TransactionId) -> Result<()> {
        let Some(block) = self.transactions.end(transaction)? else { return Ok(()) };
        if block.changes.is_append() {
            return self.commit_append_block(block).await;
        }
        let log = self.log(&block.table);
        let lock = log.lock().await;
        let latest = log.latest(&block.table.store).await?;
        if latest.changed_since(block.base.version()) {
            return Err(conflict());
        }
        log.commit_staged(block.table.store, latest, Arc::new(block.changes), Arc::new(block.staging), lock).await
    }

    /// Commits a block that only adds rows with the appends of other writers. Those need no change data of their own,
    /// and a commit has them for all its rows or for none.
    async fn commit_append_block(&self, block: Block) -> Result<()> {
        let Block { table, changes, staging, .. } = block;
        let staged = Staged { staging, adds: changes.adds, change_files: Vec::new(), rows: 0 };
        match self.commit_append(&table, Incoming::Staged(staged)).await {
            // The keys were free when the block looked.
            Err(error) if error.code() == Sqlstate::UNIQUE_VIOLATION => Err(conflict().with_source(error)),
            outcome => outcome,
        }
    }

    /// Forgets a block and deletes its files.
    pub(crate) async fn roll_back_block(&self, transaction: TransactionId) {
        if let Ok(Some(block)) = self.transactions.end(transaction) {
            block.staging.discard().await;
        }
    }
}
