//! `CREATE | DROP | ALTER | TRUNCATE TABLE`, `COMMENT ON`, `SHOW TABLES | COLUMNS | CREATE TABLE`.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use lakeport_base::id::TableId;
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{QualifiedName, SqlType, Sqlstate};
use lakeport_catalog::model::{Column, Database, Object, Schema, Table};
use lakeport_sql::stmt::table::{
    AlterTable, ColumnDef, Comment, CommentTarget, CreateTable, DropTable, ShowColumns, ShowCreateTable, ShowTables,
    TableChange, Truncate,
};

use super::Cx;
use super::database::SYSTEM_SCHEMAS;
use crate::engine::{Append, ColumnChange, TableHandle};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::{RowStream, schema_of, sql_type};
use crate::show::rows::{Cell, batch_of};

/// Most columns of a table.
const COLUMNS_MAX: usize = 1600;

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateTable) -> Result<Outcome> {
    let schema = place(cx, &statement.name)?.clone();
    require_create(cx, &schema)?;
    if cx.directory.table(schema.id, statement.name.name()).is_some() {
        return if statement.if_not_exists { Ok(created(statement, 0)) } else { Err(exists(&statement.name)) };
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
    let table = new_table(cx, statement, &schema, columns).await?;
    let handle = cx.handle(&table).await?;
    cx.server.config.engine.create_table(&handle).await?;
    let written = match rows {
        None => Ok(0),
        Some(rows) => fill(cx, &handle, rows).await,
    };
    match publish(cx, &table, written).await {
        Ok(rows) => Ok(created(statement, rows)),
        Err(error) => {
            delete_files(cx, &handle).await;
            if error.code() == Sqlstate::DUPLICATE_OBJECT {
                return if statement.if_not_exists { Ok(created(statement, 0)) } else { Err(exists(&statement.name)) };
            }
            Err(error)
        }
    }
}

fn created(statement: &CreateTable, rows: u64) -> Outcome {
    if statement.query.is_some() { Outcome::done(format!("SELECT {rows}")) } else { Outcome::done("CREATE TABLE") }
}

fn exists(name: &QualifiedName) -> Error {
    Error::new(Sqlstate::DUPLICATE_TABLE, format!("relation {:?} already exists", name.name()))
}

/// The row of a table to be: its files are made before it is published.
async fn new_table(
    cx: &Cx<'_>,
    statement: &CreateTable,
    schema: &Schema,
    mut columns: Vec<Column>,
) -> Result<Arc<Table>> {
    let mut used = Vec::with_capacity(columns.len());
    for column in &mut columns {
        column.stored_name = free_stored_name(&column.name, used.iter());
        used.push(column.stored_name.clone());
    }
    for name in &statement.primary_key {
        let column = columns.iter_mut().find(|column| column.name == *name);
        column.ok_or_else(|| undefined_column(name, statement.name.name()))?.nullable = false;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let id = TableId(tx.next_id().await?);
    tx.commit().await?;
    Ok(Arc::new(Table {
        id,
        schema: schema.id,
        database: schema.database,
        name: statement.name.name().to_string(),
        owner: cx.session.user.clone(),
        columns,
        primary_key: statement.primary_key.clone(),
        dropped_names: Vec::new(),
        comment: None,
        created: cx.server.config.env.now_micros(),
    }))
}

async fn fill(cx: &Cx<'_>, handle: &TableHandle, rows: RowStream) -> Result<u64> {
    let names = handle.row.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let rows = super::write::renamed(rows, &names)?;
    let options = Append { cancel: cx.cancel.clone(), ..Append::default() };
    Ok(cx.server.config.engine.append(handle, rows, options).await?.rows)
}

async fn publish(cx: &Cx<'_>, table: &Table, rows: Result<u64>) -> Result<u64> {
    let rows = rows?;
    let mut tx = cx.server.config.catalog.write().await?;
    tx.insert_table(table).await?;
    tx.commit().await?;
    Ok(rows)
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

fn check_columns(columns: &[Column]) -> Result<()> {
    if columns.len() > COLUMNS_MAX {
        let message = format!("a table may have {COLUMNS_MAX} columns, not {}", columns.len());
        return Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    if columns.is_empty() {
        return Err(Error::new(Sqlstate::INVALID_TABLE_DEFINITION, "a table needs at least one column"));
    }
    let mut seen = std::collections::HashSet::new();
    // Delta compares column names without case.
    match columns.iter().find(|column| !seen.insert(column.name.to_lowercase())) {
        None => Ok(()),
        Some(column) => {
            Err(Error::new(Sqlstate::DUPLICATE_COLUMN, format!("column {:?} specified more than once", column.name)))
        }
    }
}

fn place<'a>(cx: &'a Cx<'_>, name: &'a QualifiedName) -> Result<&'a Schema> {
    if let Some(schema) = name.qualifiers().last().filter(|schema| SYSTEM_SCHEMAS.contains(&schema.as_str())) {
        return Err(Error::denied(format!("schema {schema:?} cannot be modified")));
    }
    let path = cx.session.search_path();
    cx.directory.place(name, &cx.session.variable("database"), &path)
}

/// CREATE on the schema or its database; everybody may create in `public`.
fn require_create(cx: &Cx<'_>, schema: &Schema) -> Result<()> {
    let database = cx.directory.database_of(schema.database);
    let on_database = |database: &Database| cx.subject().has(Object::Database(database.id), &database.owner, "CREATE");
    if schema.name == crate::directory::PUBLIC_SCHEMA || database.is_some_and(on_database) {
        return Ok(());
    }
    cx.subject().require(Object::Schema(schema.id), &schema.owner, &schema.name, "CREATE")
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropTable) -> Result<Outcome> {
    let mut handles = Vec::new();
    for name in &statement.names {
        let table = match cx.table(name) {
            Ok(table) => table,
            Err(_) if statement.if_exists => continue,
            Err(error) => return Err(error),
        };
        cx.subject().require_table(&table, "DROP")?;
        handles.push(cx.handle(&table).await?);
    }
    let mut tx = cx.server.config.catalog.write().await?;
    for handle in &handles {
        super::database::delete_table(tx.as_mut(), &handle.row).await?;
    }
    tx.commit().await?;
    for handle in &handles {
        delete_files(cx, handle).await;
    }
    Ok(Outcome::done("DROP TABLE"))
}

/// Deletes the files of a table that is gone from the catalog. What cannot be deleted is logged: nothing refers to it.
pub(crate) async fn delete_files(cx: &Cx<'_>, handle: &TableHandle) {
    if let Err(error) = cx.server.config.engine.delete_table(handle).await {
        tracing::warn!(table = %handle.row.id, %error, "files of a dropped table remain");
    }
}

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterTable) -> Result<Outcome> {
    let table = match cx.table(&statement.name) {
        Ok(table) => table,
        Err(_) if statement.if_exists => return Ok(Outcome::done("ALTER TABLE")),
        Err(error) => return Err(error),
    };
    cx.subject().require_table(&table, "CREATE")?;
    let mut row = table.as_ref().clone();
    let mut changes = Vec::new();
    for change in &statement.changes {
        changes.extend(apply(cx, &mut row, change)?);
    }
    check_columns(&row.columns)?;
    let row = Arc::new(row);
    let handle = cx.handle(&row).await?;
    for change in &changes {
        cx.server.config.engine.alter_table(&handle, change).await?;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    tx.update_table(&row).await?;
    tx.commit().await?;
    Ok(Outcome::done("ALTER TABLE"))
}

/// Changes the row; answers what the files must know.
fn apply(cx: &Cx<'_>, table: &mut Table, change: &TableChange) -> Result<Option<ColumnChange>> {
    match change {
        TableChange::AddColumn { column: definition, if_not_exists } => {
            if table.columns.iter().any(|column| column.name == definition.name) {
                return if *if_not_exists { Ok(None) } else { Err(duplicate_column(&definition.name, &table.name)) };
            }
            let mut column = column(definition);
            let used = table.columns.iter().map(|column| &column.stored_name).chain(&table.dropped_names);
            column.stored_name = free_stored_name(&definition.name, used);
            table.columns.push(column.clone());
            Ok(Some(ColumnChange::Add(column)))
        }
        TableChange::DropColumn { name, if_exists } => {
            let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
                return if *if_exists { Ok(None) } else { Err(undefined_column(name, &table.name)) };
            };
            refuse_key_column(table, name, "drop")?;
            if table.columns.len() == 1 {
                return Err(Error::new(Sqlstate::INVALID_TABLE_DEFINITION, "cannot drop the only column of a table"));
            }
            let dropped = table.columns.remove(index).stored_name;
            table.dropped_names.push(dropped.clone());
            Ok(Some(ColumnChange::Drop(dropped)))
        }
        TableChange::RenameColumn { name, new_name } => {
            if table.columns.iter().any(|column| column.name == *new_name) {
                return Err(duplicate_column(new_name, &table.name));
            }
            let column = column_mut(table, name)?;
            column.name.clone_from(new_name);
            let renamed = column.clone();
            table.primary_key.iter_mut().filter(|key| *key == name).for_each(|key| key.clone_from(new_name));
            Ok(Some(ColumnChange::Rename(renamed)))
        }
        TableChange::RenameTable { new_name } => {
            if cx.directory.table(table.schema, new_name).is_some() {
                return Err(exists(&QualifiedName::bare(new_name)));
            }
            table.name.clone_from(new_name);
            Ok(None)
        }
        TableChange::SetDefault { column, default } => {
            column_mut(table, column)?.default.clone_from(default);
            Ok(None)
        }
        TableChange::SetNotNull { column } => {
            let column = column_mut(table, column)?;
            column.nullable = false;
            Ok(Some(ColumnChange::Redefine(column.clone())))
        }
        TableChange::DropNotNull { column } => {
            refuse_key_column(table, column, "drop NOT NULL of")?;
            let column = column_mut(table, column)?;
            column.nullable = true;
            Ok(Some(ColumnChange::Redefine(column.clone())))
        }
        TableChange::OwnerTo { role } => {
            if !cx.directory.roles.contains_key(role) {
                return Err(super::grant::missing_role(role));
            }
            if !cx.subject().owns(&table.owner) || !(cx.subject().is_admin() || cx.subject().owns(role)) {
                return Err(Error::denied(format!("must be owner of table {} and member of role {role}", table.name)));
            }
            table.owner.clone_from(role);
            Ok(None)
        }
    }
}

/// A name for a column's data: the column's own where Delta's protocol takes it and no other column of the table has
/// used it, so that a dropped column's data never come back under a new one.
fn free_stored_name<'a>(name: &str, used: impl Iterator<Item = &'a String>) -> String {
    let used: Vec<String> = used.map(|name| name.to_lowercase()).collect();
    let plain = name.replace([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='], "_");
    let mut free = plain.clone();
    let mut number = 1;
    while used.contains(&free.to_lowercase()) {
        number += 1;
        free = format!("{plain}_{number}");
    }
    free
}

fn column_mut<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Column> {
    let table_name = table.name.clone();
    let column = table.columns.iter_mut().find(|column| column.name == name);
    column.ok_or_else(|| undefined_column(name, &table_name))
}

pub(crate) fn undefined_column(name: &str, table: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_COLUMN, format!("column {name:?} of relation {table:?} does not exist"))
}

fn duplicate_column(name: &str, table: &str) -> Error {
    Error::new(Sqlstate::DUPLICATE_COLUMN, format!("column {name:?} of relation {table:?} already exists"))
}

fn refuse_key_column(table: &Table, name: &str, action: &str) -> Result<()> {
    if !table.primary_key.iter().any(|key| key == name) {
        return Ok(());
    }
    Err(Error::new(
        Sqlstate::INVALID_TABLE_DEFINITION,
        format!("cannot {action} column {name:?}: it is part of the primary key of {:?}", table.name),
    ))
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
    for table in &tables {
        let handle = cx.handle(table).await?;
        let transaction = cx.session.open_block().map(|block| block.id);
        cx.server.config.engine.truncate(&handle, transaction).await?;
    }
    Ok(Outcome::done("TRUNCATE"))
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
            tx.update_table(&Table { comment: text, ..table.as_ref().clone() }).await?;
        }
        CommentTarget::Column { table, column } => {
            let table = cx.table(table)?;
            cx.subject().require_table(&table, "CREATE")?;
            let mut row = table.as_ref().clone();
            column_mut(&mut row, column)?.comment = text;
            tx.update_table(&row).await?;
        }
    }
    tx.commit().await?;
    Ok(Outcome::done("COMMENT"))
}

