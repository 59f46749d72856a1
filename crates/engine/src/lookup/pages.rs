//! Values of data files that lookups have read, a page of rows of one column each. Files never change, so neither do
//! their pages.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Scalar, UInt64Array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::take::take;
use datafusion::arrow::array::{DynComparator, make_comparator};
use datafusion::arrow::compute::kernels::cmp::{eq, gt, lt};
use datafusion::arrow::compute::{and, concat_batches, not, or};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use lakeport_base::id::TableId;
use lakeport_base::limits::{LOOKUP_PAGES_BYTES_MAX, LOOKUP_PAGES_MAX};
use lakeport_catalog::model::Column;
use lakeport_core::{Error, Result};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy};

use super::Search;
use crate::delta::files::DataFile;
use crate::error::{from_arrow, from_datafusion};
use crate::recent::Recent;

/// Rows of a page of a column that stays in memory.
const PAGE_ROWS_MAX: usize = 32 << 10;
/// About the most bytes of one.
const PAGE_BYTES_MAX: i64 = 1 << 20;
/// What an entry takes besides its values, in bytes.
const ENTRY_BYTES: usize = 256;

/// The pages in memory, and where files have theirs.
pub(crate) struct Pages {
    files: Recent<FileKey, Arc<FilePages>>,
    values: Recent<ValuesKey, ArrayRef>,
}

type FileKey = (TableId, Arc<str>);

/// A file, a page of it, and a column by its place in the file.
type ValuesKey = (FileKey, usize, usize);

/// Where the rows of a file lie.
struct FilePages {
    metadata: ArrowReaderMetadata,
    /// The pages of the key's first column.
    pages: Vec<Page>,
    /// For each column of the file, whether its pages may stay in memory.
    small: Vec<bool>,
    /// The least and greatest key of each page, if they are known.
    least: ArrayRef,
    most: ArrayRef,
}

/// Rows of a row group.
struct Page {
    group: usize,
    start: usize,
    rows: usize,
}

/// What one lookup reads.
pub(super) struct Reads<'a> {
    pub pages: &'a Pages,
    pub search: &'a Search<'a>,
    /// Shared with all queries.
    pub footers: Arc<FileMetadataCache>,
}

/// A page that may hold the row.
pub(super) struct Candidate<'a> {
    file: &'a DataFile,
    pages: Arc<FilePages>,
    page: usize,
}

impl Default for Pages {
    fn default() -> Self {
        let half = LOOKUP_PAGES_BYTES_MAX / 8;
        Pages { files: Recent::new(half), values: Recent::new(LOOKUP_PAGES_BYTES_MAX - half) }
    }
}

