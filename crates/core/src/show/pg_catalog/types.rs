//! `pg_type`, and what describes values and their storage.

use lakeport_base::SqlType;

use super::oid;
use crate::row;
use crate::show::information_schema::standard_name;
use crate::show::rows::Cell;
use crate::show::{Rows, Source, Viewer};

pub(super) const SOURCES: &[Source] = &[("pg_type", types), ("pg_collation", collations), ("pg_am", access_methods)];

fn collations(_: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] =
        &["oid", "collname", "collnamespace", "collowner", "collprovider", "collisdeterministic", "collencoding"];
    Rows::new(COLUMNS, [row![oid::COLLATION, "default", oid::PG_CATALOG, oid::role("root"), "d", true, -1]])
}

fn access_methods(_: Viewer<'_>) -> Rows {
    Rows::new(&["oid", "amname", "amhandler", "amtype"], [row![oid::ACCESS_METHOD, "delta", "-", "t"]])
}

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
    (SqlType::Interval, "interval", "T"),
];
/// Types of the system tables and of results, which columns of tables cannot have.
#[derive(Clone, Copy)]
struct Other {
    oid: i64,
    name: &'static str,
    category: &'static str,
    length: i64,
    /// Oid of the array type; 0 for none.
    array: i64,
}

const fn other(oid: i64, name: &'static str, category: &'static str, length: i64, array: i64) -> Other {
    Other { oid, name, category, length, array }
}

const OTHERS: &[Other] = &[
    other(18, "char", "Z", 1, 1002),
    other(19, "name", "S", 64, 1003),
    other(22, "int2vector", "A", -1, 1006),
    other(24, "regproc", "N", 4, 1008),
    other(26, "oid", "N", 4, 1028),
    other(27, "tid", "U", 6, 1010),
    other(28, "xid", "U", 4, 1011),
    other(29, "cid", "U", 4, 1012),
    other(30, "oidvector", "A", -1, 1013),
    other(114, "json", "U", -1, 199),
    other(705, "unknown", "X", -2, 0),
    other(869, "inet", "I", -1, 1041),
    other(1033, "aclitem", "U", 12, 1034),
    other(1042, "bpchar", "S", -1, 1014),
    other(1083, "time", "D", 8, 1183),
    other(1266, "timetz", "D", 12, 1270),
    other(2205, "regclass", "N", 4, 2210),
    other(2206, "regtype", "N", 4, 2211),
    other(2249, "record", "P", -1, 2287),
    other(2277, "anyarray", "P", -1, 0),
    other(2278, "void", "P", 4, 0),
    other(4089, "regnamespace", "N", 4, 4090),
    other(4096, "regrole", "N", 4, 4097),
];

/// `typlen` and `atttypmod` of a column type.
pub(super) fn layout(ty: &SqlType) -> (i64, i64) {
    match ty {
        SqlType::Bool => (1, -1),
        SqlType::Int2 => (2, -1),
        SqlType::Int4 | SqlType::Float4 | SqlType::Date => (4, -1),
        SqlType::Int8 | SqlType::Float8 | SqlType::Timestamp | SqlType::TimestampTz => (8, -1),
        SqlType::Uuid | SqlType::Interval => (16, -1),
        SqlType::Varchar(length) => (-1, i64::from(*length) + MODIFIER_HEADER),
        SqlType::Decimal(..) if ty.has_free_scale() => (-1, -1),
        SqlType::Decimal(precision, scale) => {
            (-1, ((i64::from(*precision) << 16) | i64::from(*scale)) + MODIFIER_HEADER)
        }
        SqlType::Text | SqlType::Bytes | SqlType::Jsonb | SqlType::Array(_) => (-1, -1),
    }
}

pub(super) fn is_text(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Text | SqlType::Varchar(_))
}

const TYPE_COLUMNS: &[&str] = &[
    "oid",
    "typname",
    "typnamespace",
    "typowner",
    "typlen",
    "typbyval",
    "typtype",
    "typcategory",
    "typisdefined",
    "typdelim",
    "typsubscript",
    "typelem",
    "typarray",
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typanalyze",
    "typalign",
    "typstorage",
    "typtypmod",
    "typcollation",
];

fn types(_: Viewer<'_>) -> Rows {
    let mut rows = Vec::new();
    let scalars = SCALARS.iter().map(|(ty, name, category)| {
        let array = i64::from(SqlType::Array(Box::new(ty.clone())).oid());
        other(i64::from(ty.oid()), name, category, layout(ty).0, array)
    });
    for ty in scalars.chain(OTHERS.iter().copied()) {
        rows.push(scalar_row(&ty));
        if ty.array != 0 {
            rows.push(type_row(ty.array, &format!("_{}", ty.name), "A", -1, ty.oid, 0));
        }
    }
    Rows::new(TYPE_COLUMNS, rows)
}

