//! Parquet files on their way into a table. They are deleted again unless a commit names them.

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use deltalake::datafile::writer::{PartitionWriter, PartitionWriterConfig};
use deltalake::kernel::Add;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lakeport_base::Point;
use lakeport_base::limits::NUMBER_DICTIONARY_BYTES_MAX;
use lakeport_catalog::model;
use lakeport_core::rows::{arrow_type, sql_type};
use lakeport_core::{Error, Result};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::entry::Changes;
use crate::clock::Clock;
use crate::error::{from_arrow, from_delta, is_conflict};
use crate::sql::quoted;
use crate::zoned::is_text;

/// Files are closed at about this size.
const FILE_BYTES: u64 = 128 << 20;
/// A row group is closed at this size, which bounds what a writer holds in memory.
const ROW_GROUP_BYTES: usize = 32 << 20;
const ROW_GROUP_ROWS: usize = 1 << 20;
/// A look at one row reads a page of each column.
const PAGE_ROWS: usize = 8 << 10;
/// Folder of change data files, as Delta's protocol names it.
const CHANGE_FOLDER: &str = "_change_data";

/// The files that one write has put into the table's folder.
pub(crate) struct Staging {
    store: Arc<Recording>,
}

/// The stagings of one table's writes.
#[derive(Default)]
pub(crate) struct Stagings(Mutex<Vec<Weak<Recording>>>);

impl Stagings {
    /// A new staging.
    pub fn open(&self, store: &Arc<dyn ObjectStore>, clock: &Arc<Clock>) -> Staging {
        let (inner, clock) = (Arc::clone(store), Arc::clone(clock));
        let store = Arc::new(Recording { inner, clock, written: Mutex::default() });
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|staging| staging.strong_count() > 0);
        open.push(Arc::downgrade(&store));
        Staging { store }
    }

    /// The files that are staged now.
    pub fn files(&self) -> HashSet<Path> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(Weak::upgrade).flat_map(|staging| staging.written().clone()).collect()
    }
}

impl Staging {
    /// A writer of data files.
    pub fn data_writer(&self, table: &model::Table) -> Result<FileWriter> {
        let properties = properties(&file_schema(table), key_column(table));
        FileWriter::new(Arc::clone(&self.store), file_schema(table), properties, Path::default())
    }

    /// A writer of change data files: the table's columns and `_change_type`.
    pub fn change_writer(&self, table: &model::Table) -> Result<FileWriter> {
        let mut fields: Vec<Field> = file_schema(table).fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.iter_mut().for_each(|field| field.set_nullable(true));
        fields.push(Field::new("_change_type", DataType::Utf8, false));
        let schema = Arc::new(Schema::new(fields));
        let properties = properties(&schema, None);
        FileWriter::new(Arc::clone(&self.store), schema, properties, Path::from(CHANGE_FOLDER))
    }

    /// Keeps the files that a commit named and deletes the rest, which later statements of a block replaced. After a
    /// conflict the files wait for the next attempt; after any other failure the commit may have been made, so they
    /// stay for good.
    pub async fn settle<T>(&self, committed: &Result<T>, changes: &Changes) {
        match committed {
            Ok(_) => {
                let named = changes.paths();
                self.store.written().retain(|path| !named.contains(path.as_ref()));
                self.discard().await;
            }
            Err(error) if is_conflict(error) => {}
            Err(_) => self.store.written().clear(),
        }
    }

    /// Keeps the files for good: somebody else knows of them.
    pub fn keep(&self) {
        self.store.written().clear();
    }

    /// Takes over the files of another staging.
    pub fn absorb(&self, other: &Staging) {
        let paths = std::mem::take(&mut *other.store.written());
        self.store.written().extend(paths);
    }

    /// Deletes the files.
    pub async fn discard(&self) {
        let paths = std::mem::take(&mut *self.store.written());
        delete_all(Arc::clone(&self.store.inner), paths).await;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let paths = std::mem::take(&mut *self.store.written());
        if !paths.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(delete_all(Arc::clone(&self.store.inner), paths));
        }
    }
}

/// Deletes files of an abandoned write. What remains after a failure is unreferenced and goes with the next vacuum.
pub(crate) async fn delete_all(store: Arc<dyn ObjectStore>, paths: Vec<Path>) {
    let mut deleted = store.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
    while let Some(outcome) = deleted.next().await {
        if let Err(error) = outcome
            && !matches!(error, object_store::Error::NotFound { .. })
        {
            tracing::warn!(%error, "cannot delete a file of an abandoned write");
        }
    }
}

