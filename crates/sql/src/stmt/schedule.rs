//! `CREATE | ALTER | PAUSE | RESUME | DROP | SHOW SCHEDULE`: backups from time to time.

use std::fmt;

use super::backup::option::{self, Given, Options};
use super::backup::{self, Backup, BackupOption};
use super::query::{self, Query};
use super::{Statement, Text, Texts, job};
use crate::cursor::{Cursor, Result, Seen};
use crate::print;

/// `CREATE SCHEDULE [IF NOT EXISTS] [label] FOR BACKUP [targets] INTO collection [WITH options] RECURRING cron
/// [FULL BACKUP {cron | ALWAYS}] [WITH SCHEDULE OPTIONS options]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSchedule {
    pub label: Option<Text>,
    pub if_not_exists: bool,
    /// Begins a chain, as of no moment.
    pub backup: Backup,
    pub recurring: Text,
    pub full_backup: Option<FullCadence>,
    pub options: ScheduleOptions,
}

/// When a schedule makes full backups.
#[derive(Clone, Debug, PartialEq)]
pub enum FullCadence {
    Cron(Text),
    /// Every backup is a full one.
    Always,
}

/// What follows WITH SCHEDULE OPTIONS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScheduleOptions {
    pub first_run: Option<Text>,
    pub on_execution_failure: Option<Text>,
    pub on_previous_running: Option<Text>,
    /// Becomes the option of the BACKUP; our extension.
    pub retain: Option<Text>,
    pub ignore_existing_backups: bool,
}

/// `ALTER BACKUP SCHEDULE id change, ...`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterSchedule {
    pub id: Text,
    /// In the order written, at least one.
    pub changes: Vec<ScheduleChange>,
}

/// One `SET`, or another clause, of an ALTER BACKUP SCHEDULE.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleChange {
    Label(Text),
    /// The collection.
    Into(Texts),
    /// One option of the BACKUP.
    With(BackupOption),
    Recurring(Text),
    FullBackup(FullCadence),
    /// One option of the schedule.
    Option(ScheduleOptions),
    /// `EXECUTE IMMEDIATELY`
    Execute,
    /// `EXECUTE FULL IMMEDIATELY`
    ExecuteFull,
}

/// What PAUSE, RESUME and DROP do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    Pause,
    Resume,
    Drop,
}

/// Which schedules a statement speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedules {
    /// One or more ids, each a literal or `$n`.
    Ids(Vec<Text>),
    /// A query whose first column is ids of schedules.
    Select(Box<Query>),
}

/// `{PAUSE | RESUME | DROP} {SCHEDULE id | SCHEDULES {id, ... | select}}`
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSchedules {
    pub control: Control,
    pub schedules: Schedules,
}

/// `SHOW [RUNNING | PAUSED] SCHEDULES [FOR BACKUP]`, `SHOW SCHEDULE id`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowSchedules {
    pub shown: Shown,
}

/// Which schedules are shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    All,
    Running,
    Paused,
    One(Text),
}

/// `SHOW CREATE ALL SCHEDULES` (no id) or `SHOW CREATE SCHEDULE id`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowCreateSchedules {
    pub id: Option<Text>,
}

/// After `CREATE SCHEDULE`.
pub(super) fn create(c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let label = if c.is_next("FOR") && !if_not_exists { None } else { Some(c.text_name()?) };
    c.expect("FOR BACKUP")?;
    let backup = backup::repeated(c)?;
    c.expect("RECURRING")?;
    let recurring = c.text_value()?;
    let full_backup = if c.keywords("FULL BACKUP") { Some(full_cadence(c)?) } else { None };
    let options =
        if c.keywords("WITH SCHEDULE OPTIONS") { ScheduleOptions::several(c)? } else { ScheduleOptions::default() };
    let create = CreateSchedule { label, if_not_exists, backup, recurring, full_backup, options };
    Ok(Statement::CreateSchedule(create))
}

fn full_cadence(c: &mut Cursor) -> Result<FullCadence> {
    if c.keywords("ALWAYS") { Ok(FullCadence::Always) } else { c.text_value().map(FullCadence::Cron) }
}

/// The options of a schedule.
const OPTIONS: Options = Options {
    names: &["FIRST_RUN", "ON_EXECUTION_FAILURE", "ON_PREVIOUS_RUNNING", "RETAIN", "IGNORE_EXISTING_BACKUPS"],
    refused: &["UPDATES_CLUSTER_LAST_BACKUP_TIME_METRIC"],
};

impl ScheduleOptions {
    /// Reads `option, ...`
    fn several(c: &mut Cursor) -> Result<ScheduleOptions> {
        let mut options = ScheduleOptions::default();
        OPTIONS.list(c, |given, c| options.set(&given, c))?;
        Ok(options)
    }

    /// Reads one option.
    fn one(c: &mut Cursor) -> Result<ScheduleOptions> {
        let mut options = ScheduleOptions::default();
        OPTIONS.one(&mut Seen::default(), c, &mut |given, c| options.set(&given, c))?;
        Ok(options)
    }

    fn set(&mut self, given: &Given, c: &mut Cursor) -> Result<()> {
        match given.name {
            "FIRST_RUN" => self.first_run = Some(option::text(c)?),
            "ON_EXECUTION_FAILURE" => self.on_execution_failure = Some(option::text(c)?),
            "ON_PREVIOUS_RUNNING" => self.on_previous_running = Some(option::text(c)?),
            "RETAIN" => self.retain = Some(option::text(c)?),
            _ => self.ignore_existing_backups = option::flag(c)?,
        }
        Ok(())
    }
}

