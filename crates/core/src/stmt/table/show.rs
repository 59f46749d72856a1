//! `SHOW TABLES | COLUMNS | CREATE TABLE`.

use arrow_schema::SchemaRef;
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{QualifiedName, SqlType, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_sql::stmt::table::{ShowColumns, ShowCreateTable, ShowTables};

use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stmt::Cx;

pub(crate) fn show_tables_columns() -> SchemaRef {
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
    let subject = cx.subject();
    let shown = cx.directory.tables.values().filter(|table| table.database == database.id && subject.sees_table(table));
    for table in shown {
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
    Ok(Outcome::rows("SHOW", batch_of(show_tables_columns(), &rows)?))
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
    cx.subject().require_sight(&table)?;
    let rows: Vec<_> = table
        .columns
        .iter()
        .map(|column| {
            let key = table.primary_key.contains(&column.name).then(|| format!("{}_pkey", table.name));
            let indices = key.into_iter().collect::<Vec<_>>();
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
    cx.subject().require_sight(&table)?;
    let schema = cx.directory.schemas.get(&table.schema).map_or("", |schema| &schema.name);
    let text = create_text(schema, &table);
    Ok(Outcome::rows("SHOW", batch_of(show_create_columns(), &[row![&table.name, text]])?))
}

/// The statement that makes a table, and the one that gives it its comment.
pub(crate) fn create_text(schema: &str, table: &Table) -> String {
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
    text
}

fn column_text(column: &Column) -> String {
    let nullable = if column.nullable { "NULL" } else { "NOT NULL" };
    let default = column.default.as_ref().map(|default| format!(" DEFAULT {default}")).unwrap_or_default();
    format!("\t{} {} {nullable}{default}", quote_ident(&column.name), column.ty)
}
