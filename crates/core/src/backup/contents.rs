//! Rows of the catalog as a manifest lists them.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lakeport_backup::chain::{Place, TableState};
use lakeport_backup::manifest::{self, Catalog, Targets};
use lakeport_base::id::{DatabaseId, TableId};
use lakeport_catalog::model::{Column, Database, Schema, Table};
use serde::Deserialize;
use serde_json::Value;

use crate::directory::Directory;

/// What the targets mean in a state of the catalog.
pub(crate) struct Contents<'a> {
    pub databases: Vec<&'a Database>,
    pub schemas: Vec<&'a Schema>,
    pub tables: Vec<Arc<Table>>,
}

impl<'a> Contents<'a> {
    /// The objects of the targets. What is gone since the targets were named is left out.
    pub fn of(directory: &'a Directory, targets: &Targets) -> Contents<'a> {
        let databases: Vec<&Database> = match targets {
            Targets::Cluster => directory.databases.values().collect(),
            Targets::Databases(names) => names.iter().filter_map(|name| directory.databases.get(name)).collect(),
            Targets::Tables(ids) => {
                let of_table = |(id, _): &(i64, String)| Some(directory.tables.get(&TableId(*id))?.database);
                let used: HashSet<DatabaseId> = ids.iter().filter_map(of_table).collect();
                directory.databases.values().filter(|database| used.contains(&database.id)).collect()
            }
        };
        let inside: HashSet<DatabaseId> = databases.iter().map(|database| database.id).collect();
        let named: Option<HashSet<i64>> = match targets {
            Targets::Tables(ids) => Some(ids.iter().map(|(id, _)| *id).collect()),
            Targets::Cluster | Targets::Databases(_) => None,
        };
        let is_named = |table: &&Arc<Table>| match &named {
            Some(ids) => ids.contains(&table.id.0),
            None => inside.contains(&table.database),
        };
        let tables: Vec<Arc<Table>> = directory.tables.values().filter(is_named).cloned().collect();
        let used: HashSet<_> = tables.iter().map(|table| table.schema).collect();
        let is_inside = |schema: &&Schema| match targets {
            Targets::Tables(_) => used.contains(&schema.id),
            _ => inside.contains(&schema.database),
        };
        let mut schemas: Vec<&Schema> = directory.schemas.values().filter(is_inside).collect();
        schemas.sort_by_key(|schema| schema.id);
        Contents { databases, schemas, tables }
    }

    /// As a manifest lists them, with these tables only.
    pub fn listed(&self, tables: &[Arc<Table>]) -> Catalog {
        Catalog {
            databases: self.databases.iter().map(|row| listed_database(row)).collect(),
            schemas: self.schemas.iter().map(|row| listed_schema(row)).collect(),
            tables: tables.iter().map(|row| listed_table(row)).collect(),
            ..Catalog::default()
        }
    }
}

fn listed_database(row: &Database) -> manifest::Database {
    manifest::Database { id: row.id.0, name: row.name.clone(), owner: row.owner.clone(), comment: row.comment.clone() }
}

fn listed_schema(row: &Schema) -> manifest::Schema {
    manifest::Schema { id: row.id.0, database: row.database.0, name: row.name.clone(), owner: row.owner.clone() }
}

fn listed_table(row: &Table) -> manifest::Table {
    let stored_name = |name: &String| {
        let column = row.columns.iter().find(|column| column.name == *name);
        column.map_or_else(|| name.clone(), |column| column.stored_name.clone())
    };
    manifest::Table {
        id: row.id.0,
        schema: row.schema.0,
        database: row.database.0,
        name: row.name.clone(),
        owner: row.owner.clone(),
        primary_key: row.primary_key.iter().map(stored_name).collect(),
        columns: row.columns.iter().map(listed_column).collect(),
        comment: row.comment.clone(),
    }
}

fn listed_column(column: &Column) -> manifest::Column {
    manifest::Column {
        stored_name: column.stored_name.clone(),
        nullable: column.nullable,
        default: column.default.clone(),
        comment: column.comment.clone(),
    }
}

/// The columns of a restored table: those of its `state` at the moment restored, with what the catalog adds to them. What
/// the catalog adds is of the layer's end or later: a column that had NULLs at the moment takes NULLs.
pub(crate) fn restored_columns(
    mut columns: Vec<Column>,
    listed: &manifest::Table,
    state: &TableState<'_>,
    is_before_end: bool,
) -> Vec<Column> {
    let known: HashMap<&str, &manifest::Column> =
        listed.columns.iter().rev().map(|known| (known.stored_name.as_str(), known)).collect();
    let with_nulls = LazyCell::new(|| with_nulls(state));
    for column in &mut columns {
        if let Some(known) = known.get(column.stored_name.as_str()) {
            column.nullable &= known.nullable || is_before_end || with_nulls.contains(&column.stored_name);
            column.default.clone_from(&known.default);
            column.comment.clone_from(&known.comment);
        }
    }
    columns
}

/// What of a file's `stats` tells of NULLs. The rest is passed over: it may be large.
#[derive(Deserialize)]
struct NullCounts {
    #[serde(rename = "nullCount")]
    by_column: HashMap<String, Value>,
}

/// Stored names of the columns in which a file is known to have NULLs.
fn with_nulls(state: &TableState<'_>) -> HashSet<String> {
    let mut found = HashSet::new();
    for Place { file, .. } in state.files.values() {
        let stats: Option<NullCounts> = file.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
        let counts = stats.map(|stats| stats.by_column).unwrap_or_default();
        let with_nulls = counts.into_iter().filter(|(_, count)| count.as_u64() > Some(0));
        found.extend(with_nulls.map(|(name, _)| name));
    }
    found
}

/// The names of a restored table's key; a key whose columns were not all there then is no key.
pub(crate) fn restored_key(columns: &[Column], listed: &manifest::Table) -> Vec<String> {
    let names: HashMap<&str, &str> =
        columns.iter().rev().map(|column| (column.stored_name.as_str(), column.name.as_str())).collect();
    let key = listed.primary_key.iter().map(|stored| names.get(stored.as_str()).map(|name| name.to_string()));
    key.collect::<Option<_>>().unwrap_or_default()
}
