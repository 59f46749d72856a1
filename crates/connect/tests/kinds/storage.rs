//! The conformance suite on every storage kind that needs no server, and what the server's own disk must refuse.

use std::sync::Arc;
use std::time::Duration;

use crate::scratch::{conforms, open, scratch};
use lakeport_base::{Env, Point};
use lakeport_connect::{Error, LocalStore, OpenCx, Target, expand, probe, transfer_test};
use object_store::path::Path;
use object_store::{ObjectStoreExt, memory::InMemory};

#[tokio::test]
async fn local_folder() {
    let (folder, _) = scratch();
    let store = LocalStore::open(folder.path(), Env::system()).unwrap();
    let capability = Target::parse("nodelocal://1").unwrap().spec().capability;
    lakeport_connect::conformance::storage(&store, capability).await;
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
async fn the_check_leaves_its_marker() {
    let (folder, cx) = scratch();
    probe(&Target::parse("nodelocal://self/a").unwrap(), &cx, Duration::from_secs(5)).await.unwrap();
    let marker = folder.path().join("extern/a/crdb_external_storage_location");
    assert!(std::fs::read_to_string(&marker).unwrap().starts_with("a CockroachDB cluster has been configured"));
}

#[tokio::test]
async fn nodelocal_can_be_disabled_and_knows_its_node() {
    let (_folder, cx) = scratch();
    let refusal = async |uri: &str, cx: &OpenCx| Target::parse(uri).unwrap().open(cx).await.unwrap_err();
    let disabled = OpenCx { external_io_dir: None, ..cx.clone() };
    assert_eq!(refusal("nodelocal://1/a", &disabled).await.to_string(), "local file access is disabled");
    assert_eq!(refusal("nodelocal://2/a", &cx).await.to_string(), "node 2 is not part of this cluster");
}

#[tokio::test]
async fn users_do_not_see_each_others_files() {
    let (_folder, cx) = scratch();
    let bob = OpenCx { user: "bob".into(), ..cx.clone() };
    open("userfile:///x", &cx).await.put(&Path::from("f"), "ann's".into()).await.unwrap();
    assert!(open("userfile:///x", &bob).await.get(&Path::from("f")).await.is_err());
    let target = Target::parse("userfile://defaultdb.public.userfiles_ann/x").unwrap();
    assert!(matches!(target.open(&bob).await, Err(Error::Forbidden(_))));
    assert!(target.open(&cx).await.unwrap().get(&Path::from("f")).await.is_ok());
}

#[tokio::test]
async fn patterns_name_files_in_order() {
    let store = InMemory::new();
    for name in ["d/b.csv", "d/a.csv", "d/sub/c.csv", "d/a.txt", "e/a.csv", "d/we[i]rd.csv"] {
        store.put(&Path::parse(name).unwrap(), "x".into()).await.unwrap();
    }
    let names = async |pattern: &str| -> Vec<String> {
        expand(&store, pattern).await.unwrap().into_iter().map(|meta| meta.location.to_string()).collect()
    };
    assert_eq!(names("d/a.csv").await, ["d/a.csv"]);
    assert_eq!(names("d/?.csv").await, ["d/a.csv", "d/b.csv"]);
    assert_eq!(names("*/[ab].csv").await, ["d/a.csv", "d/b.csv", "e/a.csv"]);
    assert_eq!(names("d/**/*.csv").await, ["d/a.csv", "d/b.csv", "d/sub/c.csv", "d/we[i]rd.csv"]);
    assert_eq!(names("d/we[[]i[]]rd.csv").await, ["d/we[i]rd.csv"]);
    assert!(matches!(expand(&store, "d/*.parquet").await, Err(Error::NotFound(_))));
    assert!(matches!(expand(&store, "d/missing.csv").await, Err(Error::NotFound(_))));
    assert!(matches!(expand(&store, "d/[a.csv").await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_transfer_test_measures_and_cleans_up() {
    let (folder, cx) = scratch();
    let store = open("nodelocal://1", &cx).await;
    let transfer = transfer_test(&store, &cx.env, 1_000_000).await;
    assert!(transfer.ok && transfer.can_delete && transfer.error.is_none(), "{transfer:?}");
    assert_eq!(transfer.transferred, 1_000_000);
    assert!(transfer.read_speed > 0.0 && transfer.write_speed > 0.0);
    assert_eq!(std::fs::read_dir(folder.path().join("extern")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_transfer_test_names_the_stage_that_failed() {
    let (_folder, mut cx) = scratch();
    for (point, text, ok, can_delete) in [
        (Point::StorageUpload, "opening writer: ", false, false),
        (Point::StorageComplete, "closing after writing: ", false, false),
        (Point::StorageGet, "opening reader: ", false, true),
        (Point::StorageDelete, "deleting file: ", true, false),
    ] {
        let fails = move |reached: Point| if reached == point { Err(std::io::Error::other("broken")) } else { Ok(()) };
        cx.env = Env::system().with_fault(Arc::new(fails));
        let transfer = transfer_test(&open("nodelocal://1", &cx).await, &cx.env, 100_000).await;
        assert_eq!(transfer.error.as_deref(), Some(format!("{text}broken").as_str()));
        assert_eq!((transfer.ok, transfer.can_delete), (ok, can_delete));
    }
}
