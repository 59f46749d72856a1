//! `CREATE | DROP | TRUNCATE TABLE`, `COMMENT ON`.

pub mod alter;
pub mod show;

use std::collections::HashMap;
use std::sync::Arc;

use lakeport_base::id::TableId;
use lakeport_base::limits::TABLE_COLUMNS_MAX;
use lakeport_base::name::fault_of;
use lakeport_base::{Point, QualifiedName, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Column, Database, LastDrop, Object, Schema, Table};
use lakeport_sql::stmt::query::Delete;
use lakeport_sql::stmt::table::{ColumnDef, Comment, CommentTarget, CreateTable, DropTable, Truncate};

use self::alter::column_mut;
use super::database::SYSTEM_SCHEMAS;
use super::{Cx, RUNS_MAX, is_overtaken};
use crate::cancel::Cancel;
use crate::engine::{TableHandle, Write};
use crate::error::{Error, Result};
use crate::leftover::leftover_of;
use crate::outcome::Outcome;
use crate::relations::table_folder;
use crate::rows::{RowStream, sql_type};

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateTable) -> Result<Outcome> {
    let schema = place(cx, &statement.name)?.clone();
    require_create(cx, &schema)?;
    if cx.directory.table(schema.id, statement.name.name()).is_some() {
        return present(cx, statement);
    }
    let rows = match &statement.query {
        None => None,
        Some(query) => Some(super::query::rows(cx, query).await?),
    };
    let columns = match &rows {
        None => statement.columns.iter().map(column).collect(),
        Some(rows) => columns_of(rows, &statement.names)?,
    };
    check_columns(&columns)?;
    let root = cx.server.root_of(&cx.directory, schema.database).await?;
    let row = new_table(cx, statement, &schema, columns).await?;
    let handle = TableHandle { store: table_folder(root, row.database, row.id), row };
    // From its first file on the table is published or deleted again.
    let hold = cx.cancel.hold()?;
    match make(cx, &handle, rows).await {
        Ok(rows) => {
            hold.keep();
            Ok(created(statement, rows))
        }
        Err(error) => {
            Doomed(vec![handle]).delete_files(cx).await;
            if error.code() == Sqlstate::DUPLICATE_TABLE {
                return present(cx, statement);
            }
            Err(error)
        }
    }
}

fn created(statement: &CreateTable, rows: u64) -> Outcome {
    if statement.query.is_some() { Outcome::done(format!("SELECT {rows}")) } else { Outcome::done("CREATE TABLE") }
}

/// The answer of a CREATE TABLE whose table is there already.
fn present(cx: &Cx<'_>, statement: &CreateTable) -> Result<Outcome> {
    let error = exists(&statement.name);
    if statement.if_not_exists { Ok(cx.skipped("CREATE TABLE", &error)) } else { Err(error) }
}

fn exists(name: &QualifiedName) -> Error {
    Error::new(Sqlstate::DUPLICATE_TABLE, format!("relation {:?} already exists", name.name()))
}

