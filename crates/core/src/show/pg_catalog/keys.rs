//! Primary keys: their constraints and the indexes that stand for them.

use lakeport_base::name::quote_ident;
use lakeport_catalog::model::Table;

use super::oid;
use crate::row;
use crate::show::rows::Cell;
use crate::show::{Rows, Source, Viewer};

pub(super) const SOURCES: &[Source] =
    &[("pg_index", indexes), ("pg_indexes", index_list), ("pg_constraint", constraints)];

/// The name of a table's primary key.
pub fn name(table: &Table) -> String {
    format!("{}_pkey", table.name)
}

fn keyed<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = &'a Table> {
    viewer.tables().map(AsRef::as_ref).filter(|table| !table.primary_key.is_empty())
}

/// Numbers of a key's columns, from 1.
fn numbers(table: &Table) -> Vec<i64> {
    let number =
        |name: &String| table.columns.iter().position(|column| column.name == *name).map_or(0, |index| index + 1);
    table.primary_key.iter().map(|name| number(name) as i64).collect()
}

/// Names of a key's columns as written in SQL.
fn column_names(table: &Table) -> String {
    table.primary_key.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// The definition of a constraint, as in CREATE TABLE.
pub fn constraint_definition(viewer: Viewer<'_>, constraint: i64) -> Option<String> {
    let table = keyed(viewer).find(|table| oid::constraint(table.id) == constraint)?;
    Some(format!("PRIMARY KEY ({})", column_names(table)))
}

/// The definition of an index, or of its column of that number from 1.
pub fn index_definition(viewer: Viewer<'_>, index: i64, column: i64) -> Option<String> {
    let table = keyed(viewer).find(|table| oid::index(table.id) == index)?;
    match usize::try_from(column).ok()?.checked_sub(1) {
        Some(place) => table.primary_key.get(place).map(|name| quote_ident(name)),
        None => Some(definition(viewer, table)),
    }
}

/// psql prints the part from the access method on.
fn definition(viewer: Viewer<'_>, table: &Table) -> String {
    let (index, schema, name) =
        (quote_ident(&name(table)), quote_ident(viewer.schema_name(table)), quote_ident(&table.name));
    format!("CREATE UNIQUE INDEX {index} ON {schema}.{name} USING delta ({})", column_names(table))
}

fn indexes(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "indexrelid",
        "indrelid",
        "indnatts",
        "indnkeyatts",
        "indisunique",
        "indisprimary",
        "indimmediate",
        "indisvalid",
        "indisready",
        "indislive",
        "indkey",
        "indcollation",
        "indclass",
        "indoption",
    ];
    let index = |table: &Table| {
        let (numbers, width) = (numbers(table), table.primary_key.len());
        let zeros = || Cell::from(vec![0i64; width]);
        let columns = width as i64;
        [
            row![oid::index(table.id), oid::table(table.id), columns, columns, true, true, true, true, true, true],
            row![numbers, zeros(), zeros(), zeros()],
        ]
        .concat()
    };
    Rows::new(COLUMNS, keyed(viewer).map(index))
}

fn index_list(viewer: Viewer<'_>) -> Rows {
    let row = |table: &Table| row![viewer.schema_name(table), &table.name, name(table), definition(viewer, table)];
    Rows::new(&["schemaname", "tablename", "indexname", "indexdef"], keyed(viewer).map(row))
}

fn constraints(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "oid",
        "conname",
        "connamespace",
        "contype",
        "convalidated",
        "conrelid",
        "conindid",
        "confupdtype",
        "confdeltype",
        "confmatchtype",
        "conislocal",
        "connoinherit",
        "conkey",
    ];
    let row = |table: &Table| {
        let (id, index, schema, numbers) =
            (oid::constraint(table.id), oid::index(table.id), oid::schema(table.schema), numbers(table));
        row![id, name(table), schema, "p", true, oid::table(table.id), index, " ", " ", " ", true, true, numbers]
    };
    Rows::new(COLUMNS, keyed(viewer).map(row))
}
