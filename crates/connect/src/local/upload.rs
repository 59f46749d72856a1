//! Uploads in parts: each part is written at its own place of one staged file, in any order.

use std::fmt;
use std::fs::File;
use std::io;
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
use super::dir::{failed_io, refused};
use super::direct::DirectFile;
use super::stage::{Publish, Staged};
use crate::error::Error as ConnectError;

/// An upload; dropping it deletes what was written.
pub(super) struct LocalUpload {
    env: Env,
    path: Path,
    target: Arc<Target>,
    /// Gone once the upload is complete or aborted.
    staged: Option<Staged>,
    /// Bytes of all parts handed in.
    expected: u64,
    written: Arc<AtomicU64>,
}

impl LocalUpload {
    /// With `is_direct` its parts go past the page cache, where the file system can do that.
    pub(super) fn new(env: Env, path: Path, staged: Staged, is_direct: bool) -> Result<Self> {
        let direct = if is_direct { staged.direct() } else { None };
        let target = Arc::new(Target { file: staged.handle()?, direct });
        Ok(Self { env, path, target, staged: Some(staged), expected: 0, written: Arc::default() })
    }
}

/// Where parts are written.
struct Target {
    file: File,
    direct: Option<DirectFile>,
}

impl Target {
    fn write(&self, data: &PutPayload, at: u64) -> io::Result<()> {
        let mut done = match &self.direct {
            Some(direct) => direct.write(data, at)?,
            None => 0,
        };
        let start = at + done as u64;
        let mut end = start;
        for chunk in data {
            let rest = &chunk[done.min(chunk.len())..];
            done -= chunk.len() - rest.len();
            self.file.write_all_at(rest, end)?;
            end += rest.len() as u64;
        }
        // Nothing is dropped yet, but the kernel begins to write the part out, so that the last sync waits for little.
        // It is advice: a file system may not take it.
        if let Some(length) = NonZeroU64::new(end - start) {
            let _ = fadvise(&self.file, start, Some(length), Advice::DontNeed);
        }
        Ok(())
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
        let (at, length) = (self.expected, data.content_length() as u64);
        self.expected += length;
        let (target, written) = (Arc::clone(&self.target), Arc::clone(&self.written));
        let (env, path) = (self.env.clone(), self.path.clone());
        let write = move || {
            env.fault(Point::LocalWrite).map_err(|error| failed_io(&path, &error))?;
            target.write(&data, at).map_err(|error| failed_io(&path, &error))?;
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