fn scalar_row(ty: &Other) -> Vec<Cell> {
    type_row(ty.oid, ty.name, ty.category, ty.length, 0, ty.array)
}

fn type_row(id: i64, name: &str, category: &str, length: i64, element: i64, array: i64) -> Vec<Cell> {
    let by_value = (1..=8).contains(&length);
    let collation = if category == "S" { oid::COLLATION } else { 0 };
    let (kind, storage) = (if category == "P" { "p" } else { "b" }, if length > 0 { "p" } else { "x" });
    let is_array = category == "A" && element != 0;
    let family = if is_array { "array_" } else { name };
    let subscript = if is_array { "array_subscript_handler" } else { "-" };
    let call = |verb: &str| format!("{family}{verb}");
    let owner = oid::role("root");
    [
        row![id, name, oid::PG_CATALOG, owner, length, by_value, kind, category, true, ",", subscript, element, array],
        row![call("in"), call("out"), call("recv"), call("send"), "-", "-", "-", "i", storage, -1, collation],
    ]
    .concat()
}

/// The oid of a type by its SQL name or its name in `pg_type`.
pub fn oid_of(name: &str) -> Option<i64> {
    let lower = name.trim().to_ascii_lowercase();
    let bare = lower.strip_prefix("pg_catalog.").unwrap_or(&lower).trim_matches('"');
    let (element, is_array) = match bare.strip_suffix("[]").or_else(|| bare.strip_prefix('_')) {
        Some(element) => (element, true),
        None => (bare, false),
    };
    let chosen = |oid: i64, array: i64| if is_array { array } else { oid };
    if let Some(other) = OTHERS.iter().find(|other| other.name == element) {
        return Some(chosen(other.oid, other.array));
    }
    let ty = SCALARS.iter().find(|(_, name, _)| *name == element).map(|(ty, ..)| ty.clone());
    let ty = ty.or_else(|| SqlType::parse(element))?;
    Some(chosen(i64::from(ty.oid()), i64::from(SqlType::Array(Box::new(ty)).oid())))
}

/// The name of a type as SQL writes it, with the length or precision that a modifier holds; `???` when there is none.
pub fn sql_name(oid: i64, modifier: Option<i64>) -> String {
    let array = |ty: &SqlType| i64::from(SqlType::Array(Box::new(ty.clone())).oid());
    for (ty, ..) in SCALARS {
        let name = || format!("{}{}", standard_name(ty), arguments(ty, modifier));
        if i64::from(ty.oid()) == oid {
            return name();
        }
        if array(ty) == oid {
            return format!("{}[]", name());
        }
    }
    let spelling = |other: &Other| match other.name {
        "char" => "\"char\"",
        "bpchar" => "character",
        "time" => "time without time zone",
        "timetz" => "time with time zone",
        name => name,
    };
    let of_other = OTHERS.iter().find_map(|other| match oid {
        0 => None,
        oid if other.oid == oid => Some(spelling(other).to_string()),
        oid if other.array == oid => Some(format!("{}[]", spelling(other))),
        _ => None,
    });
    of_other.unwrap_or_else(|| "???".to_string())
}

/// What PostgreSQL adds to a length or precision in `atttypmod`.
const MODIFIER_HEADER: i64 = 4;

/// Length or precision in parentheses, if the modifier holds one.
fn arguments(ty: &SqlType, modifier: Option<i64>) -> String {
    let Some(modifier) = modifier.filter(|modifier| *modifier > MODIFIER_HEADER).map(|known| known - MODIFIER_HEADER)
    else {
        return String::new();
    };
    match ty {
        SqlType::Varchar(_) => format!("({modifier})"),
        SqlType::Decimal(..) => format!("({},{})", modifier >> 16, modifier & 0xffff),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types() {
        assert_eq!(sql_name(1043, Some(14)), "character varying(10)");
        assert_eq!(sql_name(1700, Some(262_150)), "numeric(4,2)");
        assert_eq!(sql_name(1016, None), "bigint[]");
        assert_eq!(sql_name(26, Some(-1)), "oid");
        assert_eq!(sql_name(1003, None), "name[]");
        assert_eq!(sql_name(4, Some(-1)), "???");
    }

    #[test]
    fn finds_types() {
        assert_eq!(oid_of("pg_catalog.int4"), Some(23));
        assert_eq!(oid_of("_text"), Some(1009));
        assert_eq!(oid_of("name[]"), Some(1003));
        assert_eq!(oid_of("hstore"), None);
    }
}
