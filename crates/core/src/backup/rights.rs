//! Who may back up and restore what. The statement asks, and its job asks again: a right may be taken away in between.

use std::collections::BTreeSet;

use lakeport_backup::manifest::Targets;
use lakeport_base::id::TableId;
use lakeport_catalog::model::{Object, Table};

use super::restore::{RestoreOrder, SystemPart};
use crate::authz::Subject;
use crate::error::{Error, Result};

/// # Errors
/// 42501 in the documented words. What is gone meanwhile is nobody's.
pub(crate) fn require_backup(subject: Subject<'_>, targets: &Targets) -> Result<()> {
    match targets {
        Targets::Cluster => subject.require_system("BACKUP", || {
            format!(
                "only users with the admin role or the BACKUP system privilege are allowed to perform full cluster \
                 backups: user {} does not have BACKUP system privilege",
                subject.user
            )
        }),
        Targets::Databases(names) => {
            for database in names.iter().filter_map(|name| subject.directory.databases.get(name)) {
                subject.require(Object::Database(database.id), &database.owner, &database.name, "BACKUP")?;
            }
            Ok(())
        }
        Targets::Tables(ids) => {
            let found = ids.iter().filter_map(|(id, _)| subject.directory.tables.get(&TableId(*id)));
            let tables: Vec<&Table> = found.map(|table| &**table).collect();
            tables.iter().try_for_each(|table| require_backup_of(subject, table, &tables))
        }
    }
}

/// BACKUP on a table, or SELECT, which was enough before there was BACKUP.
fn require_backup_of(subject: Subject<'_>, table: &Table, all: &[&Table]) -> Result<()> {
    if subject.require_table(table, "BACKUP").is_ok() {
        return Ok(());
    }
    subject.require_table(table, "SELECT").map_err(|error| {
        let names: Vec<&str> = all.iter().map(|table| table.name.as_str()).collect();
        let names = names.join(", ");
        error.with_hint(format!("to run BACKUP TABLE, a user needs the BACKUP privilege on tables: {names}"))
    })
}

/// # Errors
/// 42501 in the documented words.
pub(super) fn require_restore(subject: Subject<'_>, order: &RestoreOrder) -> Result<()> {
    if order.system != SystemPart::Nothing {
        require_restore_of_cluster(subject)?;
        return require_restore_of_roles(subject);
    }
    if !order.databases.is_empty() {
        return require_restore_of_databases(subject);
    }
    let databases: BTreeSet<&str> = order.tables.iter().map(|table| table.database.as_str()).collect();
    databases.into_iter().try_for_each(|database| require_restore_into(subject, database))
}

pub(crate) fn require_restore_of_cluster(subject: Subject<'_>) -> Result<()> {
    subject.require_system("RESTORE", || {
        format!(
            "only users with the admin role or the RESTORE system privilege are allowed to perform a cluster restore: \
             user {} does not have RESTORE system privilege",
            subject.user
        )
    })
}

/// # Errors
/// 42501 for a user who could make himself what the backup calls an admin.
pub(crate) fn require_restore_of_roles(subject: Subject<'_>) -> Result<()> {
    subject.require_admin("restore roles and their rights").map_err(|error| {
        error.with_hint("RESTORE DATABASE restores tables alone, which the RESTORE system privilege is enough for")
    })
}

pub(crate) fn require_restore_of_databases(subject: Subject<'_>) -> Result<()> {
    if subject.has_system("RESTORE") || subject.has_system("CREATEDB") {
        return Ok(());
    }
    let hint = format!("to run RESTORE DATABASE, user {} needs the RESTORE system privilege", subject.user);
    Err(Error::denied("only users with the CREATEDB privilege can restore databases").with_hint(hint))
}

/// Tables into a database. One that does not exist is told later, as are tables that the backup does not have.
pub(crate) fn require_restore_into(subject: Subject<'_>, name: &str) -> Result<()> {
    let Some(database) = subject.directory.databases.get(name) else { return Ok(()) };
    let object = Object::Database(database.id);
    if subject.has(object, &database.owner, "RESTORE") {
        return Ok(());
    }
    subject.require(object, &database.owner, &database.name, "CREATE").map_err(|error| {
        let user = subject.user;
        error.with_hint(format!("to run RESTORE TABLE, user {user} needs the RESTORE privilege on database {name}"))
    })
}
