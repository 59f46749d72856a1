//! Databases, schemas, tables, columns, keys, comments.

use lakeport_base::name::quote_ident;
use lakeport_catalog::model::{Column, Table};

use super::Ty::{Bool, Float, Int, Text, Texts};
use super::{SystemTable, oid, tables};
use crate::row;
use crate::show::Viewer;
use crate::show::rows::Cell;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "pg_database",
        columns: &[
            ("oid", Int),
            ("datname", Text),
            ("datdba", Int),
            ("encoding", Int),
            ("datlocprovider", Text),
            ("datistemplate", Bool),
            ("datallowconn", Bool),
            ("datconnlimit", Int),
            ("datcollate", Text),
            ("datctype", Text),
            ("daticulocale", Text),
            ("dattablespace", Int),
            ("datacl", Texts),
        ],
        rows: databases,
    },
    SystemTable {
        name: "pg_tablespace",
        columns: &[("oid", Int), ("spcname", Text), ("spcowner", Int), ("spcacl", Texts), ("spcoptions", Texts)],
        rows: |_| vec![row![oid::TABLESPACE, "pg_default", oid::role("root"), Cell::Null, Cell::Null]],
    },
    SystemTable {
        name: "pg_namespace",
        columns: &[("oid", Int), ("nspname", Text), ("nspowner", Int), ("nspacl", Texts)],
        rows: namespaces,
    },
    SystemTable {
        name: "pg_class",
        columns: &[
            ("oid", Int),
            ("relname", Text),
            ("relnamespace", Int),
            ("reltype", Int),
            ("reloftype", Int),
            ("relowner", Int),
            ("relam", Int),
            ("relfilenode", Int),
            ("reltablespace", Int),
            ("relpages", Int),
            ("reltuples", Float),
            ("relallvisible", Int),
            ("reltoastrelid", Int),
            ("relhasindex", Bool),
            ("relisshared", Bool),
            ("relpersistence", Text),
            ("relkind", Text),
            ("relnatts", Int),
            ("relchecks", Int),
            ("relhasrules", Bool),
            ("relhastriggers", Bool),
            ("relhassubclass", Bool),
            ("relrowsecurity", Bool),
            ("relforcerowsecurity", Bool),
            ("relispopulated", Bool),
            ("relreplident", Text),
            ("relispartition", Bool),
            ("relacl", Texts),
            ("reloptions", Texts),
            ("relpartbound", Text),
            // Not PostgreSQL's: what pg_table_is_visible() answers.
            ("relvisible", Bool),
        ],
        rows: classes,
    },
    SystemTable {
        name: "pg_attribute",
        columns: &[
            ("attrelid", Int),
            ("attname", Text),
            ("atttypid", Int),
            ("attstattarget", Int),
            ("attlen", Int),
            ("attnum", Int),
            ("attndims", Int),
            ("atttypmod", Int),
            ("attbyval", Bool),
            ("attstorage", Text),
            ("attcompression", Text),
            ("attnotnull", Bool),
            ("atthasdef", Bool),
            ("atthasmissing", Bool),
            ("attidentity", Text),
            ("attgenerated", Text),
            ("attisdropped", Bool),
            ("attislocal", Bool),
            ("attinhcount", Int),
            ("attcollation", Int),
            ("attacl", Texts),
            ("attoptions", Texts),
            ("attfdwoptions", Texts),
        ],
        rows: attributes,
    },
    SystemTable {
        name: "pg_attrdef",
        columns: &[("oid", Int), ("adrelid", Int), ("adnum", Int), ("adbin", Text)],
        rows: defaults,
    },
    SystemTable {
        name: "pg_index",
        columns: &[
            ("indexrelid", Int),
            ("indrelid", Int),
            ("indnatts", Int),
            ("indnkeyatts", Int),
            ("indisunique", Bool),
            ("indnullsnotdistinct", Bool),
            ("indisprimary", Bool),
            ("indisexclusion", Bool),
            ("indimmediate", Bool),
            ("indisclustered", Bool),
            ("indisvalid", Bool),
            ("indisready", Bool),
            ("indislive", Bool),
            ("indisreplident", Bool),
            ("indkey", Texts),
            ("indoption", Texts),
            ("indexprs", Text),
            ("indpred", Text),
            ("indexdef", Text),
        ],
        rows: indexes,
    },
    SystemTable {
        name: "pg_constraint",
        columns: &[
            ("oid", Int),
            ("conname", Text),
            ("connamespace", Int),
            ("contype", Text),
            ("condeferrable", Bool),
            ("condeferred", Bool),
            ("convalidated", Bool),
            ("conrelid", Int),
            ("contypid", Int),
            ("conindid", Int),
            ("conparentid", Int),
            ("confrelid", Int),
            ("confupdtype", Text),
            ("confdeltype", Text),
            ("confmatchtype", Text),
            ("conislocal", Bool),
            ("connoinherit", Bool),
            ("conkey", Texts),
            ("confkey", Texts),
            ("conbin", Text),
            ("condef", Text),
        ],
        rows: constraints,
    },
    SystemTable {
        name: "pg_description",
        columns: &[("objoid", Int), ("classoid", Int), ("objsubid", Int), ("description", Text)],
        rows: descriptions,
    },
    SystemTable {
        name: "pg_shdescription",
        columns: &[("objoid", Int), ("classoid", Int), ("description", Text)],
        rows: shared_descriptions,
    },
    SystemTable {
        name: "pg_tables",
        columns: &[
            ("schemaname", Text),
            ("tablename", Text),
            ("tableowner", Text),
            ("tablespace", Text),
            ("hasindexes", Bool),
            ("hasrules", Bool),
            ("hastriggers", Bool),
            ("rowsecurity", Bool),
        ],
        rows: table_list,
    },
];

