//! Named points at which tests make a step fail, wait or end the process, and plans of what happens where.
//!
//! A plan is text such as `log.commit:kill:3,local.write:disk-full`: at which point, what, and at which arrival there, at
//! every one when that is left out. Without a plan a point costs one look at an empty option.

use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! points {
    ($($name:ident = $text:literal, $help:literal;)*) => {
        /// A step before which a crash or a failing disk matters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Point {
            $(#[doc = $help] $name,)*
        }

        impl Point {
            /// Every point.
            pub const ALL: &'static [Point] = &[$(Point::$name),*];

            /// The name in plans: the part of the server, then the step.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Point::$name => $text,)*
                }
            }

            /// When the point is reached.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Point::$name => $help,)*
                }
            }
        }
    };
}

points! {
    StartCatalog = "start.catalog", "the catalog is open, nothing else is";
    StartSweep = "start.sweep", "before what a crash left half written is deleted";
    StartServe = "start.serve", "before connections are taken";
    CatalogCommit = "catalog.commit", "before a transaction of the catalog is committed";
    CatalogCommitted = "catalog.committed", "it is on disk, nobody has heard of it";
    LocalStage = "local.stage", "before a file of the local disk is made, under a hidden name";
    LocalWrite = "local.write", "before bytes are written to it";
    LocalSync = "local.sync", "before it is synced";
    LocalPublish = "local.publish", "before it gets its name";
    LocalPublished = "local.published", "before its folder is synced";
    LocalDelete = "local.delete", "before a file of the local disk is deleted";
    LocalDeleted = "local.deleted", "before the folder of a deleted file is synced";
    StorageGet = "storage.get", "before a file is read through a connection";
    StoragePut = "storage.put", "before a file is written through a connection";
    StorageUpload = "storage.upload", "before an upload in parts is begun";
    StoragePart = "storage.part", "before a part is sent";
    StorageComplete = "storage.complete", "before an upload is completed";
    StorageAbort = "storage.abort", "before an upload is given up";
    StorageList = "storage.list", "before a folder is listed through a connection";
    StorageDelete = "storage.delete", "before files are deleted through a connection";
    StorageCopy = "storage.copy", "before a file is copied or renamed through a connection";
    FileStage = "file.stage", "before a data or change file of a table is made";
    FileStaged = "file.staged", "a writer's files are made, no commit names them";
    AppendCollected = "append.collected", "all rows of an INSERT or COPY have come, none is committed";
    LogCreate = "log.create", "before the first entry of a new table's log";
    LogCommit = "log.commit", "before a log entry is written";
    LogCommitted = "log.committed", "it is written, nobody has heard of it";
    MergeRead = "merge.read", "before small files are read to be merged";
    MergeStaged = "merge.staged", "the merged files are made, no commit names them";
    CheckpointWrite = "checkpoint.write", "before a checkpoint of a log";
    CheckpointWritten = "checkpoint.written", "after it";
    VacuumFiles = "vacuum.files", "before files that nothing needs are deleted";
    VacuumEntries = "vacuum.entries", "before log entries that nothing needs are deleted";
    VacuumDone = "vacuum.done", "after both";
    ImportStaged = "import.staged", "a part is staged, its checkpoint is not written";
    ImportSaved = "import.saved", "after the checkpoint of a part";
    ImportAppend = "import.append", "all parts are staged, none is committed";
    ImportAppended = "import.appended", "all rows are committed, the job has no record of it";
    ImportRecorded = "import.recorded", "the job has its record, it has not ended";
    BackupStart = "backup.start", "a backup is planned, nothing of it is written";
    BackupKey = "backup.key", "before the wrapped key of a new chain is written";
    BackupPack = "backup.pack", "before a pack is written";
    BackupPacked = "backup.packed", "a pack is written, nothing names it";
    BackupManifest = "backup.manifest", "all packs are written, their list is not";
    BackupWritten = "backup.written", "the layer is there, a full one is not marked as the latest";
    BackupMarked = "backup.marked", "it is, the job has no record of it";
    RestoreStart = "restore.start", "a restore is planned, nothing of it is written";
    RestoreCopied = "restore.copied", "a file is in the folder of its table";
    RestoreTable = "restore.table", "before the log of a restored table is written";
    RestorePublish = "restore.publish", "all tables are there, the catalog does not know them";
    RestorePublished = "restore.published", "it does, and the job is recorded as done";
    AlterBackup = "alter.backup", "before the wrapped keys of a chain are changed";
    KmsWrap = "kms.wrap", "before a key service is asked to encrypt the key of a chain";
    KmsUnwrap = "kms.unwrap", "before it is asked to decrypt one";
    ScheduleBegin = "schedule.begin", "before it is noted that a run of a schedule begins, or how one ended";
    ScheduleBegun = "schedule.begun", "the run is noted, its statement is not executed";
    ScheduleStarted = "schedule.started", "its job is there, the scheduler has not heard of it";
    CopyEvolved = "copy.evolved", "the table has the columns of the files of a COPY, not yet their rows";
    CopyAppended = "copy.appended", "the rows of a COPY are committed, the client has no answer";
    TableMade = "table.made", "a new table's log and rows are there, the catalog does not know it";
    TableAltered = "table.altered", "the log has what ALTER TABLE does, the catalog has not";
    TableDropped = "table.dropped", "the catalog has forgotten a table, its files are there";
    ConnectionChecked = "connection.checked", "a new definition is checked, not stored";
    ConnectionAltered = "connection.altered", "it is stored, the client has no answer";
}

