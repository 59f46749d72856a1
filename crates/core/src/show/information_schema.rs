//! `information_schema`, as the SQL standard and PostgreSQL 15 have it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakeport_base::SqlType;
use lakeport_catalog::model::Table;

use super::Viewer;
use super::pg_catalog::{
    SystemTable,
    Ty::{Int, Text},
};
use super::rows::Cell;
use crate::authz::Subject;
use crate::error::Result;
use crate::row;

const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "schemata",
        columns: &[("catalog_name", Text), ("schema_name", Text), ("schema_owner", Text)],
        rows: schemata,
    },
    SystemTable {
        name: "tables",
        columns: &[
            ("table_catalog", Text),
            ("table_schema", Text),
            ("table_name", Text),
            ("table_type", Text),
            ("is_insertable_into", Text),
        ],
        rows: tables,
    },
    SystemTable {
        name: "columns",
        columns: &[
            ("table_catalog", Text),
            ("table_schema", Text),
            ("table_name", Text),
            ("column_name", Text),
            ("ordinal_position", Int),
            ("column_default", Text),
            ("is_nullable", Text),
            ("data_type", Text),
            ("character_maximum_length", Int),
            ("numeric_precision", Int),
            ("numeric_scale", Int),
            ("udt_name", Text),
        ],
        rows: columns,
    },
    SystemTable {
        name: "table_constraints",
        columns: &[
            ("constraint_catalog", Text),
            ("constraint_schema", Text),
            ("constraint_name", Text),
            ("table_catalog", Text),
            ("table_schema", Text),
            ("table_name", Text),
            ("constraint_type", Text),
        ],
        rows: table_constraints,
    },
    SystemTable {
        name: "key_column_usage",
        columns: &[
            ("constraint_catalog", Text),
            ("constraint_schema", Text),
            ("constraint_name", Text),
            ("table_catalog", Text),
            ("table_schema", Text),
            ("table_name", Text),
            ("column_name", Text),
            ("ordinal_position", Int),
        ],
        rows: key_column_usage,
    },
];

/// The rows of a table of `information_schema`, if there is such a table.
pub(crate) fn table(viewer: Viewer<'_>, name: &str) -> Result<Option<RecordBatch>> {
    TABLES.iter().find(|table| table.name == name).map(|table| table.batch(viewer)).transpose()
}

fn schemata(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let Some(database) = viewer.directory.databases.get(viewer.database) else { return Vec::new() };
    let schemas = crate::stmt::database::schema_rows(viewer.directory, database.id);
    schemas.into_iter().map(|(name, owner)| row![viewer.database, name, owner]).collect()
}

/// The tables on which the viewer has some privilege, with the name of the schema.
fn visible<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = (&'a str, &'a Arc<Table>)> {
    let database = viewer.directory.databases.get(viewer.database).map(|database| database.id);
    let subject = Subject { directory: viewer.directory, user: viewer.user };
    viewer.directory.tables.values().filter_map(move |table| {
        let schema = viewer.directory.schemas.get(&table.schema)?;
        let shown = Some(table.database) == database && subject.sees_table(table);
        shown.then_some((schema.name.as_str(), table))
    })
}

fn tables(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    visible(viewer).map(|(schema, table)| row![viewer.database, schema, &table.name, "BASE TABLE", "YES"]).collect()
}

fn columns(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (schema, table) in visible(viewer) {
        for (column, number) in table.columns.iter().zip(1i64..) {
            let (length, precision, scale) = sizes(&column.ty);
            let nullable = if column.nullable { "YES" } else { "NO" };
            rows.push(row![
                viewer.database,
                schema,
                &table.name,
                &column.name,
                number,
                column.default.as_ref(),
                nullable,
                standard_name(&column.ty),
                length,
                precision,
                scale,
                udt_name(&column.ty),
            ]);
        }
    }
    rows
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

fn table_constraints(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let keyed = visible(viewer).filter(|(_, table)| !table.primary_key.is_empty());
    keyed
        .map(|(schema, table)| {
            let database = viewer.database;
            let name = format!("{}_pkey", table.name);
            row![database, schema, name, database, schema, &table.name, "PRIMARY KEY"]
        })
        .collect()
}

fn key_column_usage(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (schema, table) in visible(viewer) {
        let (database, name) = (viewer.database, format!("{}_pkey", table.name));
        for (column, number) in table.primary_key.iter().zip(1i64..) {
            rows.push(row![database, schema, &name, database, schema, &table.name, column, number]);
        }
    }
    rows
}
