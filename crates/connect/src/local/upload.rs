//! Uploads in parts: each part is written at its own place of one staged file, in any order.

use std::fmt;
use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use lakeport_base::{Env, Point};
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use rustix::fs::{Advice, fadvise};

use super::blocking;
use super::dir::{failed, failed_io, refused};
use super::stage::{Publish, Staged};
use crate::error::Error as ConnectError;

/// An upload; dropping it deletes what was written.
pub(super) struct LocalUpload {
    env: Env,
    path: Path,
    file: Arc<File>,
    /// Gone once the upload is complete or aborted.
    staged: Option<Staged>,
    /// Bytes of all parts handed in.
    expected: u64,
    written: Arc<AtomicU64>,
}

impl LocalUpload {
    pub(super) fn new(env: Env, path: Path, staged: Staged) -> Result<Self> {
        let file = Arc::new(staged.handle()?);
        Ok(Self { env, path, file, staged: Some(staged), expected: 0, written: Arc::default() })
    }
}

impl fmt::Debug for LocalUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalUpload")
    }
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (mut at, length) = (self.expected, data.content_length() as u64);
        self.expected += length;
        let (file, written) = (Arc::clone(&self.file), Arc::clone(&self.written));
        let (env, path) = (self.env.clone(), self.path.clone());
        let write = move || {
            env.fault(Point::LocalWrite).map_err(|error| failed_io(&path, &error))?;
            for chunk in &data {
                file.write_all_at(chunk, at).map_err(|error| failed_io(&path, &error))?;
                at += chunk.len() as u64;
            }
            // The kernel begins to write the part out (and drops nothing of it yet), so that the last sync waits for little.
            fadvise(&file, at - length, NonZeroU64::new(length), Advice::DontNeed)
                .map_err(|errno| failed(&path, errno))?;
            written.fetch_add(length, Ordering::AcqRel);
            Ok(())
        };
        async move { blocking(write).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.take();
        let whole = self.written.load(Ordering::Acquire) == self.expected;
        let staged = staged.filter(|_| whole).ok_or_else(|| refused(ConnectError::io("the upload is not complete")))?;
        blocking(move || staged.publish(Publish::Replace)).await
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.staged.take();
        blocking(move || {
            drop(staged);
            Ok(())
        })
        .await
    }
}
