//! Group commit: appends to one table that wait while another commit is on its way become one commit.
//!
//! A writer joins the queue and waits for its answer or for the table's lock, whichever comes first. Who gets the lock
//! takes the whole queue: rows whose keys are taken are refused one writer at a time, the others' few rows go into one
//! file, and one log entry adds all files. The group runs in a task of its own, so that no writer's end stops it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lakeport_base::Sqlstate;
use lakeport_core::cancel::{Cancel, Hold};
use lakeport_core::engine::TableHandle;
use lakeport_core::{Error, Result};
use tokio::sync::oneshot;

use crate::DataFusionEngine;
use crate::append::Incoming;
use crate::context::Sessions;
use crate::delta::entry::Changes;
use crate::delta::files::DataFile;
use crate::delta::log::{Log, WriteLock};
use crate::delta::snapshot::Snapshot;
use crate::error::{copied, is_conflict};
use crate::key::{KeyCheck, KeyRows};
use crate::stage::write_rows;
use crate::writing::ATTEMPTS;

/// Writers of one commit. More wait for the next.
const MEMBERS_MAX: usize = 256;

/// The appends that wait for a table's next commit.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Vec<Member>>);

/// One writer's append.
struct Member {
    table: TableHandle,
    incoming: Incoming,
    cancel: Cancel,
    /// Held from the moment the writer cannot be left out of the commit any more.
    hold: Option<Hold>,
    reply: oneshot::Sender<Result<()>>,
}

impl Member {
    /// The statement was cancelled: nobody waits for the answer.
    fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    fn key_rows(&self) -> Result<KeyRows> {
        let adds = self.incoming.staged().map_or(&[][..], |staged| &staged.adds);
        let files = adds.iter().map(DataFile::of).collect::<Result<Vec<_>>>()?;
        Ok(KeyRows { batches: self.incoming.few().to_vec(), files })
    }
}

impl Waiting {
    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writers that have waited longest.
    fn take(&self) -> Vec<Member> {
        let mut members = self.members();
        members.retain(|member| !member.is_gone());
        let count = members.len().min(MEMBERS_MAX);
        members.drain(..count).collect()
    }
}

/// A writer's wait for its answer. Dropping it takes the append out of the queue.
struct Turn<'a> {
    waiting: &'a Waiting,
    outcome: oneshot::Receiver<Result<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.outcome.close();
        self.waiting.members().retain(|member| !member.is_gone());
    }
}

impl DataFusionEngine {
    /// Commits an append, together with those of other writers that wait. Returns once it is durable.
    ///
    /// # Errors
    /// 23505 when a key is taken, by the table or by a writer before this one.
    pub(crate) async fn commit_append(&self, table: &TableHandle, incoming: Incoming, cancel: &Cancel) -> Result<()> {
        let log = self.log(table);
        let (reply, outcome) = oneshot::channel();
        log.waiting.members().push(Member {
            table: table.clone(),
            incoming,
            cancel: cancel.clone(),
            hold: None,
            reply,
        });
        let mut turn = Turn { waiting: &log.waiting, outcome };
        loop {
            tokio::select! {
                biased;
                outcome = &mut turn.outcome => return outcome.map_err(Error::internal)?,
                lock = log.lock() => {
                    let members = log.waiting.take();
                    let group = Group { sessions: Arc::clone(&self.sessions), log: Arc::clone(&log), members };
                    // Its members hear of its end; a panic in it drops their senders.
                    drop(tokio::spawn(group.commit(lock)));
                }
            }
        }
    }
}

/// Appends that become one commit.
struct Group {
    sessions: Arc<Sessions>,
    log: Arc<Log>,
    members: Vec<Member>,
}

impl Group {
    async fn commit(mut self, lock: WriteLock) {
        for attempt in 1.. {
            let Err(error) = self.attempt().await else { break };
            if !is_conflict(&error) || attempt == ATTEMPTS {
                self.refuse_all(&error);
                break;
            }
        }
        drop(lock);
    }