impl Reads<'_> {
    /// The pages of some files that may hold the row; `None` when they are too many, or cannot be told.
    pub(super) async fn candidates<'f>(&self, files: &'f [DataFile]) -> Result<Option<Vec<Candidate<'f>>>> {
        let (mut known, unknown) = self.known(files);
        let unknown = self.search.files(unknown)?;
        if unknown.len() > LOOKUP_PAGES_MAX {
            return Ok(None);
        }
        for file in unknown {
            let Some(pages) = self.load(file).await? else { return Ok(None) };
            known.push((file, pages));
        }
        let mut candidates = Vec::new();
        for (file, pages) in known {
            let may_hold = pages.may_hold(&self.search.key[0].1)?;
            let found = (0..pages.pages.len()).filter(|page| may_hold.is_null(*page) || may_hold.value(*page));
            candidates.extend(found.map(|page| Candidate { file, pages: Arc::clone(&pages), page }));
        }
        let columns = || self.search.columns.iter().chain(self.search.key.iter().map(|(column, _)| column));
        let can_hold = |candidate: &Candidate| columns().all(|column| candidate.pages.can_hold(column));
        Ok((candidates.len() <= LOOKUP_PAGES_MAX && candidates.iter().all(can_hold)).then_some(candidates))
    }

    /// The values of the row, if the page holds it.
    pub(super) async fn find(&self, candidate: &Candidate<'_>) -> Result<Option<Vec<ArrayRef>>> {
        let (key, sought): (Vec<&Column>, Vec<&ArrayRef>) =
            self.search.key.iter().map(|(of, value)| (*of, value)).unzip();
        let columns = self.values(candidate, &key).await?;
        let sought = sought.iter().zip(&columns).map(|(value, column)| cast(value, column.data_type()));
        let sought = sought.collect::<Result<Vec<_>, _>>().map_err(from_arrow)?;
        let row = match row_by_order(&columns, &sought) {
            None => row_by_scan(&columns, &sought).map_err(from_arrow)?,
            row => row,
        };
        let Some(row) = row else { return Ok(None) };
        let columns = self.values(candidate, &self.search.columns).await?;
        // Copied: a slice would keep the page in memory for as long as the client takes.
        let row = UInt64Array::from(vec![row as u64]);
        let values = columns.iter().map(|values| take(values, &row, None).map_err(from_arrow));
        values.collect::<Result<_>>().map(Some)
    }

    fn reader(&self, file: &DataFile) -> Result<Box<dyn AsyncFileReader>> {
        let readers =
            CachedParquetFileReaderFactory::new(Arc::clone(&self.search.table.store), Arc::clone(&self.footers));
        let part = PartitionedFile::new(file.path.as_ref(), file.bytes);
        Ok(readers.create_reader(0, part, None, &ExecutionPlanMetricsSet::new()).map_err(from_datafusion)?)
    }

    /// The files whose pages are known, and the others.
    fn known<'f>(&self, files: &'f [DataFile]) -> (Vec<(&'f DataFile, Arc<FilePages>)>, Vec<&'f DataFile>) {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        let key = |file: &DataFile| (self.search.table.row.id, Arc::clone(&file.path));
        for (file, pages) in files.iter().zip(self.pages.files.find_all(files.iter().map(key))) {
            match pages {
                Some(pages) => known.push((file, pages)),
                None => unknown.push(file),
            }
        }
        (known, unknown)
    }

    async fn load(&self, file: &DataFile) -> Result<Option<Arc<FilePages>>> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let mut reader = self.reader(file)?;
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await.map_err(from_parquet)?;
        let Some(pages) = FilePages::of(metadata, self.search.key[0].0)? else { return Ok(None) };
        let (weight, pages) = (pages.weight(), Arc::new(pages));
        let key = (self.search.table.row.id, Arc::clone(&file.path));
        self.pages.files.keep(key, Arc::clone(&pages), weight);
        Ok(Some(pages))
    }

    /// The values of columns in a page.
    async fn values(&self, candidate: &Candidate<'_>, columns: &[&Column]) -> Result<Vec<ArrayRef>> {
        let file: FileKey = (self.search.table.row.id, Arc::clone(&candidate.file.path));
        let schema = candidate.pages.metadata.schema();
        let places = columns.iter().map(|column| schema.index_of(&column.stored_name));
        let places: Vec<usize> = places.collect::<Result<_, _>>().map_err(from_arrow)?;
        let key = |place: &usize| (file.clone(), candidate.page, *place);
        let mut found = self.pages.values.find_all(places.iter().map(key));
        let mut missing: Vec<usize> =
            places.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(place, _)| *place).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let read = candidate.read(self.reader(candidate.file)?, &missing).await?;
            for (place, values) in missing.iter().zip(&read) {
                let weight = values.get_array_memory_size() + ENTRY_BYTES;
                self.pages.values.keep(key(place), Arc::clone(values), weight);
            }
            for (place, found) in places.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
                *found = missing.binary_search(place).ok().map(|at| Arc::clone(&read[at]));
            }
        }
        found.into_iter().collect::<Option<_>>().ok_or_else(|| Error::internal("a column was not read"))
    }
}

/// The row of a key if it is found by halving, as it is where the rows lie in the order of their keys.
fn row_by_order(columns: &[ArrayRef], key: &[ArrayRef]) -> Option<usize> {
    let compare = |(column, value): (&ArrayRef, &ArrayRef)| make_comparator(column, value, SortOptions::default()).ok();
    let compare: Vec<DynComparator> = columns.iter().zip(key).map(compare).collect::<Option<_>>()?;
    let order = |row: usize| compare.iter().map(|compare| compare(row, 0)).find(|order| order.is_ne());
    let (mut start, mut end) = (0, columns.first()?.len());
    while start < end {
        let middle = start.midpoint(end);
        match order(middle) {
            None => return Some(middle),
            Some(Ordering::Less) => start = middle + 1,
            Some(_) => end = middle,
        }
    }
    None
}

/// The row of a key, whatever the order of the rows.
fn row_by_scan(columns: &[ArrayRef], key: &[ArrayRef]) -> Result<Option<usize>, ArrowError> {
    let mut matching: Option<BooleanArray> = None;
    for (values, sought) in columns.iter().zip(key) {
        let equal = eq(values, &Scalar::new(sought))?;
        matching = Some(match matching {
            Some(matching) => and(&matching, &equal)?,
            None => equal,
        });
    }
    Ok(matching.and_then(|rows| rows.values().set_indices().find(|row| rows.is_valid(*row))))
}

fn from_parquet(error: ParquetError) -> Error {
    from_datafusion(error.into())
}