pub(crate) fn show_columns_of_tables() -> SchemaRef {
    schema_of(&[
        ("schema_name", SqlType::Text),
        ("table_name", SqlType::Text),
        ("type", SqlType::Text),
        ("owner", SqlType::Text),
        ("estimated_row_count", SqlType::Int8),
        ("locality", SqlType::Text),
    ])
}

pub(crate) fn show(cx: &Cx<'_>, statement: &ShowTables) -> Result<Outcome> {
    let current = cx.session.variable("database");
    let (database, schema) = match statement.from.as_ref().map(|name| name.parts.as_slice()) {
        None => (cx.directory.database(&current)?, None),
        Some([one]) => match cx.directory.databases.get(one) {
            Some(database) => (database, None),
            None => (cx.directory.database(&current)?, Some(one)),
        },
        Some([database, schema]) => (cx.directory.database(database)?, Some(schema)),
        Some(_) => return Err(Error::new(Sqlstate::INVALID_NAME, "write SHOW TABLES FROM database.schema")),
    };
    if let Some(name) = schema.filter(|name| cx.directory.schema(database.id, name).is_none()) {
        let message = format!("schema or database {name:?} does not exist");
        return Err(Error::new(Sqlstate::INVALID_SCHEMA_NAME, message));
    }
    let mut rows = Vec::new();
    for table in cx.directory.tables.values().filter(|table| table.database == database.id) {
        let Some(of) = cx.directory.schemas.get(&table.schema) else { continue };
        if schema.is_none_or(|schema| *schema == of.name) {
            rows.push((&of.name, &table.name, &table.owner));
        }
    }
    rows.sort();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(schema, table, owner)| row![schema, table, "table", owner, Cell::Null, Cell::Null])
        .collect();
    Ok(Outcome::rows("SHOW", batch_of(show_columns_of_tables(), &rows)?))
}

