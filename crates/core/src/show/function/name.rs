//! Names, definitions and comments of objects by their oids, and oids by names.

use lakeport_base::{QualifiedName, SqlType, Sqlstate};

use super::{CatalogFunction, oid, text};
use crate::error::{Error, Result};
use crate::show::pg_catalog::{keys, oid as oids, types};
use crate::show::rows::Cell;
use crate::show::{Viewer, definition};

const TEXT: SqlType = SqlType::Text;
const OID: SqlType = SqlType::Int8;

pub(super) const FUNCTIONS: &[CatalogFunction] = &[
    CatalogFunction::new("regclass", &[1], OID, |viewer, of| found(relation(viewer, &of[0]), || no_relation(of))),
    CatalogFunction::new("regnamespace", &[1], OID, |viewer, of| found(namespace(viewer, &of[0]), || no_schema(of))),
    CatalogFunction::new("regrole", &[1], OID, |viewer, of| found(role(viewer, &of[0]), || no_role(&text(of, 0)))),
    CatalogFunction::new("regtype", &[1], OID, |_, of| found(type_oid(&of[0]), || no_type(of))),
    CatalogFunction::new("regproc", &[1], TEXT, |_, of| Ok(text(of, 0).into())),
    CatalogFunction::new(FUNCTION_OID, &[1], OID, |_, of| Err(no_function(of))),
    CatalogFunction::new("to_regproc", &[1], TEXT, |_, _| Ok(Cell::Null)),
    CatalogFunction::new("to_regclass", &[1], OID, |viewer, of| Ok(relation(viewer, &of[0]).into())),
    CatalogFunction::new("to_regnamespace", &[1], OID, |viewer, of| Ok(namespace(viewer, &of[0]).into())),
    CatalogFunction::new("to_regrole", &[1], OID, |viewer, of| Ok(role(viewer, &of[0]).into())),
    CatalogFunction::new("to_regtype", &[1], OID, |_, of| Ok(type_oid(&of[0]).into())),
    CatalogFunction::new(RELATION_NAME, &[1], TEXT, |viewer, of| shown(of, |oid| relation_name(viewer, oid))),
    CatalogFunction::new(NAMESPACE_NAME, &[1], TEXT, |viewer, of| shown(of, |oid| namespace_name(viewer, oid))),
    CatalogFunction::new(ROLE_NAME, &[1], TEXT, |viewer, of| shown(of, |oid| role_name(viewer, oid))),
    CatalogFunction::new("pg_get_userbyid", &[1], TEXT, |viewer, of| {
        let id = oid(of, 0)?;
        Ok(role_name(viewer, id).unwrap_or_else(|| format!("unknown (OID={id})")).into())
    }),
    CatalogFunction::new("format_type", &[1, 2], TEXT, |_, of| {
        let modifier = if let Some(Cell::Int(modifier)) = of.get(1) { Some(*modifier) } else { None };
        if of[0] == Cell::Null { Ok(Cell::Null) } else { Ok(types::sql_name(oid(of, 0)?, modifier).into()) }
    })
    .lenient(),
    CatalogFunction::new("pg_table_is_visible", &[1], SqlType::Bool, |viewer, of| {
        Ok(is_visible(viewer, oid(of, 0)?).into())
    }),
    CatalogFunction::new("pg_get_constraintdef", &[1, 2], TEXT, |viewer, of| {
        Ok(keys::constraint_definition(viewer, oid(of, 0)?).into())
    }),
    CatalogFunction::new("pg_get_indexdef", &[1, 3], TEXT, |viewer, of| {
        let column = if of.len() > 1 { oid(of, 1)? } else { 0 };
        Ok(keys::index_definition(viewer, oid(of, 0)?, column).into())
    }),
    CatalogFunction::new("obj_description", &[1, 2], TEXT, |viewer, of| {
        let about_tables = of.len() == 1 || text(of, 1) == "pg_class";
        Ok(about_tables.then_some(table_comment(viewer, oid(of, 0)?)).flatten().into())
    }),
    CatalogFunction::new("col_description", &[2], TEXT, |viewer, of| {
        Ok(column_comment(viewer, oid(of, 0)?, oid(of, 1)?).into())
    }),
    CatalogFunction::new("shobj_description", &[2], TEXT, |viewer, of| {
        let about_databases = text(of, 1) == "pg_database";
        Ok(about_databases.then_some(database_comment(viewer, oid(of, 0)?)).flatten().into())
    }),
];

/// Function that names a relation by its oid, for casts of oids to `regclass`. As those below, it is called by rewritten
/// casts only; no SQL name begins with a blank.
pub const RELATION_NAME: &str = " relation name";
/// Function for the oid of a function: there are none, since the system tables hold functions as names.
pub const FUNCTION_OID: &str = " function oid";
/// Function that names a schema by its oid.
pub const NAMESPACE_NAME: &str = " namespace name";
/// Function that names a role by its oid.
pub const ROLE_NAME: &str = " role name";

fn found(oid: Option<i64>, missing: impl FnOnce() -> Error) -> Result<Cell> {
    oid.map(Cell::Int).ok_or_else(missing)
}

/// The name for an oid, or its digits when nothing has it.
fn shown(arguments: &[Cell], name: impl FnOnce(i64) -> Option<String>) -> Result<Cell> {
    let id = oid(arguments, 0)?;
    Ok(name(id).unwrap_or_else(|| id.to_string()).into())
}

fn no_relation(name: &[Cell]) -> Error {
    Error::undefined_table(text(name, 0))
}

fn no_function(name: &[Cell]) -> Error {
    Error::new(Sqlstate::UNDEFINED_FUNCTION, format!("function {:?} does not exist", text(name, 0)))
}

