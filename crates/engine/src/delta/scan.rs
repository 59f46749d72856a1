//! A table version as a DataFusion table: a plain Parquet scan over its files.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, ident};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_base::id::TableId;
use lakeport_catalog::model;
use lakeport_core::rows::arrow_field;
use object_store::ObjectStore;
use parquet::arrow::RowNumber;
use parquet::file::metadata::ParquetMetaData;

use super::files::DataFile;
use super::floats::ReadersWithoutFloatBounds;
use super::pattern::{self, Encoded, with_dictionaries};
use super::prune::files_that_match;

/// Hidden column: the index of the row's file in the scan's list.
pub(crate) const FILE_COLUMN: &str = "__lakeport_file";
/// Hidden column: the row's number within its file.
pub(crate) const ROW_COLUMN: &str = "__lakeport_row";
/// Files whose footers a plan looks at before it chooses how to match a pattern; for more it does without.
const FOOTERS_MAX: usize = 256;
const FOOTERS_AT_ONCE: usize = 8;

/// The files of a table with the columns that are read, under their stored names.
#[derive(Debug)]
pub(crate) struct FileScan {
    table: TableId,
    url: ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
    files: Arc<[DataFile]>,
    table_schema: TableSchema,
}

impl FileScan {
    /// A scan of the columns of `table`; `with_position` adds [`FILE_COLUMN`] and [`ROW_COLUMN`].
    pub fn new(
        table: &model::Table,
        store: Arc<dyn ObjectStore>,
        files: Arc<[DataFile]>,
        with_position: bool,
    ) -> FileScan {
        let table_schema = scanned(stored_schema(table), with_position);
        FileScan { table: table.id, url: store_url(table.id), store, files, table_schema }
    }

    /// The same scan with texts as views, of which operators copy but 16 bytes each.
    pub fn with_views(self) -> FileScan {
        let viewed = |field: &Arc<Field>| match field.data_type() {
            DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
            _ => Arc::clone(field),
        };
        let schema = Schema::new(self.table_schema.file_schema().fields().iter().map(viewed).collect::<Vec<_>>());
        let table_schema = scanned(Arc::new(schema), self.with_position());
        FileScan { table_schema, ..self }
    }

    /// The table whose files it reads.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// The same scan of no files.
    pub fn over_no_files(&self) -> Arc<FileScan> {
        let (store, table_schema) = (Arc::clone(&self.store), self.table_schema.clone());
        Arc::new(FileScan { table: self.table, url: self.url.clone(), store, files: Arc::default(), table_schema })
    }

    fn with_position(&self) -> bool {
        !self.table_schema.table_partition_cols().is_empty()
    }

    /// The files of the given indexes.
    fn file_group(&self, indexes: &[usize], schema: &SchemaRef, encoded: &Encoded) -> FileGroup {
        let partitioned = |index: &usize| {
            let file = &self.files[*index];
            let mut part = PartitionedFile::new(file.path.as_ref(), file.bytes);
            part.arrow_schema = encoded.file_schemas.get(*index).map(Arc::clone);
            let values = if self.with_position() { vec![ScalarValue::Int32(Some(*index as i32))] } else { Vec::new() };
            part.with_partition_values(values).with_statistics(file.statistics(schema))
        };
        FileGroup::new(indexes.iter().map(partitioned).collect())
    }

    /// Plans a scan that may read `encoded` columns as dictionaries. The filters only spare it reading.
    fn scan_files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        encoded: &Encoded,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table_schema =
            scanned(with_dictionaries(self.table_schema.file_schema(), &encoded.columns), self.with_position());
        let file_schema = Arc::clone(table_schema.file_schema());
        state.runtime_env().register_object_store(self.url.as_ref(), Arc::clone(&self.store));
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let readers = ReadersWithoutFloatBounds::new(Arc::clone(&self.store), cache);
        let mut source = ParquetSource::new(table_schema.clone())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(readers));
        let schema = DFSchema::try_from(file_schema.as_ref().clone())?;
        let on_files =
            filters.iter().filter(|filter| filter.column_refs().iter().all(|column| schema.has_column(column)));
        let mut indexes = (0..self.files.len()).collect();
        if let Some(filter) = conjunction(on_files.cloned()) {
            let predicate = state.create_physical_expr(filter, &schema)?;
            let known = self.files.iter().map(|file| file.statistics(&file_schema)).collect();
            indexes = files_that_match(known, &file_schema, Arc::clone(&predicate))?;
            source = source.with_predicate(predicate);
        }
        let group = self.file_group(&indexes, &file_schema, encoded);
        let statistics = statistics(table_schema.table_schema(), &group)?;
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_statistics(statistics)
            .with_file_group(group)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn is_pattern(&self, filter: &Expr) -> bool {
        pattern::string_column(self.table_schema.file_schema(), filter).is_some()
    }

    async fn footer(&self, file: DataFile, cache: Arc<FileMetadataCache>) -> Result<Arc<ParquetMetaData>> {
        let part = PartitionedFile::new(file.path.as_ref(), file.bytes);
        let footer = DFParquetMetadata::new(self.store.as_ref(), &part.object_meta);
        footer.with_file_metadata_cache(Some(cache)).fetch_metadata().await
    }

    /// How the columns that patterns are on can be read.
    async fn encoded(&self, state: &dyn Session, patterns: &[Expr]) -> Result<Encoded> {
        if patterns.is_empty() || self.files.len() > FOOTERS_MAX {
            return Ok(Encoded::default());
        }
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let footers = stream::iter(self.files.iter().cloned()).map(|file| self.footer(file, Arc::clone(&cache)));
        let footers: Vec<_> = footers.buffered(FOOTERS_AT_ONCE).try_collect().await?;
        Encoded::of(self.table_schema.file_schema(), patterns, &footers)
    }
}

