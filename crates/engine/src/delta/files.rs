//! The data files of a table version and what the log tells of their contents.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use deltalake::kernel::{Add, Remove};
use deltalake::table::state::DeltaTableState;
use lakeport_core::{Error, Result};
use serde_json::{Map, Value, json};

/// Schemas whose statistics a file keeps: queries and writes ask for different ones.
const TYPED_MAX: usize = 2;

/// One data file; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Within the table's folder.
    pub path: Arc<str>,
    pub bytes: u64,
    pub rows: Option<usize>,
    stats: Arc<FileStats>,
}

/// The `stats` of an Add action.
#[derive(Debug, Default)]
struct FileStats {
    min: Map<String, Value>,
    max: Map<String, Value>,
    nulls: Map<String, Value>,
    /// As values of the columns that were asked for last: reading them takes longer than most plans need them.
    typed: Mutex<Vec<(SchemaRef, Arc<Statistics>)>>,
}

impl DataFile {
    /// The file of an Add action.
    ///
    /// # Errors
    /// Deletion vectors of another writer.
    pub fn of(add: &Add) -> Result<DataFile> {
        match add.deletion_vector {
            None => Ok(DataFile::new(add.path.as_str(), add.size.max(0) as u64, add.stats.as_deref())),
            Some(_) => Err(deletion_vectors()),
        }
    }

    /// What the log tells of the contents, as Delta's `stats`; `None` when it tells nothing.
    pub fn stats(&self) -> Option<String> {
        let FileStats { min, max, nulls, .. } = &*self.stats;
        let stats = json!({ "numRecords": self.rows?, "minValues": min, "maxValues": max, "nullCount": nulls });
        Some(stats.to_string())
    }

    fn new(path: &str, bytes: u64, stats: Option<&str>) -> DataFile {
        let mut stats: Value = stats.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let rows = stats["numRecords"].as_u64().map(|rows| rows as usize);
        let mut part = |name: &str| match stats.get_mut(name).map(Value::take) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let (min, max, nulls) = (part("minValues"), part("maxValues"), part("nullCount"));
        let stats = FileStats { min, max, nulls, typed: Mutex::default() };
        DataFile { path: path.into(), bytes, rows, stats: Arc::new(stats) }
    }

    /// The action that takes the file out of the table.
    pub fn remove(&self, deleted_ms: i64, data_change: bool) -> Remove {
        Remove {
            path: self.path.to_string(),
            data_change,
            deletion_timestamp: Some(deleted_ms),
            extended_file_metadata: Some(true),
            partition_values: Some(Default::default()),
            size: Some(self.bytes as i64),
            ..Remove::default()
        }
    }

    /// The least and greatest value of a column, named as stored, if they are known.
    pub fn bounds(&self, field: &Field) -> Option<(ScalarValue, ScalarValue)> {
        let bound = |bounds: &Map<String, Value>, upper| bound(bounds.get(field.name())?, field.data_type(), upper);
        Some((bound(&self.stats.min, false)?, bound(&self.stats.max, true)?))
    }

    /// Whether a value from `low` to `high` may be in a column.
    pub fn may_hold(&self, field: &Field, low: &ScalarValue, high: &ScalarValue) -> bool {
        let Some((least, most)) = self.bounds(field) else { return true };
        least.partial_cmp(high) != Some(Ordering::Greater) && most.partial_cmp(low) != Some(Ordering::Less)
    }

    /// What is known of the columns of `schema` (named as stored).
    pub fn statistics(&self, schema: &SchemaRef) -> Arc<Statistics> {
        let mut typed = self.stats.typed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, statistics)) = typed.iter().find(|(known, _)| known == schema) {
            return Arc::clone(statistics);
        }
        let statistics = Arc::new(Statistics {
            num_rows: self.rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Inexact(self.bytes as usize),
            column_statistics: schema.fields().iter().map(|field| self.column(field)).collect(),
        });
        typed.truncate(TYPED_MAX - 1);
        typed.insert(0, (Arc::clone(schema), Arc::clone(&statistics)));
        statistics
    }

    fn column(&self, field: &Field) -> ColumnStatistics {
        let bound = |bounds: &Map<String, Value>, upper| {
            let value = bounds.get(field.name()).and_then(|value| bound(value, field.data_type(), upper));
            value.map_or(Precision::Absent, Precision::Inexact)
        };
        let nulls = self.stats.nulls.get(field.name()).and_then(Value::as_u64);
        ColumnStatistics::new_unknown()
            .with_null_count(nulls.map_or(Precision::Absent, |nulls| Precision::Exact(nulls as usize)))
            .with_min_value(bound(&self.stats.min, false))
            .with_max_value(bound(&self.stats.max, true))
    }
}

/// Decimal digits that a number of the log keeps: writers put floats there.
pub(super) const FLOAT_DIGITS: u8 = 15;

/// A bound from the log as a value of the column's type. Delta cuts timestamps to milliseconds, so an upper bound may
/// lie up to 999 µs lower than the value.
fn bound(value: &Value, ty: &DataType, upper: bool) -> Option<ScalarValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    match ty {
        DataType::Binary | DataType::List(_) | DataType::Dictionary(..) => return None,
        // They leave NaN out.
        DataType::Float32 | DataType::Float64 => return None,
        DataType::Decimal128(precision, _) if *precision > FLOAT_DIGITS => return None,
        _ => {}
    }
    let bound = ScalarValue::try_from_string(text, ty).ok()?;
    Some(match (bound, ty) {
        (ScalarValue::TimestampMicrosecond(Some(at), zone), DataType::Timestamp(TimeUnit::Microsecond, _)) if upper => {
            ScalarValue::TimestampMicrosecond(at.checked_add(999), zone)
        }
        (bound, _) => bound,
    })
}

/// The files of a table version.
pub(crate) fn files_of(state: &DeltaTableState) -> Result<Vec<DataFile>> {
    let mut files = Vec::with_capacity(state.log_data().num_files());
    for view in state.log_data().iter() {
        if view.deletion_vector_descriptor().is_some() {
            return Err(deletion_vectors());
        }
        let rows = view.num_records();
        let path = view.object_store_path();
        let mut file = DataFile::new(path.as_ref(), view.size().max(0) as u64, view.stats().as_deref());
        file.rows = file.rows.or(rows);
        files.push(file);
    }
    Ok(files)
}

fn deletion_vectors() -> Error {
    Error::unsupported("another writer put deletion vectors on the table; they cannot be read here")
}
