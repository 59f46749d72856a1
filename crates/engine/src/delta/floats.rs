//! Bounds of floats leave NaN out (the Parquet format, `ColumnOrder`), which is greater than all numbers: they say neither
//! what a file cannot hold nor that all its values are one. Nothing here plans with them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::basic::{LogicalType, Type};
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

/// A footer without the bounds of floats.
///
/// # Errors
/// None of a footer that could be read.
pub(crate) fn without_float_bounds(footer: Arc<ParquetMetaData>) -> Result<Arc<ParquetMetaData>> {
    let columns = footer.file_metadata().schema_descr().columns();
    let floats: Vec<usize> = (0..columns.len()).filter(|at| is_float(&columns[*at])).collect();
    if !floats.iter().any(|at| has_bounds(&footer, *at)) {
        return Ok(footer);
    }
    let mut builder = Arc::unwrap_or_clone(footer).into_builder();
    let groups = builder.take_row_groups().into_iter().map(|group| group_without(group, &floats));
    let groups = groups.collect::<Result<_>>()?;
    let mut index = builder.take_column_index();
    for columns in index.iter_mut().flatten() {
        let of_floats = columns.iter_mut().enumerate().filter(|(at, _)| floats.contains(at));
        of_floats.for_each(|(_, pages)| *pages = ColumnIndexMetaData::NONE);
    }
    Ok(Arc::new(builder.set_row_groups(groups).set_column_index(index).build()))
}

fn is_float(column: &ColumnDescriptor) -> bool {
    matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE)
        || column.logical_type_ref() == Some(&LogicalType::Float16)
}

fn has_bounds(footer: &ParquetMetaData, column: usize) -> bool {
    footer.row_groups().iter().any(|group| {
        let column = group.column(column);
        let bounds = column.statistics().is_some_and(|known| known.min_bytes_opt().or(known.max_bytes_opt()).is_some());
        bounds || column.column_index_offset().is_some()
    })
}

fn group_without(group: RowGroupMetaData, floats: &[usize]) -> Result<RowGroupMetaData> {
    let mut builder = group.into_builder();
    let columns = builder.take_columns().into_iter().enumerate();
    let columns = columns.map(|(at, column)| if floats.contains(&at) { column_without(column) } else { Ok(column) });
    let columns = columns.collect::<Result<_>>()?;
    builder.set_column_metadata(columns).build()
}

fn column_without(column: ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    // Statistics without a count of nulls are taken to tell of none, so a column that has no statistics gets none.
    let nulls = column.statistics().map(Statistics::null_count_opt);
    let statistics = nulls.map(|nulls| match column.column_type() {
        Type::FLOAT => Statistics::float(None, None, None, nulls, false),
        Type::DOUBLE => Statistics::double(None, None, None, nulls, false),
        _ => Statistics::fixed_len_byte_array(None, None, None, nulls, false),
    });
    let builder = column.into_builder();
    let builder = match statistics {
        Some(statistics) => builder.set_statistics(statistics),
        None => builder,
    };
    builder.set_column_index_offset(None).set_column_index_length(None).build()
}

/// Makes readers whose footers have no bounds of floats, and keeps these.
#[derive(Debug)]
pub(super) struct ReadersWithoutFloatBounds {
    readers: CachedParquetFileReaderFactory,
    cache: Arc<FileMetadataCache>,
}

impl ReadersWithoutFloatBounds {
    pub fn new(store: Arc<dyn ObjectStore>, cache: Arc<FileMetadataCache>) -> Self {
        Self { readers: CachedParquetFileReaderFactory::new(store, Arc::clone(&cache)), cache }
    }
}

impl ParquetFileReaderFactory for ReadersWithoutFloatBounds {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let (cache, meta) = (Arc::clone(&self.cache), file.object_meta.clone());
        let reader = self.readers.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(Reader { reader, cache, meta }))
    }
}

struct Reader {
    reader: Box<dyn AsyncFileReader + Send>,
    cache: Arc<FileMetadataCache>,
    meta: ObjectMeta,
}

impl Reader {
    async fn footer(&mut self, options: Option<&ArrowReaderOptions>) -> Result<Arc<ParquetMetaData>> {
        let read = self.reader.get_metadata(options).await?;
        let without = without_float_bounds(Arc::clone(&read))?;
        if !Arc::ptr_eq(&read, &without) {
            let kept = CachedParquetMetaData::new(Arc::clone(&without));
            let entry = CachedFileMetadataEntry::new(self.meta.clone(), Arc::new(kept));
            self.cache.put(&self.meta.location, entry);
        }
        Ok(without)
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.reader.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        self.reader.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        self.footer(options).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    #[test]
    fn of_a_float_without_statistics_nothing_is_told() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None]));
        let batch = RecordBatch::try_from_iter([("f", column)]).unwrap();
        let silent = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(silent)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let footer = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(file)).unwrap();
        let column =
            footer.row_group(0).column(0).clone().into_builder().set_column_index_offset(Some(1)).build().unwrap();
        assert!(column_without(column).unwrap().statistics().is_none());
    }

    #[test]
    fn floats_alone_lose_their_bounds() {
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int64Array::from(vec![Some(7), None]))),
            ("f", Arc::new(Float64Array::from(vec![Some(0.5), None]))),
            ("g", Arc::new(Float32Array::from(vec![0.5, f32::NAN]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        let footer = reader.parse_and_finish(&Bytes::from(file)).unwrap();
        let told = |footer: &ParquetMetaData| -> Vec<_> {
            let columns = footer.row_group(0).columns().iter();
            let pages = footer.column_index().unwrap()[0].iter();
            let told = columns.zip(pages).map(|(column, pages)| {
                let statistics = column.statistics().unwrap();
                let has_pages = *pages != ColumnIndexMetaData::NONE && column.column_index_offset().is_some();
                (statistics.max_bytes_opt().is_some(), statistics.null_count_opt(), has_pages)
            });
            told.collect()
        };
        assert_eq!(told(&footer), [(true, Some(1), true), (true, Some(1), true), (true, Some(0), true)]);
        let without = without_float_bounds(Arc::new(footer)).unwrap();
        assert_eq!(told(&without), [(true, Some(1), true), (false, Some(1), false), (false, Some(0), false)]);
        assert!(Arc::ptr_eq(&without, &without_float_bounds(Arc::clone(&without)).unwrap()), "nothing is left to do");
    }
}