/// Writes batches to as many Parquet files as they need.
pub(crate) struct FileWriter {
    schema: SchemaRef,
    store: Arc<Recording>,
    /// `None` once closed.
    writer: Option<PartitionWriter>,
}

impl FileWriter {
    fn new(store: Arc<Recording>, schema: SchemaRef, properties: WriterProperties, folder: Path) -> Result<FileWriter> {
        let size = NonZeroU64::new(FILE_BYTES);
        let values = Default::default();
        let config = PartitionWriterConfig::try_new(
            Arc::clone(&schema),
            values,
            Some(properties),
            size,
            None,
            None,
            Some(folder),
        )
        .map_err(from_delta)?;
        let measured = schema.fields().iter().filter(|field| has_statistics(field.data_type()));
        let columns = Some(measured.map(|field| quoted(field.name())).take(STATISTICS_COLUMNS).collect());
        let writer =
            PartitionWriter::try_with_config(store.clone(), config, Default::default(), columns).map_err(from_delta)?;
        Ok(FileWriter { schema, store, writer: Some(writer) })
    }

    /// Adds rows; the columns are the schema's, in order.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Err(Error::internal("the writer is closed")) };
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()).map_err(from_arrow));
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<_>>()?).map_err(from_arrow)?;
        writer.write(&batch).await.map_err(from_delta)?;
        // Encoding keeps a thread busy for long; whoever cancels the statement, or shares the thread, comes between.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Finishes the files; paths are within the table's folder.
    pub async fn close(mut self) -> Result<Vec<Add>> {
        let Some(writer) = self.writer.take() else { return Ok(Vec::new()) };
        let adds = writer.close().await.map_err(from_delta)?;
        self.store.clock.fault(Point::FileStaged)?;
        Ok(adds)
    }
}

/// How files are written; `key` is a column whose values differ.
fn properties(schema: &Schema, key: Option<&str>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_data_page_row_count_limit(PAGE_ROWS);
    let is_short = |field: &&Arc<Field>| !is_text(field.data_type()) || Some(field.name().as_str()) == key;
    for field in schema.fields().iter().filter(is_short) {
        let column = ColumnPath::new(vec![field.name().clone()]);
        properties = properties.set_column_dictionary_page_size_limit(column, NUMBER_DICTIONARY_BYTES_MAX);
    }
    properties.build()
}

/// The stored name of the one column of the primary key.
fn key_column(table: &model::Table) -> Option<&str> {
    let [key] = table.primary_key.as_slice() else { return None };
    table.columns.iter().find(|column| column.name == *key).map(|column| column.stored_name.as_str())
}

/// Delta keeps no bounds of binary and nested columns.
fn has_statistics(ty: &DataType) -> bool {
    !matches!(ty, DataType::Binary | DataType::List(_))
}

/// Columns with minimum and maximum in the log; Delta's default number.
const STATISTICS_COLUMNS: usize = 32;

impl Drop for FileWriter {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = writer.abort().await {
                    tracing::warn!(%error, "cannot abort an upload");
                }
            });
        }
    }
}

/// The table's columns as Parquet files hold them: plain Arrow types, list elements named as Delta names them.
fn file_schema(table: &model::Table) -> SchemaRef {
    let field =
        |column: &model::Column| Field::new(&column.stored_name, file_type(arrow_type(&column.ty)), column.nullable);
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}

fn file_type(data_type: DataType) -> DataType {
    match data_type {
        DataType::List(element) => {
            DataType::List(Arc::new(Field::new("element", arrow_type(&sql_type(&element)), true)))
        }
        other => other,
    }
}

/// A store that remembers what was put into it.
struct Recording {
    inner: Arc<dyn ObjectStore>,
    clock: Arc<Clock>,
    written: Mutex<Vec<Path>>,
}

impl Recording {
    fn written(&self) -> std::sync::MutexGuard<'_, Vec<Path>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file is about to be made.
    fn begin(&self, path: &Path) -> object_store::Result<()> {
        let failed = |source| object_store::Error::Generic { store: "table", source: Box::new(source) };
        self.clock.fault(Point::FileStage).map_err(failed)?;
        self.written().push(path.clone());
        Ok(())
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Recording {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.begin(path)?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.begin(path)?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
