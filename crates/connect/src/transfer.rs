//! One run of CHECK EXTERNAL CONNECTION: write a file, read it back, delete it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use lakeport_base::Env;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::error::{Error, Result};

/// Bytes written at a time.
const CHUNK_BYTES: usize = 32 << 10;

/// What one run found. Speeds are bytes per second, zero when that stage was not reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transfer {
    /// Writing and reading worked.
    pub ok: bool,
    /// What failed, prefixed by the stage; set also when only the deletion failed.
    pub error: Option<String>,
    /// Bytes written and read back.
    pub transferred: u64,
    /// Bytes per second read.
    pub read_speed: f64,
    /// Bytes per second written.
    pub write_speed: f64,
    /// The file could be deleted.
    pub can_delete: bool,
}

/// Writes `bytes` of noise, reads them back, deletes them. Failures are part of the outcome. A run that is dropped
/// halfway deletes behind itself.
pub async fn transfer_test(store: &Arc<dyn ObjectStore>, env: &Env, bytes: u64) -> Transfer {
    let mut outcome = Transfer::default();
    let path = Path::from(format!("cockroach-storage-test-{}", env.random_hex(8)));
    let mut file = TestFile { store: Arc::clone(store), path, writer: None, is_left: true };
    match file.write_and_read(env, bytes, &mut outcome).await {
        Ok(()) => outcome.ok = true,
        Err(error) => outcome.error = Some(error.to_string()),
    }
    file.abort().await;
    match store.delete(&file.path).await {
        Ok(()) => outcome.can_delete = true,
        Err(error) if outcome.ok => outcome.error = Some(Error::from(error).context("deleting file").to_string()),
        Err(_) => {}
    }
    file.is_left = false;
    outcome
}

/// The file of one run.
struct TestFile {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// The upload under way.
    writer: Option<WriteMultipart>,
    /// The file or pieces of it may be in the store.
    is_left: bool,
}

impl TestFile {
    async fn write_and_read(&mut self, env: &Env, bytes: u64, outcome: &mut Transfer) -> Result<()> {
        let started = Instant::now();
        let checksum = self.write(env, bytes).await?;
        outcome.write_speed = speed(bytes, started.elapsed());
        let started = Instant::now();
        let (read, found) = read(&*self.store, &self.path).await?;
        outcome.read_speed = speed(read, started.elapsed());
        outcome.transferred = read;
        if (read, found) != (bytes, checksum) {
            return Err(Error::io(format!("reading content: wrote {bytes} bytes but found {read} other ones")));
        }
        Ok(())
    }

    async fn write(&mut self, env: &Env, bytes: u64) -> Result<u64> {
        let upload = self.store.put_multipart(&self.path).await;
        let upload = upload.map_err(|error| Error::from(error).context("opening writer"))?;
        let writer = self.writer.insert(WriteMultipart::new(upload));
        let mut noise = vec![0; CHUNK_BYTES];
        env.random(&mut noise);
        let mut checksum = 0;
        let mut left = bytes;
        while left > 0 {
            let chunk = &noise[..CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES))];
            writer.wait_for_capacity(2).await.map_err(|error| Error::from(error).context("writing chunk"))?;
            writer.write(chunk);
            checksum = add(checksum, chunk);
            left -= chunk.len() as u64;
            noise.rotate_left(1);
        }
        if let Some(writer) = self.writer.take() {
            writer.finish().await.map_err(|error| Error::from(error).context("closing after writing"))?;
        }
        Ok(checksum)
    }

    /// Gives up an upload that was not finished; the store forgets its pieces.
    async fn abort(&mut self) {
        if let Some(writer) = self.writer.take() {
            // The failure that led here is the one to tell of.
            let _ = writer.abort().await;
        }
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !std::mem::take(&mut self.is_left) {
            return;
        }
        let (store, path, writer) = (Arc::clone(&self.store), self.path.clone(), self.writer.take());
        let mut left = TestFile { store, path, writer, is_left: false };
        runtime.spawn(async move {
            left.abort().await;
            // Nobody is left to be told.
            let _ = left.store.delete(&left.path).await;
        });
    }
}

async fn read(store: &dyn ObjectStore, path: &Path) -> Result<(u64, u64)> {
    let result = store.get(path).await.map_err(|error| Error::from(error).context("opening reader"))?;
    let count = |(read, checksum), chunk: Bytes| async move { Ok((read + chunk.len() as u64, add(checksum, &chunk))) };
    result.into_stream().try_fold((0, 0), count).await.map_err(|error| Error::from(error).context("reading content"))
}

/// A checksum that does not depend on how the bytes are cut into chunks.
fn add(checksum: u64, chunk: &[u8]) -> u64 {
    chunk.iter().fold(checksum, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(*byte) + 1))
}

fn speed(bytes: u64, elapsed: Duration) -> f64 {
    bytes as f64 / elapsed.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_run_leaves_nothing_behind() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let outcome = transfer_test(&store, &Env::system(), 100_000).await;
        assert!(outcome.ok && outcome.can_delete && outcome.transferred == 100_000, "{outcome:?}");
        assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_dropped_run_deletes_its_file() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("f");
        store.put(&path, "x".into()).await.unwrap();
        drop(TestFile { store: Arc::clone(&store), path: path.clone(), writer: None, is_left: true });
        while store.head(&path).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
