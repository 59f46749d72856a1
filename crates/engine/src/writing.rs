//! One statement's write to one table, from reading what it depends on until its commit.

use std::sync::Arc;

use lakeport_base::Sqlstate;
use lakeport_core::Result;
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{TableHandle, TransactionId};

use crate::DataFusionEngine;
use crate::append::{Incoming, Staged};
use crate::delta::entry::Changes;
use crate::delta::files::DataFile;
use crate::delta::log::{Log, WriteLock};
use crate::delta::snapshot::Snapshot;
use crate::delta::staging::Staging;
use crate::error::{conflict, is_conflict};
use crate::transaction::Block;

/// The right to write a table, what the statement sees of it, and the files it stages. Dropping it undoes the write.
pub(crate) struct Writing {
    pub table: TableHandle,
    pub base: Snapshot,
    /// The files that the statement sees: those of `base`, or what its block has made of them.
    pub files: Arc<[DataFile]>,
    pub staging: Staging,
    pub transaction: Option<TransactionId>,
    cancel: Cancel,
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

    /// Commits what was staged for this version. The table's turn ends when what is returned is dropped.
    pub async fn commit(self, changes: Arc<Changes>, staging: Arc<Staging>) -> Result<WriteLock> {
        let commit = self.log.commit_staged(self.table.store, self.base, changes, staging, self.lock);
        self.cancel.commit(commit).await
    }

    /// Ends without a commit what needs none.
    pub fn into_lock(self) -> WriteLock {
        self.lock
    }
}

impl DataFusionEngine {
    /// Waits for the table's turn and takes its state.
    ///
    /// # Errors
    /// 40001 when the table has been altered since the statement was planned, or since its block looked at it.
    pub(crate) async fn start_writing(
        &self,
        table: &TableHandle,
        transaction: Option<TransactionId>,
        cancel: &Cancel,
    ) -> Result<Writing> {
        let log = self.log(table);
        let lock = log.lock().await;
        log.require_current(&table.row)?;
        if let Some(id) = transaction {
            self.transactions.check_table(id, table.row.id)?;
        }
        let (seen, base) = self.version_seen(table, transaction).await?;
        if !seen.row.has_columns_of(&table.row) {
            return Err(conflict());
        }
        let own = self.transactions.files(transaction, table.row.id);
        let files = own.unwrap_or_else(|| Arc::clone(&base.files));
        let staging = log.staging(&table.store);
        Ok(Writing { table: table.clone(), base, files, staging, transaction, cancel: cancel.clone(), log, lock })
    }

    /// Writes, and writes again while other writers of the log get ahead. What was planned before an ALTER is not.
    pub(crate) async fn retrying<T, W>(&self, table: &TableHandle, write: impl Fn() -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        let log = self.log(table);
        for _ in 1..ATTEMPTS {
            match write().await {
                Err(error) if is_conflict(&error) && log.require_current(&table.row).is_ok() => {}
                outcome => return outcome,
            }
        }
        write().await
    }

    /// The table in its latest version or, in a block, as it was when the block first looked.
    pub(crate) async fn version_seen(
        &self,
        table: &TableHandle,
        transaction: Option<TransactionId>,
    ) -> Result<(TableHandle, Snapshot)> {
        if let Some(pinned) = transaction.and_then(|id| self.transactions.pinned(id, table.row.id)) {
            return Ok(pinned);
        }
        let latest = self.log(table).latest(&table.store).await?;
        Ok(match transaction {
            Some(id) => self.transactions.pin(id, table, latest),
            None => (table.clone(), latest),
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
            None => writing.commit(Arc::new(changes), Arc::new(staging)).await.map(drop),
        }
    }

    /// Makes a block's writes one commit.
    pub(crate) async fn commit_block(&self, transaction: TransactionId, cancel: &Cancel) -> Result<()> {
        let Some(block) = self.transactions.end(transaction)? else { return Ok(()) };
        let changes = block.changes();
        if changes.is_append() && changes.marks.is_empty() {
            return self.commit_append_block(block, changes, cancel).await;
        }
        let log = self.log(&block.table);
        let lock = log.lock().await;
        log.require_current(&block.table.row)?;
        let latest = log.latest(&block.table.store).await?;
        if latest.changed_since(block.base.version()) {
            return Err(conflict());
        }
        let (changes, staging) = (Arc::new(changes), Arc::new(block.staging));
        cancel.commit(log.commit_staged(block.table.store, latest, changes, staging, lock)).await.map(drop)
    }

    /// Commits a block that only adds rows with the appends of other writers. Those need no change data of their own,
    /// and a commit has them for all its rows or for none.
    async fn commit_append_block(&self, block: Block, changes: Changes, cancel: &Cancel) -> Result<()> {
        let Block { table, staging, .. } = block;
        let staged = Staged { staging, adds: changes.adds, change_files: Vec::new(), rows: 0 };
        match self.commit_append(&table, Incoming::Staged(staged), cancel).await {
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
