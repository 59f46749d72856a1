//! `has_*_privilege([role,] object, privileges)`: what a role may do, from the grants.

use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::{Object, Schema, Table};

use super::name::{namespace, no_role, number, parts, relation, role_name};
use super::{CatalogFunction, text};
use crate::authz::Subject;
use crate::directory::PUBLIC;
use crate::error::{Error, Result};
use crate::show::pg_catalog::oid as oids;
use crate::show::rows::Cell;
use crate::show::{Viewer, definition};

const fn asks(
    name: &'static str,
    arities: &'static [usize],
    answer: fn(Viewer<'_>, &[Cell]) -> Result<Cell>,
) -> CatalogFunction {
    CatalogFunction::new(name, arities, SqlType::Bool, answer)
}

pub(super) const FUNCTIONS: &[CatalogFunction] = &[
    asks("has_table_privilege", &[2, 3], |viewer, of| on_table(viewer, of, 2)),
    asks("has_any_column_privilege", &[2, 3], |viewer, of| on_table(viewer, of, 2)),
    asks("has_column_privilege", &[3, 4], |viewer, of| on_table(viewer, of, 3)),
    asks("has_schema_privilege", &[2, 3], on_schema),
    asks("has_database_privilege", &[2, 3], on_database),
    asks("pg_has_role", &[2, 3], has_role),
];

/// Whose privileges are asked for: the first argument's when there is one more than `own`, else the viewer's.
fn whose<'a>(viewer: Viewer<'_>, of: &'a [Cell], own: usize) -> Result<(String, &'a [Cell])> {
    if of.len() <= own {
        return Ok((viewer.user.to_string(), of));
    }
    Ok((role(viewer, &of[0])?, &of[1..]))
}

/// The name of a role given by name or oid.
///
/// # Errors
/// 42704 when there is none.
fn role(viewer: Viewer<'_>, of: &Cell) -> Result<String> {
    let named = match number(of) {
        Some(id) => role_name(viewer, id),
        None => Some(text(std::slice::from_ref(of), 0)),
    };
    let known = named.filter(|name| name == PUBLIC || viewer.directory.roles.contains_key(name));
    known.ok_or_else(|| no_role(&text(std::slice::from_ref(of), 0)))
}

/// A privilege asked for, and whether with the right to grant it.
struct Wanted {
    privilege: String,
    grantable: bool,
}

/// The privileges of a list such as `SELECT, UPDATE WITH GRANT OPTION`.
///
/// # Errors
/// 22023 for one that the sort of object cannot have.
fn wanted(list: &str, known: &[&str]) -> Result<Vec<Wanted>> {
    let one = |item: &str| {
        let upper = item.trim().to_ascii_uppercase();
        let (privilege, grantable) = match upper.strip_suffix("WITH GRANT OPTION") {
            Some(privilege) => (privilege.trim_end().to_string(), true),
            None => (upper, false),
        };
        let unknown = || Error::invalid(format!("unrecognized privilege type: {:?}", item.trim()));
        if known.contains(&privilege.as_str()) { Ok(Wanted { privilege, grantable }) } else { Err(unknown()) }
    };
    list.split(',').map(one).collect()
}

fn on_table(viewer: Viewer<'_>, of: &[Cell], own: usize) -> Result<Cell> {
    const KNOWN: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
    let (user, of) = whose(viewer, of, own)?;
    let wanted = wanted(&text(of, own - 1), KNOWN)?;
    let id = relation(viewer, &of[0]).ok_or_else(|| Error::undefined_table(text(of, 0)))?;
    let subject = Subject { directory: viewer.directory, user: &user };
    if definition::relations().any(|system| system.oid == id) {
        return Ok(wanted.iter().any(|wanted| wanted.privilege == "SELECT" && !wanted.grantable).into());
    }
    let mut tables = viewer.directory.tables.values();
    let Some(table) = tables.find(|table| oids::table(table.id) == id || oids::index(table.id) == id) else {
        return Ok(Cell::Null);
    };
    Ok(wanted.iter().any(|wanted| has_on_table(subject, table, wanted)).into())
}

