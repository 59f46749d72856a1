//! `information_schema`, as the SQL standard and PostgreSQL 15 have it: what the viewer has some privilege on.

use std::sync::Arc;

use lakeport_base::SqlType;
use lakeport_catalog::model::{Grant, Object, Table};

use super::definition::{self, Definition, Sort};
use super::rows::Cell;
use super::{Rows, Source, Viewer, pg_catalog::keys};
use crate::authz::TABLE_PRIVILEGES;
use crate::row;

pub(super) const SOURCES: &[Source] = &[
    ("information_schema_catalog_name", catalog_name),
    ("schemata", schemata),
    ("tables", tables),
    ("views", views),
    ("columns", columns),
    ("table_constraints", table_constraints),
    ("key_column_usage", key_column_usage),
    ("constraint_column_usage", key_column_usage_by_constraint),
    ("constraint_table_usage", key_table_usage),
    ("table_privileges", table_privileges),
    ("role_table_grants", table_privileges),
    ("enabled_roles", enabled_roles),
    ("applicable_roles", applicable_roles),
];

fn catalog_name(viewer: Viewer<'_>) -> Rows {
    Rows::new(&["catalog_name"], [row![viewer.database]])
}

fn schemata(viewer: Viewer<'_>) -> Rows {
    let Some(database) = viewer.current_database() else { return Rows::none() };
    let schemas = crate::stmt::database::schema_rows(viewer.directory, database.id);
    let rows = schemas.into_iter().map(|(name, owner)| row![viewer.database, name, owner]);
    Rows::new(&["catalog_name", "schema_name", "schema_owner"], rows)
}

/// The tables on which the viewer has some privilege, with the name of the schema.
fn visible<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = (&'a str, &'a Arc<Table>)> {
    let subject = viewer.subject();
    let seen = viewer.tables().filter(move |table| subject.sees_table(table));
    seen.map(move |table| (viewer.schema_name(table), table))
}

fn tables(viewer: Viewer<'_>) -> Rows {
    let own =
        visible(viewer).map(|(schema, table)| row![viewer.database, schema, &table.name, "BASE TABLE", "YES", "NO"]);
    let system = definition::relations().map(|table| {
        let kind = if table.sort == Sort::View { "VIEW" } else { "BASE TABLE" };
        row![viewer.database, table.schema, table.name, kind, "NO", "NO"]
    });
    const COLUMNS: &[&str] =
        &["table_catalog", "table_schema", "table_name", "table_type", "is_insertable_into", "is_typed"];
    Rows::new(COLUMNS, own.chain(system))
}

fn views(viewer: Viewer<'_>) -> Rows {
    let views = definition::relations().filter(|table| table.sort == Sort::View);
    let rows = views.map(|view| row![viewer.database, view.schema, view.name, "NONE", "NO", "NO"]);
    const COLUMNS: &[&str] =
        &["table_catalog", "table_schema", "table_name", "check_option", "is_updatable", "is_insertable_into"];
    Rows::new(COLUMNS, rows)
}

fn columns(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "is_identity",
        "is_generated",
        "is_updatable",
        "udt_catalog",
        "udt_schema",
        "udt_name",
        "data_type",
        "character_maximum_length",
        "numeric_precision",
        "numeric_precision_radix",
        "numeric_scale",
        "datetime_precision",
        "dtd_identifier",
    ];
    let mut rows = Vec::new();
    for (schema, table) in visible(viewer) {
        for (column, number) in table.columns.iter().zip(1i64..) {
            let place = row![viewer.database, schema, &table.name, &column.name, number, column.default.as_ref()];
            let flags = row![yes_or_no(column.nullable), "NO", "NEVER", "YES"];
            rows.push([place, flags, typed(viewer, &column.ty, number)].concat());
        }
    }
    rows.extend(definition::relations().flat_map(|table| system_columns(viewer, table)));
    Rows::new(COLUMNS, rows)
}

fn system_columns<'a>(viewer: Viewer<'a>, table: &'static Definition) -> impl Iterator<Item = Vec<Cell>> + use<'a> {
    table.columns.iter().zip(1i64..).map(move |(column, number)| {
        let place = row![viewer.database, table.schema, table.name, column.name, number, Cell::Null];
        let flags = row![yes_or_no(column.nullable), "NO", "NEVER", "NO"];
        [place, flags, typed(viewer, &column.ty, number)].concat()
    })
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "YES" } else { "NO" }
}

/// What `columns` says of a type.
fn typed(viewer: Viewer<'_>, ty: &SqlType, number: i64) -> Vec<Cell> {
    let (length, precision, scale) = sizes(ty);
    let radix = precision.map(|_| if matches!(ty, SqlType::Decimal(..)) { 10i64 } else { 2 });
    let fraction = match ty {
        SqlType::Timestamp | SqlType::TimestampTz => Some(6i64),
        SqlType::Date => Some(0),
        _ => None,
    };
    let name = (viewer.database, "pg_catalog", udt_name(ty));
    row![name.0, name.1, name.2, standard_name(ty), length, precision, radix, scale, fraction, number.to_string()]
}

/// Maximum length, precision and scale.
fn sizes(ty: &SqlType) -> (Option<i64>, Option<i64>, Option<i64>) {
    match ty {
        SqlType::Varchar(length) => (Some(i64::from(*length)), None, None),
        SqlType::Decimal(precision, scale) => (None, Some(i64::from(*precision)), Some(i64::from(*scale))),
        SqlType::Int2 => (None, Some(16), Some(0)),
        SqlType::Int4 => (None, Some(32), Some(0)),
        SqlType::Int8 => (None, Some(64), Some(0)),
        SqlType::Float4 => (None, Some(24), None),
        SqlType::Float8 => (None, Some(53), None),
        _ => (None, None, None),
    }
}

