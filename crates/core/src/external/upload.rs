//! Uploads in parts that outlive the key they were begun with.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use lakeport_base::Sqlstate;
use lakeport_base::limits::UPLOAD_RENEWAL_WAIT;
use lakeport_connect::redact;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, PutMultipartOptions, PutPayload, PutResult, Result, UploadPart};

use super::{Current, Reference, into_store_error};
use crate::error::Error;
use crate::job::Progress;

/// How often an upload that waits looks whether its connection was altered.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Begins an upload. Where the storage has no ids of uploads, or the upload has options, it ends with the key it began with.
pub(super) async fn begin(
    reference: &Arc<Reference>,
    path: &Path,
    options: PutMultipartOptions,
) -> Result<Box<dyn MultipartUpload>> {
    let Current { storage, place, .. } = reference.current().await?;
    let uploads = storage.uploads.filter(|_| options == PutMultipartOptions::default());
    let Some(uploads) = uploads else { return storage.files.put_multipart_opts(path, options).await };
    let id = uploads.create_multipart(path).await?;
    let (reference, path) = (reference.clone(), path.clone());
    let upload = Upload { reference, place, begun: uploads, path, id, parts: Mutex::default() };
    Ok(Box::new(FollowingUpload { upload: Arc::new(upload), parts: 0 }))
}

/// An upload that sends each part with the key that its connection has then.
struct FollowingUpload {
    upload: Arc<Upload>,
    /// How many there are, sent or not.
    parts: usize,
}

impl fmt::Debug for FollowingUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FollowingUpload({})", self.upload.path)
    }
}

#[async_trait]
impl MultipartUpload for FollowingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (upload, index) = (self.upload.clone(), self.parts);
        self.parts += 1;
        async move {
            let (path, id) = (&upload.path, &upload.id);
            let send = |uploads: Arc<dyn MultipartStore>| {
                let data = data.clone();
                async move { uploads.put_part(path, id, index, data).await }
            };
            let part = upload.ask(send).await?;
            upload.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(index, part);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let Upload { path, id, .. } = &*self.upload;
        let parts = self.upload.sent(self.parts)?;
        let complete = |uploads: Arc<dyn MultipartStore>| {
            let parts = parts.clone();
            async move { uploads.complete_multipart(path, id, parts).await }
        };
        self.upload.ask(complete).await
    }

    async fn abort(&mut self) -> Result<()> {
        let Upload { reference, begun, path, id, .. } = &*self.upload;
        let current = reference.current().await.and_then(|current| self.upload.uploads(&current));
        // A connection that leads elsewhere now, or is gone, has not taken the parts along.
        current.unwrap_or_else(|_| begun.clone()).abort_multipart(path, id).await
    }
}

/// What the parts of an upload share.
struct Upload {
    reference: Arc<Reference>,
    place: Arc<str>,
    /// Where it was begun, with the key of then.
    begun: Arc<dyn MultipartStore>,
    path: Path,
    id: MultipartId,
    /// Those that the storage has, by index.
    parts: Mutex<BTreeMap<usize, PartId>>,
}

impl Upload {
    /// Asks with the key of now. What is refused for its key waits for another, and is asked for again.
    async fn ask<T, F>(&self, request: impl Fn(Arc<dyn MultipartStore>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            let current = self.reference.current().await?;
            match request(self.uploads(&current)?).await {
                Err(error) if is_refused(&error) => self.reference.altered_since(&current, error).await?,
                outcome => return outcome,
            }
        }
    }

    /// Where the upload goes on.
    fn uploads(&self, current: &Current) -> Result<Arc<dyn MultipartStore>> {
        let uploads = current.storage.uploads.clone().filter(|_| current.place == self.place);
        uploads.ok_or_else(|| into_store_error(self.reference.led_elsewhere()))
    }

    fn sent(&self, parts: usize) -> Result<Vec<PartId>> {
        let sent = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() < parts {
            return Err(into_store_error(Error::internal("an upload is completed without all of its parts")));
        }
        Ok(sent.values().cloned().collect())
    }
}

fn is_refused(error: &object_store::Error) -> bool {
    matches!(lakeport_connect::Error::from(error), lakeport_connect::Error::Denied(_))
}

impl Reference {
    /// Waits until the connection is another one than that whose key was refused.
    ///
    /// # Errors
    /// 42501 when nobody alters it in time, which no job waits for again; whatever makes the connection unusable.
    async fn altered_since(&self, refused: &Current, error: object_store::Error) -> Result<()> {
        let told = lakeport_connect::Error::from(&error).to_string();
        let altered = tokio::time::timeout(UPLOAD_RENEWAL_WAIT, self.altered(refused, &told)).await;
        altered.unwrap_or_else(|_| Err(into_store_error(self.not_altered(&told))))
    }

    fn not_altered(&self, told: &str) -> Error {
        let (uri, seconds) = (redact(&self.uri), UPLOAD_RENEWAL_WAIT.as_secs());
        let message = format!("access to {uri} failed: {told}; its connection was not altered within {seconds} s");
        Error::new(Sqlstate::INSUFFICIENT_PRIVILEGE, message)
            .with_hint("ALTER EXTERNAL CONNECTION gives it another key; then run the statement again")
    }

    async fn altered(&self, refused: &Current, told: &str) -> Result<()> {
        let _turn = self.waiting.lock().await;
        if self.current().await?.version != refused.version {
            return Ok(());
        }
        let uri = redact(&self.uri);
        tracing::warn!(%uri, error = told, "storage refuses the key; an upload waits until its connection is altered");
        let status = format!("waiting for ALTER EXTERNAL CONNECTION: access to {uri} failed: {told}");
        let _shown = Shown::new(&self.progress, status);
        while self.current().await?.version == refused.version {
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        Ok(())
    }
}

/// A status of a job for as long as this lives.
struct Shown<'a> {
    progress: &'a Progress,
    before: Option<String>,
}

impl<'a> Shown<'a> {
    fn new(progress: &'a Progress, status: String) -> Shown<'a> {
        Shown { progress, before: progress.replace_status(Some(status)) }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.progress.replace_status(self.before.take());
    }
}

#[cfg(test)]
mod tests;
