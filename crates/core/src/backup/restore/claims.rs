//! What a backup lists, held against what statements take: a stranger may have listed anything.
//!
//! What only a later server knows, such as a setting, is left out by those who restore it. What this one knows and would
//! refuse from a user, it refuses from a backup, before anything is written.

use std::collections::HashSet;

use lakeport_backup::manifest;
use lakeport_base::Sqlstate;
use lakeport_base::name::fault_of;
use lakeport_base::scram::Verifier;
use lakeport_catalog::model::{Column, Membership, Role};
use lakeport_sql::Statement;

use crate::backup::cluster::restored_role;
use crate::error::{Error, Result};
use crate::setting::Setting;
use crate::stmt::database::is_reserved_schema;
use crate::stmt::role::{is_option, is_reserved};
use crate::stmt::table::check_columns;
use crate::variable::Variable;

/// Most characters that an error shows of a name.
const SHOWN_MAX: usize = 80;

/// # Errors
/// XX001 for what no object of this sort can be called.
pub(super) fn check_name(sort: &str, name: &str) -> Result<()> {
    fault_of(name).map_or(Ok(()), |fault| Err(refused(sort, name, &fault)))
}

/// # Errors
/// XX001 for what no user can call a schema.
pub(super) fn check_schema(name: &str) -> Result<()> {
    check_name("schema", name)?;
    if is_reserved_schema(name) { Err(refused("schema", name, "the name is reserved")) } else { Ok(()) }
}

/// # Errors
/// XX001 for a name that is listed twice, where there can be one object of it.
pub(super) fn check_distinct<'a>(sort: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(refused(sort, name, "it is listed twice"));
        }
    }
    Ok(())
}

/// # Errors
/// For what CREATE TABLE would not make.
pub(super) fn check_table(name: &str, columns: &[Column], key: &[String]) -> Result<()> {
    check_name("table", name)?;
    columns.iter().try_for_each(|column| check_name("column", &column.name))?;
    check_columns(columns).map_err(|error| error.prefixed(&format!("table {name:?} of the backup")))?;
    check_distinct("column of a primary key", key.iter().map(String::as_str))?;
    match columns.iter().find(|column| column.default.as_deref().is_some_and(|text| !is_default(text))) {
        None => Ok(()),
        Some(column) => {
            let message = format!("the default of column {:?} of table {name:?} in the backup is none", column.name);
            Err(Error::new(Sqlstate::DATA_CORRUPTED, message))
        }
    }
}

/// A default runs with the rights of whoever inserts, so it must be one that CREATE TABLE takes.
fn is_default(text: &str) -> bool {
    let parsed = lakeport_sql::parse(&format!("CREATE TABLE t (a STRING DEFAULT {text})"));
    let Ok([parsed]) = parsed.as_deref() else { return false };
    let Statement::CreateTable(made) = &parsed.statement else { return false };
    made.columns.len() == 1 && made.primary_key.is_empty()
}

/// The role that is listed, as far as this server knows its options.
///
/// # Errors
/// For what CREATE ROLE and ALTER ROLE would not make.
pub(super) fn role(listed: &manifest::Role) -> Result<Role> {
    check_name("role", &listed.name)?;
    if is_reserved(&listed.name) {
        return Err(refused("role", &listed.name, "the name is reserved"));
    }
    if listed.verifier.as_deref().is_some_and(|verifier| Verifier::parse(verifier).is_none()) {
        return Err(refused("role", &listed.name, "its password cannot be read"));
    }
    let mut role = restored_role(listed);
    role.options.retain(|option| is_option(option));
    role.defaults.clear();
    for (name, value) in &listed.defaults {
        let Ok(variable) = Variable::find(name) else { continue };
        let value = variable.checked(value);
        let value = value.map_err(|error| error.prefixed(&format!("role {:?} of the backup", role.name)))?;
        role.defaults.push((variable.name.to_string(), value));
    }
    Ok(role)
}

/// The membership that is listed.
///
/// # Errors
/// XX001 for one that GRANT would not make: everybody would have the role.
pub(super) fn membership(listed: &manifest::Membership) -> Result<Membership> {
    let manifest::Membership { role, member, admin_option } = listed.clone();
    if is_reserved(&member) {
        return Err(refused("member of a role", &member, "the name is reserved"));
    }
    Ok(Membership { role, member, admin_option })
}

/// The setting that is listed, as it is stored; `None` for one that this server does not know.
///
/// # Errors
/// For a value that SET CLUSTER SETTING would not take.
pub(super) fn setting(name: &str, value: &str) -> Result<Option<(String, String)>> {
    let Ok(setting) = Setting::find(name) else { return Ok(None) };
    let value = setting.checked(value).map_err(|error| error.prefixed("in the backup"))?;
    Ok(Some((setting.name.to_string(), value)))
}

/// Tells why there can be no such object.
pub(super) fn refused(sort: &str, name: &str, why: &str) -> Error {
    let shown: String = name.chars().take(SHOWN_MAX).collect();
    Error::new(Sqlstate::DATA_CORRUPTED, format!("the backup lists {sort} {shown:?}, which cannot be: {why}"))
}
