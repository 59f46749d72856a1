//! Databases, schemas, tables and columns.

use lakeport_base::SqlType;
use lakeport_catalog::model::{Column, Object, Table};

use super::{SCHEMA, acl, oid, types};
use crate::row;
use crate::show::definition::{self, Definition, Sort, SystemColumn};
use crate::show::rows::Cell;
use crate::show::{Rows, Source, Viewer};

pub(super) const SOURCES: &[Source] = &[
    ("pg_database", databases),
    ("pg_tablespace", tablespaces),
    ("pg_namespace", namespaces),
    ("pg_class", classes),
    ("pg_tables", table_list),
    ("pg_views", view_list),
    ("pg_attribute", attributes),
    ("pg_attrdef", defaults),
    ("pg_stat_user_tables", table_statistics),
    ("pg_stat_all_tables", table_statistics),
];

/// `pg_encoding` number of UTF8.
const UTF8: i64 = 6;

fn databases(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "oid",
        "datname",
        "datdba",
        "encoding",
        "datlocprovider",
        "datallowconn",
        "datconnlimit",
        "dattablespace",
        "datcollate",
        "datctype",
        "datacl",
    ];
    let row = |row: &lakeport_catalog::model::Database| {
        let acl = acl::of(viewer.directory, Object::Database(row.id), &row.owner);
        let owner = oid::role(&row.owner);
        row![oid::database(row.id), &row.name, owner, UTF8, "c", true, -1, oid::TABLESPACE, "C", "C", acl]
    };
    Rows::new(COLUMNS, viewer.directory.databases.values().map(row))
}

fn tablespaces(_: Viewer<'_>) -> Rows {
    Rows::new(&["oid", "spcname", "spcowner"], [row![oid::TABLESPACE, "pg_default", oid::role("root")]])
}

fn namespaces(viewer: Viewer<'_>) -> Rows {
    let database = viewer.current_database().map(|database| database.id);
    let own = viewer.directory.schemas.values().filter(|schema| Some(schema.database) == database);
    let own = own.map(|row| {
        let acl = acl::of(viewer.directory, Object::Schema(row.id), &row.owner);
        row![oid::schema(row.id), &row.name, oid::role(&row.owner), acl]
    });
    let everybody = || Cell::from(vec!["root=UC/root", "=U/root"]);
    let system = [(oid::PG_CATALOG, SCHEMA), (oid::INFORMATION_SCHEMA, "information_schema")];
    let system = system.map(|(id, name)| row![id, name, oid::role("root"), everybody()]);
    Rows::new(&["oid", "nspname", "nspowner", "nspacl"], own.chain(system))
}

/// Tables, the indexes of their primary keys, and the system tables.
fn classes(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "oid",
        "relname",
        "relnamespace",
        "relowner",
        "relam",
        "relfilenode",
        "reltuples",
        "relhasindex",
        "relpersistence",
        "relkind",
        "relnatts",
        "relispopulated",
        "relreplident",
        "relacl",
    ];
    let mut rows = Vec::new();
    for table in viewer.tables() {
        let (id, owner, keyed) = (oid::table(table.id), oid::role(&table.owner), !table.primary_key.is_empty());
        let (schema, width) = (oid::schema(table.schema), table.columns.len() as i64);
        let acl = acl::of(viewer.directory, Object::Table(table.id), &table.owner);
        let delta = oid::ACCESS_METHOD;
        rows.push(row![id, &table.name, schema, owner, delta, id, -1.0, keyed, "p", "r", width, true, "d", acl]);
        if keyed {
            let (id, width) = (oid::index(table.id), table.primary_key.len() as i64);
            let name = super::keys::name(table);
            rows.push(row![id, name, schema, owner, delta, id, -1.0, false, "p", "i", width, true, "n", Cell::Null]);
        }
    }
    rows.extend(definition::relations().map(system_class));
    Rows::new(COLUMNS, rows)
}