/// After `ALTER BACKUP SCHEDULE`.
pub(super) fn alter(c: &mut Cursor) -> Result<Statement> {
    let id = c.scalar()?;
    Ok(Statement::AlterSchedule(AlterSchedule { id, changes: c.comma_list(change)? }))
}

fn change(c: &mut Cursor) -> Result<ScheduleChange> {
    match c.one_of(&["EXECUTE IMMEDIATELY", "EXECUTE FULL IMMEDIATELY"]) {
        Some("EXECUTE IMMEDIATELY") => return Ok(ScheduleChange::Execute),
        Some(_) => return Ok(ScheduleChange::ExecuteFull),
        None => c.expect("SET")?,
    }
    match c.one_of(&["LABEL", "INTO", "WITH", "RECURRING", "FULL BACKUP", "SCHEDULE OPTION"]) {
        Some("LABEL") => c.text_name().map(ScheduleChange::Label),
        Some("INTO") => c.texts().map(ScheduleChange::Into),
        Some("WITH") => BackupOption::one(c).map(ScheduleChange::With),
        Some("RECURRING") => c.text_value().map(ScheduleChange::Recurring),
        Some("FULL BACKUP") => full_cadence(c).map(ScheduleChange::FullBackup),
        Some(_) => ScheduleOptions::one(c).map(ScheduleChange::Option),
        None => Err(c.error().with_hint("for other changes, create another schedule and drop this one")),
    }
}

/// After `PAUSE SCHEDULE`, `RESUME SCHEDULES` and the like.
pub(super) fn control(control: Control, c: &mut Cursor) -> Result<Statement> {
    let schedules = match job::selection(c, query::rest)? {
        Some(query) => Schedules::Select(Box::new(query)),
        None => Schedules::Ids(c.comma_list(Cursor::scalar)?),
    };
    Ok(Statement::ControlSchedules(ControlSchedules { control, schedules }))
}

/// After `SHOW SCHEDULES` and the like. All schedules are for backups.
pub(super) fn show(shown: Shown, c: &mut Cursor) -> Result<Statement> {
    c.keywords("FOR BACKUP");
    Ok(Statement::ShowSchedules(ShowSchedules { shown }))
}

/// After `SHOW SCHEDULE`.
pub(super) fn show_one(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ShowSchedules(ShowSchedules { shown: Shown::One(c.scalar()?) }))
}

/// After `SHOW CREATE SCHEDULE`.
pub(super) fn show_create(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ShowCreateSchedules(ShowCreateSchedules { id: Some(c.scalar()?) }))
}

impl fmt::Display for CreateSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_not_exists, "IF NOT EXISTS ");
        let label = self.label.as_ref().map_or_else(String::new, |label| format!("{label} "));
        let full = print::optional(" FULL BACKUP ", self.full_backup.as_ref());
        let options = self.options.to_string();
        let with = if options.is_empty() { "" } else { " WITH SCHEDULE OPTIONS " };
        write!(
            f,
            "CREATE SCHEDULE {condition}{label}FOR {} RECURRING {}{full}{with}{options}",
            self.backup, self.recurring
        )
    }
}

impl fmt::Display for FullCadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FullCadence::Cron(cron) => cron.fmt(f),
            FullCadence::Always => f.write_str("ALWAYS"),
        }
    }
}

/// The options with commas between.
impl fmt::Display for ScheduleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            ("first_run", &self.first_run),
            ("on_execution_failure", &self.on_execution_failure),
            ("on_previous_running", &self.on_previous_running),
            ("retain", &self.retain),
        ];
        let given = texts.iter().filter_map(|(name, text)| Some(format!("{name} = {}", text.as_ref()?)));
        let mut items: Vec<_> = given.collect();
        if self.ignore_existing_backups {
            items.push("ignore_existing_backups".to_string());
        }
        f.write_str(&items.join(", "))
    }
}

impl fmt::Display for AlterSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER BACKUP SCHEDULE {} {}", self.id, print::list(&self.changes))
    }
}

impl fmt::Display for ScheduleChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleChange::Label(label) => write!(f, "SET LABEL {label}"),
            ScheduleChange::Into(collection) => write!(f, "SET INTO {collection}"),
            ScheduleChange::With(option) => write!(f, "SET WITH {option}"),
            ScheduleChange::Recurring(cron) => write!(f, "SET RECURRING {cron}"),
            ScheduleChange::FullBackup(cadence) => write!(f, "SET FULL BACKUP {cadence}"),
            ScheduleChange::Option(option) => write!(f, "SET SCHEDULE OPTION {option}"),
            ScheduleChange::Execute => f.write_str("EXECUTE IMMEDIATELY"),
            ScheduleChange::ExecuteFull => f.write_str("EXECUTE FULL IMMEDIATELY"),
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Control::Pause => "PAUSE",
            Control::Resume => "RESUME",
            Control::Drop => "DROP",
        })
    }
}

impl fmt::Display for ControlSchedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schedules {
            Schedules::Ids(ids) => write!(f, "{} SCHEDULES {}", self.control, print::list(ids)),
            Schedules::Select(query) => write!(f, "{} SCHEDULES {query}", self.control),
        }
    }
}

impl fmt::Display for ShowSchedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Shown::All => f.write_str("SHOW SCHEDULES"),
            Shown::Running => f.write_str("SHOW RUNNING SCHEDULES"),
            Shown::Paused => f.write_str("SHOW PAUSED SCHEDULES"),
            Shown::One(id) => write!(f, "SHOW SCHEDULE {id}"),
        }
    }
}

impl fmt::Display for ShowCreateSchedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "SHOW CREATE SCHEDULE {id}"),
            None => f.write_str("SHOW CREATE ALL SCHEDULES"),
        }
    }
}
