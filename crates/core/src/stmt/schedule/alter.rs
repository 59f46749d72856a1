//! `ALTER BACKUP SCHEDULE`: the schedules of one CREATE SCHEDULE are altered together.

use lakeport_base::Sqlstate;
use lakeport_base::id::ScheduleId;
use lakeport_catalog::Tx;
use lakeport_catalog::model::Schedule;
use lakeport_sql::stmt::backup::{Backup, BackupOption, Chain};
use lakeport_sql::stmt::schedule::{AlterSchedule, FullCadence, ScheduleChange, ScheduleOptions};
use lakeport_sql::stmt::{Text, Texts};

use super::create::{WAITING, literals, pair, require_rarer, stored_encryption};
use super::{delete, on_failure, on_running, own};
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::schedule::{Recurrence, backup_of};
use crate::stmt::{Cx, backup};

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterSchedule) -> Result<Outcome> {
    let mut trial = Pair::read(cx, cx.server.config.catalog.read().await?.as_mut(), &statement.id).await?;
    trial.apply(cx, &statement.changes)?;
    // What touches the outside comes before the catalog's transaction.
    if trial.begins_anew {
        backup::check(cx, &trial.backup).await?;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let mut altered = Pair::read(cx, tx.as_mut(), &statement.id).await?;
    altered.apply(cx, &statement.changes)?;
    altered.store(cx, tx.as_mut()).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("ALTER BACKUP SCHEDULE"))
}

/// The schedule of full backups, and that of incremental ones if there is one.
struct Pair {
    /// The one that the statement names.
    named: ScheduleId,
    full: Schedule,
    incremental: Option<Schedule>,
    /// What the full ones do.
    backup: Backup,
    /// Nothing that is there can be added to: the collection or the keys are others.
    begins_anew: bool,
    is_incremental_new: bool,
    dropped: Option<Schedule>,
}

impl Pair {
    async fn read(cx: &Cx<'_>, tx: &mut dyn Tx, id: &Text) -> Result<Pair> {
        let named = own(cx, tx, id).await?;
        let id = named.id;
        let partner = super::partner(tx, &named).await?;
        let (full, incremental) = match partner {
            Some(full) if backup_of(&named)?.chain.is_some() => (full, Some(named)),
            partner => (named, partner),
        };
        Ok(Pair {
            named: id,
            backup: backup_of(&full)?,
            full,
            incremental,
            begins_anew: false,
            is_incremental_new: false,
            dropped: None,
        })
    }

    fn apply(&mut self, cx: &Cx<'_>, changes: &[ScheduleChange]) -> Result<()> {
        for change in changes {
            match change {
                ScheduleChange::Label(label) => {
                    let label = super::label(cx, label)?;
                    self.each(|schedule| schedule.label.clone_from(&label));
                }
                ScheduleChange::Into(collection) => self.set_collection(cx, collection)?,
                ScheduleChange::With(option) => self.set_backup_option(cx, option)?,
                ScheduleChange::Recurring(cron) => {
                    let schedule = self.incremental.as_mut().unwrap_or(&mut self.full);
                    recur(schedule, cx.string(cron)?, cx.now)?;
                }
                ScheduleChange::FullBackup(FullCadence::Always) => self.make_full_ones_only(cx)?,
                ScheduleChange::FullBackup(FullCadence::Cron(cron)) => self.set_full(cx, cron)?,
                ScheduleChange::Option(option) => self.set_option(cx, option)?,
                ScheduleChange::Execute => {
                    let incremental = self.incremental.as_mut().filter(|schedule| schedule.id == self.named);
                    execute(incremental.unwrap_or(&mut self.full), cx.now)?;
                }
                ScheduleChange::ExecuteFull => execute(&mut self.full, cx.now)?,
            }
        }
        self.finish(cx)
    }

    fn each(&mut self, mut change: impl FnMut(&mut Schedule)) {
        [Some(&mut self.full), self.incremental.as_mut()].into_iter().flatten().for_each(&mut change);
    }

    fn set_collection(&mut self, cx: &Cx<'_>, collection: &Texts) -> Result<()> {
        self.backup.collection = literals(cx, collection)?;
        self.begins_anew = true;
        Ok(())
    }

