//! Parquet files as a table: a scan of DataFusion's that reads the columns, row groups and pages a query has use for.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use lakeport_core::in_place::FileSet;
use parquet::arrow::{RowNumber, parquet_to_arrow_schema};
use parquet::file::metadata::ParquetMetaData;

use super::columns::{Folders, as_table, filename_field, require_same, row_number_field};
use super::reader::Readers;
use super::unreadable;
use crate::delta::pattern::{self, Encoded, with_dictionaries};
use crate::delta::prune::files_that_match;

/// The files of a location with the columns that a query sees of them.
#[derive(Debug)]
pub(super) struct ParquetFiles {
    url: ObjectStoreUrl,
    readers: Arc<Readers>,
    files: Vec<ScannedFile>,
    table_schema: TableSchema,
}

/// A file with what is known of it before it is read.
#[derive(Debug)]
struct ScannedFile {
    part: PartitionedFile,
    statistics: Arc<Statistics>,
    footer: Arc<ParquetMetaData>,
}

impl ParquetFiles {
    /// Reads the footers of all files. `name` stands for them in the statement.
    ///
    /// # Errors
    /// What keeps a footer from being read, 1065 for files of other columns than the first.
    pub async fn open(name: &str, readers: Readers, with_metadata: bool) -> lakeport_core::Result<ParquetFiles> {
        let files = &readers.files;
        let known = readers.known.footers.of_all(files).await?;
        let schema = checked_schema(files, &known)?;
        let folders = Folders::of(files, &schema);
        let mut partition_fields = folders.fields.clone();
        if with_metadata {
            partition_fields.push(filename_field());
        }
        let virtual_fields = if with_metadata { vec![row_number()] } else { Vec::new() };
        let table_schema = TableSchema::builder(schema)
            .with_table_partition_cols(partition_fields)
            .with_virtual_columns(virtual_fields)
            .build();
        let scanned = files.files.iter().zip(&known).zip(folders.values).map(|((file, footer), mut values)| {
            if with_metadata {
                values.push(ScalarValue::Utf8(Some(file.name.clone())));
            }
            let statistics = DFParquetMetadata::statistics_from_parquet_metadata(footer, table_schema.file_schema());
            let statistics = Arc::new(statistics.map_err(|error| unreadable(error, "Parquet", &file.uri))?);
            let mut part = PartitionedFile::from(file.meta.clone()).with_partition_values(values);
            part = part.with_statistics(Arc::clone(&statistics));
            Ok(ScannedFile { part, statistics, footer: Arc::clone(footer) })
        });
        let scanned = scanned.collect::<lakeport_core::Result<Vec<_>>>()?;
        let url = ObjectStoreUrl::parse(format!("files://{}/", name.replace('_', "-")))
            .map_err(|error| lakeport_core::Error::internal(format!("the name {name:?} makes no URL: {error}")))?;
        Ok(ParquetFiles { url, readers: Arc::new(readers), files: scanned, table_schema })
    }

