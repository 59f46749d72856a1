//! A server's surroundings in a folder of their own.

use std::sync::Arc;

use lakeport_base::Env;
use lakeport_connect::layer::Meter;
use lakeport_connect::{LocalStore, OpenCx, OutboundPolicy, Target, Timeouts, conformance};
use object_store::ObjectStore;
use tempfile::TempDir;

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
    conformance::storage(&*store, target.spec().capability).await;
    let usage = cx.meter.snapshot()[target.spec().name];
    assert!(usage.requests > 0 && usage.bytes_read > 0 && usage.bytes_written > 0, "{usage:?}");
}
