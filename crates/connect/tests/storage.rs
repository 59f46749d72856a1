//! The conformance suite on every storage kind.
//!
//! `LAKEPORT_TEST_S3`: an `s3://bucket/prefix?...` URI of a scratch bucket on an S3 server that checks credentials;
//! the S3 tests do nothing without it. `LAKEPORT_TEST_STS`: an S3 URI with `ASSUME_ROLE` and an external id on a server
//! that checks both. `tests/` starts such servers and sets the variables.

use std::path::Path;
use std::sync::Arc;

use lakeport_base::Env;
use lakeport_connect::layer::Meter;
use lakeport_connect::{LocalStore, OpenCx, OutboundPolicy, Target, Timeouts, conformance};
use tempfile::TempDir;

fn context(folder: &Path) -> OpenCx {
    OpenCx {
        env: Env::system(),
        node_id: 1,
        external_io_dir: Some(folder.join("extern")),
        userfiles: Arc::new(LocalStore::create(&folder.join("userfiles"), Env::system()).unwrap()),
        user: "ann".into(),
        policy: OutboundPolicy::default(),
        timeouts: Timeouts::default(),
        meter: Meter::default(),
    }
}

fn scratch() -> (TempDir, OpenCx) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("extern")).unwrap();
    let cx = context(folder.path());
    (folder, cx)
}

/// A fresh folder below the path of a URI, which may hold files of earlier runs.
fn below(uri: &str, folder: &str) -> String {
    let sub = format!("{folder}-{}", Env::system().random_hex(8));
    Target::parse(uri).unwrap().join(&sub).unwrap().to_text()
}

async fn conforms(uri: &str) {
    let (_folder, cx) = scratch();
    let target = Target::parse(uri).unwrap();
    let store = target.open(&cx).await.unwrap();
    conformance::storage(&*store, target.spec().capability).await;
    let usage = cx.meter.snapshot()[target.spec().name];
    assert!(usage.requests > 0 && usage.bytes_read > 0 && usage.bytes_written > 0, "{usage:?}");
}

#[tokio::test]
async fn local_folder() {
    let (folder, _) = scratch();
    let store = LocalStore::open(folder.path(), Env::system()).unwrap();
    let capability = Target::parse("nodelocal://1").unwrap().spec().capability;
    conformance::storage(&store, capability).await;
}

#[tokio::test]
async fn nodelocal() {
    conforms("nodelocal://1/some/folder").await;
}

#[tokio::test]
async fn userfile() {
    conforms("userfile:///some/folder").await;
}

#[tokio::test]
async fn s3() {
    if let Ok(uri) = std::env::var("LAKEPORT_TEST_S3") {
        conforms(&below(&uri, "conformance")).await;
    }
}
