//! What DDL does to a table's log and files.

use std::sync::Arc;

use arrow_array::Array;
use async_trait::async_trait;
use deltalake::kernel::{Metadata, MetadataExt, StructField, StructType};
use futures::StreamExt;
use lakeport_base::{QualifiedName, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{Alteration, TableHandle};
use lakeport_core::{Error, Result};
use object_store::ObjectStore;

use crate::DataFusionEngine;
use crate::change::image_list;
use crate::delta::entry::Changes;
use crate::delta::log::{Log, WriteLock};
use crate::delta::schema::{delta_field, mark_dropped, mark_renamed};
use crate::delta::snapshot::Snapshot;
use crate::error::{conflict, from_datafusion, from_delta, from_store, is_conflict};
use crate::key::{first_row, quoted, register};
use crate::query::run;
use crate::relations::table_provider;
use crate::sql::parse_query;
use crate::stage::Rewrite;
use crate::writing::{ATTEMPTS, Writing};

impl DataFusionEngine {
    /// Deletes every file of a dropped table.
    pub(crate) async fn delete_files(&self, table: &TableHandle) -> Result<()> {
        self.log(table).retire().await;
        let listed = table.store.list(None).map(|found| found.map(|file| file.location)).boxed();
        let mut deleted = table.store.delete_stream(listed);
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(from_store(error)),
            }
        }
        self.forget(table.row.id);
        Ok(())
    }

    /// Removes every row. Readers of the change feed take the removed files themselves.
    pub(crate) async fn remove_all_rows(&self, table: &TableHandle, cancel: &Cancel) -> Result<()> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let writing = self.start_writing(table, None, cancel).await?;
            let removes = writing.files.iter().map(|file| file.remove(writing.now_ms(), true)).collect();
            match self.finish_writing(writing, Changes { removes, ..Changes::default() }).await {
                Err(error) if is_conflict(&error) && attempts.next().is_some() => {}
                outcome => return outcome,
            }
        }
    }

    /// The fields of the table's Delta schema, which keeps those of dropped columns.
    pub(crate) async fn field_names(&self, table: &TableHandle) -> Result<Vec<String>> {
        let latest = self.log(table).latest(&table.store).await?;
        Ok(latest.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Stages what makes the table's columns others.
    pub(crate) async fn prepare_alteration(
        &self,
        table: &TableHandle,
        changed: &Arc<Table>,
        cancel: &Cancel,
    ) -> Result<Altering> {
        let mut writing = self.start_writing(table, None, cancel).await?;
        let difference = Difference::between(&table.row, changed);
        difference.require_new_names(writing.base.fields())?;
        let metadata = difference.metadata(&writing.base)?;
        // What is staged has the new columns.
        writing.table.row = Arc::clone(changed);
        let mut changes = Changes::default();
        if !writing.files.is_empty() {
            self.check_no_nulls(&writing, &difference).await?;
            changes = self.fill_defaults(&writing, &difference).await?;
        }
        changes.metadata = metadata;
        let log = self.log(table);
        Ok(Altering { log, changed: Arc::clone(changed), stage: Some(Stage::Prepared(Box::new(writing), changes)) })
    }

    /// # Errors
    /// 23502 for a column that shall be NOT NULL and has no value in some row.
    async fn check_no_nulls(&self, writing: &Writing, difference: &Difference<'_>) -> Result<()> {
        if let Some(column) = difference.added.iter().find(|column| !column.nullable && column.default.is_none()) {
            return Err(null_values(&column.name));
        }
        let table = nullable(&writing.table);
        for column in &difference.required {
            let session = self.sessions.open_internal()?;
            register(&session, "checked", table_provider(&table, Arc::clone(&writing.files), false)?)?;
            let name = quoted(&column.name);
            let sql = format!("SELECT {name} FROM checked WHERE {name} IS NULL LIMIT 1");
            if first_row(&session, &sql).await?.is_some() {
                return Err(null_values(&column.name));
            }
        }
        Ok(())
    }

    /// Gives the rows that are there the defaults of new columns.
    async fn fill_defaults(&self, writing: &Writing, difference: &Difference<'_>) -> Result<Changes> {
        let default_of =
            |own: &Column| difference.added.iter().find(|column| column.name == own.name)?.default.as_deref();
        if !writing.table.row.columns.iter().any(|column| default_of(column).is_some()) {
            return Ok(Changes::default());
        }
        let session = self.sessions.open_internal()?;
        let row = &writing.table.row;
        let relation = quoted(&row.name);
        // Old files lack the columns: they read as NULL, whatever they are to be.
        let old = nullable(&writing.table);
        register(&session, &row.name, table_provider(&old, Arc::clone(&writing.files), true)?)?;
        let value = |own: &Column| match default_of(own) {
            Some(default) => format!("({default})"),
            None => format!("{relation}.{}", quoted(&own.name)),
        };
        let values: Vec<String> = row.columns.iter().map(value).collect();
        let list = image_list(&old.row, &relation, &values);
        let statement = parse_query(&format!("SELECT {list} FROM {}", QualifiedName::bare(&row.name)))?;
        let plan = session.plan(|state| async move { state.statement_to_plan(statement).await }).await?;
        let mut batches = run(&session, &plan).await?;
        let mut rewrite = Rewrite::new(writing, &old.row, true, session.zone)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(from_datafusion)?;
            let new_values = batch.columns().iter().skip(batch.num_columns() - row.columns.len());
            let null = row
                .columns
                .iter()
                .zip(new_values)
                .find(|(own, values)| !own.nullable && values.logical_null_count() > 0);
            if let Some((column, _)) = null {
                return Err(null_values(&column.name));
            }
            rewrite.change(&batch).await?;
        }
        Ok(rewrite.finish(&self.sessions).await?.changes)
    }
}