/// `pg_encoding` number of UTF8.
const UTF8: i64 = 6;
/// Oid of the catalog `pg_class`, as in PostgreSQL; `classoid` of comments on tables.
const PG_CLASS: i64 = 1259;
/// Oid of the catalog `pg_database`, as in PostgreSQL.
const PG_DATABASE: i64 = 1262;

fn databases(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let databases = viewer.directory.databases.values();
    databases
        .map(|row| {
            let owner = oid::role(&row.owner);
            row![
                row.id.0,
                &row.name,
                owner,
                UTF8,
                "c",
                false,
                true,
                -1,
                "C",
                "C",
                Cell::Null,
                oid::TABLESPACE,
                Cell::Null
            ]
        })
        .collect()
}

fn namespaces(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let database = viewer.directory.databases.get(viewer.database).map(|database| database.id);
    let own = viewer.directory.schemas.values().filter(|schema| Some(schema.database) == database);
    let mut rows: Vec<_> = own.map(|row| row![row.id.0, &row.name, oid::role(&row.owner), Cell::Null]).collect();
    rows.push(row![oid::PG_CATALOG, "pg_catalog", oid::role("root"), Cell::Null]);
    rows.push(row![oid::INFORMATION_SCHEMA, "information_schema", oid::role("root"), Cell::Null]);
    rows
}

fn classes(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(viewer) {
        let schema = viewer.directory.schemas.get(&table.schema);
        let visible = schema.is_some_and(|schema| viewer.search_path.contains(&schema.name));
        let class = |id, name: &str, kind, columns| [class(table, id, name, kind, columns), row![visible]].concat();
        rows.push(class(table.id.0, &table.name, "r", table.columns.len()));
        if !table.primary_key.is_empty() {
            let name = format!("{}_pkey", table.name);
            rows.push(class(oid::index(table.id), &name, "i", table.primary_key.len()));
        }
    }
    rows
}

fn class(table: &Table, id: i64, name: &str, kind: &str, columns: usize) -> Vec<Cell> {
    let has_index = kind == "r" && !table.primary_key.is_empty();
    [
        row![id, name, table.schema.0, 0, 0, oid::role(&table.owner), oid::ACCESS_METHOD, id, 0, 0, -1.0, 0, 0],
        row![has_index, false, "p", kind, columns as i64, 0, false, false, false, false, false, true, "d", false],
        row![Cell::Null, Cell::Null, Cell::Null],
    ]
    .concat()
}

