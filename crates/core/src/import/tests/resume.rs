//! Imports that are stopped, fail or panic, and go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lakeport_base::Point;
use lakeport_base::id::JobId;
use lakeport_catalog::model::Job;

use super::{server_with, shows};
use crate::engine_stub::{Client, StubServer};
use crate::job::Checkpoint;

/// Parts of the three files.
const PARTS: usize = 6;

/// Three files, each long enough for two parts.
async fn server_with_three_files() -> (StubServer, Client) {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    for file in 0..3 {
        let rows = (0..40).map(|row| format!("{},{}\n", file * 40 + row, "x".repeat(20)));
        stub.write(&format!("in/{file}.csv"), rows.collect::<String>());
    }
    (stub, root)
}

fn ids(stub: &StubServer) -> Vec<i64> {
    let mut ids: Vec<i64> = stub.engine.rows().iter().map(|row| row[0].parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

async fn job(stub: &StubServer, id: &str) -> Job {
    let id = JobId(id.parse().unwrap());
    stub.server.config.catalog.read().await.unwrap().job(id).await.unwrap().unwrap()
}

async fn staged_parts(stub: &StubServer, id: &str) -> usize {
    match job(stub, id).await.checkpoint.map(|text| Checkpoint::decode(&text).unwrap()) {
        Some(Checkpoint::Import(staged)) => staged.parts.len(),
        _ => 0,
    }
}

/// Makes opening the last file wait for ever, or fail so many times.
fn hold_last_file(stub: &StubServer, failures: usize) -> Arc<AtomicUsize> {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = opened.clone();
    stub.fail_at(move |point| {
        let number = if point == Point::StorageGet { count.fetch_add(1, Ordering::Relaxed) } else { 0 };
        if number >= 2 && number < 2 + failures { Err(std::io::Error::other("the disk is away")) } else { Ok(()) }
    });
    opened
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_for_a_while_delays_only() {
    let (stub, root) = server_with_three_files().await;
    hold_last_file(&stub, 2);
    let rows = root.ok("IMPORT INTO t CSV DATA ('nodelocal://1/in/*.csv') WITH skip = '0'").await;
    assert_eq!(rows[0][3], "120");
    assert_eq!(ids(&stub), (0..120).collect::<Vec<_>>());
    assert!(stub.engine.staged.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_away_fails_the_job_and_leaves_nothing() {
    let (stub, root) = server_with_three_files().await;
    hold_last_file(&stub, usize::MAX - 2);
    let (code, message) = root.error("IMPORT INTO t CSV DATA ('nodelocal://1/in/*.csv')").await;
    assert_eq!(code, "58030", "{message}");
    assert!(ids(&stub).is_empty());
    for _ in 0..100 {
        if stub.engine.staged.lock().unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("staged rows of a failed import are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_import_goes_on_where_it_stopped() {
    let (stub, root) = server_with_three_files().await;
    let id = paused_after_a_part(&stub, &root).await;
    let before = staged_parts(&stub, &id).await;
    let staged = stub.engine.stagings.load(Ordering::Relaxed);
    root.ok(&format!("RESUME JOB {id}; SHOW JOB WHEN COMPLETE {id}")).await;
    assert_eq!(job(&stub, &id).await.state.as_str(), "succeeded");
    assert_eq!(ids(&stub), (0..120).collect::<Vec<_>>());
    let again = stub.engine.stagings.load(Ordering::Relaxed) - staged;
    assert!(before > 0);
    assert_eq!(again as usize + before, PARTS, "{before} parts before, {again} after");
    assert!(stub.engine.staged.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_read_from_the_start() {
    let (stub, root) = server_with_three_files().await;
    let id = paused_after_a_part(&stub, &root).await;
    stub.write("in/0.csv", "1000,new\n");
    root.ok(&format!("RESUME JOB {id}; SHOW JOB WHEN COMPLETE {id}")).await;
    assert_eq!(ids(&stub), (40..120).chain([1000]).collect::<Vec<_>>());
    assert!(stub.engine.staged.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_import_leaves_no_staged_rows() {
    let (stub, root) = server_with_three_files().await;
    let id = paused_after_a_part(&stub, &root).await;
    assert!(!stub.engine.staged.lock().unwrap().is_empty());
    root.ok(&format!("CANCEL JOB {id}; SHOW JOB WHEN COMPLETE {id}")).await;
    assert_eq!(job(&stub, &id).await.state.as_str(), "canceled");
    assert!(ids(&stub).is_empty() && stub.engine.staged.lock().unwrap().is_empty());
    assert_eq!(job(&stub, &id).await.checkpoint, None);
}

/// An import that failed on its last file after its first ones were staged, and was paused while it waited to try again.
async fn paused_after_a_part(stub: &StubServer, root: &Client) -> String {
    hold_last_file(stub, usize::MAX - 2);
    let id = root.ok("IMPORT INTO t CSV DATA ('nodelocal://1/in/*.csv') WITH detached").await.remove(0).remove(0);
    for _ in 0..500 {
        if staged_parts(stub, &id).await > 0 && root.ok(&format!("SHOW JOB {id}")).await[0][5].starts_with("trying") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    root.ok(&format!("PAUSE JOB {id}")).await;
    shows(root, &id, 4, "paused").await;
    stub.fail_at(|_| Ok(()));
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_its_job_only() {
    let (stub, root) = server_with_three_files().await;
    stub.engine.panics.store(true, Ordering::Relaxed);
    let (code, message) = root.error("IMPORT INTO t CSV DATA ('nodelocal://1/in/0.csv')").await;
    assert_eq!((code.as_str(), message.as_str()), ("XX000", "internal error"));
    stub.engine.panics.store(false, Ordering::Relaxed);
    let failed = root.ok("SHOW JOBS").await.remove(0);
    assert_eq!((failed[4].as_str(), failed[10].as_str()), ("failed", "internal error"));
    root.ok("IMPORT INTO t CSV DATA ('nodelocal://1/in/1.csv')").await;
    assert_eq!(ids(&stub), (40..80).collect::<Vec<_>>());
}