fn no_schema(name: &[Cell]) -> Error {
    Error::new(Sqlstate::INVALID_SCHEMA_NAME, format!("schema {:?} does not exist", text(name, 0)))
}

pub(super) fn no_role(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_OBJECT, format!("role {name:?} does not exist"))
}

fn no_type(name: &[Cell]) -> Error {
    Error::new(Sqlstate::UNDEFINED_OBJECT, format!("type {:?} does not exist", text(name, 0)))
}

/// The oid that a cell holds as a number or as digits.
pub(super) fn number(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(number) => Some(*number),
        Cell::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// The parts of a name as written in SQL: case folded outside of quotes.
pub(super) fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    let mut letters = text.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(part) = parts.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => part.extend(letters.next()),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            letter if quoted => part.push(letter),
            letter => part.extend(letter.to_lowercase()),
        }
    }
    parts
}

/// The oid of a relation: a table, the index of a key, or a system table.
pub(super) fn relation(viewer: Viewer<'_>, of: &Cell) -> Option<i64> {
    if let Some(oid) = number(of) {
        return Some(oid);
    }
    let Cell::Text(text) = of else { return None };
    let name = QualifiedName { parts: parts(text) };
    let schema = name.qualifiers().last().map_or("pg_catalog", String::as_str);
    if let Some(system) = definition::find(schema, name.name()) {
        return Some(system.oid);
    }
    if let Some(table) = viewer.directory.find_table(&name, viewer.database, viewer.search_path) {
        return Some(oids::table(table.id));
    }
    let mut table = name.clone();
    let last = table.parts.last_mut()?;
    *last = last.strip_suffix("_pkey")?.to_string();
    let table = viewer.directory.find_table(&table, viewer.database, viewer.search_path)?;
    (!table.primary_key.is_empty()).then(|| oids::index(table.id))
}

pub(super) fn namespace(viewer: Viewer<'_>, of: &Cell) -> Option<i64> {
    if let Some(oid) = number(of) {
        return Some(oid);
    }
    let Cell::Text(text) = of else { return None };
    let name = parts(text).pop()?;
    match name.as_str() {
        "pg_catalog" => Some(oids::PG_CATALOG),
        "information_schema" => Some(oids::INFORMATION_SCHEMA),
        _ => Some(oids::schema(viewer.directory.schema(viewer.current_database()?.id, &name)?.id)),
    }
}

fn role(viewer: Viewer<'_>, of: &Cell) -> Option<i64> {
    if let Some(oid) = number(of) {
        return Some(oid);
    }
    let Cell::Text(text) = of else { return None };
    let name = parts(text).pop()?;
    viewer.directory.roles.contains_key(&name).then(|| oids::role(&name))
}

fn type_oid(of: &Cell) -> Option<i64> {
    match (number(of), of) {
        (Some(oid), _) => Some(oid),
        (None, Cell::Text(text)) => types::oid_of(text),
        _ => None,
    }
}

/// A relation's name, with its schema when the search path does not lead to it.
fn relation_name(viewer: Viewer<'_>, id: i64) -> Option<String> {
    let (schema, name) = match definition::relations().find(|definition| definition.oid == id) {
        Some(system) => (system.schema, system.name.to_string()),
        None => {
            let table = viewer.tables().find(|table| oids::table(table.id) == id || oids::index(table.id) == id)?;
            let is_table = oids::table(table.id) == id;
            (viewer.schema_name(table), if is_table { table.name.clone() } else { keys::name(table) })
        }
    };
    let bare = QualifiedName::bare(name.clone());
    let visible = is_visible(viewer, id) == Some(true);
    Some(if visible { bare } else { QualifiedName { parts: vec![schema.to_string(), name] } }.to_string())
}

fn namespace_name(viewer: Viewer<'_>, id: i64) -> Option<String> {
    match id {
        oids::PG_CATALOG => Some("pg_catalog".to_string()),
        oids::INFORMATION_SCHEMA => Some("information_schema".to_string()),
        _ => viewer.directory.schemas.values().find(|schema| oids::schema(schema.id) == id).map(|row| row.name.clone()),
    }
}

pub(super) fn role_name(viewer: Viewer<'_>, id: i64) -> Option<String> {
    viewer.directory.roles.keys().find(|name| oids::role(name) == id).cloned()
}

/// Whether a relation's bare name leads to it; NULL when there is no such relation.
fn is_visible(viewer: Viewer<'_>, id: i64) -> Option<bool> {
    if let Some(system) = definition::relations().find(|definition| definition.oid == id) {
        return Some(system.schema == "pg_catalog");
    }
    let table = viewer.tables().find(|table| oids::table(table.id) == id || oids::index(table.id) == id)?;
    let bare = QualifiedName::bare(table.name.clone());
    let reached = viewer.directory.find_table(&bare, viewer.database, viewer.search_path);
    Some(reached.is_some_and(|reached| reached.id == table.id))
}

fn table_comment(viewer: Viewer<'_>, id: i64) -> Option<String> {
    viewer.tables().find(|table| oids::table(table.id) == id)?.comment.clone()
}

fn column_comment(viewer: Viewer<'_>, id: i64, number: i64) -> Option<String> {
    let table = viewer.tables().find(|table| oids::table(table.id) == id)?;
    table.columns.get(usize::try_from(number).ok()?.checked_sub(1)?)?.comment.clone()
}

fn database_comment(viewer: Viewer<'_>, id: i64) -> Option<String> {
    let mut databases = viewer.directory.databases.values();
    databases.find(|database| oids::database(database.id) == id)?.comment.clone()
}
