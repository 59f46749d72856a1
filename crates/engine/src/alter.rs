//! ALTER TABLE: what it does to a table's files and to the schema in its log.
//!
//! The log is committed before the catalog, which alone says what columns the table has. When a server ends between the
//! two, the log is ahead; the next ALTER makes it say what the catalog says.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use async_trait::async_trait;
use deltalake::kernel::{Metadata, MetadataExt, StructField, StructType, Version};
use futures::StreamExt;
use lakeport_base::{Point, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{Alteration, RowsAlong, TableHandle};
use lakeport_core::{Error, Result};
use object_store::ObjectStore;

use crate::DataFusionEngine;
use crate::change::image_list;
use crate::delta::entry::Changes;
use crate::delta::log::{Log, WriteLock};
use crate::delta::schema::{by_stored_names, delta_field, is_ours, mark_dropped, mark_kept};
use crate::delta::snapshot::Snapshot;
use crate::error::{conflict, from_datafusion, from_delta};
use crate::query::{first_row, run};
use crate::relations::table_provider;
use crate::sql::{parse_query, quoted};
use crate::stage::Rewrite;
use crate::staged::staged_adds;
use crate::writing::Writing;

impl DataFusionEngine {
    /// The fields of the table's Delta schema, which keeps those of dropped columns.
    pub(crate) async fn field_names(&self, table: &TableHandle) -> Result<Vec<String>> {
        let latest = self.log(table).latest(&table.store).await?;
        Ok(latest.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// Stages what makes the table's columns others, and looks at whether rows may follow.
    pub(crate) async fn prepare_alteration(
        &self,
        table: &TableHandle,
        changed: &Arc<Table>,
        rows: Option<RowsAlong<'_>>,
    ) -> Result<Altering> {
        let rows = match rows {
            Some(RowsAlong { parts, marks }) => {
                Some((self.marked(table, staged_adds(table, parts).await?, marks).await?, marks))
            }
            None => None,
        };
        // Whoever commits decides until when the statement may be cancelled.
        let mut writing = self.start_writing(table, None, &Cancel::default()).await?;
        if let Some((rows, marks)) = &rows
            && !self.may_append(&writing, rows, marks).await?
        {
            return Err(conflict());
        }
        let difference = Difference::between(&table.row, changed);
        difference.require_new_names(writing.base.fields())?;
        let metadata = difference.metadata(&writing.base)?;
        writing.table.row = Arc::new(difference.stored());
        let mut changes = Changes::default();
        if !writing.files.is_empty() {
            self.check_no_nulls(&writing, &difference).await?;
            changes = self.fill_defaults(&writing, &difference).await?;
        }
        changes.metadata = metadata;
        let step = Some(Step::Prepared(Box::new((writing, changes))));
        let rows = rows.map(|(rows, _)| rows);
        Ok(Altering { log: self.log(table), store: Arc::clone(&table.store), changed: Arc::clone(changed), rows, step })
    }

    /// # Errors
    /// 23502 for a column that shall be NOT NULL and has no value in some row.
    async fn check_no_nulls(&self, writing: &Writing, difference: &Difference<'_>) -> Result<()> {
        if let Some(column) = difference.added.iter().find(|column| !column.nullable && column.default.is_none()) {
            return Err(null_values(&column.name));
        }
        for column in &difference.required {
            let session = self.sessions.open_internal()?;
            let files = Arc::clone(&writing.files);
            session.register_bare(RELATION, table_provider(&nullable(&writing.table), files, false)?);
            let name = quoted(&column.stored_name);
            let sql = format!("SELECT {name} FROM {RELATION} WHERE {name} IS NULL LIMIT 1");
            if first_row(&session, &sql).await?.is_some() {
                return Err(null_values(&column.name));
            }
        }
        Ok(())
    }

    /// Gives the rows that are there the defaults of new columns.
    async fn fill_defaults(&self, writing: &Writing, difference: &Difference<'_>) -> Result<Changes> {
        if difference.added.iter().all(|column| column.default.is_none()) {
            return Ok(Changes::default());
        }
        let session = self.sessions.open_internal()?;
        // Old files lack the columns: they read as NULL, whatever they are to be.
        let old = nullable(&writing.table);
        session.register_bare(RELATION, table_provider(&old, Arc::clone(&writing.files), true)?);
        let value = |own: &Column| match difference.default_of(own) {
            Some(default) => format!("({default})"),
            None => format!("{RELATION}.{}", quoted(&own.name)),
        };
        let values: Vec<String> = old.row.columns.iter().map(value).collect();
        let list = image_list(&old.row, RELATION, &values);
        let statement = parse_query(&format!("SELECT {list} FROM {RELATION}"))?;
        let plan = session.plan(|scope| async move { scope.statement_to_plan(statement) }).await?;
        let mut batches = run(&session, &plan).await?;
        let mut rewrite = Rewrite::new(writing, &old.row, session.zone)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(from_datafusion)?;
            difference.require_values(&writing.table.row, &batch)?;
            rewrite.update(&batch).await?;
        }
        Ok(rewrite.finish(&self.sessions).await?.changes)
    }
}

/// What a query calls the table.
const RELATION: &str = "altered";

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

    /// The table as its files hold it, under stored names: dropped columns stay in them, since the catalog has them until
    /// it knows of the ALTER.
    fn stored(&self) -> Table {
        let is_dropped = |column: &&Column| find(self.after, &column.stored_name).is_none();
        let dropped = self.before.columns.iter().filter(is_dropped);
        let dropped = dropped.map(|column| Column { nullable: true, ..column.clone() });
        let columns = self.after.columns.iter().cloned().chain(dropped).collect();
        by_stored_names(Table { columns, ..self.after.clone() })
    }

    /// The default of a column that is new, by its stored name.
    fn default_of(&self, own: &Column) -> Option<&str> {
        self.added.iter().find(|column| column.stored_name == own.stored_name)?.default.as_deref()
    }

    /// # Errors
    /// 40001 when another writer has used the name of a new column's data since it was chosen.
    fn require_new_names(&self, fields: &[StructField]) -> Result<()> {
        let is_taken = |column: &&Column| fields.iter().any(|field| field.name() == &column.stored_name);
        if self.added.iter().any(is_taken) { Err(conflict()) } else { Ok(()) }
    }

    /// # Errors
    /// 23502 when the last columns of a batch, which are those of `stored`, lack a value that must be there.
    fn require_values(&self, stored: &Table, batch: &RecordBatch) -> Result<()> {
        let values = batch.columns().iter().skip(batch.num_columns() - stored.columns.len());
        let mut pairs = stored.columns.iter().zip(values);
        let Some((null, _)) = pairs.find(|(own, values)| !own.nullable && values.logical_null_count() > 0) else {
            return Ok(());
        };
        Err(null_values(find(self.after, &null.stored_name).map_or(&null.name, |column| &column.name)))
    }

    /// The log's schema with the changed columns, if it has others. It keeps what it once had: the field of a dropped
    /// column stays, marked, and is not read. What another writer added stays as it is.
    fn metadata(&self, base: &Snapshot) -> Result<Option<Metadata>> {
        let mut fields = base.fields().to_vec();
        for field in &mut fields {
            match find(self.after, field.name()) {
                Some(column) => mark_kept(field, column),
                None if is_ours(field) => mark_dropped(field),
                None => {}
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

fn find<'a>(table: &'a Table, stored_name: &str) -> Option<&'a Column> {
    table.columns.iter().find(|column| column.stored_name == stored_name)
}

/// The table with no column promised to be NOT NULL, for reading rows that may break the promise.
fn nullable(table: &TableHandle) -> TableHandle {
    let columns = table.row.columns.iter().map(|column| Column { nullable: true, ..column.clone() }).collect();
    let row = Table { columns, ..table.row.as_ref().clone() };
    TableHandle { row: Arc::new(row), store: Arc::clone(&table.store) }
}

/// An ALTER TABLE between its check and its end.
pub(crate) struct Altering {
    log: Arc<Log>,
    store: Arc<dyn ObjectStore>,
    changed: Arc<Table>,
    /// What is committed once the catalog has the table as it is to be.
    rows: Option<Changes>,
    /// `None` while the log is committed, and after that has failed.
    step: Option<Step>,
}

enum Step {
    Prepared(Box<(Writing, Changes)>),
    /// The version of the table that the alteration has made.
    Committed(WriteLock, Version),
}

#[async_trait]
impl Alteration for Altering {
    async fn commit(&mut self) -> Result<()> {
        let Some(Step::Prepared(prepared)) = self.step.take() else {
            return Err(Error::internal("an ALTER TABLE is committed once"));
        };
        let (mut writing, changes) = *prepared;
        let version = writing.base.version() + u64::from(!changes.is_empty());
        let lock = if changes.is_empty() {
            writing.into_lock()
        } else {
            let staging = std::mem::replace(&mut writing.staging, self.log.staging(&writing.table.store));
            writing.commit(Arc::new(changes), Arc::new(staging)).await?
        };
        self.step = Some(Step::Committed(lock, version));
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let Altering { log, store, changed, rows, step } = *self;
        log.set_altered(changed);
        let (Some(rows), Some(Step::Committed(lock, version))) = (rows, step) else { return Ok(()) };
        log.fault(Point::CopyEvolved)?;
        let base = log.latest(&store).await?;
        // Another writer of the log may have taken a key.
        if base.version() != version {
            return Err(conflict());
        }
        let staging = Arc::new(log.staging(&store));
        log.commit_staged(store, base, Arc::new(rows), staging, lock).await.map(drop)
    }
}

fn null_values(column: &str) -> Error {
    Error::new(Sqlstate::NOT_NULL_VIOLATION, format!("column {column:?} contains null values"))
        .with_hint("give the column a default, or UPDATE the rows first")
}
