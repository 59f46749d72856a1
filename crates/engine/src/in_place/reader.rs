//! Readers of Parquet files, which fetch only what nobody has read lately.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use lakeport_core::in_place::FileSet;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;

use super::known::{Identity, Known};
use super::reading::{Mark, ReadSet};

/// Makes the readers of a scan's files, whose footers are known.
#[derive(Debug)]
pub(super) struct Readers {
    pub files: Arc<FileSet>,
    pub known: Arc<Known>,
    pub reading: ReadSet,
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
        let uri = self.files.uri_of(&meta.location);
        Ok(Box::new(Reader {
            store: Arc::clone(&self.files.store),
            known: Arc::clone(&self.known),
            identity: Identity::of(&self.files.identity, &meta).map(Arc::new),
            metrics: ParquetFileMetrics::new(partition, meta.location.as_ref(), metrics),
            mark: self.reading.mark(partition, uri),
            meta,
        }))
    }
}

/// Reads ranges of one file.
struct Reader {
    store: Arc<dyn ObjectStore>,
    known: Arc<Known>,
    identity: Option<Arc<Identity>>,
    meta: ObjectMeta,
    metrics: ParquetFileMetrics,
    mark: Mark,
}

impl Reader {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.mark.set();
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        self.metrics.bytes_scanned.add(bytes as usize);
        let (store, path) = (self.store.as_ref(), &self.meta.location);
        self.known.pieces.read(store, path, self.identity.as_ref(), ranges).await.map_err(external)
    }
}

/// An error of the storage.
pub(super) fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ParquetError {
    ParquetError::External(error.into())
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let read = self.read(&[range]).await?;
            Ok(read.into_iter().next().unwrap_or_default())
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.read(&ranges).await }.boxed()
    }

    /// Without the page index, which a scan loads where it has a use for it.
    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let identity = self.identity.as_deref();
            self.known.footers.read(identity, self.store.as_ref(), &self.meta).await.map_err(external)
        }
        .boxed()
    }
}
