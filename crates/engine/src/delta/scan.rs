//! A table version as a DataFusion table: a plain Parquet scan over its files.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, ident};
use datafusion::physical_plan::ExecutionPlan;
use lakeport_base::id::TableId;
use lakeport_catalog::model;
use lakeport_core::rows::arrow_field;
use object_store::ObjectStore;
use parquet::arrow::RowNumber;

use super::files::DataFile;

/// Hidden column: the index of the row's file in the scan's list.
pub(crate) const FILE_COLUMN: &str = "__lakeport_file";
/// Hidden column: the row's number within its file.
pub(crate) const ROW_COLUMN: &str = "__lakeport_row";

/// The files of a table with the columns that are read, under their stored names.
#[derive(Debug)]
pub(crate) struct FileScan {
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
        let mut builder = TableSchema::builder(stored_schema(table));
        if with_position {
            builder = builder
                .with_table_partition_cols(vec![Arc::new(Field::new(FILE_COLUMN, DataType::Int32, false))])
                .with_virtual_columns(vec![Arc::new(
                    Field::new(ROW_COLUMN, DataType::Int64, false).with_extension_type(RowNumber),
                )]);
        }
        FileScan { url: store_url(table.id), store, files, table_schema: builder.build() }
    }

    fn file_group(&self) -> FileGroup {
        let schema = self.table_schema.file_schema();
        let with_position = !self.table_schema.table_partition_cols().is_empty();
        let partitioned = |(index, file): (usize, &DataFile)| {
            let part = PartitionedFile::new(file.path.as_ref(), file.bytes);
            let values = if with_position { vec![ScalarValue::Int32(Some(index as i32))] } else { Vec::new() };
            part.with_partition_values(values).with_statistics(Arc::new(file.statistics(schema)))
        };
        FileGroup::new(self.files.iter().enumerate().map(partitioned).collect())
    }

    /// The statistics of all files together, for the planner.
    fn statistics(&self, group: &FileGroup) -> Result<Statistics> {
        let schema = self.table_schema.table_schema();
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
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        state.runtime_env().register_object_store(self.url.as_ref(), Arc::clone(&self.store));
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let readers = CachedParquetFileReaderFactory::new(Arc::clone(&self.store), cache);
        let mut source = ParquetSource::new(self.table_schema.clone())
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::new(readers));
        let schema = DFSchema::try_from(self.table_schema.file_schema().as_ref().clone())?;
        let on_files =
            filters.iter().filter(|filter| filter.column_refs().iter().all(|column| schema.has_column(column)));
        if let Some(filter) = conjunction(on_files.cloned()) {
            source = source.with_predicate(state.create_physical_expr(filter, &schema)?);
        }
        let group = self.file_group();
        let statistics = self.statistics(&group)?;
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_statistics(statistics)
            .with_file_group(group)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit.filter(|_| filters.is_empty()))
            .build();
        Ok(DataSourceExec::from_data_source(config))
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