pub(crate) fn show_columns_columns() -> SchemaRef {
    schema_of(&[
        ("column_name", SqlType::Text),
        ("data_type", SqlType::Text),
        ("is_nullable", SqlType::Bool),
        ("column_default", SqlType::Text),
        ("generation_expression", SqlType::Text),
        ("indices", SqlType::Array(Box::new(SqlType::Text))),
        ("is_hidden", SqlType::Bool),
    ])
}

pub(crate) fn show_columns(cx: &Cx<'_>, statement: &ShowColumns) -> Result<Outcome> {
    let table = cx.table(&statement.table)?;
    let rows: Vec<_> = table
        .columns
        .iter()
        .map(|column| {
            let key = table.primary_key.contains(&column.name).then(|| format!("{}_pkey", table.name));
            let indices = Cell::Texts(key.into_iter().collect());
            let default = column.default.as_ref();
            row![&column.name, column.ty.to_string(), column.nullable, default, "", indices, false]
        })
        .collect();
    Ok(Outcome::rows("SHOW", batch_of(show_columns_columns(), &rows)?))
}

pub(crate) fn show_create_columns() -> SchemaRef {
    schema_of(&[("table_name", SqlType::Text), ("create_statement", SqlType::Text)])
}

pub(crate) fn show_create(cx: &Cx<'_>, statement: &ShowCreateTable) -> Result<Outcome> {
    let table = cx.table(&statement.table)?;
    let schema = cx.directory.schemas.get(&table.schema).map_or("", |schema| &schema.name);
    let mut lines: Vec<String> = table.columns.iter().map(column_text).collect();
    if !table.primary_key.is_empty() {
        let key: Vec<String> = table.primary_key.iter().map(|name| quote_ident(name)).collect();
        let name = quote_ident(&format!("{}_pkey", table.name));
        lines.push(format!("\tCONSTRAINT {name} PRIMARY KEY ({})", key.join(", ")));
    }
    let name = QualifiedName { parts: vec![schema.to_string(), table.name.clone()] };
    let mut text = format!("CREATE TABLE {name} (\n{}\n)", lines.join(",\n"));
    if let Some(comment) = &table.comment {
        text += &format!(";\nCOMMENT ON TABLE {name} IS {}", quote_literal(comment));
    }
    Ok(Outcome::rows("SHOW", batch_of(show_create_columns(), &[row![&table.name, text]])?))
}

fn column_text(column: &Column) -> String {
    let nullable = if column.nullable { "NULL" } else { "NOT NULL" };
    let default = column.default.as_ref().map(|default| format!(" DEFAULT {default}")).unwrap_or_default();
    format!("\t{} {} {nullable}{default}", quote_ident(&column.name), column.ty)
}
