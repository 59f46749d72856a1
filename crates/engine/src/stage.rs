//! A statement that changes rows, as staged files: old rows go, new ones come, and change data says so. Nothing of it is
//! held in memory but where the old rows lie, and what RETURNING shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use arrow_select::filter::filter_record_batch;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use deltalake::kernel::{Add, AddCDCFile};
use futures::StreamExt;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Table;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};

use crate::coerce::{coerce, table_batch};
use crate::context::Sessions;
use crate::delta::entry::Changes;
use crate::delta::files::DataFile;
use crate::delta::staging::{FileWriter, Staging};
use crate::error::{from_arrow, from_datafusion};
use crate::held::HeldRows;
use crate::query::run;
use crate::relations::table_provider;
use crate::row_set::RowSet;
use crate::writing::Writing;

/// What a statement does to rows, staged as the rows are found. It takes the rows in batches of a query's columns, in
/// this order: where an old row lies (its file and number), the old values, the new ones, and what RETURNING shows beside.
pub(crate) struct Rewrite<'a> {
    writing: &'a Writing,
    /// The columns of the found rows.
    table: &'a Table,
    zone: Zone,
    /// An old row may be found once; else it counts once.
    once: bool,
    /// Rows that go, by the index of their file in [`Writing::files`].
    gone: BTreeMap<usize, RowSet>,
    data: FileWriter,
    /// Open once a row goes, and in a block.
    changes: Option<ChangeWriter>,
    /// The rows that RETURNING shows: new ones or, of a DELETE, the old.
    shown: Option<HeldRows>,
    rows: u64,
}

/// A staged statement.
pub(crate) struct Rewritten {
    pub changes: Changes,
    /// Rows that it counts.
    pub rows: u64,
    pub shown: Option<HeldRows>,
    /// The files that it leaves as they are.
    pub untouched: Vec<DataFile>,
}

impl<'a> Rewrite<'a> {
    pub fn new(writing: &'a Writing, table: &'a Table, zone: Zone) -> Result<Rewrite<'a>> {
        let data = writing.staging.data_writer(&writing.table.row)?;
        let gone = BTreeMap::new();
        let mut rewrite =
            Rewrite { writing, table, zone, once: false, gone, data, changes: None, shown: None, rows: 0 };
        if writing.transaction.is_some() {
            rewrite.changes()?;
        }
        Ok(rewrite)
    }

    /// Holds the rows that RETURNING shows.
    pub fn showing(self, shown: Option<HeldRows>) -> Rewrite<'a> {
        Rewrite { shown, ..self }
    }

    /// For a MERGE that changes rows: refuses to take a row twice, and has change data of added rows from the start,
    /// since others may go after them.
    pub fn of_pairs(mut self) -> Result<Rewrite<'a>> {
        self.once = true;
        self.changes()?;
        Ok(self)
    }

    /// Takes rows that get new values.
    pub async fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.found(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let width = self.table.columns.len();
        let (before, after) = (self.image(&batch, 2)?, self.image(&batch, 2 + width)?);
        let changes = self.changes()?;
        changes.write(&before, "update_preimage").await?;
        changes.write(&after, "update_postimage").await?;
        self.data.write(&after).await?;
        self.count(&after, &batch, 2 + 2 * width)
    }

    /// Takes rows that go; they have no new values.
    pub async fn delete(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.found(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let before = self.image(&batch, 2)?;
        self.changes()?.write(&before, "delete").await?;
        self.count(&before, &batch, 2 + self.table.columns.len())
    }

    /// Takes rows that come besides, which have new values only; unless this is [`Rewrite::of_pairs`], after all others.
    pub async fn insert(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.image(batch, 0)?;
        // Rows only added need no change data: readers take the added files themselves.
        if let Some(changes) = &mut self.changes {
            changes.write(&rows, "insert").await?;
        }
        self.data.write(&rows).await?;
        self.count(&rows, batch, self.table.columns.len())
    }

    /// The rows that were not found before.
    ///
    /// # Errors
    /// 21000 for one that was, where that may not be.
    fn found(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let files = batch.column(0).as_primitive::<Int32Type>().values();
        let rows = batch.column(1).as_primitive::<Int64Type>().values();
        let mut fresh = Vec::with_capacity(batch.num_rows());
        for (file, row) in files.iter().zip(rows) {
            let file = usize::try_from(*file).map_err(Error::internal)?;
            let row = usize::try_from(*row).map_err(Error::internal)?;
            let is_fresh = self.gone.entry(file).or_default().insert(row);
            if self.once && !is_fresh {
                return Err(twice());
            }
            fresh.push(is_fresh);
        }
        filter_record_batch(batch, &BooleanArray::from(fresh)).map_err(from_arrow)
    }

    fn image(&self, batch: &RecordBatch, start: usize) -> Result<RecordBatch> {
        let columns = self.table.columns.iter().enumerate();
        let columns = columns.map(|(index, column)| coerce(batch.column(start + index), &column.ty, self.zone));
        table_batch(self.table, columns.collect::<Result<_>>()?, batch.num_rows())
    }

    fn changes(&mut self) -> Result<&mut ChangeWriter> {
        match &mut self.changes {
            Some(changes) => Ok(changes),
            none => Ok(none.insert(ChangeWriter::new(&self.writing.staging, &self.writing.table.row)?)),
        }
    }

    /// Counts rows, and shows them with the columns of their batch from `beside` on.
    fn count(&mut self, rows: &RecordBatch, batch: &RecordBatch, beside: usize) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        let Some(shown) = &mut self.shown else { return Ok(()) };
        let fields: Fields = rows.schema().fields().iter().chain(&batch.schema().fields()[beside..]).cloned().collect();
        let columns = rows.columns().iter().chain(&batch.columns()[beside..]).cloned().collect();
        shown.push(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(from_arrow)?)
    }

    /// Writes what stays of the files that lose rows.
    pub async fn finish(mut self, sessions: &Sessions) -> Result<Rewritten> {
        let Writing { files, .. } = self.writing;
        let mut removes = Vec::new();
        for (index, rows) in &self.gone {
            let file = files.get(*index).ok_or_else(|| Error::internal("a row of an unknown file"))?;
            if file.rows != Some(rows.len()) {
                copy_rest(sessions, self.writing, file, rows, &mut self.data).await?;
            }
            removes.push(file.remove(self.writing.now_ms(), true));
        }
        let adds = self.data.close().await?;
        let change_files = match self.changes {
            Some(changes) if self.rows > 0 => changes.close().await?,
            _ => Vec::new(),
        };
        let untouched = files.iter().enumerate().filter(|(index, _)| !self.gone.contains_key(index));
        let untouched = untouched.map(|(_, file)| file.clone()).collect();
        let changes = Changes { adds, removes, change_files, ..Changes::default() };
        Ok(Rewritten { changes, rows: self.rows, shown: self.shown, untouched })
    }
}

