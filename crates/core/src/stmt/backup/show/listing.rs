//! The rows of `SHOW BACKUP`: one for each object of each layer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use lakeport_backup::Layer;
use lakeport_backup::chain::{Replay, TableState};
use lakeport_backup::manifest::{self, Manifest, Targets};
use lakeport_base::SqlType;
use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_catalog::model::Table;
use lakeport_sql::stmt::backup::show::ShowBackup;

use super::stages::{create_file_format, create_stage};
use crate::backup::contents::{restored_columns, restored_key};
use crate::error::Result;
use crate::rows::schema_of;
use crate::show::rows::Cell;
use crate::stmt::Cx;
use crate::stmt::table::show::create_text;

/// The layers of a chain, as a statement wants them shown.
pub(super) struct Listing<'a> {
    pub cx: &'a Cx<'a>,
    pub statement: &'a ShowBackup,
}

/// What is told of one object.
#[derive(Default)]
struct Shown<'a> {
    database: Option<&'a manifest::Database>,
    schema: Option<&'a manifest::Schema>,
    name: &'a str,
    id: Option<i64>,
    ty: &'static str,
    owner: Option<&'a str>,
    /// What grants name it by.
    object: Option<manifest::Object>,
    table: Option<&'a manifest::Table>,
    /// Of statements that want them.
    grants: Vec<&'a manifest::Grant>,
    create: Option<String>,
}

/// A column: its name and type, which statements want it, and what it says of an object.
struct Column {
    name: &'static str,
    ty: SqlType,
    is_wanted: fn(&ShowBackup) -> bool,
    cell: fn(&Layer, &Shown<'_>) -> Cell,
}

const COLUMNS: &[Column] = &[
    always("database_name", SqlType::Text, |_, shown| shown.database.map(|row| row.name.as_str()).into()),
    column("database_id", SqlType::Int8, ids, |_, shown| shown.database.map(|row| row.id).into()),
    always("parent_schema_name", SqlType::Text, |_, shown| shown.schema.map(|row| row.name.as_str()).into()),
    column("parent_schema_id", SqlType::Int8, ids, |_, shown| shown.schema.map(|row| row.id).into()),
    always("object_name", SqlType::Text, |_, shown| shown.name.into()),
    column("object_id", SqlType::Int8, ids, |_, shown| shown.id.into()),
    always("object_type", SqlType::Text, |_, shown| shown.ty.into()),
    always("backup_type", SqlType::Text, |layer, _| {
        if layer.manifest.previous.is_none() { "full" } else { "incremental" }.into()
    }),
    always("start_time", SqlType::TimestampTz, |layer, _| layer.manifest.start.map_or(Cell::Null, Cell::Time)),
    always("end_time", SqlType::TimestampTz, |layer, _| Cell::Time(layer.manifest.end)),
    always("size_bytes", SqlType::Int8, |layer, shown| size(added(layer, shown).map(|(bytes, _)| bytes))),
    always("rows", SqlType::Int8, |layer, shown| size(added(layer, shown).map(|(_, rows)| rows))),
    column("create_statement", SqlType::Text, |statement| statement.schemas, |_, shown| shown.create.clone().into()),
    always("is_full_cluster", SqlType::Bool, |layer, _| (layer.manifest.targets == Targets::Cluster).into()),
    always("regions", SqlType::Text, |_, _| Cell::Null),
    column(
        "file_bytes",
        SqlType::Int8,
        |statement| statement.options.check_files,
        |layer, shown| size(added(layer, shown).map(|(bytes, _)| bytes)),
    ),
    column("privileges", SqlType::Text, privileges, |_, shown| granted(&shown.grants).into()),
    column("owner", SqlType::Text, privileges, |_, shown| shown.owner.into()),
];

/// The columns that `skip size` leaves empty.
const SIZES: &[&str] = &["size_bytes", "rows", "file_bytes"];

const fn always(name: &'static str, ty: SqlType, cell: fn(&Layer, &Shown<'_>) -> Cell) -> Column {
    column(name, ty, |_| true, cell)
}

const fn column(
    name: &'static str,
    ty: SqlType,
    is_wanted: fn(&ShowBackup) -> bool,
    cell: fn(&Layer, &Shown<'_>) -> Cell,
) -> Column {
    Column { name, ty, is_wanted, cell }
}

fn ids(statement: &ShowBackup) -> bool {
    statement.options.debug_ids
}

fn privileges(statement: &ShowBackup) -> bool {
    statement.options.privileges
}

/// The columns that a statement wants.
fn wanted(statement: &ShowBackup) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| (column.is_wanted)(statement))
}

pub(super) fn columns(statement: &ShowBackup) -> SchemaRef {
    let columns: Vec<_> = wanted(statement).map(|column| (column.name, column.ty.clone())).collect();
    schema_of(&columns)
}

impl<'a> Listing<'a> {
    /// The rows of one layer, with its tables as they were at its end.
    pub fn rows(&self, layer: &'a Layer, tables: &Replay<'_>) -> Result<Vec<Vec<Cell>>> {
        let mut shown = objects(&layer.manifest);
        if privileges(self.statement) {
            add_grants(&mut shown, &layer.manifest.catalog);
        }
        if self.statement.schemas {
            for object in &mut shown {
                if let Some((table, state)) = object.table.and_then(|row| Some((row, tables.table(row.id)?))) {
                    object.create = Some(self.create_table(table, state, object.schema)?);
                }
            }
        }
        Ok(shown.iter().map(|object| self.row(layer, object)).collect())
    }

