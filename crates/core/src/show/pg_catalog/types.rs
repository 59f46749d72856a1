//! `pg_type`, `pg_collation`, `pg_am`, `pg_settings`.

use lakeport_base::SqlType;

use super::Ty::{Bool, Int, Text, Texts};
use super::{SystemTable, oid};
use crate::row;
use crate::show::Viewer;
use crate::show::rows::Cell;
use crate::variable::VARIABLES;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "pg_type",
        columns: &[
            ("oid", Int),
            ("typname", Text),
            ("typnamespace", Int),
            ("typowner", Int),
            ("typlen", Int),
            ("typbyval", Bool),
            ("typtype", Text),
            ("typcategory", Text),
            ("typispreferred", Bool),
            ("typisdefined", Bool),
            ("typdelim", Text),
            ("typrelid", Int),
            ("typsubscript", Text),
            ("typelem", Int),
            ("typarray", Int),
            ("typinput", Text),
            ("typoutput", Text),
            ("typnotnull", Bool),
            ("typbasetype", Int),
            ("typtypmod", Int),
            ("typndims", Int),
            ("typcollation", Int),
            ("typdefault", Text),
            ("typacl", Texts),
        ],
        rows: types,
    },
    SystemTable {
        name: "pg_collation",
        columns: &[("oid", Int), ("collname", Text), ("collnamespace", Int), ("collowner", Int), ("collencoding", Int)],
        rows: |_| vec![row![oid::COLLATION, "default", oid::PG_CATALOG, oid::role("root"), -1]],
    },
    SystemTable {
        name: "pg_am",
        columns: &[("oid", Int), ("amname", Text), ("amhandler", Text), ("amtype", Text)],
        rows: |_| vec![row![oid::ACCESS_METHOD, "delta", "-", "t"]],
    },
    SystemTable {
        name: "pg_settings",
        columns: &[
            ("name", Text),
            ("setting", Text),
            ("unit", Text),
            ("category", Text),
            ("short_desc", Text),
            ("context", Text),
            ("vartype", Text),
            ("source", Text),
            ("boot_val", Text),
            ("reset_val", Text),
        ],
        rows: settings,
    },
];

/// Every scalar type with its PostgreSQL name and category; arrays follow from them.
const SCALARS: &[(SqlType, &str, &str)] = &[
    (SqlType::Bool, "bool", "B"),
    (SqlType::Bytes, "bytea", "U"),
    (SqlType::Int8, "int8", "N"),
    (SqlType::Int2, "int2", "N"),
    (SqlType::Int4, "int4", "N"),
    (SqlType::Text, "text", "S"),
    (SqlType::Float4, "float4", "N"),
    (SqlType::Float8, "float8", "N"),
    (SqlType::Varchar(1), "varchar", "S"),
    (SqlType::Date, "date", "D"),
    (SqlType::Timestamp, "timestamp", "D"),
    (SqlType::TimestampTz, "timestamptz", "D"),
    (SqlType::Decimal(38, 10), "numeric", "N"),
    (SqlType::Uuid, "uuid", "U"),
    (SqlType::Jsonb, "jsonb", "U"),
];
/// Types that results may have and columns may not: oid, name, category, length.
const OTHERS: &[(i64, &str, &str, i64)] = &[
    (18, "char", "Z", 1),
    (19, "name", "S", 64),
    (26, "oid", "N", 4),
    (114, "json", "U", -1),
    (705, "unknown", "X", -2),
    (1042, "bpchar", "S", -1),
    (1083, "time", "D", 8),
    (1186, "interval", "T", 16),
    (2205, "regclass", "N", 4),
    (2206, "regtype", "N", 4),
    (2249, "record", "P", -1),
    (2278, "void", "P", 4),
];

/// `typlen` and `atttypmod` of a column type.
pub(super) fn layout(ty: &SqlType) -> (i64, i64) {
    match ty {
        SqlType::Bool => (1, -1),
        SqlType::Int2 => (2, -1),
        SqlType::Int4 | SqlType::Float4 | SqlType::Date => (4, -1),
        SqlType::Int8 | SqlType::Float8 | SqlType::Timestamp | SqlType::TimestampTz => (8, -1),
        SqlType::Uuid => (16, -1),
        SqlType::Varchar(length) => (-1, i64::from(*length) + 4),
        SqlType::Decimal(precision, scale) => (-1, ((i64::from(*precision) << 16) | i64::from(*scale)) + 4),
        SqlType::Text | SqlType::Bytes | SqlType::Jsonb | SqlType::Array(_) => (-1, -1),
    }
}

pub(super) fn is_text(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Text | SqlType::Varchar(_))
}

fn types(_: Viewer<'_>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (ty, name, category) in SCALARS {
        let array = i64::from(SqlType::Array(Box::new(ty.clone())).oid());
        let (length, _) = layout(ty);
        rows.push(type_row(i64::from(ty.oid()), name, category, length, 0, array));
        rows.push(type_row(array, &format!("_{name}"), "A", -1, i64::from(ty.oid()), 0));
    }
    rows.extend(OTHERS.iter().map(|(id, name, category, length)| type_row(*id, name, category, *length, 0, 0)));
    rows
}

fn type_row(id: i64, name: &str, category: &str, length: i64, element: i64, array: i64) -> Vec<Cell> {
    let by_value = (1..=8).contains(&length);
    let collation = if category == "S" { oid::COLLATION } else { 0 };
    let kind = if category == "P" { "p" } else { "b" };
    let input = if category == "A" { "array_in".to_string() } else { format!("{name}in") };
    let output = input.replace("in", "out");
    let subscript = if category == "A" { "array_subscript_handler" } else { "-" };
    [
        row![id, name, oid::PG_CATALOG, oid::role("root"), length, by_value, kind, category, false, true, ",", 0],
        row![subscript, element, array, input, output, false, 0, -1, 0, collation, Cell::Null, Cell::Null],
    ]
    .concat()
}

fn settings(_: Viewer<'_>) -> Vec<Vec<Cell>> {
    let setting = |variable: &crate::variable::Variable| {
        let value = variable.default;
        row![variable.name, value, Cell::Null, "", variable.help, "user", "string", "default", value, value]
    };
    VARIABLES.iter().map(setting).collect()
}
