//! A store whose failures say which place failed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use futures::{FutureExt, TryFutureExt};
use lakeport_connect::unfit_name;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use super::{into_store_error, store_error};

/// A store under the name by which its user knows it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    store: Arc<dyn ObjectStore>,
    name: Arc<str>,
}

impl Named {
    /// `name` is a URI without secrets.
    pub fn new(store: Arc<dyn ObjectStore>, name: &str) -> Named {
        Named { store, name: name.into() }
    }

    fn failed(name: &str, error: Error) -> Error {
        if unfit_name(&error).is_some() {
            return error;
        }
        let (error, prefix) = (store_error(error), format!("access to {name} failed"));
        // What one request of the store was to do with what another one answered.
        let is_told = error.message().starts_with(&prefix);
        into_store_error(if is_told { error } else { error.prefixed(&prefix) })
    }

    /// What a reader tells apart stays as it is.
    fn unread(name: &str, error: Error) -> Error {
        match error {
            Error::NotFound { .. } | Error::NotModified { .. } | Error::Precondition { .. } => error,
            error => Named::failed(name, error),
        }
    }

    /// What a writer tells apart stays as it is.
    fn unwritten(name: &str, error: Error) -> Error {
        match error {
            Error::AlreadyExists { .. } | Error::Precondition { .. } => error,
            error => Named::failed(name, error),
        }
    }

    fn stream<T: 'static>(
        &self,
        stream: BoxStream<'static, Result<T>>,
        named: fn(&str, Error) -> Error,
    ) -> BoxStream<'static, Result<T>> {
        let name = self.name.clone();
        stream.map_err(move |error| named(&name, error)).boxed()
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl ObjectStore for Named {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(path, payload, options).await.map_err(|error| Named::unwritten(&self.name, error))
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.store.put_multipart_opts(path, options).await;
        let upload = upload.map_err(|error| Named::unwritten(&self.name, error))?;
        Ok(Box::new(NamedUpload { upload, name: self.name.clone() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.store.get_opts(path, options).await.map_err(|error| Named::unread(&self.name, error))?;
        if let GetResultPayload::Stream(body) = found.payload {
            found.payload = GetResultPayload::Stream(self.stream(body, Named::unread));
        }
        Ok(found)
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store.get_ranges(path, ranges).await.map_err(|error| Named::unread(&self.name, error))
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.stream(self.store.delete_stream(paths), Named::unread)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.stream(self.store.list(prefix), Named::failed)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.stream(self.store.list_with_offset(prefix, offset), Named::failed)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await.map_err(|error| Named::failed(&self.name, error))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await.map_err(|error| Named::unwritten(&self.name, error))
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await.map_err(|error| Named::unwritten(&self.name, error))
    }
}

#[derive(Debug)]
struct NamedUpload {
    upload: Box<dyn MultipartUpload>,
    name: Arc<str>,
}

#[async_trait]
impl MultipartUpload for NamedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let name = self.name.clone();
        self.upload.put_part(data).map_err(move |error| Named::failed(&name, error)).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await.map_err(|error| Named::unwritten(&self.name, error))
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await.map_err(|error| Named::failed(&self.name, error))
    }
}
