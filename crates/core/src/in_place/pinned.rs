//! A store of files that are what they were when a statement found them, or fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use lakeport_base::Sqlstate;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

use super::PlacedFile;
use crate::error::Error;
use crate::external::{into_store_error, store_error};

/// Reads the files that a statement found, and no others.
#[derive(Debug)]
pub(super) struct Pinned {
    store: Arc<dyn ObjectStore>,
    files: HashMap<Path, PlacedFile>,
}

impl Pinned {
    pub fn new(store: Arc<dyn ObjectStore>, files: &[PlacedFile]) -> Pinned {
        let files = files.iter().map(|file| (file.meta.location.clone(), file.clone())).collect();
        Pinned { store, files }
    }

    fn file(&self, path: &Path) -> Result<&PlacedFile> {
        self.files.get(path).ok_or_else(|| refused(Error::internal(format!("{path} is no file of the statement"))))
    }
}

fn refused(error: Error) -> object_store::Error {
    into_store_error(error)
}

/// The tag of a file, the same wherever it comes from.
pub(crate) fn tag(file: &ObjectMeta) -> Option<&str> {
    file.e_tag.as_deref().map(|tag| tag.trim_matches('"'))
}

impl PlacedFile {
    /// The tag that the far side is to compare, where it is one that HTTP compares: a weak one never matches, and Azure
    /// lists tags without their quotes.
    fn condition(&self) -> Option<String> {
        self.meta.e_tag.clone().filter(|tag| tag.starts_with('"'))
    }

    /// Whether what was found under its name is the file still.
    pub(crate) fn is(&self, found: &ObjectMeta) -> bool {
        let same_tag = match (tag(&self.meta), tag(found)) {
            (Some(known), Some(found)) => known == found,
            _ => self.meta.last_modified == found.last_modified,
        };
        same_tag && found.size == self.meta.size
    }

    fn changed(&self) -> object_store::Error {
        let message = format!("the file {} changed while it was read", self.uri);
        refused(Error::new(Sqlstate::SERIALIZATION_FAILURE, message).with_hint("run the statement again"))
    }

    fn explained(&self, error: object_store::Error) -> object_store::Error {
        match error {
            object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => self.changed(),
            object_store::Error::NotFound { .. } => {
                let message = format!("the file {} vanished while it was read", self.uri);
                refused(Error::new(Sqlstate::UNDEFINED_FILE, message).with_hint("run the statement again"))
            }
            other => refused(store_error(other).prefixed(&self.uri)),
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Pinned {
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let file = self.file(path)?;
        let found = self.store.get_opts(path, GetOptions { if_match: file.condition(), ..options }).await;
        let mut found = found.map_err(|error| file.explained(error))?;
        // Not every server looks at the condition.
        if !file.is(&found.meta) {
            return Err(file.changed());
        }
        if let object_store::GetResultPayload::Stream(body) = found.payload {
            let file = file.clone();
            let body = body.map(move |piece| piece.map_err(|error| file.explained(error)));
            found.payload = object_store::GetResultPayload::Stream(body.boxed());
        }
        Ok(found)
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter(self.files.values().map(|file| Ok(file.meta.clone())).collect::<Vec<_>>()).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(read_only())
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(read_only())]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}

fn read_only() -> object_store::Error {
    refused(Error::internal("files in place are only read"))
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_file_is_what_it_was_or_an_error() {
        let (store, path) = (Arc::new(InMemory::new()), Path::from("a.parquet"));
        store.put(&path, "old content".into()).await.unwrap();
        let meta = store.head(&path).await.unwrap();
        let file = PlacedFile { meta, name: "a.parquet".into(), uri: "@s/a.parquet".into() };
        let tagged = |tag: &str| {
            let meta = ObjectMeta { e_tag: Some(tag.into()), ..file.meta.clone() };
            PlacedFile { meta, ..file.clone() }.condition()
        };
        assert_eq!((tagged("\"a\"").as_deref(), tagged("W/\"a\"")), (Some("\"a\""), None));
        let listed = ObjectMeta { e_tag: Some("0x1".into()), ..file.meta.clone() };
        let read = ObjectMeta { e_tag: Some("\"0x1\"".into()), ..file.meta.clone() };
        let listed = PlacedFile { meta: listed, ..file.clone() };
        assert!(listed.is(&read) && listed.condition().is_none() && !listed.is(&file.meta));
        let pinned = Pinned::new(store.clone(), &[file]);
        assert_eq!(pinned.get_range(&path, 4..11).await.unwrap(), "content");
        assert_eq!(pinned.get_ranges(&path, &[0..3, 4..5]).await.unwrap(), ["old", "c"]);
        let message = |error| store_error(error).message().to_string();
        store.put(&path, "new content".into()).await.unwrap();
        let error = store_error(pinned.get_range(&path, 0..3).await.unwrap_err());
        assert_eq!(error.code(), Sqlstate::SERIALIZATION_FAILURE);
        assert_eq!(error.message(), "the file @s/a.parquet changed while it was read");
        store.delete(&path).await.unwrap();
        let error = pinned.get_ranges(&path, std::slice::from_ref(&(0..3))).await.unwrap_err();
        assert_eq!(message(error), "the file @s/a.parquet vanished while it was read");
        assert!(message(pinned.get(&Path::from("b")).await.unwrap_err()).contains("internal"));
    }
}
