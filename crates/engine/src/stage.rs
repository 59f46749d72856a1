//! Rows of one statement as staged files: what is removed, what is added, and the change data that says so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::filter::filter_record_batch;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use deltalake::kernel::{Add, AddCDCFile};
use futures::StreamExt;
use lakeport_catalog::model::Table;
use lakeport_core::{Error, Result};

use crate::DataFusionEngine;
use crate::delta::files::DataFile;
use crate::delta::log::Changes;
use crate::delta::staging::{FileWriter, Staging};
use crate::error::{from_arrow, from_datafusion};
use crate::query::run;
use crate::relations::table_provider;
use crate::writing::Writing;

/// What a statement does to rows. Batches have the table's columns.
#[derive(Default)]
pub(crate) struct Images {
    /// Rows that go, by the index of their file in [`Writing::files`] and their number in it.
    pub positions: BTreeMap<usize, HashSet<i64>>,
    /// The rows at `positions`.
    pub before: Vec<RecordBatch>,
    /// The rows that come in their place; empty for a DELETE.
    pub after: Vec<RecordBatch>,
    /// Rows that come besides.
    pub inserted: Vec<RecordBatch>,
}

impl DataFusionEngine {
    /// Stages the files that hold these rows and the changes that a commit will make.
    pub(crate) async fn stage(&self, writing: &Writing, images: &Images) -> Result<Changes> {
        let mut writer = writing.staging.data_writer(&writing.table.row)?;
        let mut removes = Vec::new();
        for (index, rows) in &images.positions {
            let file = writing.files.get(*index).ok_or_else(|| Error::internal("a row of an unknown file"))?;
            if file.rows != Some(rows.len()) {
                self.copy_rest(writing, file, rows, &mut writer).await?;
            }
            removes.push(file.remove(writing.now_ms(), true));
        }
        for batch in images.after.iter().chain(&images.inserted) {
            writer.write(batch).await?;
        }
        let adds = writer.close().await?;
        let change_files = stage_changes(writing, images).await?;
        Ok(Changes { adds, removes, change_files, ..Changes::default() })
    }

    /// Writes the rows of a file other than `gone`.
    async fn copy_rest(
        &self,
        writing: &Writing,
        file: &DataFile,
        gone: &HashSet<i64>,
        writer: &mut FileWriter,
    ) -> Result<()> {
        let session = self.sessions.open_internal()?;
        let provider = table_provider(&writing.table, vec![file.clone()].into(), true)?;
        let plan = LogicalPlanBuilder::scan("file", provider_as_source(provider), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        let mut batches = run(&session, &plan).await?;
        let columns: Vec<usize> = (0..writing.table.row.columns.len()).collect();
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(from_datafusion)?;
            let numbers = batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>();
            let kept: BooleanArray = numbers.values().iter().map(|number| Some(!gone.contains(number))).collect();
            let rows = batch.project(&columns).map_err(from_arrow)?;
            writer.write(&filter_record_batch(&rows, &kept).map_err(from_arrow)?).await?;
        }
        Ok(())
    }
}

/// The change data of a statement that removes rows, or that is part of a block. Rows only added need none: readers take
/// the added files themselves.
async fn stage_changes(writing: &Writing, images: &Images) -> Result<Vec<AddCDCFile>> {
    if images.positions.is_empty() && writing.transaction.is_none() {
        return Ok(Vec::new());
    }
    let updates = !images.after.is_empty();
    let mut changes = ChangeWriter::new(&writing.staging, &writing.table.row)?;
    changes.write(&images.before, if updates { "update_preimage" } else { "delete" }).await?;
    changes.write(&images.after, "update_postimage").await?;
    changes.write(&images.inserted, "insert").await?;
    changes.close().await
}

/// Writes rows with their `_change_type`, as Delta's protocol names the kinds.
pub(crate) struct ChangeWriter(FileWriter);

impl ChangeWriter {
    pub fn new(staging: &Staging, table: &Table) -> Result<ChangeWriter> {
        Ok(ChangeWriter(staging.change_writer(table)?))
    }

    pub async fn write(&mut self, batches: &[RecordBatch], kind: &str) -> Result<()> {
        for batch in batches {
            let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
            fields.push(Arc::new(Field::new("_change_type", DataType::Utf8, false)));
            let kinds: ArrayRef = Arc::new(StringArray::from(vec![kind; batch.num_rows()]));
            let columns = batch.columns().iter().cloned().chain([kinds]).collect();
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(from_arrow)?;
            self.0.write(&batch).await?;
        }
        Ok(())
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
