//! What each statement may change: decides how it goes with transaction blocks and read-only sessions.

use lakeport_base::Sqlstate;
use lakeport_sql::Statement;
use lakeport_sql::stmt::copy::Direction;
use lakeport_sql::stmt::schedule::Control;

use super::Cx;
use crate::error::{Error, Result};

/// What running a statement may change. The words are what messages call the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Answers from the session or the catalog, steers the session or a job, or runs another statement, which is asked
    /// itself.
    Nothing,
    /// Reads rows, as its block sees them.
    ReadsRows,
    /// Changes rows in its block, which can undo it.
    WritesRows(&'static str),
    /// Changes the catalog, which no block can undo.
    ChangesCatalog(&'static str),
    /// Reads outside any block.
    ReadsAlone,
    /// Changes rows outside any block.
    WritesAlone(&'static str),
    /// Changes files, which no block knows of.
    WritesFiles(&'static str),
}

impl Effect {
    /// The effect of a statement.
    pub fn of(statement: &Statement) -> Effect {
        use Effect::{ChangesCatalog, Nothing, ReadsAlone, ReadsRows, WritesAlone, WritesFiles, WritesRows};
        use Statement as S;
        match statement {
            S::Query(_) => ReadsRows,
            S::Insert(_) => WritesRows("INSERT"),
            S::Update(_) => WritesRows("UPDATE"),
            S::Delete(_) => WritesRows("DELETE"),
            S::Merge(_) => WritesRows("MERGE"),
            S::Truncate(_) => WritesRows("TRUNCATE"),
            S::Copy(copy) => match copy.direction {
                Direction::FromStdin { .. } => WritesRows("COPY FROM"),
                Direction::ToStdout { .. } => ReadsRows,
            },
            S::Import(_) => WritesAlone("IMPORT INTO"),
            S::Load(_) => WritesAlone("COPY INTO"),
            S::Restore(_) => WritesAlone("RESTORE"),
            S::Export(_) | S::Unload(_) | S::Backup(_) | S::AlterBackup(_) | S::Discard => ReadsAlone,
            S::CopyUserfile(copy) if copy.upload => WritesFiles("COPY USERFILE"),
            S::DropUserfile(_) => WritesFiles("DROP USERFILE"),
            S::CreateConnection(create) => ChangesCatalog(create.tag()),
            S::AlterConnection(_) => ChangesCatalog("ALTER EXTERNAL CONNECTION"),
            S::DropConnection(drop) => ChangesCatalog(drop.tag()),
            S::Grant(_) | S::GrantOwnership(_) | S::GrantRole(_) => ChangesCatalog("GRANT"),
            S::Revoke(_) | S::RevokeRole(_) => ChangesCatalog("REVOKE"),
            S::CreateRole(_) => ChangesCatalog("CREATE ROLE"),
            S::AlterRole(_) | S::AlterRoleSet(_) => ChangesCatalog("ALTER ROLE"),
            S::DropRole(_) => ChangesCatalog("DROP ROLE"),
            S::CreateDatabase(_) => ChangesCatalog("CREATE DATABASE"),
            S::DropDatabase(_) => ChangesCatalog("DROP DATABASE"),
            S::RenameDatabase(_) => ChangesCatalog("ALTER DATABASE"),
            S::CreateSchema(_) => ChangesCatalog("CREATE SCHEMA"),
            S::DropSchema(_) => ChangesCatalog("DROP SCHEMA"),
            S::CreateTable(_) => ChangesCatalog("CREATE TABLE"),
            S::DropTable(_) => ChangesCatalog("DROP TABLE"),
            S::AlterTable(_) => ChangesCatalog("ALTER TABLE"),
            S::CreateSchedule(_) => ChangesCatalog("CREATE SCHEDULE"),
            S::AlterSchedule(_) => ChangesCatalog("ALTER BACKUP SCHEDULE"),
            S::ControlSchedules(statement) => ChangesCatalog(match statement.control {
                Control::Pause => "PAUSE SCHEDULES",
                Control::Resume => "RESUME SCHEDULES",
                Control::Drop => "DROP SCHEDULES",
            }),
            S::CreateStage(_) => ChangesCatalog("CREATE STAGE"),
            S::AlterStage(_) => ChangesCatalog("ALTER STAGE"),
            S::DropStage(_) => ChangesCatalog("DROP STAGE"),
            S::CreateFileFormat(_) => ChangesCatalog("CREATE FILE FORMAT"),
            S::DropFileFormat(_) => ChangesCatalog("DROP FILE FORMAT"),
            S::RemoveFiles(_) => WritesFiles("REMOVE"),
            S::CopyFile(copy) if copy.upload => WritesFiles("COPY FROM"),
            S::Comment(_) => ChangesCatalog("COMMENT"),
            S::SetClusterSetting(_) => ChangesCatalog("SET CLUSTER SETTING"),
            S::ShowConnections(_) | S::ShowCreateConnection(_) | S::CheckConnection(_) => Nothing,
            S::ShowGrants(_) | S::ShowSystemGrants(_) | S::ShowRoles(_) => Nothing,
            S::ShowJobs(_) | S::ShowJob(_) | S::ControlJob(_) => Nothing,
            S::ShowBackups(_) | S::ShowBackup(_) | S::ShowBackupEncryption(_) => Nothing,
            S::ShowSchedules(_) | S::ShowCreateSchedules(_) => Nothing,
            S::ShowDatabases | S::ShowSchemas(_) => Nothing,
            S::ShowTables(_) | S::ShowColumns(_) | S::ShowCreateTable(_) => Nothing,
            S::CopyUserfile(_) | S::ShowUserfiles(_) => Nothing,
            S::DescribeStage(_) | S::ShowStages(_) | S::ListFiles(_) | S::ShowFileFormats => Nothing,
            S::CopyFile(_) => Nothing,
            S::Transaction(_) | S::Set(_) | S::SetOwn(_) | S::Show(_) | S::Reset(_) | S::ShowClusterSetting(_) => {
                Nothing
            }
            S::Prepare(_) | S::Execute(_) | S::Deallocate(_) => Nothing,
            S::Declare(_) | S::Fetch(_) | S::Close(_) | S::Nothing(_) => Nothing,
        }
    }

    /// Whether a block that the statement is in must be committed before it.
    pub fn changes_catalog(self) -> bool {
        matches!(self, Effect::ChangesCatalog(_))
    }

    /// Whether the statement runs outside any block.
    pub fn stands_alone(self) -> bool {
        matches!(self, Effect::ReadsAlone | Effect::WritesAlone(_))
    }

    /// Whether a statement that failed has left nothing behind, so that it may be run again. TRUNCATE may have emptied
    /// some of its tables, and sees to each by itself; COPY INTO a table may have given it columns, which it finds there.
    pub fn may_run_again(self, statement: &Statement) -> bool {
        match statement {
            Statement::Truncate(_) => false,
            Statement::Load(_) => true,
            _ => matches!(self, Effect::ReadsRows | Effect::WritesRows(_) | Effect::ChangesCatalog(_)),
        }
    }

    /// Whether a block covers all that the statement does.
    pub fn is_of_rows(self) -> bool {
        matches!(self, Effect::ReadsRows | Effect::WritesRows(_))
    }

    /// What a read-only transaction calls the statement that it refuses.
    fn written(self) -> Option<&'static str> {
        match self {
            Effect::Nothing | Effect::ReadsRows | Effect::ReadsAlone => None,
            Effect::WritesRows(words)
            | Effect::ChangesCatalog(words)
            | Effect::WritesAlone(words)
            | Effect::WritesFiles(words) => Some(words),
        }
    }
}

/// # Errors
/// 25006 for a statement that changes something, in a read-only block or session.
pub(super) fn refuse_in_read_only(cx: &Cx<'_>, effect: Effect) -> Result<()> {
    let Some(words) = effect.written() else { return Ok(()) };
    let read_only = match cx.session.open_block() {
        Some(block) if !block.implicit => cx.session.variable("transaction_read_only"),
        _ => cx.session.variable("default_transaction_read_only"),
    };
    if read_only != "on" {
        return Ok(());
    }
    let message = format!("cannot execute {words} in a read-only transaction");
    Err(Error::new(Sqlstate::READ_ONLY_SQL_TRANSACTION, message))
}