    /// Commits on top of the latest version and answers the members.
    async fn attempt(&mut self) -> Result<()> {
        self.refuse_outdated();
        let Some(table) = self.members.first().map(|member| member.table.clone()) else { return Ok(()) };
        let base = self.log.latest(&table.store).await?;
        self.refuse_duplicates(&base).await?;
        self.hold();
        let staging = self.log.staging(&table.store);
        let few = self.members.iter().flat_map(|member| member.incoming.few());
        let adds = write_rows(&staging, &table.row, few.clone()).await?;
        self.sessions.filters.remember(&table.row, &adds, few)?;
        let mut changes = Changes { adds, ..Changes::default() };
        let staged = || self.members.iter().filter_map(|member| member.incoming.staged());
        changes.adds.extend(staged().flat_map(|staged| &staged.adds).cloned());
        if !changes.is_empty() {
            let committed = self.log.commit(&table.store, &base, &changes).await;
            staging.settle(&committed, &changes).await;
            for staged in staged() {
                staged.staging.settle(&committed, &changes).await;
            }
            committed?;
        }
        for member in self.members.drain(..) {
            member.hold.into_iter().for_each(Hold::keep);
            drop(member.reply.send(Ok(())));
        }
        Ok(())
    }

    /// Leaves out those who were cancelled; the others cannot be any more.
    fn hold(&mut self) {
        self.members.retain_mut(|member| {
            member.hold = member.cancel.hold().ok();
            member.hold.is_some() && !member.is_gone()
        });
    }

    /// Answers those whose rows were made for columns that an ALTER has changed since; the others' have the same.
    fn refuse_outdated(&mut self) {
        let (members, log) = (std::mem::take(&mut self.members), &self.log);
        for mut member in members.into_iter().filter(|member| !member.is_gone()) {
            // Of an attempt that has failed: its commit was not made.
            member.hold = None;
            match log.require_current(&member.table.row) {
                Ok(()) => self.members.push(member),
                Err(error) => drop(member.reply.send(Err(error))),
            }
        }
    }

    /// Answers those whose keys are taken. All are checked at once; only when that finds a key twice, one by one.
    async fn refuse_duplicates(&mut self, base: &Snapshot) -> Result<()> {
        let Some(table) = self.members.first().map(|member| member.table.clone()) else { return Ok(()) };
        if table.row.primary_key.is_empty() {
            return Ok(());
        }
        let sessions = Arc::clone(&self.sessions);
        let check = KeyCheck { sessions: &sessions, table: &table };
        let mut all = KeyRows::default();
        for member in &self.members {
            all.extend(&member.key_rows()?);
        }
        match check.run(&all, &KeyRows::of_files(&base.files)).await {
            Err(error) if error.code() != Sqlstate::UNIQUE_VIOLATION => Err(error),
            Err(error) if self.members.len() == 1 => {
                self.refuse_all(&error);
                Ok(())
            }
            Err(_) => self.refuse_one_by_one(&check, base).await,
            Ok(()) => Ok(()),
        }
    }

    async fn refuse_one_by_one(&mut self, check: &KeyCheck<'_>, base: &Snapshot) -> Result<()> {
        let mut present = KeyRows::of_files(&base.files);
        let mut accepted = Vec::with_capacity(self.members.len());
        for member in std::mem::take(&mut self.members) {
            let rows = member.key_rows()?;
            match check.run(&rows, &present).await {
                Ok(()) => {
                    present.extend(&rows);
                    accepted.push(member);
                }
                Err(error) => drop(member.reply.send(Err(error))),
            }
        }
        self.members = accepted;
        Ok(())
    }

    fn refuse_all(&mut self, error: &Error) {
        self.members.drain(..).for_each(|member| drop(member.reply.send(Err(copied(error)))));
    }
}
