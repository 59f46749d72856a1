//! One run of CHECK EXTERNAL CONNECTION: write a file, read it back, delete it.

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

/// Writes `bytes` of noise, reads them back, deletes them. Failures are part of the outcome.
pub async fn transfer_test(store: &dyn ObjectStore, env: &Env, bytes: u64) -> Transfer {
    let mut outcome = Transfer::default();
    let path = Path::from(format!("cockroach-storage-test-{}", env.random_hex(8)));
    if let Err(error) = write_and_read(store, env, &path, bytes, &mut outcome).await {
        outcome.error = Some(error.to_string());
    } else {
        outcome.ok = true;
    }
    match store.delete(&path).await {
        Ok(()) => outcome.can_delete = true,
        Err(error) if outcome.ok => outcome.error = Some(Error::from(error).context("deleting file").to_string()),
        Err(_) => {}
    }
    outcome
}

async fn write_and_read(
    store: &dyn ObjectStore,
    env: &Env,
    path: &Path,
    bytes: u64,
    outcome: &mut Transfer,
) -> Result<()> {
    let started = Instant::now();
    let checksum = write(store, env, path, bytes).await?;
    outcome.write_speed = speed(bytes, started.elapsed());
    let started = Instant::now();
    let (read, found) = read(store, path).await?;
    outcome.read_speed = speed(read, started.elapsed());
    outcome.transferred = read;
    if (read, found) != (bytes, checksum) {
        return Err(Error::io(format!("reading content: wrote {bytes} bytes but found {read} other ones")));
    }
    Ok(())
}

async fn write(store: &dyn ObjectStore, env: &Env, path: &Path, bytes: u64) -> Result<u64> {
    let upload = store.put_multipart(path).await.map_err(|error| Error::from(error).context("opening writer"))?;
    let mut writer = WriteMultipart::new(upload);
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
    writer.finish().await.map_err(|error| Error::from(error).context("closing after writing"))?;
    Ok(checksum)
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
