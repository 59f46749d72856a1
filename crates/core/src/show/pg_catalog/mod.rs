//! `pg_catalog`: what PostgreSQL clients ask about databases, tables, columns, types and roles. Oids of databases,
//! schemas and tables are catalog ids; other oids are derived from them, see [`oid`].

mod acl;
mod comments;
pub mod keys;
mod objects;
pub mod oid;
mod roles;
mod session;
pub mod types;

use super::Source;

/// The schema's name.
pub const SCHEMA: &str = "pg_catalog";

/// The tables that have rows.
pub(super) const SOURCES: &[&[Source]] =
    &[objects::SOURCES, keys::SOURCES, comments::SOURCES, types::SOURCES, roles::SOURCES, session::SOURCES];
