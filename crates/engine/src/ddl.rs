//! What DDL does to a table's log and files.

use std::sync::Arc;

use deltalake::kernel::{MetadataExt, StructField, StructType};
use futures::StreamExt;
use lakeport_base::{QualifiedName, Sqlstate};
use lakeport_catalog::model::Column;
use lakeport_core::engine::{ColumnChange, TableHandle, TransactionId};
use lakeport_core::{Error, Result};
use object_store::ObjectStore;

use crate::DataFusionEngine;
use crate::change::image_list;
use crate::delta::entry::Changes;
use crate::delta::schema::{delta_field, mark_dropped, mark_renamed};
use crate::error::{from_datafusion, from_delta, from_store, is_conflict};
use crate::key::{first_row, quoted, register};
use crate::query::run;
use crate::relations::table_provider;
use crate::sql::parse_query;
use crate::stage::Rewrite;
use crate::writing::{ATTEMPTS, Writing};

impl DataFusionEngine {
    /// Deletes every file of a dropped table.
    pub(crate) async fn delete_files(&self, table: &TableHandle) -> Result<()> {
        if let Some(log) = self.forget(table.row.id) {
            log.retire().await;
        }
        let listed = table.store.list(None).map(|found| found.map(|file| file.location)).boxed();
        let mut deleted = table.store.delete_stream(listed);
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(from_store(error)),
            }
        }
        Ok(())
    }

    /// Removes every row. Readers of the change feed take the removed files themselves.
    pub(crate) async fn remove_all_rows(&self, table: &TableHandle, transaction: Option<TransactionId>) -> Result<()> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let writing = self.start_writing(table, transaction).await?;
            let removes = writing.files.iter().map(|file| file.remove(writing.now_ms(), true)).collect();
            match self.finish_writing(writing, Changes { removes, ..Changes::default() }).await {
                Err(error) if is_conflict(&error) && attempts.next().is_some() => {}
                outcome => return outcome,
            }
        }
    }

    /// Changes a column. Delta's schema keeps what it once had: a dropped column stays, marked, and is not read.
    pub(crate) async fn change_column(&self, table: &TableHandle, change: &ColumnChange) -> Result<()> {
        match change {
            ColumnChange::Add(column) => {
                let writing = self.start_writing(table, None).await?;
                if !column.nullable && column.default.is_none() && !writing.files.is_empty() {
                    return Err(null_values(&column.name));
                }
                let field = StructField { nullable: true, ..delta_field(column)? };
                // The field is there already when an earlier try ended before the catalog knew the column.
                let put = |fields: &mut Vec<StructField>| {
                    fields.retain(|present| !is_named(present, &column.stored_name));
                    fields.push(field);
                };
                self.change_schema(writing, put).await?;
                if column.default.is_some() { self.fill_default(table, column).await } else { Ok(()) }
            }
            ColumnChange::Drop(stored_name) => self.change_field(table, stored_name, mark_dropped).await,
            ColumnChange::Rename(column) => {
                self.change_field(table, &column.stored_name, |field| mark_renamed(field, &column.name)).await
            }
            ColumnChange::Redefine(column) if column.nullable => {
                self.change_field(table, &column.stored_name, |field| field.nullable = true).await
            }
            ColumnChange::Redefine(column) => self.check_no_nulls(table, column).await,
        }
    }

    async fn change_field(
        &self,
        table: &TableHandle,
        stored_name: &str,
        change: impl Fn(&mut StructField),
    ) -> Result<()> {
        let writing = self.start_writing(table, None).await?;
        let on_field =
            |fields: &mut Vec<_>| fields.iter_mut().filter(|field| is_named(field, stored_name)).for_each(&change);
        self.change_schema(writing, on_field).await
    }

    async fn change_schema(&self, writing: Writing, change: impl FnOnce(&mut Vec<StructField>)) -> Result<()> {
        let before = writing.base.fields();
        let mut fields = before.to_vec();
        change(&mut fields);
        if fields == before {
            return Ok(());
        }
        let schema = StructType::try_new(fields).map_err(|error| from_delta(error.into()))?;
        let metadata = writing.base.metadata().clone().with_schema(&schema);
        let metadata = metadata.map_err(|error| from_delta(error.into()))?;
        self.finish_writing(writing, Changes { metadata: Some(metadata), ..Changes::default() }).await
    }

    /// Gives the rows that are there the default of a new column.
    async fn fill_default(&self, table: &TableHandle, column: &Column) -> Result<()> {
        let writing = self.start_writing(table, None).await?;
        let Some(default) = column.default.as_deref().filter(|_| !writing.files.is_empty()) else { return Ok(()) };
        let session = self.sessions.open_internal()?;
        let relation = quoted(&table.row.name);
        // Old files lack the column: it reads as NULL, whatever it is to be.
        let old = nullable(table);
        register(&session, &table.row.name, table_provider(&old, Arc::clone(&writing.files), true)?)?;
        let value = |own: &Column| {
            if own.name == column.name { format!("({default})") } else { format!("{relation}.{}", quoted(&own.name)) }
        };
        let values: Vec<String> = table.row.columns.iter().map(value).collect();
        let list = image_list(&old.row, &relation, &values);
        let statement = parse_query(&format!("SELECT {list} FROM {}", QualifiedName::bare(&table.row.name)))?;
        let plan = session.plan(|state| async move { state.statement_to_plan(statement).await }).await?;
        let mut batches = run(&session, &plan).await?;
        let mut rewrite = Rewrite::new(&writing, &old.row, true, session.zone)?;
        while let Some(batch) = batches.next().await {
            rewrite.change(&batch.map_err(from_datafusion)?).await?;
        }
        let changes = rewrite.finish(&self.sessions).await?.changes;
        self.finish_writing(writing, changes).await
    }

    async fn check_no_nulls(&self, table: &TableHandle, column: &Column) -> Result<()> {
        let writing = self.start_writing(table, None).await?;
        let session = self.sessions.open_internal()?;
        register(&session, "checked", table_provider(&nullable(table), Arc::clone(&writing.files), false)?)?;
        let name = quoted(&column.name);
        let sql = format!("SELECT {name} FROM checked WHERE {name} IS NULL LIMIT 1");
        match first_row(&session, &sql).await? {
            Some(_) => Err(null_values(&column.name)),
            None => Ok(()),
        }
    }
}

/// The table with no column promised to be NOT NULL, for reading rows that may break the promise.
fn nullable(table: &TableHandle) -> TableHandle {
    let columns = table.row.columns.iter().map(|column| Column { nullable: true, ..column.clone() }).collect();
    let row = lakeport_catalog::model::Table { columns, ..table.row.as_ref().clone() };
    TableHandle { row: Arc::new(row), store: Arc::clone(&table.store) }
}

fn is_named(field: &StructField, stored_name: &str) -> bool {
    field.name() == stored_name
}

fn null_values(column: &str) -> Error {
    Error::new(Sqlstate::NOT_NULL_VIOLATION, format!("column {column:?} contains null values"))
        .with_hint("give the column a default, or UPDATE the rows first")
}
