//! `ALTER TABLE`.

use std::sync::Arc;

use lakeport_base::{QualifiedName, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_sql::stmt::table::{AlterTable, TableChange};

use super::{changed, check_columns, column, exists, free_stored_name, undefined_column};
use crate::engine::ColumnChange;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::stmt::Cx;

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterTable) -> Result<Outcome> {
    let table = match cx.table(&statement.name) {
        Ok(table) => table,
        Err(_) if statement.if_exists => return Ok(Outcome::done("ALTER TABLE")),
        Err(error) => return Err(error),
    };
    cx.subject().require_table(&table, "CREATE")?;
    let mut row = changed(&table);
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
                return Err(crate::stmt::grant::missing_role(role));
            }
            if !cx.subject().owns(&table.owner) || !(cx.subject().is_admin() || cx.subject().owns(role)) {
                return Err(Error::denied(format!("must be owner of table {} and member of role {role}", table.name)));
            }
            table.owner.clone_from(role);
            Ok(None)
        }
    }
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
