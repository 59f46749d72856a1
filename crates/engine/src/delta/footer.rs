//! What the footer of a data file tells of its contents, as the log has it: for files whose lists nobody vouches for.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use chrono::DateTime;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use serde_json::{Map, Value, json};

use super::files::FLOAT_DIGITS;

/// `stats` of the Delta protocol for a file.
pub(crate) async fn stats_of(store: &Arc<dyn ObjectStore>, path: &str, bytes: u64) -> Result<String> {
    let location = Path::parse(path).map_err(|error| ParquetError::External(error.into()))?;
    let file = ObjectMeta { location, size: bytes, last_modified: DateTime::UNIX_EPOCH, e_tag: None, version: None };
    let footer = DFParquetMetadata::new(store.as_ref(), &file).fetch_metadata().await?;
    Ok(stats(&footer)?.to_string())
}

fn stats(footer: &ParquetMetaData) -> Result<Value> {
    let file = footer.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    let rows = footer.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
    let rows = rows.sum::<Option<u64>>().ok_or_else(|| ParquetError::General("less than no rows".to_string()))?;
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields() {
        let column = StatisticsConverter::try_new(field.name(), &schema, file.schema_descr())?;
        let Some(known) = Bounds::of(&column, footer.row_groups())? else { continue };
        if let Some((least, most)) = logged(&known.least).zip(logged(&known.most)) {
            min.insert(field.name().clone(), least);
            max.insert(field.name().clone(), most);
            nulls.insert(field.name().clone(), known.nulls.into());
        }
    }
    Ok(json!({ "numRecords": rows, "minValues": min, "maxValues": max, "nullCount": nulls }))
}

/// What is known of a column in all of a file.
struct Bounds {
    least: ScalarValue,
    most: ScalarValue,
    nulls: u64,
}

impl Bounds {
    /// `None` when some row group does not tell.
    fn of(column: &StatisticsConverter<'_>, groups: &[RowGroupMetaData]) -> Result<Option<Bounds>> {
        let (mins, maxes) = (column.row_group_mins(groups)?, column.row_group_maxes(groups)?);
        let nulls = column.row_group_null_counts(groups)?;
        let has_values = |(group, nulls): (&RowGroupMetaData, Option<u64>)| {
            nulls.is_none_or(|nulls| u64::try_from(group.num_rows()) != Ok(nulls))
        };
        let is_known = |array: &ArrayRef| {
            let told = groups.iter().zip(nulls.iter()).enumerate();
            array.len() == groups.len() && told.into_iter().all(|(at, group)| !has_values(group) || array.is_valid(at))
        };
        let Some(count) = nulls.iter().sum::<Option<u64>>().filter(|_| is_known(&mins) && is_known(&maxes)) else {
            return Ok(None);
        };
        let bounds = outermost(&mins, Ordering::Less)?.zip(outermost(&maxes, Ordering::Greater)?);
        Ok(bounds.map(|(least, most)| Bounds { least, most, nulls: count }))
    }
}

/// The value that is less, or greater, than all others.
fn outermost(values: &ArrayRef, side: Ordering) -> Result<Option<ScalarValue>> {
    let mut found: Option<ScalarValue> = None;
    for at in (0..values.len()).filter(|at| values.is_valid(*at)) {
        let value = ScalarValue::try_from_array(values, at)?;
        if found.as_ref().is_none_or(|found| value.partial_cmp(found) == Some(side)) {
            found = Some(value);
        }
    }
    Ok(found)
}

/// A bound as the log writes it; `None` for types whose bounds it does not have, and for floats, whose bounds leave NaN out.
fn logged(value: &ScalarValue) -> Option<Value> {
    let is_number = match value.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Date32 | DataType::Timestamp(..) => false,
        DataType::Boolean => true,
        DataType::Decimal128(precision, _) => (precision <= FLOAT_DIGITS).then_some(true)?,
        ty => ty.is_integer().then_some(true)?,
    };
    let ScalarValue::Utf8(Some(text)) = value.cast_to(&DataType::Utf8).ok()? else { return None };
    if is_number { serde_json::from_str(&text).ok() } else { Some(Value::String(text)) }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    use super::*;

    async fn told(properties: WriterProperties) -> Value {
        let columns: [(&str, ArrayRef); 5] = [
            ("n", Arc::new(Int64Array::from(vec![Some(7), None, Some(-3), Some(5)]))),
            ("s", Arc::new(StringArray::from(vec!["b", "a", "c", "a"]))),
            ("f", Arc::new(Float64Array::from(vec![0.5, 2.0, f64::INFINITY, 1.0]))),
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 0, 1, 2]))),
            ("none", Arc::new(Int64Array::from(vec![None::<i64>; 4]))),
        ];
        let batch = RecordBatch::try_from_iter(columns.map(|(name, values)| (name, values))).unwrap();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (store, bytes) = (Arc::new(InMemory::new()), file.len() as u64);
        store.put(&Path::from("f.parquet"), file.into()).await.unwrap();
        let store: Arc<dyn ObjectStore> = store;
        serde_json::from_str(&stats_of(&store, "f.parquet", bytes).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn bounds_are_those_of_all_row_groups() {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
        let expected = json!({
            "numRecords": 4,
            "minValues": { "n": -3, "s": "a", "at": "1970-01-01T00:00:00" },
            "maxValues": { "n": 7, "s": "c", "at": "1970-01-01T00:00:01.500" },
            "nullCount": { "n": 1, "s": 0, "at": 0 },
        });
        assert_eq!(told(properties).await, expected);
    }

    #[tokio::test]
    async fn a_file_that_tells_nothing_has_its_rows() {
        let properties = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
        let told = told(properties).await;
        assert_eq!((&told["numRecords"], &told["minValues"]), (&json!(4), &json!({})));
    }
}
