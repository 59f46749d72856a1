//! A server's surroundings in a folder of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lakeport_base::{Env, Uri};
use lakeport_connect::layer::Meter;
use lakeport_connect::{
    Capability, Clients, Error, LocalStore, OpenCx, OutboundPolicy, Target, Timeouts, conformance, probe, transfer_test,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

/// The check's usual time limit.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A folder with an external directory and userfiles, and the context that uses them.
pub fn scratch() -> (TempDir, OpenCx) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("extern")).unwrap();
    let cx = OpenCx {
        env: Env::system(),
        node_id: 1,
        external_io_dir: Some(folder.path().join("extern")),
        userfiles: Arc::new(LocalStore::create(&folder.path().join("userfiles"), Env::system()).unwrap()),
        user: "ann".into(),
        policy: OutboundPolicy::default(),
        timeouts: Timeouts::default(),
        meter: Meter::default(),
        clients: Clients::default(),
    };
    (folder, cx)
}

/// Opens what must open.
pub async fn open(uri: &str, cx: &OpenCx) -> Arc<dyn ObjectStore> {
    Target::parse(uri).unwrap().open(cx).await.unwrap()
}

/// Runs the conformance suite on a fresh folder of a URI, and sees its traffic counted.
pub async fn conforms(uri: &str) {
    let (_folder, cx) = scratch();
    let target = Target::parse(uri).unwrap().join(&format!("run-{}", cx.env.random_hex(8))).unwrap();
    let store = target.open(&cx).await.unwrap();
    // The buckets of the tests keep no versions.
    let capability = Capability { conditional_put: true, ..target.spec().capability };
    conformance::storage(&*store, capability).await;
    let usage = cx.meter.snapshot()[target.spec().name];
    assert!(usage.requests > 0 && usage.bytes_read > 0 && usage.bytes_written > 0, "{usage:?}");
}

/// The URI with one parameter replaced.
pub fn with(uri: &str, name: &str, value: &str) -> Target {
    let mut uri = Uri::parse(uri).unwrap();
    uri.params.retain(|(key, _)| key != name);
    uri.params.push((name.into(), value.into()));
    Target::from_uri(uri).unwrap()
}

/// The URI with another bucket.
pub fn in_bucket(uri: &str, bucket: &str) -> Target {
    let mut uri = Uri::parse(uri).unwrap();
    uri.host = bucket.into();
    Target::from_uri(uri).unwrap()
}

/// What the check fails with: in time, and without a secret of the target in it.
pub async fn refusal(target: &Target) -> Error {
    let (_folder, cx) = scratch();
    let started = Instant::now();
    let error = probe(target, &cx, LIMIT).await.unwrap_err();
    assert!(started.elapsed() < LIMIT + Duration::from_secs(1), "{error}");
    for row in target.spec().options.iter().filter(|row| !row.public) {
        for secret in target.uri().values(row.name) {
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }
    error
}

pub async fn the_check_and_the_transfer_test_pass(uri: &str) {
    let (_folder, cx) = scratch();
    let target = Target::parse(uri).unwrap();
    probe(&target, &cx, LIMIT).await.unwrap();
    let transfer = transfer_test(&target.open(&cx).await.unwrap(), &cx.env, 12 << 20).await;
    assert!(transfer.ok && transfer.can_delete, "{transfer:?}");
}

pub async fn an_upload_goes_on_in_another_opening(uri: &str) {
    const PART_BYTES: usize = 5 << 20;
    let (_folder, cx) = scratch();
    let target = Target::parse(uri).unwrap();
    let (one, other) = (target.open_storage(&cx).await.unwrap(), target.open_storage(&cx).await.unwrap());
    let (first, second) = (one.uploads.unwrap(), other.uploads.unwrap());
    let path = Path::from("uploads/file");
    let id = first.create_multipart(&path).await.unwrap();
    let last = second.put_part(&path, &id, 1, vec![2; 10].into()).await.unwrap();
    let parts = vec![first.put_part(&path, &id, 0, vec![1; PART_BYTES].into()).await.unwrap(), last];
    second.complete_multipart(&path, &id, parts).await.unwrap();
    let found = one.files.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!((found.len(), found[PART_BYTES - 1], found[PART_BYTES]), (PART_BYTES + 10, 1, 2));
    let written: u64 = cx.meter.snapshot().values().map(|usage| usage.bytes_written).sum();
    assert_eq!(written, PART_BYTES as u64 + 10);
}