    /// The indexes of the files whose folders and names the filters do not rule out.
    fn by_folders(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let Some(filter) = conjunction(filters.iter().filter(|filter| self.is_on_folders(filter)).cloned()) else {
            return Ok((0..self.files.len()).collect());
        };
        let fields = self.table_schema.table_partition_cols();
        let schema = Arc::new(Schema::new(fields.iter().cloned().collect::<Vec<_>>()));
        let values = |index: usize| self.files.iter().map(move |file| file.part.partition_values[index].clone());
        let columns = (0..fields.len()).map(|index| ScalarValue::iter_to_array(values(index)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(self.files.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &rows)?;
        let predicate = state.create_physical_expr(filter, &DFSchema::try_from(schema.as_ref().clone())?)?;
        let kept = predicate.evaluate(&batch)?.into_array(self.files.len())?;
        let kept = kept.as_boolean();
        Ok(kept.iter().enumerate().filter(|(_, kept)| *kept == Some(true)).map(|(index, _)| index).collect())
    }

    fn is_on_folders(&self, filter: &Expr) -> bool {
        let fields = self.table_schema.table_partition_cols();
        let columns = filter.column_refs();
        !columns.is_empty()
            && !self.files.is_empty()
            && columns.iter().all(|column| fields.iter().any(|field| *field.name() == column.name))
    }

    fn is_pattern(&self, filter: &Expr) -> bool {
        pattern::string_column(self.table_schema.file_schema(), filter).is_some()
    }

    fn is_on_files(&self, filter: &Expr) -> bool {
        let schema = self.table_schema.file_schema();
        filter.column_refs().iter().all(|column| schema.field_with_name(&column.name).is_ok())
    }
}

fn row_number() -> Arc<Field> {
    Arc::new(row_number_field().with_extension_type(RowNumber))
}

/// The columns of the first file, which all have.
fn checked_schema(files: &FileSet, footers: &[Arc<ParquetMetaData>]) -> lakeport_core::Result<SchemaRef> {
    let mut first: Option<Schema> = None;
    for (file, footer) in files.files.iter().zip(footers) {
        let told = footer.file_metadata();
        let schema = parquet_to_arrow_schema(told.schema_descr(), told.key_value_metadata());
        let schema = schema.map_err(|error| unreadable(error.into(), "Parquet", &file.uri))?;
        match &first {
            None => first = Some(schema),
            Some(first) => require_same((first, &files.files[0]), (&schema, file))?,
        }
    }
    Ok(as_table(&first.unwrap_or_else(Schema::empty)))
}

#[async_trait]
impl TableProvider for ParquetFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        use TableProviderFilterPushDown::{Exact, Inexact};
        let is_exact = |filter: &&Expr| self.is_on_folders(filter) || self.is_pattern(filter);
        Ok(filters.iter().map(|filter| if is_exact(filter) { Exact } else { Inexact }).collect())
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
        if patterns.is_empty() {
            return self.scan_files(state, projection, &others, limit, &Encoded::default());
        }
        let footers: Vec<_> = self.files.iter().map(|file| Arc::clone(&file.footer)).collect();
        let encoded = Encoded::of(self.table_schema.file_schema(), &patterns, &footers)?;
        let scan = |read: &Vec<usize>| self.scan_files(state, Some(read), &others, None, &encoded);
        pattern::matching(state, &self.schema(), projection, &patterns, &encoded, scan)
    }
}

impl ParquetFiles {
    /// Plans a scan that reads `encoded` columns as dictionaries. The filters on columns of the files only spare it
    /// reading.
    fn scan_files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        encoded: &Encoded,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut files = self.by_folders(state, filters)?;
        let schema = self.table_schema.file_schema();
        let table_schema = TableSchema::builder(with_dictionaries(schema, &encoded.columns))
            .with_table_partition_cols(self.table_schema.table_partition_cols().clone())
            .with_virtual_columns(self.table_schema.virtual_columns().clone())
            .build();
        let scanned = Arc::clone(table_schema.file_schema());
        let mut source = ParquetSource::new(table_schema)
            .with_table_parquet_options(state.table_options().parquet.clone())
            .with_parquet_file_reader_factory(Arc::clone(&self.readers) as _);
        if let Some(filter) = conjunction(filters.iter().filter(|filter| self.is_on_files(filter)).cloned()) {
            let on = |schema: &SchemaRef| {
                state.create_physical_expr(filter.clone(), &DFSchema::try_from(schema.as_ref().clone())?)
            };
            let known = files.iter().map(|index| Arc::clone(&self.files[*index].statistics)).collect();
            let matching = files_that_match(known, schema, on(schema)?)?;
            files = matching.into_iter().map(|at| files[at]).collect();
            source = source.with_predicate(on(&scanned)?);
        }
        let part = |index: &usize| {
            let mut part = self.files[*index].part.clone();
            if let Some(schema) = encoded.file_schemas.get(*index) {
                // What is known of its texts is not known of keys.
                (part.arrow_schema, part.statistics) = (Some(Arc::clone(schema)), None);
            }
            part
        };
        let parts = FileGroup::new(files.iter().map(part).collect());
        state.runtime_env().register_object_store(self.url.as_ref(), Arc::clone(&self.readers.files.store));
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_statistics(self.statistics(&files)?)
            .with_file_groups(parts.split_files(state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit.filter(|_| filters.iter().all(|filter| self.is_on_folders(filter))))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// What is known of the rows of some files together.
    fn statistics(&self, files: &[usize]) -> Result<Statistics> {
        let schema = self.table_schema.table_schema();
        let padded = |index: &usize| {
            let mut statistics = self.files[*index].statistics.as_ref().clone();
            statistics.column_statistics.resize(schema.fields().len(), Default::default());
            statistics
        };
        let parts: Vec<Statistics> = files.iter().map(padded).collect();
        match parts.is_empty() {
            true => Ok(Statistics::new_unknown(schema)),
            false => Statistics::try_merge_iter(&parts, schema),
        }
    }
}
