//! System tables: `pg_catalog` and `information_schema`, and the functions that answer from them. One function a table,
//! from the catalog to rows; SHOW statements and tables of the same content share it. Tables of things that Lakeport
//! does not have are empty.

pub mod definition;
pub mod function;
pub mod information_schema;
pub mod pg_catalog;
pub mod rows;

use std::sync::Arc;

use arrow_array::RecordBatch;
use lakeport_base::QualifiedName;
use lakeport_catalog::model::{Database, Table};

use self::definition::Definition;
use self::rows::{Cell, column};
use crate::authz::Subject;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::server::Server;
use crate::session::Session;

/// Who looks, from which database.
#[derive(Clone, Copy)]
pub struct Viewer<'a> {
    pub server: &'a Arc<Server>,
    pub directory: &'a Directory,
    pub session: &'a Session,
    /// Whose privileges count.
    pub user: &'a str,
    pub database: &'a str,
    /// Schemas searched for bare names.
    pub search_path: &'a [String],
}

impl<'a> Viewer<'a> {
    fn subject(&self) -> Subject<'a> {
        Subject { directory: self.directory, user: self.user }
    }

    fn current_database(&self) -> Option<&'a Database> {
        self.directory.databases.get(self.database)
    }

    /// The tables of the viewer's database, by id.
    fn tables(&self) -> impl Iterator<Item = &'a Arc<Table>> + use<'a> {
        let database = self.current_database().map(|database| database.id);
        self.directory.tables.values().filter(move |table| Some(table.database) == database)
    }

    fn schema_name(&self, table: &Table) -> &'a str {
        self.directory.schemas.get(&table.schema).map_or("", |schema| schema.name.as_str())
    }
}

/// Rows of a system table: the columns that they fill, and as many cells each.
pub struct Rows {
    pub columns: &'static [&'static str],
    pub cells: Vec<Vec<Cell>>,
}

impl Rows {
    fn new(columns: &'static [&'static str], cells: impl IntoIterator<Item = Vec<Cell>>) -> Rows {
        Rows { columns, cells: cells.into_iter().collect() }
    }

    fn none() -> Rows {
        Rows { columns: &[], cells: Vec::new() }
    }
}

/// How the rows of a system table come to be, by its name.
type Source = (&'static str, fn(Viewer<'_>) -> Rows);

/// The rows of a system table, or `None` when the name is not one. A bare name is looked for in `pg_catalog`, which is
/// always on the search path.
pub fn system_table(viewer: Viewer<'_>, name: &QualifiedName) -> Result<Option<RecordBatch>> {
    let schema = name.qualifiers().last().map_or(pg_catalog::SCHEMA, String::as_str);
    let Some(definition) = definition::find(schema, name.name()) else { return Ok(None) };
    let rows = source(definition).map_or_else(Rows::none, |rows| rows(viewer));
    batch(definition, &rows).map(Some)
}

fn source(definition: &Definition) -> Option<fn(Viewer<'_>) -> Rows> {
    let in_catalog = definition.schema == pg_catalog::SCHEMA;
    let sources = if in_catalog { pg_catalog::SOURCES } else { &[information_schema::SOURCES] };
    let mut sources = sources.iter().flat_map(|sources| sources.iter());
    sources.find(|(name, _)| *name == definition.name).map(|(_, rows)| *rows)
}

/// Whether a name is that of a system table of things that Lakeport does not have.
pub fn is_always_empty(name: &QualifiedName) -> bool {
    let schema = name.qualifiers().last().map_or(pg_catalog::SCHEMA, String::as_str);
    definition::find(schema, name.name()).is_some_and(|definition| source(definition).is_none())
}

/// The rows with every column of the table, in its order.
fn batch(definition: &Definition, rows: &Rows) -> Result<RecordBatch> {
    let strange = rows.columns.iter().find(|name| definition.columns.iter().all(|column| column.name != **name));
    debug_assert_eq!(strange, None, "no column of {}", definition.name);
    let mut arrays = Vec::with_capacity(definition.columns.len());
    for wanted in &definition.columns {
        let absent = if wanted.nullable { Cell::Null } else { Cell::zero(&wanted.ty) };
        let place = rows.columns.iter().position(|name| *name == wanted.name);
        let cells = rows.cells.iter().map(|row| place.and_then(|place| row.get(place)).unwrap_or(&absent));
        arrays.push(column(&wanted.ty, cells)?);
    }
    let columns: Vec<_> = definition.columns.iter().map(|column| (column.name, column.ty.clone())).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.cells.len()));
    RecordBatch::try_new_with_options(crate::rows::schema_of(&columns), arrays, &options).map_err(Error::internal)
}