/// The row of a table to be. Its folder is noted as left over until the table is published.
async fn new_table(
    cx: &Cx<'_>,
    statement: &CreateTable,
    schema: &Schema,
    mut columns: Vec<Column>,
) -> Result<Arc<Table>> {
    let mut used = Vec::with_capacity(columns.len());
    for column in &mut columns {
        column.stored_name = free_stored_name(&column.name, &used);
        used.push(column.stored_name.clone());
    }
    for name in &statement.primary_key {
        let column = columns.iter_mut().find(|column| column.name == *name);
        column.ok_or_else(|| undefined_column(name, statement.name.name()))?.nullable = false;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let table = Table {
        id: TableId(tx.next_id().await?),
        schema: schema.id,
        database: schema.database,
        name: statement.name.name().to_string(),
        owner: cx.owner().to_string(),
        version: 1,
        columns,
        primary_key: statement.primary_key.clone(),
        comment: None,
        created: cx.server.config.env.now_micros(),
    };
    tx.insert_leftover(&leftover_of(&cx.directory, &table)).await?;
    tx.commit().await?;
    Ok(Arc::new(table))
}

/// Makes the table's files, with the rows it begins with, and publishes it.
async fn make(cx: &Cx<'_>, handle: &TableHandle, rows: Option<RowStream>) -> Result<u64> {
    cx.server.config.engine.create_table(handle).await?;
    let filled = async {
        match rows {
            None => Ok(0),
            Some(rows) => fill(cx, handle, rows).await,
        }
    };
    let rows = tokio::select! {
        biased;
        () = cx.cancel.asked() => Err(Error::canceled()),
        rows = filled => rows,
    }?;
    cx.server.config.env.fault(Point::TableMade)?;
    let mut tx = cx.server.config.catalog.write().await?;
    tx.insert_table(&handle.row).await?;
    tx.delete_leftover(handle.row.id).await?;
    tx.commit().await?;
    Ok(rows)
}

async fn fill(cx: &Cx<'_>, handle: &TableHandle, rows: RowStream) -> Result<u64> {
    let names = handle.row.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let rows = super::write::renamed(rows, &names)?;
    Ok(cx.server.config.engine.append(handle, rows, None, &Cancel::default()).await?.rows)
}

fn column(definition: &ColumnDef) -> Column {
    Column {
        name: definition.name.clone(),
        stored_name: definition.name.clone(),
        ty: definition.ty.clone(),
        nullable: definition.nullable,
        default: definition.default.clone(),
        comment: None,
    }
}

fn columns_of(rows: &RowStream, names: &[String]) -> Result<Vec<Column>> {
    let fields = rows.schema.fields();
    if names.len() > fields.len() {
        return Err(Error::new(
            Sqlstate::SYNTAX_ERROR,
            "CREATE TABLE specifies more column names than the query has columns",
        ));
    }
    let column = |(index, field): (usize, &Arc<arrow_schema::Field>)| {
        let name = names.get(index).unwrap_or(field.name()).clone();
        Column { stored_name: name.clone(), name, ty: sql_type(field), nullable: true, default: None, comment: None }
    };
    Ok(fields.iter().enumerate().map(column).collect())
}

/// # Errors
/// Columns that no table can have: 54000, 42P16, 42602, 0A000, 42701.
pub(crate) fn check_columns(columns: &[Column]) -> Result<()> {
    if columns.len() > TABLE_COLUMNS_MAX {
        let message = format!("a table may have {TABLE_COLUMNS_MAX} columns, not {}", columns.len());
        return Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    if columns.is_empty() {
        return Err(Error::new(Sqlstate::INVALID_TABLE_DEFINITION, "a table needs at least one column"));
    }
    for column in columns {
        if let Some(fault) = fault_of(&column.name) {
            return Err(Error::new(Sqlstate::INVALID_NAME, format!("column {:?}: {fault}", column.name)));
        }
    }
    if let Some(column) = columns.iter().find(|column| !column.ty.is_storable()) {
        let hint = match column.ty.has_intervals() {
            true => "keep its text, which casts to INTERVAL, or its seconds",
            false => "an array has one dimension; TO_JSONB makes JSONB of it",
        };
        let message = format!("column {:?} of a table cannot be of type {}", column.name, column.ty);
        return Err(Error::unsupported(message).with_hint(hint));
    }
    let mut seen = std::collections::HashSet::new();
    // Delta compares column names without case.
    match columns.iter().find(|column| !seen.insert(column.name.to_lowercase())) {
        None => Ok(()),
        Some(column) => Err(named_twice(&column.name)),
    }
}

/// A name for a column's data: the column's own where Delta's protocol takes it and no other column of the table has
/// used it, so that a dropped column's data never come back under a new one.
fn free_stored_name(name: &str, used: &[String]) -> String {
    let used: Vec<String> = used.iter().map(|name| name.to_lowercase()).collect();
    let plain = name.replace([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='], "_");
    let mut free = plain.clone();
    let mut number = 1;
    while used.contains(&free.to_lowercase()) {
        number += 1;
        free = format!("{plain}_{number}");
    }
    free
}

/// The columns of these names, in their order; all of the table when there are none.
///
/// # Errors
/// 42703 for a missing column, 42701 for one named twice.
pub(crate) fn columns_named(table: &Table, names: &[String]) -> Result<Vec<Column>> {
    if names.is_empty() {
        return Ok(table.columns.clone());
    }
    let mut columns: Vec<Column> = Vec::with_capacity(names.len());
    for name in names {
        let column = table.columns.iter().find(|column| column.name == *name);
        let column = column.ok_or_else(|| undefined_column(name, &table.name))?;
        if columns.iter().any(|column| column.name == *name) {
            return Err(named_twice(name));
        }
        columns.push(column.clone());
    }
    Ok(columns)
}

fn named_twice(name: &str) -> Error {
    Error::new(Sqlstate::DUPLICATE_COLUMN, format!("column {name:?} specified more than once"))
}

pub(crate) fn undefined_column(name: &str, table: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_COLUMN, format!("column {name:?} of relation {table:?} does not exist"))
}

fn place<'a>(cx: &'a Cx<'_>, name: &'a QualifiedName) -> Result<&'a Schema> {
    if let Some(schema) = name.qualifiers().last().filter(|schema| SYSTEM_SCHEMAS.contains(&schema.as_str())) {
        return Err(Error::denied(format!("schema {schema:?} cannot be modified")));
    }
    let path = cx.session.search_path();
    cx.directory.place(name, &cx.session.variable("database"), &path)
}

/// CREATE on the schema or its database.
fn require_create(cx: &Cx<'_>, schema: &Schema) -> Result<()> {
    let database = cx.directory.database_of(schema.database);
    let on_database = |database: &Database| cx.subject().has(Object::Database(database.id), &database.owner, "CREATE");
    if database.is_some_and(on_database) {
        return Ok(());
    }
    cx.subject().require(Object::Schema(schema.id), &schema.owner, &schema.name, "CREATE")
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropTable) -> Result<Outcome> {
    let mut tables = Vec::new();
    for name in &statement.names {
        let table = match cx.table(name) {
            Ok(table) => table,
            Err(error) if statement.if_exists => {
                cx.skipped("DROP TABLE", &error);
                continue;
            }
            Err(error) => return Err(error),
        };
        cx.subject().require_table(&table, "DROP")?;
        tables.push(table);
    }
    let doomed = Doomed::open(cx, &tables).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    doomed.delete(cx, tx.as_mut()).await?;
    cx.commit(tx).await?;
    doomed.delete_files(cx).await;
    Ok(Outcome::done("DROP TABLE"))
}

/// The row of a table that is about to change. The catalog refuses it (40001) when another change came first.
fn changed(table: &Table) -> Table {
    Table { version: table.version + 1, ..table.clone() }
}

/// Tables on their way out: first from the catalog, and once that is committed, from storage.
pub(crate) struct Doomed(Vec<TableHandle>);

impl Doomed {
    pub async fn open(cx: &Cx<'_>, tables: &[Arc<Table>]) -> Result<Doomed> {
        let mut handles = Vec::with_capacity(tables.len());
        for table in tables {
            handles.push(cx.handle(table).await?);
        }
        Ok(Doomed(handles))
    }

    /// Takes the tables and the grants on them out of the catalog, and notes when that was and their folders as left over.
    pub async fn delete(&self, cx: &Cx<'_>, tx: &mut dyn Tx) -> Result<()> {
        let at = cx.server.config.env.now_micros();
        for TableHandle { row, .. } in &self.0 {
            tx.record_drop(LastDrop { object: Object::Database(row.database), at }).await?;
            tx.delete_grants_on(Object::Table(row.id)).await?;
            tx.delete_table(row.id).await?;
            tx.insert_leftover(&leftover_of(&cx.directory, row)).await?;
        }
        Ok(())
    }

    /// Deletes the files. What cannot be deleted is left to the next start.
    pub async fn delete_files(&self, cx: &Cx<'_>) {
        for TableHandle { row, store } in &self.0 {
            let deleted = async {
                cx.server.config.env.fault(Point::TableDropped)?;
                cx.server.delete_leftover(row.id, Arc::clone(store)).await
            };
            if let Err(error) = deleted.await {
                tracing::warn!(table = %row.id, %error, "files of a dropped table remain until the next start");
            }
        }
    }
}

pub(crate) async fn truncate(cx: &Cx<'_>, statement: &Truncate) -> Result<Outcome> {
    let tables = statement.names.iter().map(|name| cx.table(name)).collect::<Result<Vec<_>>>()?;
    for table in &tables {
        cx.subject().require_table(table, "DROP")?;
    }
    if tables.len() > 1 && cx.session.open_block().is_some() {
        return Err(
            Error::unsupported("a transaction block may write one table").with_hint("TRUNCATE one table at a time")
        );
    }
    for (table, name) in tables.iter().zip(&statement.names) {
        match cx.session.open_block() {
            None => empty(cx, name).await?,
            Some(_) => delete_rows(cx, &cx.handle(table).await?, name).await?,
        }
    }
    Ok(Outcome::done("TRUNCATE"))
}

/// Empties a table, and when the catalog changes meanwhile does so again: with this table alone, since others may have
/// written to those that are empty already.
async fn empty(cx: &Cx<'_>, name: &QualifiedName) -> Result<()> {
    let mut runs = 1..RUNS_MAX;
    loop {
        let cx = cx.renewed().await?;
        let table = cx.table(name)?;
        cx.subject().require_table(&table, "DROP")?;
        match cx.server.config.engine.truncate(&cx.handle(&table).await?, &cx.cancel).await {
            Err(error) if is_overtaken(&cx, &error).await && runs.next().is_some() => {}
            outcome => return outcome,
        }
    }
}

/// Empties a table in a block, whose one commit may hold other changes of its rows: each row is told to the change feed.
async fn delete_rows(cx: &Cx<'_>, handle: &TableHandle, name: &QualifiedName) -> Result<()> {
    let (alias, using, filter, returning) = (None, None, None, None);
    let delete = Delete { table: name.clone(), alias, using, filter, returning, placeholder_count: 0 };
    let context = cx.query_context(None, HashMap::new());
    let transaction = context.transaction;
    cx.server.config.engine.write(&context, handle, Write::Delete(&delete), &[]).await?;
    match transaction {
        Some(transaction) => cx.server.config.engine.void_marks(handle, transaction, &cx.cancel).await,
        None => Ok(()),
    }
}

pub(crate) async fn comment(cx: &Cx<'_>, statement: &Comment) -> Result<Outcome> {
    let text = statement.comment.as_ref().map(|comment| cx.string(comment)).transpose()?;
    let text = text.filter(|text| !text.is_empty());
    let mut tx = cx.server.config.catalog.write().await?;
    match &statement.target {
        CommentTarget::Database(name) => {
            let database = cx.directory.database(name)?;
            cx.subject().require(Object::Database(database.id), &database.owner, name, "CREATE")?;
            tx.update_database(&Database { comment: text, ..database.clone() }).await?;
        }
        CommentTarget::Table(name) => {
            let table = cx.table(name)?;
            cx.subject().require_table(&table, "CREATE")?;
            tx.update_table(&Table { comment: text, ..changed(&table) }).await?;
        }
        CommentTarget::Column { table, column } => {
            let table = cx.table(table)?;
            cx.subject().require_table(&table, "CREATE")?;
            let mut row = changed(&table);
            column_mut(&mut row, column)?.comment = text;
            tx.update_table(&row).await?;
        }
    }
    cx.commit(tx).await?;
    Ok(Outcome::done("COMMENT"))
}
