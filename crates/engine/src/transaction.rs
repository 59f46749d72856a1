//! Transaction blocks: what a block has written, seen by itself only, until it is one commit.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lakeport_base::Sqlstate;
use lakeport_base::id::TableId;
use lakeport_core::engine::{TableHandle, TransactionId};
use lakeport_core::{Error, Result};

use crate::delta::entry::Changes;
use crate::delta::files::DataFile;
use crate::delta::snapshot::Snapshot;
use crate::delta::staging::Staging;

/// The open blocks.
#[derive(Default)]
pub(crate) struct Transactions {
    next: AtomicU64,
    open: Mutex<HashMap<TransactionId, Open>>,
}

/// An open block.
#[derive(Default)]
struct Open {
    /// Each table that the block has read or written, as it was then; the block sees no later version.
    pinned: HashMap<TableId, (TableHandle, Snapshot)>,
    block: Option<Block>,
}

/// The uncommitted writes of a block to its one table.
pub(crate) struct Block {
    pub table: TableHandle,
    /// The version that the first write read.
    pub base: Snapshot,
    /// The table as the block sees it.
    pub files: Arc<[DataFile]>,
    pub staging: Staging,
    /// What each statement did, in order.
    statements: Vec<Changes>,
}

impl Transactions {
    /// Opens a block.
    pub fn begin(&self) -> TransactionId {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.open().insert(id, Open::default());
        id
    }

    /// Closes a block; `None` if it wrote nothing.
    pub fn end(&self, id: TransactionId) -> Result<Option<Block>> {
        Ok(self.open().remove(&id).ok_or_else(no_block)?.block)
    }

    /// A table as a block reads it, if it has read it before.
    pub fn pinned(&self, id: TransactionId, table: TableId) -> Option<(TableHandle, Snapshot)> {
        self.open().get(&id)?.pinned.get(&table).cloned()
    }

    /// Makes a version the one that a block reads; answers the one that counts.
    pub fn pin(&self, id: TransactionId, table: &TableHandle, snapshot: Snapshot) -> (TableHandle, Snapshot) {
        let seen = (table.clone(), snapshot);
        match self.open().get_mut(&id) {
            Some(open) => open.pinned.entry(table.row.id).or_insert(seen).clone(),
            None => seen,
        }
    }

    /// The files that a block sees of a table that it has written.
    pub fn files(&self, id: Option<TransactionId>, table: TableId) -> Option<Arc<[DataFile]>> {
        let open = self.open();
        let block = open.get(&id?)?.block.as_ref()?;
        (block.table.row.id == table).then(|| Arc::clone(&block.files))
    }

    /// Whether an open block has written a table.
    pub fn is_writing(&self, table: TableId) -> bool {
        self.open().values().filter_map(|open| open.block.as_ref()).any(|block| block.table.row.id == table)
    }

    /// # Errors
    /// 0A000 when the block has written another table.
    pub fn check_table(&self, id: TransactionId, table: TableId) -> Result<()> {
        match &self.open().get(&id).ok_or_else(no_block)?.block {
            Some(block) if block.table.row.id != table => Err(second_table(&block.table.row.name)),
            _ => Ok(()),
        }
    }

    /// Adds one statement's writes to a block.
    pub fn add(
        &self,
        id: TransactionId,
        table: &TableHandle,
        base: &Snapshot,
        changes: Changes,
        staging: Staging,
    ) -> Result<()> {
        let mut open = self.open();
        let block = match &mut open.get_mut(&id).ok_or_else(no_block)?.block {
            Some(block) => {
                block.staging.absorb(&staging);
                block
            }
            none => {
                let files = Arc::clone(&base.files);
                let (table, base) = (table.clone(), base.clone());
                none.insert(Block { table, base, files, staging, statements: Vec::new() })
            }
        };
        block.add(changes)
    }

    /// How many statements of a block have written.
    pub fn written(&self, id: TransactionId) -> Result<usize> {
        let open = self.open();
        let block = open.get(&id).ok_or_else(no_block)?.block.as_ref();
        Ok(block.map_or(0, |block| block.statements.len()))
    }

    /// Undoes what a block has written since its first `written` statements. Without those it has written no table.
    pub fn undo(&self, id: TransactionId, written: usize) -> Result<()> {
        let mut open = self.open();
        let block = &mut open.get_mut(&id).ok_or_else(no_block)?.block;
        match block {
            Some(_) if written == 0 => *block = None,
            Some(block) if written < block.statements.len() => block.undo(written)?,
            _ => {}
        }
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<TransactionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block {
    fn add(&mut self, changes: Changes) -> Result<()> {
        let gone: HashSet<&str> = changes.removes.iter().map(|remove| remove.path.as_str()).collect();
        let added = changes.adds.iter().map(DataFile::of).collect::<Result<Vec<_>>>()?;
        let kept = self.files.iter().filter(|file| !gone.contains(&*file.path)).cloned();
        self.files = kept.chain(added).collect();
        self.statements.push(changes);
        Ok(())
    }

    /// Goes back to the first `written` statements. The files of the others are deleted when the block ends.
    fn undo(&mut self, written: usize) -> Result<()> {
        self.statements.truncate(written);
        let changes = self.changes();
        let gone: HashSet<&str> = changes.removes.iter().map(|remove| remove.path.as_str()).collect();
        let added = changes.adds.iter().map(DataFile::of).collect::<Result<Vec<_>>>()?;
        let kept = self.base.files.iter().filter(|file| !gone.contains(&*file.path)).cloned();
        self.files = kept.chain(added).collect();
        Ok(())
    }

    /// What all statements did, as one commit. A file that the block itself has added and removed was never in the table.
    pub fn changes(&self) -> Changes {
        let adds = || self.statements.iter().flat_map(|changes| &changes.adds);
        let removes = || self.statements.iter().flat_map(|changes| &changes.removes);
        let own: HashSet<&str> = adds().map(|add| add.path.as_str()).collect();
        let gone: HashSet<&str> = removes().map(|remove| remove.path.as_str()).collect();
        let marks: HashSet<&String> = self.statements.iter().flat_map(|changes| &changes.marks).collect();
        Changes {
            adds: adds().filter(|add| !gone.contains(add.path.as_str())).cloned().collect(),
            removes: removes().filter(|remove| !own.contains(remove.path.as_str())).cloned().collect(),
            change_files: self.statements.iter().flat_map(|changes| &changes.change_files).cloned().collect(),
            // An entry has one action of an application.
            marks: marks.into_iter().cloned().collect(),
            ..Changes::default()
        }
    }
}

fn no_block() -> Error {
    Error::new(Sqlstate::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress")
}

fn second_table(first: &str) -> Error {
    Error::unsupported(format!("a transaction block may write one table; {first:?} was written first"))
        .with_hint("commit, then write the other table in a transaction of its own")
}
