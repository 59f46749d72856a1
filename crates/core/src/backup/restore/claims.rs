//! What a backup lists, held against what statements take: a stranger may have listed anything.
//!
//! What only a later server knows, such as a setting, is left out by those who restore it. What this one knows and would
//! refuse from a user, it refuses from a backup, before anything is written.

use std::collections::{HashMap, HashSet};

use lakeport_backup::manifest;
use lakeport_base::Sqlstate;
use lakeport_base::limits::STATEMENT_BYTES_MAX;
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

/// Largest version of an object: room for more of them than there can be statements.
const VERSION_MAX: i64 = 1 << 48;
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
/// XX001 for a text, such as a comment, that no statement could have given to an object.
pub(super) fn check_text(sort: &str, name: &str, text_of: &str, text: Option<&str>) -> Result<()> {
    match text {
        Some(text) if text.len() > STATEMENT_BYTES_MAX => {
            let why =
                format!("its {text_of} has {} bytes, of {STATEMENT_BYTES_MAX} that a statement may have", text.len());
            Err(refused(sort, name, &why))
        }
        _ => Ok(()),
    }
}

/// # Errors
/// For what CREATE TABLE and COMMENT ON would not make.
pub(super) fn check_table(listed: &manifest::Table, columns: &[Column], key: &[String]) -> Result<()> {
    let name = &listed.name;
    check_name("table", name)?;
    check_text("table", name, "comment", listed.comment.as_deref())?;
    for column in columns {
        check_name("column", &column.name)?;
        check_text("column", &column.name, "comment", column.comment.as_deref())?;
    }
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

/// A default runs with the rights of whoever inserts, and becomes part of his statement: it must be what CREATE TABLE
/// keeps of one, and nothing beside it, such as a bracket that ends another or a comment.
fn is_default(text: &str) -> bool {
    let parsed = lakeport_sql::parse(&format!("CREATE TABLE t (a STRING DEFAULT {text})"));
    let Ok([parsed]) = parsed.as_deref() else { return false };
    let Statement::CreateTable(made) = &parsed.statement else { return false };
    let [column] = made.columns.as_slice() else { return false };
    column.default.as_deref() == Some(text) && column.nullable && made.primary_key.is_empty() && made.query.is_none()
}

/// The version that is listed.
///
/// # Errors
/// XX001 for one that no number of statements leads to.
pub(super) fn version(sort: &str, name: &str, version: i64) -> Result<i64> {
    match version {
        1..=VERSION_MAX => Ok(version),
        _ => Err(refused(sort, name, &format!("its version is {version}"))),
    }
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
    check_text("role", &listed.name, "password", listed.verifier.as_deref())?;
    if listed.verifier.as_deref().is_some_and(|verifier| Verifier::parse(verifier).is_none()) {
        return Err(refused("role", &listed.name, "its password cannot be read"));
    }
    let mut role = restored_role(listed);
    let mut options = HashSet::new();
    role.options.retain(|option| is_option(option) && options.insert(option.clone()));
    role.defaults.clear();
    for (name, value) in &listed.defaults {
        let Ok(variable) = Variable::find(name) else { continue };
        check_text("role", &listed.name, variable.name, Some(value))?;
        let value = variable.checked(value);
        let value = value.map_err(|error| error.prefixed(&format!("role {:?} of the backup", role.name)))?;
        role.defaults.retain(|(earlier, _)| earlier != variable.name);
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

/// Whether roles are members of each other as GRANT makes them, with those that are here already.
///
/// # Errors
/// XX001 for a role that would be a member of itself, directly or through others.
pub(super) fn check_acyclic<'a>(memberships: impl Iterator<Item = &'a Membership>) -> Result<()> {
    let mut roles_of: HashMap<&str, Vec<&str>> = HashMap::new();
    for Membership { role, member, .. } in memberships {
        roles_of.entry(member).or_default().push(role);
    }
    // Each role is entered once, and left when all above it are; those between are the path to it.
    let (mut entered, mut path): (HashSet<&str>, HashSet<&str>) = Default::default();
    let mut open: Vec<(&str, bool)> = roles_of.keys().map(|member| (*member, false)).collect();
    while let Some((role, is_left)) = open.pop() {
        if is_left {
            path.remove(role);
        } else if path.contains(role) {
            return Err(refused("member of a role", role, "it would be a member of itself"));
        } else if entered.insert(role) {
            path.insert(role);
            open.push((role, true));
            open.extend(roles_of.get(role).into_iter().flatten().map(|above| (*above, false)));
        }
    }
    Ok(())
}

/// The setting that is listed, as it is stored; `None` for one that this server does not know.
///
/// # Errors
/// For a value that SET CLUSTER SETTING would not take.
pub(super) fn setting(name: &str, value: &str) -> Result<Option<(String, String)>> {
    let Ok(setting) = Setting::find(name) else { return Ok(None) };
    check_text("setting", setting.name, "value", Some(value))?;
    let value = setting.checked(value).map_err(|error| error.prefixed("in the backup"))?;
    Ok(Some((setting.name.to_string(), value)))
}

/// Tells why there can be no such object.
pub(super) fn refused(sort: &str, name: &str, why: &str) -> Error {
    let shown: String = name.chars().take(SHOWN_MAX).collect();
    Error::new(Sqlstate::DATA_CORRUPTED, format!("the backup lists {sort} {shown:?}, which cannot be: {why}"))
}