fn system_class(definition: &Definition) -> Vec<Cell> {
    let (kind, method) = if definition.sort == Sort::View { ("v", 0) } else { ("r", oid::ACCESS_METHOD) };
    let (id, schema, owner) = (definition.oid, oid::system_schema(definition.schema), oid::role("root"));
    let (width, acl) = (definition.columns.len() as i64, vec!["root=r/root", "=r/root"]);
    row![id, definition.name, schema, owner, method, id, -1.0, false, "p", kind, width, true, "n", acl]
}

fn table_list(viewer: Viewer<'_>) -> Rows {
    let own = viewer.tables().map(|table| {
        row![viewer.schema_name(table), &table.name, &table.owner, !table.primary_key.is_empty(), false, false, false]
    });
    let system = definition::relations().filter(|definition| definition.sort == Sort::Table);
    let system = system.map(|table| row![table.schema, table.name, "root", false, false, false, false]);
    const COLUMNS: &[&str] =
        &["schemaname", "tablename", "tableowner", "hasindexes", "hasrules", "hastriggers", "rowsecurity"];
    Rows::new(COLUMNS, own.chain(system))
}

fn view_list(_: Viewer<'_>) -> Rows {
    let views = definition::relations().filter(|definition| definition.sort == Sort::View);
    Rows::new(&["schemaname", "viewname", "viewowner"], views.map(|view| row![view.schema, view.name, "root"]))
}

fn table_statistics(viewer: Viewer<'_>) -> Rows {
    let row = |table: &std::sync::Arc<Table>| row![oid::table(table.id), viewer.schema_name(table), &table.name];
    Rows::new(&["relid", "schemaname", "relname"], viewer.tables().map(row))
}

const ATTRIBUTE_COLUMNS: &[&str] = &[
    "attrelid",
    "attname",
    "atttypid",
    "attstattarget",
    "attlen",
    "attnum",
    "attndims",
    "attcacheoff",
    "atttypmod",
    "attbyval",
    "attalign",
    "attstorage",
    "attnotnull",
    "atthasdef",
    "attislocal",
    "attcollation",
];

fn attributes(viewer: Viewer<'_>) -> Rows {
    let mut rows = Vec::new();
    for table in viewer.tables() {
        rows.extend(
            table.columns.iter().zip(1..).map(|(column, number)| table_attribute(oid::table(table.id), column, number)),
        );
        let keys = table.primary_key.iter().filter_map(|name| table.columns.iter().find(|column| column.name == *name));
        let index = oid::index(table.id);
        rows.extend(
            keys.zip(1..).map(|(column, number)| attribute(index, &column.name, &column.ty, number, false, false)),
        );
    }
    for definition in definition::relations() {
        rows.extend(
            definition.columns.iter().zip(1..).map(|(column, number)| system_attribute(definition, column, number)),
        );
    }
    Rows::new(ATTRIBUTE_COLUMNS, rows)
}

fn table_attribute(table: i64, column: &Column, number: i64) -> Vec<Cell> {
    attribute(table, &column.name, &column.ty, number, !column.nullable, column.default.is_some())
}

fn system_attribute(table: &Definition, column: &SystemColumn, number: i64) -> Vec<Cell> {
    attribute(table.oid, column.name, &column.ty, number, !column.nullable, false)
}

fn attribute(relation: i64, name: &str, ty: &SqlType, number: i64, not_null: bool, default: bool) -> Vec<Cell> {
    let (length, modifier) = types::layout(ty);
    let collation = if types::is_text(ty) { oid::COLLATION } else { 0 };
    let dimensions = i64::from(matches!(ty, SqlType::Array(_)));
    let (by_value, storage) = (length > 0 && length <= 8, if length > 0 { "p" } else { "x" });
    [
        row![relation, name, i64::from(ty.oid()), -1, length, number, dimensions, -1, modifier],
        row![by_value, "i", storage, not_null, default, true, collation],
    ]
    .concat()
}

fn defaults(viewer: Viewer<'_>) -> Rows {
    let mut rows = Vec::new();
    for table in viewer.tables() {
        for (column, number) in table.columns.iter().zip(1i64..) {
            if let Some(default) = &column.default {
                rows.push(row![oid::default(table.id, number), oid::table(table.id), number, default]);
            }
        }
    }
    Rows::new(&["oid", "adrelid", "adnum", "adbin"], rows)
}
