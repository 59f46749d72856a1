//! Marks that appends leave in a table's log: names with the moment of their commit. They are `txn` actions of Delta's
//! protocol, so they come with the rows or not at all, and checkpoints keep them as long as the table's properties say.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use bytes::Bytes;
use deltalake::kernel::Version;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use futures::{FutureExt, TryFutureExt};
use lakeport_base::Sqlstate;
use lakeport_base::limits::MARKS_DAYS;
use lakeport_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde_json::Value;

use super::entry::{Entry, LOG_FOLDER};
use crate::error::from_store;

/// What the application ids of marks begin with.
const PREFIX: &str = "lakeport-mark-";
/// The application id of commits that void all marks before them.
pub(crate) const VOIDED: &str = "lakeport-marks-voided";
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// Entries read at a time.
const READS_MAX: usize = 16;

/// How long checkpoints keep marks, as a property of Delta tables.
pub(crate) fn retention() -> String {
    format!("interval {MARKS_DAYS} days")
}

/// The application id of a mark.
pub(crate) fn application(mark: &str) -> String {
    format!("{PREFIX}{mark}")
}

/// The marks in a log up to a version, each with its last moment in microseconds since the epoch.
#[derive(Clone, Default)]
pub(crate) struct Marks {
    version: Version,
    moments: HashMap<String, i64>,
    /// Marks up to this moment are void.
    voided: Option<i64>,
}

impl Marks {
    /// Replays a log up to a version, from what is known of it if there is something.
    pub async fn of(store: &Arc<dyn ObjectStore>, known: Option<&Arc<Marks>>, version: Version) -> Result<Arc<Marks>> {
        if let Some(known) = known {
            if known.version >= version {
                return Ok(Arc::clone(known));
            }
            let mut marks = known.as_ref().clone();
            if marks.follow(store, version).await? {
                return Ok(Arc::new(marks));
            }
        }
        let mut marks = Marks::default();
        if let Some((at, parts)) = last_checkpoint(store, version).await? {
            marks.version = at;
            for part in parts {
                marks.take_checkpoint(store, part).await?;
            }
        } else {
            // That of version 0 is an entry as any other.
            marks.take_entry(Entry::read(store, 0).await?);
        }
        match marks.follow(store, version).await? {
            true => Ok(Arc::new(marks)),
            false => Err(Error::new(Sqlstate::DATA_CORRUPTED, "entries of the table's log are missing")),
        }
    }

    /// Those left after a moment that no later commit has voided.
    pub fn since(&self, moment: i64) -> HashSet<String> {
        let counts = |at: i64| at > moment && self.voided.is_none_or(|voided| at > voided);
        self.moments.iter().filter(|(_, at)| counts(**at)).map(|(name, _)| name.clone()).collect()
    }

    /// Takes the entries up to a version; false, having taken some, when there are others no more.
    async fn follow(&mut self, store: &Arc<dyn ObjectStore>, version: Version) -> Result<bool> {
        let mut entries =
            stream::iter(self.version + 1..=version).map(|next| Entry::read(store, next)).buffered(READS_MAX);
        while let Some(entry) = entries.try_next().await? {
            if entry.is_none() {
                return Ok(false);
            }
            self.take_entry(entry);
        }
        self.version = version;
        self.forget();
        Ok(true)
    }

    /// Lets go of marks that checkpoints keep no longer.
    fn forget(&mut self) {
        let Some(newest) = self.moments.values().max() else { return };
        let since = newest - i64::from(MARKS_DAYS) * DAY_MICROS;
        self.moments.retain(|_, at| *at > since);
    }

    fn take_entry(&mut self, entry: Option<Entry>) {
        for (id, at) in entry.iter().flat_map(Entry::applications) {
            self.take(id, at);
        }
    }

    fn take(&mut self, id: &str, at: i64) {
        if id == VOIDED {
            self.voided = Some(at);
        } else if let Some(name) = id.strip_prefix(PREFIX) {
            self.moments.insert(name.to_string(), at);
        }
    }