/// The columns of files, and the hidden ones where rows are to be found again.
fn scanned(file_schema: SchemaRef, with_position: bool) -> TableSchema {
    let mut builder = TableSchema::builder(file_schema);
    if with_position {
        builder = builder
            .with_table_partition_cols(vec![Arc::new(Field::new(FILE_COLUMN, DataType::Int32, false))])
            .with_virtual_columns(vec![Arc::new(
                Field::new(ROW_COLUMN, DataType::Int64, false).with_extension_type(RowNumber),
            )]);
    }
    builder.build()
}

/// The statistics of all files together, for the planner.
fn statistics(schema: &SchemaRef, group: &FileGroup) -> Result<Statistics> {
    let parts = group.files().iter().filter_map(|file| file.statistics.as_deref()).map(|statistics| {
        let mut statistics = statistics.clone();
        statistics.column_statistics.resize(schema.fields().len(), Default::default());
        statistics
    });
    let parts: Vec<Statistics> = parts.collect();
    if parts.is_empty() {
        return Ok(Statistics::new_unknown(schema).with_num_rows(datafusion::common::stats::Precision::Exact(0)));
    }
    Statistics::try_merge_iter(&parts, schema)
}

#[async_trait]
impl TableProvider for FileScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        use TableProviderFilterPushDown::{Exact, Inexact};
        Ok(filters.iter().map(|filter| if self.is_pattern(filter) { Exact } else { Inexact }).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (patterns, others): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(|filter| self.is_pattern(filter));
        let encoded = self.encoded(state, &patterns).await?;
        if patterns.is_empty() {
            let limit = limit.filter(|_| filters.is_empty());
            return self.scan_files(state, projection, &others, limit, &encoded);
        }
        let scan = |read: &Vec<usize>| self.scan_files(state, Some(read), &others, None, &encoded);
        pattern::matching(state, &self.schema(), projection, &patterns, &encoded, scan)
    }
}

/// The columns of a table as its files name them.
pub(crate) fn stored_schema(table: &model::Table) -> SchemaRef {
    let field = |column: &model::Column| arrow_field(&column.stored_name, &column.ty, column.nullable);
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}

/// The columns of a table under their present names.
pub(crate) fn table_schema(table: &model::Table) -> SchemaRef {
    let field = |column: &model::Column| arrow_field(&column.name, &column.ty, column.nullable);
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}

/// A scan under the table's present column names.
pub(crate) fn provider(table: &model::Table, scan: FileScan) -> Result<Arc<dyn TableProvider>> {
    if table.columns.iter().all(|column| column.name == column.stored_name) {
        return Ok(Arc::new(scan));
    }
    let hidden =
        scan.schema().fields().iter().skip(table.columns.len()).map(|field| ident(field.name())).collect::<Vec<_>>();
    let renamed = table.columns.iter().map(|column| ident(&column.stored_name).alias(&column.name));
    let expressions: Vec<Expr> = renamed.chain(hidden).collect();
    let plan = LogicalPlanBuilder::scan(&table.name, provider_as_source(Arc::new(scan)), None)?
        .project(expressions)?
        .build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// An own root for each table's files, so that two tables never share a store.
fn store_url(table: TableId) -> ObjectStoreUrl {
    ObjectStoreUrl::parse(format!("lakeport://{table}/")).expect("a number is a valid host")
}
