//! What BACKUP says and chooses before its job begins.

use std::sync::atomic::Ordering;

use crate::engine_stub::{Client, StubServer};
use crate::outcome::SessionEvent;

const SECOND: i64 = 1_000_000;

/// What a session has been told.
fn notices(client: &mut Client) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    while let Ok(event) = client.events.try_recv() {
        if let SessionEvent::Notice(notice) = event {
            told.push((notice.severity, notice.message));
        }
    }
    told
}

/// Beginning and end of the layers of the newest chain, each once.
async fn layers(client: &Client, collection: &str) -> Vec<[String; 2]> {
    let rows = client.ok(&format!("SHOW BACKUP LATEST IN '{collection}'")).await;
    let mut layers: Vec<_> = rows.into_iter().map(|row| [row[5].clone(), row[6].clone()]).collect();
    layers.dedup();
    layers
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_younger_than_the_moment_is_named() {
    let stub = StubServer::without_jobs().await;
    let mut root = stub.session("root").await;
    root.ok("CREATE TABLE old (x INT); CREATE DATABASE d").await;
    stub.ahead.fetch_add(10 * SECOND, Ordering::Relaxed);
    root.ok("CREATE TABLE young (x INT); CREATE DATABASE e").await;
    notices(&mut root);
    root.ok("BACKUP TABLE old, young INTO 'nodelocal://1/x' AS OF SYSTEM TIME '-5s' WITH detached").await;
    let [(severity, text)] = &notices(&mut root)[..] else { panic!("one warning") };
    assert_eq!(*severity, "WARNING");
    assert!(text.starts_with("table defaultdb.public.young did not exist at "), "{text}");
    root.ok("BACKUP DATABASE d, e INTO 'nodelocal://1/y' AS OF SYSTEM TIME '-5s' WITH detached").await;
    let [(_, text)] = &notices(&mut root)[..] else { panic!("one warning") };
    assert!(text.starts_with("database \"e\" did not exist at "), "{text}");
    root.ok("BACKUP TABLE old, young INTO 'nodelocal://1/z' WITH detached").await;
    assert!(notices(&mut root).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_does_not_hold_a_detached_job_back_and_is_told() {
    let stub = StubServer::without_jobs().await;
    let mut root = stub.session("root").await;
    root.ok("CREATE TABLE t (x INT)").await;
    let backup = "BACKUP TABLE t INTO 'nodelocal://1/x' WITH detached";
    root.ok(backup).await;
    assert!(notices(&mut root).is_empty(), "outside of a block");
    root.ok("BEGIN").await;
    let (code, _) = root.error("BACKUP TABLE t INTO 'nodelocal://1/y'").await;
    assert_eq!(code, "25001");
    root.ok("ROLLBACK; BEGIN").await;
    let job = root.ok(&backup.replace("/x", "/z")).await.remove(0).remove(0);
    let told = ("NOTICE", "the job runs whatever becomes of the transaction".to_string());
    assert_eq!(notices(&mut root), [told]);
    root.ok("ROLLBACK").await;
    assert_eq!(root.ok(&format!("SHOW JOB {job}")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_loses_nothing() {
    let stub = StubServer::start().await;
    let root = stub.session("root").await;
    root.ok("CREATE TABLE t (x INT)").await;
    root.ok("BACKUP TABLE t INTO 'nodelocal://1/before'").await;
    let committed = stub.server.config.env.now_micros() + SECOND;
    stub.engine.committed.store(committed, Ordering::Relaxed);
    stub.ahead.fetch_sub(3_600 * SECOND, Ordering::Relaxed);
    // A full backup has what was committed before.
    root.ok("BACKUP TABLE t INTO 'nodelocal://1/after'").await;
    let [[_, end]] = &layers(&root, "nodelocal://1/after").await[..] else { panic!("one layer") };
    let [[_, before]] = &layers(&root, "nodelocal://1/before").await[..] else { panic!("one layer") };
    assert!(end > before, "{end} is not after {before}");
    // A layer begins where the one below ends, and ends later, although nothing was committed since.
    for _ in 0..2 {
        root.ok("BACKUP TABLE t INTO LATEST IN 'nodelocal://1/after'").await;
    }
    let chain = layers(&root, "nodelocal://1/after").await;
    assert_eq!(chain.len(), 3, "{chain:?}");
    for pair in chain.windows(2) {
        let ([_, below], [start, end]) = (&pair[0], &pair[1]);
        assert!(start == below && end > start, "{chain:?}");
    }
    let (code, text) = root.error("BACKUP TABLE t INTO LATEST IN 'nodelocal://1/after' AS OF SYSTEM TIME '-0s'").await;
    assert_eq!(code, "22023");
    assert!(text.contains("which is not after the end of the chain"), "{text}");
    // So do full backups.
    for _ in 0..2 {
        root.ok("BACKUP TABLE t INTO 'nodelocal://1/after'").await;
    }
    let fulls = root.ok("SHOW BACKUPS IN 'nodelocal://1/after'").await;
    assert_eq!(fulls.len(), 3, "{fulls:?}");
}
