//! Upkeep: the same rows, the same change data, the same past, in fewer files.

mod bench;

use bench::Bench;
use chrono::TimeDelta;
use lakeport_base::Env;

async fn write_all(bench: &Bench, ids: std::ops::Range<i64>) {
    for id in ids {
        bench.write(&format!("INSERT INTO t VALUES ({id}, {id}, 'x')"), None).await.expect("a step of the test");
    }
}

fn now() -> i64 {
    Env::system().now_micros()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_become_one_and_nothing_else_changes() {
    let bench = Bench::new().await;
    write_all(&bench, 0..40).await;
    let (rows, before) = (bench.rows(None).await, now());
    let done = bench.upkeep(TimeDelta::zero(), None).await;
    assert_eq!(done.merged_files, 40);
    assert_eq!(bench.rows(None).await, rows);
    assert_eq!(bench.rows_at(before).await.expect("a step of the test"), 40);
    bench.check_change_data(&rows).await;
    bench.check_files().await;
    assert_eq!(bench.upkeep(TimeDelta::zero(), None).await.merged_files, 0);
    // Another process reads the log from its beginning.
    assert_eq!(bench.beside(TimeDelta::zero()).rows(None).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_gives_way_to_writers_and_open_blocks() {
    let bench = Bench::new().await;
    write_all(&bench, 0..40).await;
    let block = bench.begin().await;
    bench.write("UPDATE t SET grp = -1 WHERE id = 3", Some(block)).await.expect("a step of the test");
    assert_eq!(bench.upkeep(TimeDelta::zero(), None).await.merged_files, 0);
    bench.commit(block).await.expect("a merge must not stand in the way of the block");
    let writers = async {
        for id in 0..10 {
            let sql = format!("UPDATE t SET grp = 100 WHERE id = {id}");
            bench.write(&sql, None).await.expect("a step of the test");
        }
    };
    let upkeep = async {
        for _ in 0..5 {
            bench.upkeep(TimeDelta::zero(), None).await;
        }
    };
    tokio::join!(writers, upkeep);
    let rows = bench.rows(None).await;
    assert_eq!(rows.values().filter(|row| row.1 == Some(100)).count(), 10);
    assert_eq!(rows.len(), 40);
    bench.check_change_data(&rows).await;
    bench.check_files().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_deletes_what_no_moment_needs() {
    let bench = Bench::new().await;
    write_all(&bench, 0..120).await;
    let (rows, early) = (bench.rows(None).await, now());
    let done = bench.upkeep(TimeDelta::zero(), Some(TimeDelta::hours(25))).await;
    assert_eq!((done.merged_files, done.checkpoints, done.deleted_files, done.deleted_entries), (120, 1, 0, 0));
    assert_eq!(bench.data_files().await, 121);

    // Half a day later everything is still needed, three days later the merged file only.
    let ahead = TimeDelta::hours(12);
    let later = bench.beside(ahead);
    assert_eq!(later.upkeep(ahead, Some(TimeDelta::hours(25))).await.deleted_files, 0);
    assert_eq!(later.rows_at(early).await.expect("a step of the test"), 120);
    let ahead = TimeDelta::hours(72);
    let later = bench.beside(ahead);
    let done = later.upkeep(ahead, Some(TimeDelta::hours(25))).await;
    assert_eq!(done.deleted_files, 120);
    assert!(done.deleted_entries >= 119, "{} entries", done.deleted_entries);
    assert_eq!(later.data_files().await, 1);
    assert_eq!(later.rows(None).await, rows);
    assert_eq!(bench.rows(None).await, rows);
    assert_eq!(later.rows_at(early).await.unwrap_err().code().code(), "42P01");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_spares_what_an_open_block_has_staged() {
    let bench = Bench::new().await;
    write_all(&bench, 0..3).await;
    let ahead = TimeDelta::hours(72);
    let later = bench.beside(ahead);
    let block = later.begin().await;
    later.write("INSERT INTO t VALUES (7, 7, 'block')", Some(block)).await.expect("a step of the test");
    assert_eq!(later.upkeep(ahead, Some(TimeDelta::hours(25))).await.deleted_files, 0);
    later.commit(block).await.expect("a step of the test");
    assert_eq!(later.rows(None).await.len(), 4);
    // The same files as orphans: their writer is gone without a trace.
    let lost = bench.begin().await;
    bench.write("INSERT INTO t VALUES (8, 8, 'lost')", Some(lost)).await.expect("a step of the test");
    let done = bench.beside(ahead).upkeep(ahead, Some(TimeDelta::hours(25))).await;
    assert!(done.deleted_files >= 2, "{done:?}");
    assert_eq!(later.rows(None).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_table_is_looked_after_no_more() {
    let bench = Bench::new().await;
    write_all(&bench, 0..110).await;
    let (upkeep, ()) = tokio::join!(bench.try_upkeep(), bench.drop_table());
    if let Err(error) = upkeep {
        assert_eq!(error.code().code(), "57014", "{error}");
    }
    assert_eq!(bench.data_files().await, 0);
}
