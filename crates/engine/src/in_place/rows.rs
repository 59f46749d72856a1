//! Files of rows, read from their beginning to their end: text by columns, documents, and ORC.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lakeport_core::in_place::FileSet;
use lakeport_core::stage::format::FormatType;

use super::columns::{filename_field, row_number_field};
use super::orc;

/// Batches under way between a file and the query: one is being made, one waits, and one is computed with.
const BATCHES_UNDER_WAY: usize = 3;

/// The files of a location with the columns that a query sees of them.
#[derive(Debug)]
pub(super) struct RowFiles {
    content: Content,
    /// The columns of the content, then those of metadata.
    schema: SchemaRef,
}

/// What files hold.
#[derive(Clone)]
enum Content {
    /// Columns by position, which core reads.
    Positions(Arc<FileSet>),
    /// Columns of ORC files by name.
    Orc(Arc<FileSet>, SchemaRef),
    /// Rows of ORC files, each as one JSON value.
    OrcDocuments(Arc<FileSet>),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?})", self.files())
    }
}

impl RowFiles {
    /// # Errors
    /// For ORC, what keeps the files from being read, and 1065 for files of other columns than the first.
    pub async fn open(files: &Arc<FileSet>, with_metadata: bool) -> lakeport_core::Result<RowFiles> {
        let content = match (files.format.ty, files.positions.is_empty()) {
            (FormatType::Orc, true) => Content::Orc(Arc::clone(files), orc::schema(files).await?),
            (FormatType::Orc, false) => Content::OrcDocuments(Arc::clone(files)),
            _ => Content::Positions(Arc::clone(files)),
        };
        let mut fields = content.schema().fields().to_vec();
        if with_metadata {
            fields.extend([filename_field(), Arc::new(row_number_field())]);
        }
        Ok(RowFiles { content, schema: Arc::new(Schema::new(fields)) })
    }
}

impl Content {
    fn files(&self) -> &Arc<FileSet> {
        match self {
            Content::Positions(files) | Content::Orc(files, _) | Content::OrcDocuments(files) => files,
        }
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Content::Positions(files) | Content::OrcDocuments(files) => files.position_schema(),
            Content::Orc(_, schema) => Arc::clone(schema),
        }
    }

    /// The columns of these indexes of a file.
    fn rows(&self, file: usize, columns: &[usize]) -> BoxStream<'static, lakeport_core::Result<RecordBatch>> {
        match self {
            Content::Positions(files) => files.rows(file, columns),
            Content::Orc(files, schema) => orc::rows(files, file, schema, columns),
            Content::OrcDocuments(files) => orc::documents(files, file, columns),
        }
    }
}

#[async_trait]
impl TableProvider for RowFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&wanted)?);
        let partitions = dealt(self.content.files(), state.config().target_partitions()).into_iter().map(|files| {
            let (content, wanted, schema) = (self.content.clone(), wanted.clone(), Arc::clone(&schema));
            Arc::new(Partition { content, files, wanted, schema }) as Arc<dyn PartitionStream>
        });
        Ok(Arc::new(StreamingTableExec::try_new(schema.clone(), partitions.collect(), None, [], false, limit)?))
    }
}

/// The indexes of the files, dealt out to so many readers by size.
fn dealt(files: &FileSet, readers: usize) -> Vec<Vec<usize>> {
    let mut hands = vec![(0_u64, Vec::new()); readers.clamp(1, files.files.len().max(1))];
    for (index, file) in files.files.iter().enumerate() {
        let least = hands.iter_mut().min_by_key(|(bytes, _)| *bytes).expect("there is one reader at least");
        least.0 += file.meta.size;
        least.1.push(index);
    }
    hands.into_iter().map(|(_, indexes)| indexes).collect()
}

/// What one reader reads.
#[derive(Debug)]
struct Partition {
    content: Content,
    files: Vec<usize>,
    /// Indexes among the columns of the content and those of metadata.
    wanted: Vec<usize>,
    schema: SchemaRef,
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let content = self.content.clone();
        let width = content.schema().fields().len();
        let (wanted, schema) = (self.wanted.clone(), Arc::clone(&self.schema));
        let columns: Vec<usize> = wanted.iter().copied().filter(|index| *index < width).collect();
        let held = Arc::new(MemoryConsumer::new("rows of files").register(task.memory_pool()));
        let batches = stream::iter(self.files.clone()).flat_map(move |file| {
            let held = Arc::clone(&held);
            let name: Arc<str> = content.files().files[file].name.as_str().into();
            let shape = Shape { wanted: wanted.clone(), width, schema: Arc::clone(&schema), name };
            let mut row = 0;
            content.rows(file, &columns).map(move |batch| {
                let batch = batch.map_err(|error| DataFusionError::External(Box::new(error)))?;
                count(&held, &batch)?;
                row += batch.num_rows() as i64;
                shape.of(&batch, row - batch.num_rows() as i64)
            })
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// Counts a batch, and those behind it as being like it, until the next one comes.
///
/// # Errors
/// 53200 when the engine's memory is used up.
fn count(held: &MemoryReservation, batch: &RecordBatch) -> Result<()> {
    held.try_resize(BATCHES_UNDER_WAY * batch.get_array_memory_size())
}

/// How batches of a file become those of the scan.
struct Shape {
    wanted: Vec<usize>,
    /// Columns of the content.
    width: usize,
    schema: SchemaRef,
    name: Arc<str>,
}

impl Shape {
    /// A batch of the wanted columns; `first` is the number of its first row in the file.
    fn of(&self, batch: &RecordBatch, first: i64) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut content = batch.columns().iter();
        let columns = self.wanted.iter().map(|index| match index.checked_sub(self.width) {
            None => content.next().cloned().ok_or_else(|| DataFusionError::Internal("a column is missing".into())),
            Some(0) => Ok(Arc::new(StringArray::from_iter_values((0..rows).map(|_| &*self.name))) as ArrayRef),
            Some(_) => Ok(Arc::new(Int64Array::from_iter_values(first..first + rows as i64)) as ArrayRef),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