/// 21000, as PostgreSQL words it.
fn twice() -> Error {
    Error::new(Sqlstate::CARDINALITY_VIOLATION, "MERGE command cannot affect row a second time")
        .with_hint("Ensure that not more than one source row matches any one target row.")
}

/// Writes the rows of a file other than `gone`.
async fn copy_rest(
    sessions: &Sessions,
    writing: &Writing,
    file: &DataFile,
    gone: &RowSet,
    writer: &mut FileWriter,
) -> Result<()> {
    let session = sessions.open_internal()?;
    let provider = table_provider(&writing.table, vec![file.clone()].into(), true)?;
    let plan = LogicalPlanBuilder::scan("file", provider_as_source(provider), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    let mut batches = run(&session, &plan).await?;
    let columns: Vec<usize> = (0..writing.table.row.columns.len()).collect();
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(from_datafusion)?;
        let numbers = batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>();
        let kept: BooleanArray = numbers.values().iter().map(|number| Some(!gone.contains(*number as usize))).collect();
        let rows = batch.project(&columns).map_err(from_arrow)?;
        writer.write(&filter_record_batch(&rows, &kept).map_err(from_arrow)?).await?;
    }
    Ok(())
}

/// Writes rows of a table to files of their own.
pub(crate) async fn write_rows(
    staging: &Staging,
    table: &Table,
    batches: impl Iterator<Item = &RecordBatch>,
) -> Result<Vec<Add>> {
    let mut writer = staging.data_writer(table)?;
    for batch in batches {
        writer.write(batch).await?;
    }
    writer.close().await
}

/// Writes rows with their `_change_type`, as Delta's protocol names the kinds.
pub(crate) struct ChangeWriter(FileWriter);

impl ChangeWriter {
    pub fn new(staging: &Staging, table: &Table) -> Result<ChangeWriter> {
        Ok(ChangeWriter(staging.change_writer(table)?))
    }

    pub async fn write(&mut self, batch: &RecordBatch, kind: &str) -> Result<()> {
        let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("_change_type", DataType::Utf8, false)));
        let kinds: ArrayRef = Arc::new(StringArray::from(vec![kind; batch.num_rows()]));
        let columns = batch.columns().iter().cloned().chain([kinds]).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(from_arrow)?;
        self.0.write(&batch).await
    }

    pub async fn close(self) -> Result<Vec<AddCDCFile>> {
        Ok(self.0.close().await?.into_iter().map(change_file).collect())
    }
}

fn change_file(add: Add) -> AddCDCFile {
    AddCDCFile {
        path: add.path,
        size: add.size,
        partition_values: add.partition_values,
        data_change: false,
        tags: add.tags,
    }
}
