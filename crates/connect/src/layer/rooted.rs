//! A store rooted at a folder of another: paths go in with the prefix and come out, in results and errors, without.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::listing;

/// The folder is part of every path of the inner store.
#[derive(Debug)]
pub(crate) struct Rooted<S> {
    inner: S,
    prefix: Path,
}

impl<S> Rooted<S> {
    pub(crate) fn new(inner: S, prefix: Path) -> Self {
        Self { inner, prefix }
    }

    fn full(&self, path: &Path) -> Path {
        self.prefix.parts().chain(path.parts()).collect()
    }

    fn out<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| relative_error(&self.prefix, error))
    }
}

impl<S: fmt::Display> fmt::Display for Rooted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.inner, self.prefix)
    }
}

fn relative(prefix: &Path, path: &Path) -> Path {
    path.prefix_match(prefix).map_or_else(|| path.clone(), Iterator::collect)
}

fn relative_meta(prefix: &Path, mut meta: ObjectMeta) -> Result<ObjectMeta> {
    meta.location = listing::fit(relative(prefix, &meta.location))?;
    Ok(meta)
}

fn relative_error(prefix: &Path, mut error: Error) -> Error {
    if let Error::NotFound { path, .. }
    | Error::AlreadyExists { path, .. }
    | Error::Precondition { path, .. }
    | Error::NotModified { path, .. }
    | Error::PermissionDenied { path, .. }
    | Error::Unauthenticated { path, .. } = &mut error
        && let Ok(full) = Path::parse(&*path)
    {
        *path = relative(prefix, &full).to_string();
    }
    error
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Rooted<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.out(self.inner.put_opts(&self.full(location), payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.out(self.inner.put_multipart_opts(&self.full(location), options).await)
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.out(self.inner.get_opts(&self.full(location), options).await)?;
        result.meta.location = location.clone();
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.out(self.inner.get_ranges(&self.full(location), ranges).await)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let prefix = self.prefix.clone();
        let full = move |path: Path| prefix.parts().chain(path.parts()).collect::<Path>();
        let deleted = self.inner.delete_stream(locations.map_ok(full).boxed());
        let prefix = self.prefix.clone();
        deleted
            .map(move |path| path.map(|path| relative(&prefix, &path)).map_err(|e| relative_error(&prefix, e)))
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = prefix.map_or_else(|| self.prefix.clone(), |path| self.full(path));
        let prefix = self.prefix.clone();
        self.inner.list(Some(&folder)).map(move |meta| relative_meta(&prefix, meta?)).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = prefix.map_or_else(|| self.prefix.clone(), |path| self.full(path));
        let prefix = self.prefix.clone();
        let listed = self.inner.list_with_offset(Some(&folder), &self.full(offset));
        listed.map(move |meta| relative_meta(&prefix, meta?)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = prefix.map_or_else(|| self.prefix.clone(), |path| self.full(path));
        let mut listed = self.out(self.inner.list_with_delimiter(Some(&folder)).await)?;
        listed.common_prefixes = listed.common_prefixes.iter().map(|path| relative(&self.prefix, path)).collect();
        let objects = listed.objects.into_iter().map(|meta| relative_meta(&self.prefix, meta));
        listed.objects = objects.collect::<Result<_>>()?;
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.out(self.inner.copy_opts(&self.full(from), &self.full(to), options).await)
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.out(self.inner.rename_opts(&self.full(from), &self.full(to), options).await)
    }
}

#[async_trait]
impl<S: MultipartStore> MultipartStore for Rooted<S> {
    async fn create_multipart(&self, location: &Path) -> Result<MultipartId> {
        self.out(self.inner.create_multipart(&self.full(location)).await)
    }

    async fn put_part(&self, location: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        self.out(self.inner.put_part(&self.full(location), id, index, data).await)
    }

    async fn complete_multipart(&self, location: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.out(self.inner.complete_multipart(&self.full(location), id, parts).await)
    }

    async fn abort_multipart(&self, location: &Path, id: &MultipartId) -> Result<()> {
        self.out(self.inner.abort_multipart(&self.full(location), id).await)
    }
}
