//! `ALTER TABLE`.

use std::sync::Arc;

use lakeport_base::{Point, QualifiedName, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_sql::stmt::table::{AlterTable, ColumnDef, TableChange};

use super::{changed, check_columns, column, exists, free_stored_name, undefined_column};
use crate::engine::{Alteration, RowsAlong, TableHandle};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::stmt::Cx;

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterTable) -> Result<Outcome> {
    let table = match cx.table(&statement.name) {
        Ok(table) => table,
        Err(error) if statement.if_exists => return Ok(cx.skipped("ALTER TABLE", &error)),
        Err(error) => return Err(error),
    };
    cx.subject().require_table(&table, "CREATE")?;
    let mut used_names = match statement.changes.iter().any(|change| matches!(change, TableChange::AddColumn { .. })) {
        true => cx.server.config.engine.stored_names(&cx.handle(&table).await?).await?,
        false => Vec::new(),
    };
    let mut row = changed(&table);
    for change in &statement.changes {
        apply(cx, &mut row, change, &mut used_names)?;
    }
    check_columns(&row.columns)?;
    if row.has_columns_of(&table) {
        cx.cancel.commit(publish(cx, &row)).await?;
    } else {
        change_columns(cx, &cx.handle(&table).await?, &Arc::new(row), None).await?;
    }
    Ok(Outcome::done("ALTER TABLE"))
}

/// Changes the table's files, and then the catalog, which decides: until it has the new row the table is as it was, and
/// whatever its log says more is put right by the next ALTER. Rows staged for the new columns come last.
pub(crate) async fn change_columns(
    cx: &Cx<'_>,
    table: &TableHandle,
    row: &Arc<Table>,
    rows: Option<RowsAlong<'_>>,
) -> Result<()> {
    let prepared = cx.server.config.engine.alter_table(table, row, rows);
    let alteration = cx.cancel.until_cancelled(prepared).await?;
    cx.cancel.commit(finish(cx, alteration, row)).await
}

async fn finish(cx: &Cx<'_>, mut alteration: Box<dyn Alteration>, row: &Table) -> Result<()> {
    alteration.commit().await?;
    cx.server.config.env.fault(Point::TableAltered)?;
    publish(cx, row).await?;
    alteration.finish().await
}

/// The table with further columns.
///
/// # Errors
/// Those of columns that it cannot have.
pub(crate) async fn with_columns(cx: &Cx<'_>, table: &TableHandle, columns: Vec<ColumnDef>) -> Result<Table> {
    let mut used_names = cx.server.config.engine.stored_names(table).await?;
    let mut row = changed(&table.row);
    for column in columns {
        apply(cx, &mut row, &TableChange::AddColumn { column, if_not_exists: false }, &mut used_names)?;
    }
    check_columns(&row.columns)?;
    Ok(row)
}

async fn publish(cx: &Cx<'_>, row: &Table) -> Result<()> {
    let mut tx = cx.server.config.catalog.write().await?;
    tx.update_table(row).await?;
    Ok(tx.commit().await?)
}

/// Makes one change of the row. `used_names` are the stored names that the table's files know.
fn apply(cx: &Cx<'_>, table: &mut Table, change: &TableChange, used_names: &mut Vec<String>) -> Result<()> {
    match change {
        TableChange::AddColumn { column: definition, if_not_exists } => {
            if table.columns.iter().any(|column| column.name == definition.name) {
                return if *if_not_exists { Ok(()) } else { Err(duplicate_column(&definition.name, &table.name)) };
            }
            let mut column = column(definition);
            column.stored_name = free_stored_name(&definition.name, used_names);
            used_names.push(column.stored_name.clone());
            table.columns.push(column);
        }
        TableChange::DropColumn { name, if_exists } => {
            let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
                return if *if_exists { Ok(()) } else { Err(undefined_column(name, &table.name)) };
            };
            refuse_key_column(table, name, "drop")?;
            if table.columns.len() == 1 {
                return Err(Error::new(Sqlstate::INVALID_TABLE_DEFINITION, "cannot drop the only column of a table"));
            }
            table.columns.remove(index);
        }
        TableChange::RenameColumn { name, new_name } => {
            if table.columns.iter().any(|column| column.name == *new_name) {
                return Err(duplicate_column(new_name, &table.name));
            }
            column_mut(table, name)?.name.clone_from(new_name);
            table.primary_key.iter_mut().filter(|key| *key == name).for_each(|key| key.clone_from(new_name));
        }
        TableChange::RenameTable { new_name } => {
            if cx.directory.table(table.schema, new_name).is_some() {
                return Err(exists(&QualifiedName::bare(new_name)));
            }
            table.name.clone_from(new_name);
        }
        TableChange::SetDefault { column, default } => {
            column_mut(table, column)?.default.clone_from(default);
        }
        TableChange::SetNotNull { column } => {
            column_mut(table, column)?.nullable = false;
        }
        TableChange::DropNotNull { column } => {
            refuse_key_column(table, column, "drop NOT NULL of")?;
            column_mut(table, column)?.nullable = true;
        }
        TableChange::OwnerTo { role } => {
            if !cx.directory.roles.contains_key(role) {
                return Err(crate::directory::missing_role(role));
            }
            if !cx.subject().owns(&table.owner) || !(cx.subject().is_admin() || cx.subject().owns(role)) {
                return Err(Error::denied(format!("must be owner of table {} and member of role {role}", table.name)));
            }
            table.owner.clone_from(role);
        }
    }
    Ok(())
}

pub(super) fn column_mut<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Column> {
    let table_name = table.name.clone();
    let column = table.columns.iter_mut().find(|column| column.name == name);
    column.ok_or_else(|| undefined_column(name, &table_name))
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