/// What tells a table's columns from those that it had.
struct Difference<'a> {
    before: &'a Table,
    after: &'a Table,
    added: Vec<&'a Column>,
    /// Columns that were nullable and are no more.
    required: Vec<&'a Column>,
}

impl<'a> Difference<'a> {
    fn between(before: &'a Table, after: &'a Table) -> Difference<'a> {
        let added = after.columns.iter().filter(|column| find(before, &column.stored_name).is_none()).collect();
        let was_nullable = |column: &&Column| find(before, &column.stored_name).is_some_and(|was| was.nullable);
        let required = after.columns.iter().filter(|column| !column.nullable).filter(was_nullable).collect();
        Difference { before, after, added, required }
    }

    /// # Errors
    /// 40001 when another writer has used the name of a new column's data since it was chosen.
    fn require_new_names(&self, fields: &[StructField]) -> Result<()> {
        let is_taken = |column: &&Column| fields.iter().any(|field| field.name() == &column.stored_name);
        if self.added.iter().any(is_taken) { Err(conflict()) } else { Ok(()) }
    }

    /// The log's schema with the changed columns, if they change it. It keeps what it once had: the field of a dropped
    /// column stays, marked, and is not read.
    fn metadata(&self, base: &Snapshot) -> Result<Option<Metadata>> {
        let mut fields = base.fields().to_vec();
        for field in &mut fields {
            let (before, after) = (find(self.before, field.name()), find(self.after, field.name()));
            match (before, after) {
                (Some(before), Some(after)) => change_field(field, before, after),
                (Some(_), None) => mark_dropped(field),
                _ => {}
            }
        }
        for column in &self.added {
            // Old files lack it.
            fields.push(StructField { nullable: true, ..delta_field(column)? });
        }
        if fields == base.fields() {
            return Ok(None);
        }
        let schema = StructType::try_new(fields).map_err(|error| from_delta(error.into()))?;
        let metadata = base.metadata().clone().with_schema(&schema);
        Ok(Some(metadata.map_err(|error| from_delta(error.into()))?))
    }
}

fn change_field(field: &mut StructField, before: &Column, after: &Column) {
    if before.name != after.name {
        mark_renamed(field, &after.name);
    }
    if after.nullable {
        field.nullable = true;
    }
}

fn find<'a>(table: &'a Table, stored_name: &str) -> Option<&'a Column> {
    table.columns.iter().find(|column| column.stored_name == stored_name)
}

/// An ALTER TABLE between its check and its end.
pub(crate) struct Altering {
    log: Arc<Log>,
    changed: Arc<Table>,
    /// `None` only while and after a commit that fails.
    stage: Option<Stage>,
}

enum Stage {
    Prepared(Box<Writing>, Changes),
    Committed(#[expect(dead_code, reason = "held for its drop")] WriteLock),
}

#[async_trait]
impl Alteration for Altering {
    async fn commit(&mut self) -> Result<()> {
        let Some(Stage::Prepared(mut writing, changes)) = self.stage.take() else {
            return Err(Error::internal("an ALTER TABLE is committed once"));
        };
        let lock = if changes.is_empty() {
            writing.into_lock()
        } else {
            let staging = std::mem::replace(&mut writing.staging, self.log.staging(&writing.table.store));
            writing.commit(Arc::new(changes), Arc::new(staging)).await?
        };
        self.stage = Some(Stage::Committed(lock));
        Ok(())
    }

    fn published(self: Box<Self>) {
        self.log.set_altered(self.changed);
    }
}

/// The table with no column promised to be NOT NULL, for reading rows that may break the promise.
fn nullable(table: &TableHandle) -> TableHandle {
    let columns = table.row.columns.iter().map(|column| Column { nullable: true, ..column.clone() }).collect();
    let row = Table { columns, ..table.row.as_ref().clone() };
    TableHandle { row: Arc::new(row), store: Arc::clone(&table.store) }
}

fn null_values(column: &str) -> Error {
    Error::new(Sqlstate::NOT_NULL_VIOLATION, format!("column {column:?} contains null values"))
        .with_hint("give the column a default, or UPDATE the rows first")
}
