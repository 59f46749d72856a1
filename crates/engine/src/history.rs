//! A table's versions as files, for those who copy them elsewhere and back.

use std::sync::Arc;

use deltalake::kernel::{Add, Metadata, StructField, StructType};
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Column;
use lakeport_core::engine::{TableFile, TableHandle, TableRevision, TableVersion};
use lakeport_core::{Error, Result};
use object_store::ObjectStore;
use serde_json::Value;

use crate::DataFusionEngine;
use crate::delta::entry::{Changes, Entry};
use crate::delta::footer;
use crate::delta::schema::columns_of;
use crate::error::from_datafusion;

/// Log entries, or footers of files, read at a time.
const READS_MAX: usize = 16;

impl DataFusionEngine {
    /// The table as of a moment.
    pub(crate) async fn version_at(&self, table: &TableHandle, moment: i64) -> Result<TableVersion> {
        let log = self.log(table);
        // Whoever commits has drawn his time and holds the lock; later times are later than now.
        drop(log.lock().await);
        let snapshot = log.as_of(table, moment).await?;
        let files = snapshot.files.iter().map(|file| TableFile {
            path: file.path.to_string(),
            bytes: file.bytes,
            rows: file.rows.unwrap_or(0) as u64,
            stats: file.stats(),
        });
        let (version, schema) = (snapshot.version(), schema_of(snapshot.metadata())?);
        let at = log.time_of(&table.store, version).await?;
        Ok(TableVersion { version, at, schema, files: files.collect() })
    }

    /// What the commits after one version, up to another, made of the table.
    pub(crate) async fn revisions_between(
        &self,
        table: &TableHandle,
        after: Option<u64>,
        until: u64,
    ) -> Result<Vec<TableRevision>> {
        let entries = stream::iter(after.map_or(0, |after| after + 1)..=until).map(|version| async move {
            let entry = Entry::read(&table.store, version).await?.ok_or_else(|| gone(&table.row.name))?;
            let at = entry.time().ok_or_else(|| gone(&table.row.name))?;
            revision(version, at, entry.rows_and_columns()?)
        });
        entries.buffered(READS_MAX).try_collect().await
    }
}

fn revision(version: u64, at: i64, changes: Changes) -> Result<TableRevision> {
    let schema = changes.metadata.as_ref().map(schema_of).transpose()?;
    let added = changes.adds.into_iter().map(file).collect::<Result<_>>()?;
    let removed = changes.removes.into_iter().map(|remove| remove.path).collect();
    Ok(TableRevision { version, at, schema, added, removed })
}

fn file(add: Add) -> Result<TableFile> {
    if add.deletion_vector.is_some() || !add.partition_values.is_empty() {
        return Err(Error::unsupported("another writer made the table one that cannot be backed up here").with_hint(
            "partitions and deletion vectors are not supported; CREATE TABLE AS makes a copy without them",
        ));
    }
    let stats: Value = add.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok()).unwrap_or_default();
    let rows = stats["numRecords"].as_u64().unwrap_or(0);
    Ok(TableFile { path: add.path, bytes: add.size.max(0).cast_unsigned(), rows, stats: add.stats })
}

/// The entries of files that lie in the folder of a new table.
pub(crate) async fn adds(store: &Arc<dyn ObjectStore>, files: &[TableFile], now_ms: i64) -> Result<Vec<Add>> {
    let adds: Vec<_> = files.iter().map(|file| add(store, file, now_ms)).collect();
    stream::iter(adds).buffered(READS_MAX).try_collect().await
}

async fn add(store: &Arc<dyn ObjectStore>, file: &TableFile, now_ms: i64) -> Result<Add> {
    let stats = match &file.stats {
        Some(stats) => stats.clone(),
        None => footer::stats_of(store, &file.path, file.bytes).await.map_err(from_datafusion)?,
    };
    Ok(Add {
        path: file.path.clone(),
        size: file.bytes.cast_signed(),
        modification_time: now_ms,
        data_change: true,
        stats: Some(stats),
        ..Add::default()
    })
}

/// The fields of a schema as the log writes it.
///
/// # Errors
/// XX001
pub(crate) fn fields(schema: &str) -> Result<Vec<StructField>> {
    let unreadable = || Error::new(Sqlstate::DATA_CORRUPTED, "a table's schema cannot be read");
    let parsed: StructType = serde_json::from_str(schema).map_err(|error| unreadable().with_source(error))?;
    let fields: Vec<StructField> = parsed.fields().cloned().collect();
    if columns(&fields).is_empty() { Err(unreadable().with_detail("it has no columns")) } else { Ok(fields) }
}

/// The columns of a schema's fields.
pub(crate) fn columns(fields: &[StructField]) -> Vec<Column> {
    columns_of(fields.iter())
}

fn schema_of(metadata: &Metadata) -> Result<String> {
    let json = serde_json::to_value(metadata).map_err(Error::internal)?;
    json["schemaString"].as_str().map(str::to_string).ok_or_else(|| Error::internal("metadata without a schema"))
}

fn gone(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, format!("the log of relation {name:?} does not reach back far enough"))
        .with_hint("gc.ttl says how long history is kept; back up more often, or without revision_history")
}