impl FilePages {
    /// `None` for a file that does not tell where its pages are.
    fn of(metadata: ArrowReaderMetadata, key: &Column) -> Result<Option<FilePages>> {
        let parquet = metadata.metadata();
        let (Some(index), Some(offsets)) = (parquet.column_index(), parquet.offset_index()) else { return Ok(None) };
        let groups: Vec<usize> = (0..parquet.num_row_groups()).collect();
        let converter = StatisticsConverter::try_new(&key.stored_name, metadata.schema(), metadata.parquet_schema());
        let converter = converter.map_err(from_parquet)?;
        let Some(column) = converter.parquet_column_index() else { return Ok(None) };
        let least = converter.data_page_mins(index, offsets, &groups).map_err(from_parquet)?;
        let most = converter.data_page_maxes(index, offsets, &groups).map_err(from_parquet)?;
        let mut pages = Vec::new();
        for group in groups {
            let rows = parquet.row_group(group).num_rows() as usize;
            let starts = offsets[group][column].page_locations().iter().map(|page| page.first_row_index as usize);
            let starts: Vec<usize> = starts.collect();
            let ends = starts.iter().skip(1).copied().chain([rows]);
            pages.extend(starts.iter().zip(ends).map(|(start, end)| Page { group, start: *start, rows: end - start }));
        }
        if least.len() != pages.len() || most.len() != pages.len() {
            return Ok(None);
        }
        let small = (0..metadata.schema().fields().len()).map(|place| is_small(&metadata, &pages, place)).collect();
        Ok(Some(FilePages { metadata, pages, small, least, most }))
    }

    /// Whether the file has a column, which may have been added later, with pages that may stay in memory.
    fn can_hold(&self, column: &Column) -> bool {
        self.metadata.schema().index_of(&column.stored_name).is_ok_and(|place| self.small[place])
    }

    /// Memory in bytes.
    fn weight(&self) -> usize {
        let bounds = self.least.get_array_memory_size() + self.most.get_array_memory_size();
        ENTRY_BYTES + self.metadata.metadata().memory_size() + bounds + self.pages.len() * size_of::<Page>()
    }

    /// Whether each page may hold a value; NULL where nothing is known.
    fn may_hold(&self, value: &ArrayRef) -> Result<BooleanArray> {
        let value = Scalar::new(cast(value, self.least.data_type()).map_err(from_arrow)?);
        let below = lt(&value, &self.least).map_err(from_arrow)?;
        let above = gt(&value, &self.most).map_err(from_arrow)?;
        let outside = or(&below, &above).map_err(from_arrow)?;
        not(&outside).map_err(from_arrow)
    }
}

/// Whether the pages of a column, by its place in the file, may stay in memory.
fn is_small(metadata: &ArrowReaderMetadata, pages: &[Page], place: usize) -> bool {
    let schema = metadata.parquet_schema();
    let bytes = |page: &Page| {
        let group = metadata.metadata().row_group(page.group);
        let chunks = group.columns().iter().enumerate();
        let own = chunks.filter(|(leaf, _)| schema.get_column_root_idx(*leaf) == place).map(|(_, chunk)| chunk);
        let bytes = |chunk: &ColumnChunkMetaData| {
            chunk.unencoded_byte_array_data_bytes().unwrap_or(0).max(chunk.uncompressed_size())
        };
        own.map(bytes).sum::<i64>() / group.num_rows().max(1) * page.rows as i64
    };
    pages.iter().all(|page| page.rows <= PAGE_ROWS_MAX && bytes(page) <= PAGE_BYTES_MAX)
}

impl Candidate<'_> {
    /// Reads columns by their places in the file, in order.
    async fn read(&self, reader: Box<dyn AsyncFileReader>, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let Page { group, start, rows } = &self.pages.pages[self.page];
        let metadata = &self.pages.metadata;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let selection = RowSelection::from(vec![RowSelector::skip(*start), RowSelector::select(*rows)]);
        let reader = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata.clone());
        let stream = reader
            .with_row_groups(vec![*group])
            .with_projection(mask)
            .with_row_selection(selection)
            .with_batch_size(*rows)
            .build()
            .map_err(from_parquet)?;
        let schema = Arc::clone(stream.schema());
        let batches: Vec<_> = stream.try_collect().await.map_err(from_parquet)?;
        Ok(concat_batches(&schema, &batches).map_err(from_arrow)?.columns().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};

    #[test]
    fn a_row_is_found_in_whatever_order() {
        let texts = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let numbers = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let sorted = [texts(&["a", "a", "b", "b", "c"]), numbers(&[1, 3, 1, 2, 0])];
        let shuffled = [texts(&["c", "b", "a", "b", "a"]), numbers(&[0, 2, 1, 1, 3])];
        for (row, key) in [("a", 1), ("a", 3), ("b", 1), ("b", 2), ("c", 0)].into_iter().enumerate() {
            let key = [texts(&[key.0]), numbers(&[key.1])];
            assert_eq!(row_by_order(&sorted, &key), Some(row));
            assert_eq!(row_by_scan(&sorted, &key).expect("comparable"), Some(row));
            let found = row_by_scan(&shuffled, &key).expect("comparable").expect("a row");
            assert!(row_by_order(&shuffled, &key).is_none_or(|row| row == found));
        }
        for absent in [("a", 2), ("0", 1), ("d", 1)] {
            let key = [texts(&[absent.0]), numbers(&[absent.1])];
            assert_eq!(row_by_order(&sorted, &key), None);
            assert_eq!(row_by_scan(&sorted, &key).expect("comparable"), None);
        }
    }
}
