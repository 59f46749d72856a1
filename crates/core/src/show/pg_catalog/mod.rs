//! `pg_catalog`: what PostgreSQL clients ask about databases, tables, columns, types and roles.
//! Columns and their meaning: PostgreSQL 15 manual, chapter "System Catalogs". Oids of databases, schemas and tables are
//! catalog ids; other oids are derived from them, see [`oid`].

mod empty;
mod objects;
mod oid;
mod roles;
mod types;

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakeport_base::SqlType;

use super::Viewer;
use super::rows::{Cell, batch};
use crate::error::Result;

/// Column types of system tables.
#[derive(Clone, Copy)]
pub(crate) enum Ty {
    Bool,
    Int,
    Float,
    Text,
    Texts,
    Time,
}

impl Ty {
    fn sql(self) -> SqlType {
        match self {
            Ty::Bool => SqlType::Bool,
            Ty::Int => SqlType::Int8,
            Ty::Float => SqlType::Float8,
            Ty::Text => SqlType::Text,
            Ty::Texts => SqlType::Array(Box::new(SqlType::Text)),
            Ty::Time => SqlType::TimestampTz,
        }
    }
}

/// A system table: its columns, and its rows for one viewer.
pub(crate) struct SystemTable {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Ty)],
    pub rows: fn(Viewer<'_>) -> Vec<Vec<Cell>>,
}

impl SystemTable {
    pub(super) fn batch(&self, viewer: Viewer<'_>) -> Result<RecordBatch> {
        let columns: Vec<(&str, SqlType)> = self.columns.iter().map(|(name, ty)| (*name, ty.sql())).collect();
        batch(&columns, &(self.rows)(viewer))
    }
}

/// Every table of the schema.
const TABLES: &[&[SystemTable]] = &[objects::TABLES, types::TABLES, roles::TABLES, empty::TABLES];

/// The rows of a table of `pg_catalog`, if there is such a table.
pub(crate) fn table(viewer: Viewer<'_>, name: &str) -> Result<Option<RecordBatch>> {
    let found = TABLES.iter().flat_map(|tables| tables.iter()).find(|table| table.name == name);
    found.map(|table| table.batch(viewer)).transpose()
}

/// The tables of the viewer's database, by id, each with its schema's id.
fn tables<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = &'a Arc<lakeport_catalog::model::Table>> {
    let database = viewer.directory.databases.get(viewer.database).map(|database| database.id);
    viewer.directory.tables.values().filter(move |table| Some(table.database) == database)
}