fn attributes(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let numbered = |table: &Table| {
        let id = table.id.0;
        table.columns.iter().zip(1..).map(move |(column, number)| attribute(id, column, number)).collect::<Vec<_>>()
    };
    tables(viewer).flat_map(|table| numbered(table)).collect()
}

fn attribute(table: i64, column: &Column, number: i64) -> Vec<Cell> {
    let (length, modifier) = super::types::layout(&column.ty);
    let collation = if super::types::is_text(&column.ty) { oid::COLLATION } else { 0 };
    [
        row![table, &column.name, i64::from(column.ty.oid()), -1, length, number],
        row![0, modifier, length > 0 && length <= 8, "x", "", !column.nullable, column.default.is_some(), false],
        row!["", "", false, true, 0, collation, Cell::Null, Cell::Null, Cell::Null],
    ]
    .concat()
}

fn defaults(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(viewer) {
        for (column, number) in table.columns.iter().zip(1i64..) {
            if let Some(default) = &column.default {
                rows.push(row![(table.id.0 << 11) | number, table.id.0, number, default]);
            }
        }
    }
    rows
}

/// Numbers of a key's columns, from 1.
fn key_numbers(table: &Table) -> Cell {
    let number =
        |name: &String| table.columns.iter().position(|column| column.name == *name).map_or(0, |index| index + 1);
    Cell::Texts(table.primary_key.iter().map(|name| number(name).to_string()).collect())
}

fn keyed<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = &'a Table> {
    tables(viewer).map(AsRef::as_ref).filter(|table| !table.primary_key.is_empty())
}

/// Names of a key's columns as written in SQL.
fn key_names(table: &Table) -> String {
    table.primary_key.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// What `pg_get_indexdef` shows; psql prints the part from the access method on.
fn index_definition(viewer: Viewer<'_>, table: &Table) -> String {
    let schema = viewer.directory.schemas.get(&table.schema).map_or("", |schema| schema.name.as_str());
    let (index, schema, name) =
        (quote_ident(&format!("{}_pkey", table.name)), quote_ident(schema), quote_ident(&table.name));
    format!("CREATE UNIQUE INDEX {index} ON {schema}.{name} USING delta ({})", key_names(table))
}

fn indexes(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let index = |table: &Table| {
        let columns = table.primary_key.len() as i64;
        [
            row![oid::index(table.id), table.id.0, columns, columns, true, false, true, false, true, false],
            row![true, true, true, false, key_numbers(table), Cell::Null, Cell::Null, Cell::Null],
            row![index_definition(viewer, table)],
        ]
        .concat()
    };
    keyed(viewer).map(index).collect()
}

fn constraints(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let constraint = |table: &Table| {
        let name = format!("{}_pkey", table.name);
        let definition = format!("PRIMARY KEY ({})", key_names(table));
        [
            row![oid::constraint(table.id), name, table.schema.0, "p", false, false, true, table.id.0, 0],
            row![oid::index(table.id), 0, 0, " ", " ", " ", true, true, key_numbers(table), Cell::Null, Cell::Null],
            row![definition],
        ]
        .concat()
    };
    keyed(viewer).map(constraint).collect()
}

fn descriptions(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for table in tables(viewer) {
        rows.extend(table.comment.iter().map(|comment| row![table.id.0, PG_CLASS, 0, comment]));
        for (column, number) in table.columns.iter().zip(1i64..) {
            rows.extend(column.comment.iter().map(|comment| row![table.id.0, PG_CLASS, number, comment]));
        }
    }
    rows
}

fn shared_descriptions(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let databases = viewer.directory.databases.values();
    databases.filter_map(|row| Some(row![row.id.0, PG_DATABASE, row.comment.as_ref()?])).collect()
}

fn table_list(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let row = |table: &std::sync::Arc<Table>| {
        let schema = viewer.directory.schemas.get(&table.schema).map(|schema| schema.name.clone());
        row![schema, &table.name, &table.owner, Cell::Null, !table.primary_key.is_empty(), false, false, false]
    };
    tables(viewer).map(row).collect()
}