    async fn take_checkpoint(&mut self, store: &Arc<dyn ObjectStore>, part: ObjectMeta) -> Result<()> {
        if part.location.as_ref().ends_with(".json") {
            let text = store.get(&part.location).await.map_err(from_store)?.bytes().await.map_err(from_store)?;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                let action: Value = serde_json::from_slice(line).map_err(broken)?;
                let txn = &action["txn"];
                if let (Some(id), Some(at)) = (txn["appId"].as_str(), txn["version"].as_i64()) {
                    self.take(id, at);
                }
            }
            return Ok(());
        }
        let reader = CheckpointFile { store: Arc::clone(store), meta: part };
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await.map_err(broken)?;
        let schema = builder.parquet_schema();
        let columns = ProjectionMask::columns(schema, ["txn.appId", "txn.version"]);
        let mut batches = builder.with_projection(columns).build().map_err(broken)?;
        while let Some(batch) = batches.try_next().await.map_err(broken)? {
            self.take_batch(&batch)?;
        }
        Ok(())
    }

    /// Another writer's checkpoint may have no `txn`, or other types of text.
    fn take_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(txn) = batch.column_by_name("txn").and_then(|column| column.as_struct_opt()) else { return Ok(()) };
        let (Some(ids), Some(versions)) = (txn.column_by_name("appId"), txn.column_by_name("version")) else {
            return Ok(());
        };
        let (ids, versions) = (cast(ids, &DataType::Utf8), cast(versions, &DataType::Int64));
        let (ids, versions) = (ids.map_err(broken)?, versions.map_err(broken)?);
        let (ids, versions) = (ids.as_string::<i32>(), versions.as_primitive::<Int64Type>());
        let rows = (0..txn.len()).filter(|row| txn.is_valid(*row) && ids.is_valid(*row) && versions.is_valid(*row));
        for row in rows {
            self.take(ids.value(row), versions.value(row));
        }
        Ok(())
    }
}

/// A file of a checkpoint, of which only the columns of marks are read.
struct CheckpointFile {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl AsyncFileReader for CheckpointFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let read = async move { self.store.get_range(&self.meta.location, range).await };
        read.map_err(|error| ParquetError::External(error.into())).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let size = self.meta.size;
        ParquetMetaDataReader::new().load_and_finish(self, size).map_ok(Arc::new).boxed()
    }
}

/// The parts of the newest whole checkpoint up to a version.
async fn last_checkpoint(store: &Arc<dyn ObjectStore>, version: Version) -> Result<Option<(Version, Vec<ObjectMeta>)>> {
    let mut listed = store.list(Some(&Path::from(LOG_FOLDER)));
    let mut found: HashMap<(Version, usize), Vec<ObjectMeta>> = HashMap::new();
    while let Some(file) = listed.try_next().await.map_err(from_store)? {
        if let Some(key) = file.location.filename().and_then(checkpoint_part).filter(|(at, _)| *at <= version) {
            found.entry(key).or_default().push(file);
        }
    }
    let whole = found.into_iter().filter(|((_, parts), files)| files.len() >= *parts);
    Ok(whole.max_by_key(|((at, _), _)| *at).map(|((at, _), files)| (at, files)))
}

/// `N.checkpoint.parquet`, `N.checkpoint.part.parts.parquet`, `N.checkpoint.uuid.{parquet | json}`: the version, and how
/// many files make the checkpoint.
fn checkpoint_part(name: &str) -> Option<(Version, usize)> {
    let (stem, _) = name.rsplit_once('.').filter(|(_, end)| ["parquet", "json"].contains(end))?;
    let mut words = stem.split('.');
    let version = words.next()?.parse().ok()?;
    if words.next()? != "checkpoint" {
        return None;
    }
    match (words.next(), words.next()) {
        (Some(_), Some(parts)) => Some((version, parts.parse().ok()?)),
        _ => Some((version, 1)),
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    match error.into().downcast::<ParquetError>().map(|error| *error) {
        Ok(ParquetError::External(inner)) => match inner.downcast::<object_store::Error>() {
            Ok(error) => from_store(*error),
            Err(inner) => unreadable(inner),
        },
        Ok(error) => unreadable(error.into()),
        Err(error) => unreadable(error),
    }
}

fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Sqlstate::DATA_CORRUPTED, "a checkpoint of the table's log cannot be read").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_told_from_entries() {
        for (name, expected) in [
            ("00000000000000000010.json", None),
            ("00000000000000000010.checkpoint.parquet", Some((10, 1))),
            ("00000000000000000010.checkpoint.0000000001.0000000003.parquet", Some((10, 3))),
            ("00000000000000000010.checkpoint.80a083e8-7026.json", Some((10, 1))),
            ("00000000000000000010.crc", None),
            ("_last_checkpoint", None),
        ] {
            assert_eq!(checkpoint_part(name), expected, "{name}");
        }
    }

    #[test]
    fn marks_count_from_a_moment_on_until_they_are_voided() {
        let mut marks = Marks::default();
        for (id, at) in [("lakeport-mark-a", 1), ("lakeport-mark-b", 5), ("lakeport-job-1", 7)] {
            marks.take(id, at);
        }
        assert_eq!(marks.since(0).len(), 2);
        assert_eq!(marks.since(1), HashSet::from(["b".to_string()]));
        marks.take(VOIDED, 5);
        assert!(marks.since(0).is_empty());
        marks.take("lakeport-mark-a", 6);
        marks.take("lakeport-mark-c", 5 + i64::from(MARKS_DAYS) * DAY_MICROS);
        marks.forget();
        assert_eq!(marks.moments.len(), 2);
        marks.moments.remove("c");
        assert_eq!(marks.since(0), HashSet::from(["a".to_string()]));
    }
}