    fn row(&self, layer: &Layer, shown: &Shown<'_>) -> Vec<Cell> {
        let is_skipped = |column: &Column| self.statement.options.skip_size && SIZES.contains(&column.name);
        let cell = |column: &Column| if is_skipped(column) { Cell::Null } else { (column.cell)(layer, shown) };
        wanted(self.statement).map(cell).collect()
    }

    /// The statement that makes a table.
    fn create_table(
        &self,
        table: &manifest::Table,
        state: &TableState<'_>,
        schema: Option<&manifest::Schema>,
    ) -> Result<String> {
        let columns = restored_columns(self.cx.server.config.engine.columns_of(state.schema)?, table, state, false);
        let row = Table {
            id: TableId(table.id),
            schema: SchemaId(table.schema),
            database: DatabaseId(table.database),
            name: table.name.clone(),
            owner: table.owner.clone(),
            version: 1,
            primary_key: restored_key(&columns, table),
            columns,
            comment: table.comment.clone(),
            created: 0,
        };
        Ok(create_text(schema.map_or("public", |schema| &schema.name), &Arc::new(row)))
    }
}

/// All objects of a layer: those of databases, then what else a backup of the cluster has.
fn objects(layer: &Manifest) -> Vec<Shown<'_>> {
    let catalog = &layer.catalog;
    let known = catalog.by_id();
    let databases = catalog.databases.iter().map(|row| Shown {
        name: &row.name,
        id: Some(row.id),
        ty: "database",
        owner: Some(&row.owner),
        object: Some(manifest::Object::Database(row.id)),
        create: Some(format!("CREATE DATABASE {}", quote_ident(&row.name))),
        ..Shown::default()
    });
    let schemas = catalog.schemas.iter().map(|row| Shown {
        database: known.databases.get(&row.database).copied(),
        name: &row.name,
        id: Some(row.id),
        ty: "schema",
        owner: Some(&row.owner),
        object: Some(manifest::Object::Schema(row.id)),
        create: Some(format!("CREATE SCHEMA {}", quote_ident(&row.name))),
        ..Shown::default()
    });
    let tables = catalog.tables.iter().map(|row| Shown {
        database: known.databases.get(&row.database).copied(),
        schema: known.schemas.get(&row.schema).copied(),
        name: &row.name,
        id: Some(row.id),
        ty: "table",
        owner: Some(&row.owner),
        object: Some(manifest::Object::Table(row.id)),
        table: Some(row),
        ..Shown::default()
    });
    databases.chain(schemas).chain(tables).chain(system_objects(catalog)).collect()
}

fn system_objects(catalog: &manifest::Catalog) -> impl Iterator<Item = Shown<'_>> {
    let roles = catalog.roles.iter().map(|row| Shown {
        name: &row.name,
        ty: "role",
        create: Some(format!("CREATE {} {}", if row.login { "USER" } else { "ROLE" }, quote_ident(&row.name))),
        ..Shown::default()
    });
    let connections = catalog.connections.iter().map(|row| Shown {
        name: &row.name,
        id: Some(row.id),
        ty: "external connection",
        owner: Some(&row.owner),
        object: Some(manifest::Object::Connection(row.id)),
        create: Some(format!(
            "CREATE EXTERNAL CONNECTION {} AS {}",
            quote_ident(&row.name),
            quote_literal(&row.redacted)
        )),
        ..Shown::default()
    });
    let stages = catalog.stages.iter().map(|row| Shown {
        name: &row.name,
        id: Some(row.id),
        ty: "stage",
        owner: Some(&row.owner),
        object: Some(manifest::Object::Stage(row.id)),
        create: Some(create_stage(row)),
        ..Shown::default()
    });
    let file_formats = catalog.file_formats.iter().map(|row| Shown {
        name: &row.name,
        ty: "file format",
        owner: Some(&row.owner),
        create: Some(create_file_format(row)),
        ..Shown::default()
    });
    let schedules = catalog.schedules.iter().map(|row| Shown {
        name: &row.label,
        id: Some(row.id),
        ty: "schedule",
        owner: Some(&row.owner),
        create: Some(row.statement.clone()),
        ..Shown::default()
    });
    let settings = catalog.settings.iter().map(|(name, value)| Shown {
        name,
        ty: "cluster setting",
        create: Some(format!("SET CLUSTER SETTING {name} = {}", quote_literal(value))),
        ..Shown::default()
    });
    roles.chain(connections).chain(stages).chain(file_formats).chain(schedules).chain(settings)
}

fn size(value: Option<u64>) -> Cell {
    value.and_then(|value| i64::try_from(value).ok()).into()
}

/// Bytes and rows that a layer adds to a table; `None` for what is no table.
fn added(layer: &Layer, shown: &Shown<'_>) -> Option<(u64, u64)> {
    let history = layer.history_of(shown.table?.id);
    let files = history.iter().flat_map(|history| &history.versions).flat_map(|version| &version.added);
    let add = |(bytes, rows): (u64, u64), file: &manifest::File| {
        (bytes.saturating_add(file.bytes), rows.saturating_add(file.rows))
    };
    Some(files.fold((0, 0), add))
}

fn add_grants<'a>(shown: &mut [Shown<'a>], catalog: &'a manifest::Catalog) {
    let mut granted: HashMap<manifest::Object, Vec<&manifest::Grant>> = HashMap::new();
    for grant in &catalog.grants {
        granted.entry(grant.object).or_default().push(grant);
    }
    for object in shown {
        object.grants = object.object.and_then(|object| granted.remove(&object)).unwrap_or_default();
    }
}

fn granted(grants: &[&manifest::Grant]) -> String {
    let line = |grant: &&manifest::Grant| format!("GRANT {} TO {}", grant.privilege, grant.grantee);
    grants.iter().map(line).collect::<Vec<_>>().join("; ")
}
