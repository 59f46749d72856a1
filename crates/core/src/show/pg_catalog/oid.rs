//! Oids of things that have no id in the catalog.

use lakeport_base::id::{DatabaseId, SchemaId, TableId};

/// Oids of what users make are catalog ids above this, where PostgreSQL's begin too: below lie the system's own.
const FIRST_OF_USERS: i64 = 16_384;

/// Oid of the schema `pg_catalog`, as in PostgreSQL.
pub const PG_CATALOG: i64 = 11;
/// Oid of the schema `information_schema`.
pub const INFORMATION_SCHEMA: i64 = 12;
/// Oid of the catalog `pg_class`, as in PostgreSQL; `classoid` of comments on tables.
pub const PG_CLASS: i64 = 1259;
/// Oid of the catalog `pg_database`, as in PostgreSQL.
pub const PG_DATABASE: i64 = 1262;
/// Oid of the one access method, `delta`.
pub const ACCESS_METHOD: i64 = 2;
/// Oid of the default collation, as in PostgreSQL.
pub const COLLATION: i64 = 100;
/// Oid of the one tablespace, `pg_default`, as in PostgreSQL.
pub const TABLESPACE: i64 = 1663;
/// Set in the oid of a primary key's index, whose other bits are the table's oid.
const INDEX_BIT: i64 = 1 << 30;
/// Set in the oid of a primary key's constraint.
const CONSTRAINT_BIT: i64 = 1 << 29;
/// Bits of a column's number in the oid of its default.
const COLUMN_BITS: u32 = 11;

pub fn database(id: DatabaseId) -> i64 {
    FIRST_OF_USERS + id.0
}

pub fn schema(id: SchemaId) -> i64 {
    FIRST_OF_USERS + id.0
}

pub fn table(id: TableId) -> i64 {
    FIRST_OF_USERS + id.0
}

pub fn index(id: TableId) -> i64 {
    table(id) | INDEX_BIT
}

pub fn constraint(id: TableId) -> i64 {
    table(id) | CONSTRAINT_BIT
}

/// Oid of the default of a column, by its number from 1.
pub fn default(id: TableId, column: i64) -> i64 {
    (table(id) << COLUMN_BITS) | column
}

/// Oid of a schema of system tables.
pub fn system_schema(name: &str) -> i64 {
    if name == super::SCHEMA { PG_CATALOG } else { INFORMATION_SCHEMA }
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