    fn set_backup_option(&mut self, cx: &Cx<'_>, option: &BackupOption) -> Result<()> {
        let option = match option {
            BackupOption::Detached(true) => return Ok(()),
            BackupOption::Detached(false) => {
                return Err(Error::invalid("the backups of a schedule are always detached"));
            }
            BackupOption::Retain(text) => BackupOption::Retain(retention(cx, text)?),
            BackupOption::Encryption(encryption) => {
                self.begins_anew = true;
                BackupOption::Encryption(stored_encryption(cx, encryption)?)
            }
            BackupOption::RevisionHistory(on) => BackupOption::RevisionHistory(*on),
        };
        self.backup.options.set(option);
        Ok(())
    }

    fn set_option(&mut self, cx: &Cx<'_>, option: &ScheduleOptions) -> Result<()> {
        if option.first_run.is_some() || option.ignore_existing_backups {
            return Err(Error::invalid("first_run and ignore_existing_backups are for CREATE SCHEDULE only"));
        }
        if let Some(text) = &option.retain {
            self.backup.options.retain = Some(retention(cx, text)?);
        }
        if let Some(on_failure) = on_failure(cx, option)? {
            self.each(|schedule| schedule.plan.on_failure = on_failure);
        }
        // Incremental backups always wait.
        self.full.plan.on_running = on_running(cx, option)?.unwrap_or(self.full.plan.on_running);
        Ok(())
    }

    /// Every backup is a full one from now on, as often as there was one of any sort.
    fn make_full_ones_only(&mut self, cx: &Cx<'_>) -> Result<()> {
        let Some(incremental) = self.incremental.take() else { return Ok(()) };
        self.full.plan.partner = None;
        self.full.run.resumes_partner = false;
        recur(&mut self.full, incremental.plan.recurrence.clone(), cx.now)?;
        if !std::mem::take(&mut self.is_incremental_new) {
            self.dropped = Some(incremental);
        }
        Ok(())
    }

    /// Full backups at these times; what there was goes on between them, as incremental ones.
    fn set_full(&mut self, cx: &Cx<'_>, cron: &Text) -> Result<()> {
        if self.incremental.is_none() {
            let recurrence = self.full.plan.recurrence.clone();
            self.incremental = Some(pair(cx, &mut self.full, &self.backup, recurrence));
            self.is_incremental_new = true;
        }
        recur(&mut self.full, cx.string(cron)?, cx.now)
    }

    /// Makes the rows say what the changes come to.
    fn finish(&mut self, cx: &Cx<'_>) -> Result<()> {
        self.full.plan.statement = self.backup.to_string();
        let Some(incremental) = &mut self.incremental else { return Ok(()) };
        incremental.plan.statement = Backup { chain: Some(Chain::Latest), ..self.backup.clone() }.to_string();
        require_rarer(&self.full.plan.recurrence, &incremental.plan.recurrence, cx.now)?;
        if self.begins_anew && incremental.next_run.take().is_some() {
            incremental.run.state = WAITING.to_string();
            self.full.run.resumes_partner = true;
            self.full.next_run = self.full.next_run.map(|_| cx.now);
        }
        Ok(())
    }

    async fn store(&self, cx: &Cx<'_>, tx: &mut dyn Tx) -> Result<()> {
        tx.update_schedule(&self.full).await?;
        match &self.incremental {
            Some(incremental) if self.is_incremental_new => tx.insert_schedule(incremental).await?,
            Some(incremental) => tx.update_schedule(incremental).await?,
            None => {}
        }
        if let Some(dropped) = &self.dropped {
            let text = format!("schedule {} of incremental backups is dropped", dropped.id);
            cx.session.notice(Notice::new(text));
            delete(cx, tx, dropped).await?;
        }
        Ok(())
    }
}

fn retention(cx: &Cx<'_>, text: &Text) -> Result<Text> {
    backup::retain_micros(cx, text)?;
    Ok(Text::Literal(cx.string(text)?))
}

fn execute(schedule: &mut Schedule, now: i64) -> Result<()> {
    if schedule.next_run.is_none() {
        let message = format!("schedule {} is paused", schedule.id);
        return Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_hint(format!("RESUME SCHEDULE {} first", schedule.id)));
    }
    schedule.next_run = Some(now);
    Ok(())
}

fn recur(schedule: &mut Schedule, cron: String, now: i64) -> Result<()> {
    let next = Recurrence::parse(&cron)?.after(now)?;
    schedule.plan.recurrence = cron;
    schedule.next_run = schedule.next_run.map(|_| next);
    Ok(())
}
