//! The data files of a table version and what the log tells of their contents.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use deltalake::kernel::{Add, Remove};
use deltalake::table::state::DeltaTableState;
use lakeport_core::{Error, Result};
use serde_json::{Map, Value};

/// One data file.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Within the table's folder.
    pub path: String,
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
}

impl DataFile {
    /// The file of an Add action.
    pub fn of(add: &Add) -> DataFile {
        DataFile::new(add.path.clone(), add.size.max(0) as u64, add.stats.as_deref())
    }

    fn new(path: String, bytes: u64, stats: Option<&str>) -> DataFile {
        let mut stats: Value = stats.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let rows = stats["numRecords"].as_u64().map(|rows| rows as usize);
        let mut part = |name: &str| match stats.get_mut(name).map(Value::take) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let stats = FileStats { min: part("minValues"), max: part("maxValues"), nulls: part("nullCount") };
        DataFile { path, bytes, rows, stats: Arc::new(stats) }
    }

    /// The action that takes the file out of the table.
    pub fn remove(&self, deleted_ms: i64, data_change: bool) -> Remove {
        Remove {
            path: self.path.clone(),
            data_change,
            deletion_timestamp: Some(deleted_ms),
            extended_file_metadata: Some(true),
            partition_values: Some(Default::default()),
            size: Some(self.bytes as i64),
            ..Remove::default()
        }
    }

    /// What is known of the columns of `schema` (named as stored).
    pub fn statistics(&self, schema: &Schema) -> Statistics {
        Statistics {
            num_rows: self.rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Inexact(self.bytes as usize),
            column_statistics: schema.fields().iter().map(|field| self.column(field)).collect(),
        }
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

/// A bound from the log as a value of the column's type. Delta cuts timestamps to milliseconds, so an upper bound may
/// lie up to 999 µs lower than the value.
fn bound(value: &Value, ty: &DataType, upper: bool) -> Option<ScalarValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    if matches!(ty, DataType::Binary | DataType::List(_)) {
        return None;
    }
    let bound = ScalarValue::try_from_string(text, ty).ok()?;
    Some(match (bound, ty) {
        (ScalarValue::TimestampMicrosecond(Some(at), zone), DataType::Timestamp(TimeUnit::Microsecond, _)) if upper => {
            ScalarValue::TimestampMicrosecond(at.checked_add(999), zone)
        }
        (ScalarValue::Float32(Some(bound)), _) if bound.is_nan() => return None,
        (ScalarValue::Float64(Some(bound)), _) if bound.is_nan() => return None,
        (bound, _) => bound,
    })
}

/// The files of a table version.
pub(crate) fn files_of(state: &DeltaTableState) -> Result<Vec<DataFile>> {
    let mut files = Vec::with_capacity(state.log_data().num_files());
    for view in state.log_data().iter() {
        if view.deletion_vector_descriptor().is_some() {
            return Err(Error::unsupported(
                "another writer put deletion vectors on the table; they cannot be read here",
            ));
        }
        let rows = view.num_records();
        let path = view.object_store_path().to_string();
        let mut file = DataFile::new(path, view.size().max(0) as u64, view.stats().as_deref());
        file.rows = file.rows.or(rows);
        files.push(file);
    }
    Ok(files)
}
