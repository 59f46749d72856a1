//! The footers of Parquet files, read a few bytes from the end of each, many at a time, and kept.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakeport_base::limits::FOOTERS_BYTES_MAX;
use lakeport_core::Result;
use lakeport_core::in_place::{FileSet, PlacedFile};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::known::Identity;
use super::reader::external;
use super::unreadable;
use crate::delta::floats::without_float_bounds;
use crate::recent::Recent;

/// Footers that are read at a time.
const AT_ONCE: usize = 64;
/// First guess at the size of a footer, in bytes: a fiftieth of the file, so that the footers of many files stay a small
/// part of them.
const GUESS_BYTES: Range<u64> = 4 << 10..256 << 10;
const GUESS_FRACTION: u64 = 50;

/// The footers that are kept.
#[derive(Debug)]
pub(crate) struct Footers(Recent<Identity, Arc<ParquetMetaData>>);

impl Default for Footers {
    fn default() -> Self {
        Footers(Recent::new(FOOTERS_BYTES_MAX))
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
        let identity = Identity::of(&files.identity, &file.meta);
        match self.read(identity.as_ref(), files.store.as_ref(), &file.meta).await {
            Ok(footer) => Ok(footer),
            Err(error) => Err(files.explained(file, unreadable(error, "Parquet", &file.uri)).await),
        }
    }

    /// The footer of a file, kept if the file can be told from others.
    ///
    /// # Errors
    /// As the storage and the decoder have them.
    pub async fn read(
        &self,
        identity: Option<&Identity>,
        store: &dyn ObjectStore,
        meta: &ObjectMeta,
    ) -> datafusion::common::Result<Arc<ParquetMetaData>> {
        if let Some(known) = identity.and_then(|identity| self.0.find(identity)) {
            return Ok(known);
        }
        let guess = (meta.size / GUESS_FRACTION).clamp(GUESS_BYTES.start, GUESS_BYTES.end);
        let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(guess as usize));
        let footer = reader.load_and_finish(Tail { store, path: &meta.location }, meta.size).await?;
        let footer = without_float_bounds(Arc::new(footer))?;
        if let Some(identity) = identity {
            self.0.keep(identity.clone(), Arc::clone(&footer), footer.memory_size());
        }
        Ok(footer)
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
