//! Filters of data files, by which a check of few keys knows without a look at a file that they are not there.
//!
//! A file never changes, so neither does its filter. It is made when the first check needs it, or from the rows
//! themselves as they are written.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use deltalake::kernel::Add;
use lakeport_base::SqlType;
use lakeport_base::limits::KEY_FILTERS_BYTES_MAX;
use lakeport_catalog::model::Table;
use lakeport_core::rows::arrow_type;
use lakeport_core::{Error, Result};
use parquet::bloom_filter::Sbbf;

use crate::delta::files::DataFile;
use crate::error::from_arrow;
use crate::recent::Recent;

/// Files of more rows have no filter.
pub(super) const FILTERED_ROWS_MAX: usize = 8 << 20;
/// What a filter takes besides its bits.
const OVERHEAD_BYTES: usize = 256;
/// How many of the keys that a file lacks its filter takes for present.
const FALSE_POSITIVES: f64 = 0.01;
const BITS_PER_KEY: usize = 10;

/// The filters that are in memory.
pub(crate) struct Filters(Recent<FileKey, Arc<Filter>>);

/// A file, and the columns that its filter is of.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FileKey {
    path: Arc<str>,
    columns: Arc<[String]>,
}

/// Tells which keys are not among those that it was made of.
#[derive(Debug)]
pub(crate) struct Filter(Sbbf);

impl Filter {
    /// An empty filter for so many keys.
    ///
    /// # Errors
    /// More keys than a filter can tell apart.
    pub fn new(keys: usize) -> Result<Filter> {
        Sbbf::new_with_ndv_fpp(keys.max(1) as u64, FALSE_POSITIVES).map(Filter).map_err(Error::internal)
    }

    pub fn add(&mut self, keys: &Rows) {
        keys.iter().for_each(|key| self.0.insert(key.data()));
    }

    /// Whether one of the keys may be among those of the filter.
    pub fn may_hold_any(&self, keys: &Keys) -> bool {
        keys.keys.iter().any(|key| self.0.check(key.as_slice()))
    }
}

/// The key of a table as bytes: equal keys are equal bytes.
pub(crate) struct KeyCode {
    converter: RowConverter,
    /// Where the key's columns are among the table's.
    columns: Vec<usize>,
    /// Their stored names.
    names: Arc<[String]>,
}

impl KeyCode {
    /// `None` for a table without a key, and for keys with floats: 0.0 equals -0.0.
    ///
    /// # Errors
    /// A type of a column that is no key's.
    pub fn of(table: &Table) -> Result<Option<KeyCode>> {
        let column = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let columns: Option<Vec<usize>> = table.primary_key.iter().map(column).collect();
        let Some(columns) = columns.filter(|columns| !columns.is_empty()) else { return Ok(None) };
        let types: Vec<&SqlType> = columns.iter().map(|column| &table.columns[*column].ty).collect();
        if types.iter().any(|ty| matches!(ty, SqlType::Float4 | SqlType::Float8)) {
            return Ok(None);
        }
        let fields = types.into_iter().map(|ty| SortField::new(arrow_type(ty))).collect();
        let converter = RowConverter::new(fields).map_err(from_arrow)?;
        let names = columns.iter().map(|column| table.columns[*column].stored_name.clone()).collect();
        Ok(Some(KeyCode { converter, columns, names }))
    }

    /// The keys of rows with the table's columns.
    pub fn of_rows(&self, rows: &RecordBatch) -> Result<Rows> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| Arc::clone(rows.column(*column))).collect();
        self.of_columns(&columns)
    }

    /// The keys that lie in columns of their own.
    pub fn of_columns(&self, columns: &[ArrayRef]) -> Result<Rows> {
        self.converter.convert_columns(columns).map_err(from_arrow)
    }
}

/// Keys of rows in memory.
#[derive(Default)]
pub(crate) struct Keys {
    keys: HashSet<Vec<u8>>,
}

impl Keys {
    /// Takes the keys of some rows; answers the number of the first row whose key is there already.
    pub fn take(&mut self, rows: &Rows) -> Option<usize> {
        rows.iter().position(|key| !self.keys.insert(key.data().to_vec()))
    }

    /// The number of the first row whose key is there.
    pub fn find(&self, rows: &Rows) -> Option<usize> {
        rows.iter().position(|key| self.keys.contains(key.data()))
    }
}

impl Default for Filters {
    fn default() -> Self {
        Filters(Recent::new(KEY_FILTERS_BYTES_MAX))
    }
}

impl Filters {
    /// The filter of a file, if there is one.
    pub fn find(&self, file: &DataFile, code: &KeyCode) -> Option<Arc<Filter>> {
        self.0.find(&key(file, code))
    }

    /// Keeps the filter of a file of so many rows.
    pub fn keep(&self, file: &DataFile, code: &KeyCode, filter: Arc<Filter>, rows: usize) {
        self.0.keep(key(file, code), filter, weight(rows));
    }

    /// Whether filters of files of so many rows fit beside each other, so that making one does not undo another.
    pub fn fit(rows: impl Iterator<Item = usize>) -> bool {
        rows.map(weight).sum::<usize>() <= KEY_FILTERS_BYTES_MAX / 2
    }

    /// Makes the filter of a file that these rows have just been written to, while they are in memory.
    pub fn remember<'a>(
        &self,
        table: &Table,
        adds: &[Add],
        rows: impl Iterator<Item = &'a RecordBatch> + Clone,
    ) -> Result<()> {
        let ([add], Some(code)) = (adds, KeyCode::of(table)?) else { return Ok(()) };
        let count = rows.clone().map(RecordBatch::num_rows).sum();
        let mut filter = Filter::new(count)?;
        for batch in rows {
            filter.add(&code.of_rows(batch)?);
        }
        self.keep(&DataFile::of(add)?, &code, Arc::new(filter), count);
        Ok(())
    }
}

fn key(file: &DataFile, code: &KeyCode) -> FileKey {
    FileKey { path: Arc::clone(&file.path), columns: Arc::clone(&code.names) }
}

/// The bytes of a filter; its size is the next power of two.
fn weight(rows: usize) -> usize {
    (rows * BITS_PER_KEY / 8).next_power_of_two() + OVERHEAD_BYTES
}
