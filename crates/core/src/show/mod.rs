//! System tables: `pg_catalog`, `information_schema`, `crdb_internal`. One function a table, from the catalog to rows;
//! SHOW statements and tables of the same content share it.

pub mod information_schema;
pub mod pg_catalog;
pub mod rows;

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakeport_base::QualifiedName;

use crate::directory::Directory;
use crate::error::Result;
use crate::server::Server;

/// Who looks, from which database.
#[derive(Clone, Copy)]
pub struct Viewer<'a> {
    pub server: &'a Arc<Server>,
    pub directory: &'a Directory,
    pub user: &'a str,
    pub database: &'a str,
    /// Schemas searched for bare names.
    pub search_path: &'a [String],
}

/// The rows of a system table, or `None` when the name is not one. A bare name is looked for in `pg_catalog`, which is
/// always on the search path.
pub fn system_table(viewer: Viewer<'_>, name: &QualifiedName) -> Result<Option<RecordBatch>> {
    let schema = name.qualifiers().last().map_or("pg_catalog", String::as_str);
    match schema {
        "pg_catalog" => pg_catalog::table(viewer, name.name()),
        "information_schema" => information_schema::table(viewer, name.name()),
        _ => Ok(None),
    }
}
