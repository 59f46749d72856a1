//! Oids of things that have no id in the catalog.

use lakeport_base::id::TableId;

/// Oid of the schema `pg_catalog`, as in PostgreSQL.
pub const PG_CATALOG: i64 = 11;
/// Oid of the schema `information_schema`.
pub const INFORMATION_SCHEMA: i64 = 12;
/// Oid of the one access method, `delta`.
pub const ACCESS_METHOD: i64 = 2;
/// Oid of the default collation, as in PostgreSQL.
pub const COLLATION: i64 = 100;
/// Oid of the one tablespace, `pg_default`, as in PostgreSQL.
pub const TABLESPACE: i64 = 1663;
/// Set in the oid of a primary key's index, whose other bits are the table's id.
const INDEX_BIT: i64 = 1 << 30;
/// Set in the oid of a primary key's constraint.
const CONSTRAINT_BIT: i64 = 1 << 29;

pub fn index(table: TableId) -> i64 {
    table.0 | INDEX_BIT
}

pub fn constraint(table: TableId) -> i64 {
    table.0 | CONSTRAINT_BIT
}

/// Oid of a role: 10 for root, as PostgreSQL's bootstrap user; else a hash of the name above all catalog ids.
pub fn role(name: &str) -> i64 {
    if name == "root" {
        return 10;
    }
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (1 << 31) | (hash & 0x3fff_ffff) as i64
}
