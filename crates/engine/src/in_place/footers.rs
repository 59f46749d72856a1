//! The footers of Parquet files, read a few bytes from the end of each, many at a time, and kept: a file that has the
//! size and tag of before is the file of before.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakeport_base::limits::FOOTERS_BYTES_MAX;
use lakeport_core::Result;
use lakeport_core::in_place::{FileSet, PlacedFile};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::reading::{Mark, Reading};
use super::unreadable;
use crate::recent::Recent;

/// Footers that are read at a time.
const AT_ONCE: usize = 64;
/// First guess at the size of a footer, in bytes: a fiftieth of the file, so that the footers of many files stay a small
/// part of them.
const GUESS_BYTES: Range<u64> = 4 << 10..256 << 10;
const GUESS_FRACTION: u64 = 50;

/// What tells a file from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    store: Arc<str>,
    path: String,
    bytes: u64,
    /// The storage's tag of the content.
    tag: String,
}

impl Identity {
    /// None of a file without a tag, whose content may be another one at any time.
    fn of(store: &Arc<str>, meta: &ObjectMeta) -> Option<Identity> {
        let (store, path) = (Arc::clone(store), meta.location.to_string());
        Some(Identity { store, path, bytes: meta.size, tag: meta.e_tag.clone()? })
    }
}

/// The footers that are kept.
pub(crate) struct Footers(Mutex<Recent<Identity, Arc<ParquetMetaData>>>);

impl Default for Footers {
    fn default() -> Self {
        Footers(Mutex::new(Recent::new(FOOTERS_BYTES_MAX)))
    }
}

impl fmt::Debug for Footers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Footers")
    }
}

impl Footers {
    /// The footers of all files, in their order.
    ///
    /// # Errors
    /// Those of the storage, and 22P04 for what is no Parquet file, with the file's name.
    pub async fn of_all(&self, files: &FileSet) -> Result<Vec<Arc<ParquetMetaData>>> {
        let reads = (0..files.files.len()).map(|index| self.of_file(files, &files.files[index]));
        stream::iter(reads).buffered(AT_ONCE).try_collect().await
    }

    /// The footer of one file.
    ///
    /// # Errors
    /// As [`Footers::of_all`].
    pub async fn of_file(&self, files: &FileSet, file: &PlacedFile) -> Result<Arc<ParquetMetaData>> {
        let read = self.read(&files.identity, files.store.as_ref(), &file.meta).await;
        read.map_err(|error| unreadable(error, "Parquet", &file.uri))
    }

    async fn read(
        &self,
        identity: &Arc<str>,
        store: &dyn ObjectStore,
        meta: &ObjectMeta,
    ) -> datafusion::common::Result<Arc<ParquetMetaData>> {
        let identity = Identity::of(identity, meta);
        if let Some(known) = identity.as_ref().and_then(|identity| self.kept().find(identity)) {
            return Ok(known);
        }
        let guess = (meta.size / GUESS_FRACTION).clamp(GUESS_BYTES.start, GUESS_BYTES.end);
        let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(guess as usize));
        let footer = Arc::new(reader.load_and_finish(Tail { store, path: &meta.location }, meta.size).await?);
        if let Some(identity) = identity {
            self.kept().keep(identity, Arc::clone(&footer), footer.memory_size());
        }
        Ok(footer)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Recent<Identity, Arc<ParquetMetaData>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the end of a file.
struct Tail<'a> {
    store: &'a dyn ObjectStore,
    path: &'a Path,
}

impl MetadataFetch for Tail<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move { self.store.get_range(self.path, range).await.map_err(external) }.boxed()
    }
}

/// Makes the readers of a scan's files, whose footers are known.
#[derive(Debug)]
pub(super) struct Readers {
    pub files: Arc<FileSet>,
    pub footers: Arc<Footers>,
    pub reading: Reading,
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let meta = file.object_meta;
        let metrics = ParquetFileMetrics::new(partition, meta.location.as_ref(), metrics);
        let (store, identity) = (Arc::clone(&self.files.store), Arc::clone(&self.files.identity));
        let uri = self.files.uri_of(&meta.location);
        let mark = Mark { reading: self.reading.clone(), partition, uri: uri.into() };
        Ok(Box::new(Reader { store, identity, footers: Arc::clone(&self.footers), meta, metrics, mark }))
    }
}

/// Reads ranges of one file.
struct Reader {
    store: Arc<dyn ObjectStore>,
    identity: Arc<str>,
    footers: Arc<Footers>,
    meta: ObjectMeta,
    metrics: ParquetFileMetrics,
    mark: Mark,
}

impl Reader {
    fn count(&self, ranges: &[Range<u64>]) {
        self.mark.set();
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        self.metrics.bytes_scanned.add(bytes as usize);
    }
}

fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ParquetError {
    ParquetError::External(error.into())
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.count(std::slice::from_ref(&range));
        async move { self.store.get_range(&self.meta.location, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.count(&ranges);
        async move { self.store.get_ranges(&self.meta.location, &ranges).await.map_err(external) }.boxed()
    }

    /// Without the page index, which a scan loads where it has a use for it.
    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move { self.footers.read(&self.identity, self.store.as_ref(), &self.meta).await.map_err(external) }
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_store_and_tag() {
        let meta = |tag: Option<&str>| ObjectMeta {
            location: Path::from("a.parquet"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 4,
            e_tag: tag.map(str::to_string),
            version: None,
        };
        let of = |store: &str, tag| Identity::of(&store.into(), &meta(Some(tag))).unwrap();
        assert_eq!(of("stage 1 1", "x"), of("stage 1 1", "x"));
        assert_ne!(of("stage 1 1", "x"), of("stage 1 2", "x"));
        assert_ne!(of("stage 1 1", "x"), of("stage 1 1", "y"));
        assert_eq!(Identity::of(&"stage 1 1".into(), &meta(None)), None);
    }
}
