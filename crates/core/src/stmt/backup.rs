//! `BACKUP`, `RESTORE` and their kin.

use lakeport_sql::stmt::backup::Backup;
use lakeport_sql::stmt::backup::alter::AlterBackup;
use lakeport_sql::stmt::backup::restore::Restore;
use lakeport_sql::stmt::backup::show::{ShowBackup, ShowBackupEncryption, ShowBackups};

use super::Cx;
use crate::error::{Error, Result};
use crate::outcome::Outcome;

pub(crate) async fn backup(_cx: &Cx<'_>, _statement: &Backup) -> Result<Outcome> {
    Err(unsupported("BACKUP"))
}

pub(crate) async fn show_backups(_cx: &Cx<'_>, _statement: &ShowBackups) -> Result<Outcome> {
    Err(unsupported("SHOW BACKUPS"))
}

pub(crate) async fn show_backup(_cx: &Cx<'_>, _statement: &ShowBackup) -> Result<Outcome> {
    Err(unsupported("SHOW BACKUP"))
}

pub(crate) async fn show_encryption(_cx: &Cx<'_>, _statement: &ShowBackupEncryption) -> Result<Outcome> {
    Err(unsupported("SHOW BACKUP ENCRYPTION"))
}

pub(crate) async fn restore(_cx: &Cx<'_>, _statement: &Restore) -> Result<Outcome> {
    Err(unsupported("RESTORE"))
}

pub(crate) async fn alter(_cx: &Cx<'_>, _statement: &AlterBackup) -> Result<Outcome> {
    Err(unsupported("ALTER BACKUP"))
}

fn unsupported(words: &str) -> Error {
    Error::unsupported(format!("this statement is not supported: {words}"))
}
