//! The wrapper that applies failure points, time limits and counters to every request.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use futures::{FutureExt, TryStreamExt};
use lakeport_base::{Env, Point};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result, UploadPart,
};

use super::{Meter, fault, timeout};
use crate::cx::OpenCx;
use crate::kind::KindSpec;
use crate::storage::Storage;

/// What is applied to each request of a store.
#[derive(Clone)]
pub(crate) struct Layers {
    kind: &'static str,
    env: Env,
    meter: Meter,
    request: Duration,
    idle: Duration,
    /// Whether the far side knows ranges that count from the end.
    suffix_range: bool,
    storage_class: Option<String>,
}

impl Layers {
    /// The layers of a kind's stores.
    pub(crate) fn new(cx: &OpenCx, spec: &'static KindSpec) -> Layers {
        Layers {
            kind: spec.name,
            env: cx.env.clone(),
            meter: cx.meter.clone(),
            request: cx.timeouts.request,
            idle: cx.timeouts.idle,
            suffix_range: spec.capability.suffix_range,
            storage_class: None,
        }
    }

    /// Writes files in a storage class.
    pub(crate) fn storage_class(mut self, class: Option<&str>) -> Layers {
        self.storage_class = class.map(str::to_string);
        self
    }

    /// Puts the layers around a store.
    pub(crate) fn wrap(self, store: impl ObjectStore) -> Storage {
        Storage { files: Arc::new(Watched { inner: store, layers: self }), uploads: None }
    }

    /// Puts the layers around a store whose uploads have ids.
    pub(crate) fn wrap_with_uploads(self, store: impl ObjectStore + MultipartStore) -> Storage {
        // An upload that is begun for its id cannot be told a storage class.
        let has_uploads = self.storage_class.is_none();
        let store = Arc::new(Watched { inner: store, layers: self });
        let uploads: Option<Arc<dyn MultipartStore>> = if has_uploads { Some(store.clone()) } else { None };
        Storage { files: store, uploads }
    }

    async fn run<T>(&self, point: Point, request: impl Future<Output = Result<T>>) -> Result<T> {
        let outcome = match fault::reach(&self.env, self.kind, point) {
            Ok(()) => timeout::limit(self.kind, self.request, request).await,
            Err(error) => Err(error),
        };
        self.count(&outcome);
        outcome
    }

    fn count<T>(&self, outcome: &Result<T>) {
        let failed = !matches!(outcome, Ok(_) | Err(Error::NotFound { .. } | Error::AlreadyExists { .. }));
        self.meter.count(self.kind, |usage| {
            usage.requests += 1;
            usage.errors += u64::from(failed);
        });
    }

    fn written(&self, bytes: usize) {
        self.meter.count(self.kind, |usage| usage.bytes_written += bytes as u64);
    }

    /// Counts one request for a stream, however many the far side needs for it.
    fn stream<T: Send + 'static>(&self, stream: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        self.meter.count(self.kind, |usage| usage.requests += 1);
        let layers = self.clone();
        let failed = move |_: &Error| layers.meter.count(layers.kind, |usage| usage.errors += 1);
        timeout::idle(self.kind, self.idle, stream).inspect_err(failed).boxed()
    }

    fn body(&self, stream: BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>> {
        let layers = self.clone();
        let read = move |chunk: &Bytes| layers.meter.count(layers.kind, |usage| usage.bytes_read += chunk.len() as u64);
        timeout::steady(self.kind, self.idle, stream).inspect_ok(read).boxed()
    }
}

/// A store with layers around it.
struct Watched<S> {
    inner: S,
    layers: Layers,
}

impl<S: ObjectStore> Watched<S> {
    /// A request of what the far side is asked for: an end of a file by where it starts.
    async fn get(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        if let (Some(GetRange::Suffix(bytes)), false) = (&options.range, self.layers.suffix_range) {
            let meta = self.inner.head(location).await?;
            options.range = Some(GetRange::Offset(meta.size.saturating_sub(*bytes)));
            options.if_match = options.if_match.or(meta.e_tag);
        }
        self.inner.get_opts(location, options).await
    }
}

impl<S: fmt::Debug> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.layers.kind).finish()
    }
}

impl<S: fmt::Display> fmt::Display for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Watched<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if let Some(class) = &self.layers.storage_class {
            options.attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        let bytes = payload.content_length();
        let result = self.layers.run(Point::StoragePut, self.inner.put_opts(location, payload, options)).await?;
        self.layers.written(bytes);
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        mut options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if let Some(class) = &self.layers.storage_class {
            options.attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        let inner = self.layers.run(Point::StorageUpload, self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(WatchedUpload { inner, layers: self.layers.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let mut result = self.layers.run(Point::StorageGet, self.get(location, options)).await?;
        match result.payload {
            GetResultPayload::Stream(stream) => result.payload = GetResultPayload::Stream(self.layers.body(stream)),
            GetResultPayload::File(..) if head => {}
            GetResultPayload::File(..) => {
                let bytes = result.range.end - result.range.start;
                self.layers.meter.count(self.layers.kind, |usage| usage.bytes_read += bytes);
            }
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let chunks = self.layers.run(Point::StorageGet, self.inner.get_ranges(location, ranges)).await?;
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        self.layers.meter.count(self.layers.kind, |usage| usage.bytes_read += bytes as u64);
        Ok(chunks)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if let Err(error) = fault::reach(&self.layers.env, self.layers.kind, Point::StorageDelete) {
            return futures::stream::iter([Err(error)]).boxed();
        }
        self.layers.stream(self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if let Err(error) = fault::reach(&self.layers.env, self.layers.kind, Point::StorageList) {
            return futures::stream::iter([Err(error)]).boxed();
        }
        self.layers.stream(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        if let Err(error) = fault::reach(&self.layers.env, self.layers.kind, Point::StorageList) {
            return futures::stream::iter([Err(error)]).boxed();
        }
        // Emulators begin at the start.
        let from = offset.clone();
        let is_after = move |meta: &ObjectMeta| std::future::ready(meta.location > from);
        self.layers.stream(self.inner.list_with_offset(prefix, offset).try_filter(is_after).boxed())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.layers.run(Point::StorageList, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.layers.run(Point::StorageCopy, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.layers.run(Point::StorageCopy, self.inner.rename_opts(from, to, options)).await
    }
}

/// An upload in parts with layers around each request.
struct WatchedUpload {
    inner: Box<dyn MultipartUpload>,
    layers: Layers,
}

impl fmt::Debug for WatchedUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl MultipartUpload for WatchedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length();
        let part = self.inner.put_part(data);
        let layers = self.layers.clone();
        async move {
            layers.run(Point::StoragePart, part).await?;
            layers.written(bytes);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.layers.run(Point::StorageComplete, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.layers.run(Point::StorageAbort, self.inner.abort()).await
    }
}

#[async_trait]
impl<S: MultipartStore> MultipartStore for Watched<S> {
    async fn create_multipart(&self, location: &Path) -> Result<MultipartId> {
        self.layers.run(Point::StorageUpload, self.inner.create_multipart(location)).await
    }

    async fn put_part(&self, location: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        let bytes = data.content_length();
        let part = self.layers.run(Point::StoragePart, self.inner.put_part(location, id, index, data)).await?;
        self.layers.written(bytes);
        Ok(part)
    }

    async fn complete_multipart(&self, location: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.layers.run(Point::StorageComplete, self.inner.complete_multipart(location, id, parts)).await
    }

    async fn abort_multipart(&self, location: &Path, id: &MultipartId) -> Result<()> {
        self.layers.run(Point::StorageAbort, self.inner.abort_multipart(location, id)).await
    }
}