/// A type as the SQL standard names it, without length or precision.
pub fn standard_name(ty: &SqlType) -> &'static str {
    match ty {
        SqlType::Bool => "boolean",
        SqlType::Int2 => "smallint",
        SqlType::Int4 => "integer",
        SqlType::Int8 => "bigint",
        SqlType::Float4 => "real",
        SqlType::Float8 => "double precision",
        SqlType::Decimal(..) => "numeric",
        SqlType::Text => "text",
        SqlType::Varchar(_) => "character varying",
        SqlType::Bytes => "bytea",
        SqlType::Date => "date",
        SqlType::Timestamp => "timestamp without time zone",
        SqlType::TimestampTz => "timestamp with time zone",
        SqlType::Uuid => "uuid",
        SqlType::Jsonb => "jsonb",
        SqlType::Interval => "interval",
        SqlType::Array(_) => "ARRAY",
    }
}

fn udt_name(ty: &SqlType) -> String {
    match ty {
        SqlType::Array(element) => format!("_{}", udt_name(element)),
        SqlType::Bool => "bool".to_string(),
        SqlType::Text => "text".to_string(),
        SqlType::Varchar(_) => "varchar".to_string(),
        SqlType::Bytes => "bytea".to_string(),
        SqlType::Decimal(..) => "numeric".to_string(),
        other => other.to_string().to_lowercase(),
    }
}

/// The tables with a primary key that the viewer sees: schema, table, name of the constraint.
fn keyed<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = (&'a str, &'a Arc<Table>, String)> {
    visible(viewer)
        .filter(|(_, table)| !table.primary_key.is_empty())
        .map(|(schema, table)| (schema, table, keys::name(table)))
}

fn table_constraints(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "constraint_type",
        "is_deferrable",
        "initially_deferred",
        "enforced",
    ];
    let row = |(schema, table, name): (&str, &Arc<Table>, String)| {
        let database = viewer.database;
        row![database, schema, name, database, schema, &table.name, "PRIMARY KEY", "NO", "NO", "YES"]
    };
    Rows::new(COLUMNS, keyed(viewer).map(row))
}

fn key_column_usage(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
    ];
    Rows::new(COLUMNS, key_columns(viewer))
}

/// Each column of each primary key, numbered within its key.
fn key_columns(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let database = viewer.database;
    let mut rows = Vec::new();
    for (schema, table, name) in keyed(viewer) {
        for (column, number) in table.primary_key.iter().zip(1i64..) {
            rows.push(row![database, schema, &name, database, schema, &table.name, column, number]);
        }
    }
    rows
}

fn key_column_usage_by_constraint(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
    ];
    Rows::new(COLUMNS, key_columns(viewer))
}

fn key_table_usage(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] =
        &["table_catalog", "table_schema", "table_name", "constraint_catalog", "constraint_schema", "constraint_name"];
    let row = |(schema, table, name): (&str, &Arc<Table>, String)| {
        row![viewer.database, schema, &table.name, viewer.database, schema, name]
    };
    Rows::new(COLUMNS, keyed(viewer).map(row))
}

/// Grants on tables: those to the viewer's roles, and those on tables that the viewer owns.
fn table_privileges(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "grantor",
        "grantee",
        "table_catalog",
        "table_schema",
        "table_name",
        "privilege_type",
        "is_grantable",
        "with_hierarchy",
    ];
    let roles = viewer.directory.roles_of(viewer.user);
    let mut rows = Vec::new();
    for (schema, table) in visible(viewer) {
        let row = |grantee: &str, privilege: &str, grantable: bool| {
            let grantee = if grantee == crate::directory::PUBLIC { "PUBLIC" } else { grantee };
            let hierarchy = yes_or_no(privilege == "SELECT");
            let name = &table.name;
            row![&table.owner, grantee, viewer.database, schema, name, privilege, yes_or_no(grantable), hierarchy]
        };
        let owns = viewer.subject().owns(&table.owner);
        rows.extend(owns.then(|| privileges("ALL")).into_iter().flatten().map(|name| row(&table.owner, name, true)));
        let shown = |grant: &&Grant| owns || roles.contains(grant.grantee.as_str());
        for grant in viewer.directory.grants_on(Object::Table(table.id)).iter().filter(shown) {
            rows.extend(privileges(&grant.privilege).map(|name| row(&grant.grantee, name, grant.grant_option)));
        }
    }
    Rows::new(COLUMNS, rows)
}

/// The privileges that one of a grant stands for.
fn privileges(granted: &str) -> impl Iterator<Item = &'static str> {
    TABLE_PRIVILEGES.iter().copied().filter(move |name| *name != "ALL" && (granted == "ALL" || granted == *name))
}

fn enabled_roles(viewer: Viewer<'_>) -> Rows {
    let roles = viewer.directory.roles_of(viewer.user);
    let named = roles.into_iter().filter(|role| *role != crate::directory::PUBLIC);
    Rows::new(&["role_name"], named.map(|role| row![role]))
}

fn applicable_roles(viewer: Viewer<'_>) -> Rows {
    let roles = viewer.directory.roles_of(viewer.user);
    let held = viewer.directory.memberships.iter().filter(|held| roles.contains(held.member.as_str()));
    let rows = held.map(|held| row![&held.member, &held.role, yes_or_no(held.admin_option)]);
    Rows::new(&["grantee", "role_name", "is_grantable"], rows)
}