/// TRUNCATE needs DROP here; what PostgreSQL's other privileges allow, only an owner may do.
fn has_on_table(subject: Subject<'_>, table: &Table, wanted: &Wanted) -> bool {
    match wanted.privilege.as_str() {
        "REFERENCES" | "TRIGGER" => subject.owns(&table.owner),
        "TRUNCATE" => holds(subject, Object::Table(table.id), &table.owner, "DROP", wanted.grantable),
        privilege => holds(subject, Object::Table(table.id), &table.owner, privilege, wanted.grantable),
    }
}

fn holds(subject: Subject<'_>, object: Object, owner: &str, privilege: &str, grantable: bool) -> bool {
    if grantable { subject.may_grant(object, owner, privilege) } else { subject.has(object, owner, privilege) }
}

fn on_schema(viewer: Viewer<'_>, of: &[Cell]) -> Result<Cell> {
    let (user, of) = whose(viewer, of, 2)?;
    let wanted = wanted(&text(of, 1), &["CREATE", "USAGE"])?;
    let missing = || Error::new(Sqlstate::INVALID_SCHEMA_NAME, format!("schema {:?} does not exist", text(of, 0)));
    let id = namespace(viewer, &of[0]).ok_or_else(missing)?;
    if [oids::PG_CATALOG, oids::INFORMATION_SCHEMA].contains(&id) {
        return Ok(wanted.iter().any(|wanted| wanted.privilege == "USAGE" && !wanted.grantable).into());
    }
    let mut schemas = viewer.directory.schemas.values();
    let Some(schema) = schemas.find(|schema| oids::schema(schema.id) == id) else { return Ok(Cell::Null) };
    let subject = Subject { directory: viewer.directory, user: &user };
    Ok(wanted.iter().any(|wanted| has_on_schema(subject, schema, wanted)).into())
}

/// Who may create in a database may in each of its schemas.
fn has_on_schema(subject: Subject<'_>, schema: &Schema, wanted: &Wanted) -> bool {
    if wanted.privilege == "CREATE" && !wanted.grantable {
        let database = subject.directory.database_of(schema.database);
        let through = database.is_some_and(|row| subject.has(Object::Database(row.id), &row.owner, "CREATE"));
        if through {
            return true;
        }
    }
    holds(subject, Object::Schema(schema.id), &schema.owner, &wanted.privilege, wanted.grantable)
}

/// Nobody makes temporary tables.
fn on_database(viewer: Viewer<'_>, of: &[Cell]) -> Result<Cell> {
    let (user, of) = whose(viewer, of, 2)?;
    let wanted = wanted(&text(of, 1), &["CREATE", "CONNECT", "TEMPORARY", "TEMP"])?;
    let directory = viewer.directory;
    let database = match number(&of[0]) {
        Some(id) => directory.databases.values().find(|database| oids::database(database.id) == id),
        None => Some(directory.database(&parts(&text(of, 0)).join("."))?),
    };
    let Some(database) = database else { return Ok(Cell::Null) };
    let subject = Subject { directory, user: &user };
    let (object, owner) = (Object::Database(database.id), database.owner.as_str());
    let has = |wanted: &Wanted| match wanted.privilege.as_str() {
        "TEMPORARY" | "TEMP" => false,
        privilege => holds(subject, object, owner, privilege, wanted.grantable),
    };
    Ok(wanted.iter().any(has).into())
}

/// `pg_has_role([user,] role, {MEMBER | USAGE | SET})`, the last also WITH ADMIN OPTION.
fn has_role(viewer: Viewer<'_>, of: &[Cell]) -> Result<Cell> {
    let (user, of) = whose(viewer, of, 2)?;
    let role = role(viewer, &of[0])?;
    let directory = viewer.directory;
    let one = |item: &str| {
        let upper = item.trim().to_ascii_uppercase();
        let sort = upper.split(" WITH ").next().unwrap_or_default();
        if !["MEMBER", "USAGE", "SET"].contains(&sort) {
            return Err(Error::invalid(format!("unrecognized privilege type: {:?}", item.trim())));
        }
        let admin = |held: &&lakeport_catalog::model::Membership| held.role == role && held.admin_option;
        let administers = || directory.memberships.iter().filter(admin).any(|held| held.member == user);
        let is_member = directory.is_admin(&user) || directory.roles_of(&user).contains(role.as_str());
        Ok(is_member && (upper == sort || directory.is_admin(&user) || administers()))
    };
    let answers = text(of, 1).split(',').map(one).collect::<Result<Vec<_>>>()?;
    Ok(answers.contains(&true).into())
}
