//! The check a connection must pass when it is created or altered.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use lakeport_base::Secret;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::body;
use crate::cx::{OpenCx, Timeouts};
use crate::error::{Error, Result};
use crate::kms::Kms;
use crate::target::Target;

/// What a key encrypts and must decrypt to the same.
const SECRET_TEXT: &str = "a server has been configured to encrypt and decrypt with this key";
/// The marker file; it stays behind.
pub const MARKER: &str = "crdb_external_storage_location";
/// What it holds.
const MARKER_TEXT: &str = "a CockroachDB cluster has been configured to read and write to this location";
/// Most that is read of a file in its place, in bytes.
const MARKER_BYTES_MAX: usize = 4 << 10;
/// Entries looked at while searching for the marker in a listing.
const LISTED_MAX: usize = 10_000;

/// Runs the check of the target's kind, all within `limit`.
///
/// # Errors
/// Names the step that failed, the address and the cause; never a secret.
pub async fn probe(target: &Target, cx: &OpenCx, limit: Duration) -> Result<()> {
    // A far side that does not answer is given up early enough to say why.
    let patience = limit / 3;
    let timeouts = Timeouts { connect: patience, request: limit, idle: limit, retry: patience };
    let cx = OpenCx { timeouts, ..cx.clone() };
    match tokio::time::timeout(limit, target.kind().probe(target, &cx)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let message = format!("no answer from {} within {} s", target.address(), limit.as_secs_f64());
            Err(Error::timeout(message)
                .with_hint("check the address and the network, or raise connection.check_timeout"))
        }
    }
}

/// Writes a marker file, finds it in a listing and reads it back.
pub(crate) async fn marker_file(store: &dyn ObjectStore, address: &str) -> Result<()> {
    let failed = |doing: &str, error: Error| error.context(format!("{doing}: {address}"));
    let path = Path::from(MARKER);
    let written = store.put(&path, MARKER_TEXT.into()).await;
    written.map_err(|error| failed("failed to write a sentinel ExternalStorage file", error.into()))?;
    let listed = find_marker(store).await;
    if !listed.map_err(|error| failed("failed to list sentinel ExternalStorage file", error))? {
        return Err(Error::not_found(format!("failed to find sentinel ExternalStorage file '{MARKER}'")));
    }
    let found =
        read(store, &path).await.map_err(|error| error.context("failed to read sentinel ExternalStorage file"))?;
    if found != MARKER_TEXT {
        let found: String = found.chars().take(200).collect();
        return Err(Error::conflict(format!("content mismatch, expected: {MARKER_TEXT} but found: {found}")));
    }
    Ok(())
}

/// Encrypts a text under a key and decrypts it again.
pub(crate) async fn round_trip(key: &dyn Kms) -> Result<()> {
    let failed = |step: &'static str| {
        move |error: Error| {
            error.context(format!("failed to {step} marker content when setting up External Connection"))
        }
    };
    let plaintext = Secret::new(SECRET_TEXT.as_bytes().to_vec());
    let ciphertext = key.encrypt(&plaintext).await.map_err(failed("encrypt"))?;
    let found = key.decrypt(&ciphertext).await.map_err(failed("decrypt"))?;
    if found == plaintext {
        Ok(())
    } else {
        Err(Error::conflict("content mismatch, the key decrypts to something else"))
    }
}

async fn find_marker(store: &dyn ObjectStore) -> Result<bool> {
    // The folder of the marker may hold millions of other files; listing starts just before it.
    let before = Path::from(&MARKER[..MARKER.len() - 1]);
    let entries = store.list_with_offset(None, &before).take(LISTED_MAX);
    let is_marker = |meta: object_store::ObjectMeta| async move { meta.location.filename() == Some(MARKER) };
    Ok(entries.try_any(is_marker).await?)
}

async fn read(store: &dyn ObjectStore, path: &Path) -> Result<String> {
    let pieces = store.get(path).await?.into_stream().map_err(Error::from);
    let bytes = body::read_whole(pieces, MARKER_BYTES_MAX).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