impl Point {
    fn find(name: &str) -> Option<Point> {
        Point::ALL.iter().copied().find(|point| point.name() == name)
    }
}

/// How long a delay takes.
const DELAY: Duration = Duration::from_millis(200);

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ends the process at once, as SIGKILL does: nothing is flushed, nothing unwound.
    Kill,
    /// The step fails as with a broken disk.
    Error,
    /// The step fails as with a full disk.
    DiskFull,
    /// The thread panics.
    Panic,
    /// The thread waits 200 ms, as with a slow disk.
    Delay,
}

impl Action {
    /// Every action and its name in plans.
    pub const ALL: &'static [(&'static str, Action)] = &[
        ("kill", Action::Kill),
        ("error", Action::Error),
        ("disk-full", Action::DiskFull),
        ("panic", Action::Panic),
        ("delay", Action::Delay),
    ];

    fn take(self, point: Point) -> io::Result<()> {
        match self {
            Action::Kill => std::process::abort(),
            Action::Error => Err(io::Error::other(format!("injected at {}", point.name()))),
            Action::DiskFull => Err(io::ErrorKind::StorageFull.into()),
            Action::Panic => panic!("injected at {}", point.name()),
            Action::Delay => {
                #[expect(clippy::disallowed_methods, reason = "a slow disk holds up its thread too")]
                std::thread::sleep(DELAY);
                Ok(())
            }
        }
    }
}

/// What happens at one point.
#[derive(Debug)]
struct Rule {
    point: Point,
    action: Action,
    /// At this arrival only, counted from 1; at every one without it.
    nth: Option<u64>,
    arrivals: AtomicU64,
}

/// What happens at which points.
#[derive(Debug, Default)]
pub struct Plan(Vec<Rule>);

impl Plan {
    /// Reads `POINT:ACTION[:NTH]`, several with commas between them.
    ///
    /// # Errors
    /// Names what is unknown, and lists what is known.
    pub fn parse(text: &str) -> Result<Plan, String> {
        text.split(',').map(Rule::parse).collect::<Result<_, _>>().map(Plan)
    }

    /// Does what the plan has for this arrival at a point.
    ///
    /// # Errors
    /// As planned.
    pub fn reach(&self, point: Point) -> io::Result<()> {
        // Every rule of the point counts the arrival, whatever another makes of it.
        self.0.iter().filter(|rule| rule.point == point).map(Rule::arrive).fold(Ok(()), Result::and)
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, String> {
        let mut parts = text.trim().split(':');
        let (name, action) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let point =
            Point::find(name).ok_or_else(|| unknown("fault point", name, Point::ALL.iter().map(|p| p.name())))?;
        let found = Action::ALL.iter().find(|(known, _)| *known == action);
        let (_, action) = found.ok_or_else(|| unknown("action", action, Action::ALL.iter().map(|(name, _)| *name)))?;
        let nth = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(nth), None) => Some(nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(|| not_a_count(nth))?),
            (Some(_), Some(_)) => return Err(format!("expected POINT:ACTION[:NTH], not {text:?}")),
        };
        Ok(Rule { point, action: *action, nth, arrivals: AtomicU64::new(0) })
    }

    fn arrive(&self) -> io::Result<()> {
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed) + 1;
        if self.nth.is_none_or(|nth| nth == arrival) { self.action.take(self.point) } else { Ok(()) }
    }
}

fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let mut text = format!("unknown {what} {name:?}; known are ");
    for (index, name) in known.enumerate() {
        let _ = write!(text, "{}{name}", if index == 0 { "" } else { ", " });
    }
    text
}

fn not_a_count(text: &str) -> String {
    format!("the arrival at which a fault happens is a number from 1, not {text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_for_its_arrival() {
        let plan = Plan::parse("log.commit:error:2, local.write:disk-full").unwrap();
        let outcomes: Vec<bool> = (0..3).map(|_| plan.reach(Point::LogCommit).is_ok()).collect();
        assert_eq!(outcomes, [true, false, true]);
        for _ in 0..2 {
            assert_eq!(plan.reach(Point::LocalWrite).unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        assert!(plan.reach(Point::LocalSync).is_ok());
    }

    #[test]
    fn rules_of_one_point_count_alike() {
        let plan = Plan::parse("log.commit:error:2,log.commit:error:3").unwrap();
        let outcomes: Vec<bool> = (0..4).map(|_| plan.reach(Point::LogCommit).is_ok()).collect();
        assert_eq!(outcomes, [true, false, false, true]);
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_is_known() {
        let refusal = |text| Plan::parse(text).unwrap_err();
        assert!(refusal("log.comit:kill").starts_with("unknown fault point \"log.comit\"; known are start.catalog, "));
        assert_eq!(
            refusal("log.commit:explode"),
            "unknown action \"explode\"; known are kill, error, disk-full, panic, delay"
        );
        assert!(refusal("log.commit:kill:0").ends_with("a number from 1, not \"0\""));
        assert_eq!(refusal("log.commit:kill:1:2"), "expected POINT:ACTION[:NTH], not \"log.commit:kill:1:2\"");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
