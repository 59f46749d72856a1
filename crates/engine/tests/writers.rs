//! Writers of one table at the same time, in one process and in two.

mod bench;

use std::time::Duration;

use bench::{Bench, Row};
use chrono::TimeDelta;
use futures::future::join_all;
use lakeport_core::Result;

fn insert(id: i64) -> String {
    format!("INSERT INTO t VALUES ({id}, 0, 'n{id}')")
}

fn codes(outcomes: &[Result<u64>]) -> Vec<&'static str> {
    let code = |outcome: &Result<u64>| outcome.as_ref().err().map(|error| error.code().code());
    outcomes.iter().filter_map(code).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_wait_share_a_commit() {
    let bench = Bench::new().await;
    let statements: Vec<String> = (0..64).map(insert).collect();
    let outcomes = join_all(statements.iter().map(|sql| bench.write(sql, None))).await;
    assert_eq!(codes(&outcomes), Vec::<&str>::new());
    let rows = bench.rows(None).await;
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (0..64).collect::<Vec<_>>());
    assert!(bench.commits().await < statements.len(), "{} commits of 64 rows", bench.commits().await);
    bench.check_change_data(&rows).await;
    bench.check_files().await;
    assert_eq!(bench.beside(TimeDelta::zero()).rows(None).await, rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_key_is_refused_alone() {
    let bench = Bench::new().await;
    bench.write(&insert(100), None).await.expect("a step of the test");
    // Four times each of eight keys, a key of the table, and keys of their own.
    let ids = (0..32).map(|index| index % 8).chain([100]).chain(200..220);
    let statements: Vec<String> = ids.map(insert).collect();
    let outcomes = join_all(statements.iter().map(|sql| bench.write(sql, None))).await;
    assert_eq!(codes(&outcomes), vec!["23505"; 25]);
    let rows = bench.rows(None).await;
    assert_eq!(rows.len(), 8 + 1 + 20);
    bench.check_change_data(&rows).await;
    bench.check_files().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_goes_away_takes_nobody_with_it() {
    let bench = Bench::new().await;
    let statements: Vec<String> = (0..60).map(insert).collect();
    let write = |index: usize| {
        let limit = Duration::from_millis(if index.is_multiple_of(3) { index as u64 } else { 60_000 });
        tokio::time::timeout(limit, bench.write(&statements[index], None))
    };
    let outcomes = join_all((0..statements.len()).map(write)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let rows = bench.rows(None).await;
    for (id, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(written) => assert_eq!(written.expect("nothing refuses the row"), 1),
            Err(_) => continue,
        }
        assert!(rows.contains_key(&(id as i64)), "row {id} was acknowledged and is lost");
    }
    bench.check_change_data(&rows).await;
    bench.check_files().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_lose_no_row_and_no_update() {
    let here = Bench::new().await;
    let there = here.beside(TimeDelta::zero());
    here.write(&insert(0), None).await.expect("a step of the test");
    let run = |bench: Bench, first: i64| async move {
        for id in first..first + 6 {
            bench.write(&insert(id), None).await.expect("a step of the test");
            bench.write("UPDATE t SET grp = grp + 1 WHERE id = 0", None).await.expect("a step of the test");
        }
        bench
    };
    let (here, there) = tokio::join!(tokio::spawn(run(here, 10)), tokio::spawn(run(there, 20)));
    let (here, there) = (here.expect("a step of the test"), there.expect("a step of the test"));
    let rows = here.rows(None).await;
    assert_eq!(rows.len(), 13);
    assert_eq!(rows[&0].1, Some(12), "an update is lost");
    assert_eq!(there.rows(None).await, rows);
    here.check_change_data(&rows).await;
    here.check_files().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_have_one_key_twice() {
    let here = Bench::new().await;
    let there = here.beside(TimeDelta::zero());
    for id in 0..6 {
        let sql = insert(id);
        let (first, second) = tokio::join!(here.write(&sql, None), there.write(&sql, None));
        assert_eq!(codes(&[first, second]), ["23505"]);
    }
    assert_eq!(here.rows(None).await, there.rows(None).await);
    here.check_files().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_only_add_rows_commit_beside_others() {
    let bench = Bench::new().await;
    let (first, second) = (bench.begin().await, bench.begin().await);
    for (block, ids) in [(first, [1, 2]), (second, [3, 4])] {
        for id in ids {
            bench.write(&insert(id), Some(block)).await.expect("a step of the test");
        }
    }
    bench.write("DELETE FROM t WHERE id = 2", Some(first)).await.expect("a step of the test");
    let (first, second) = tokio::join!(bench.commit(first), bench.commit(second));
    assert!(first.is_ok() && second.is_ok());
    let expected: Vec<Row> = [1, 3, 4].map(|id| (id, Some(0), Some(format!("n{id}")))).to_vec();
    let rows = bench.rows(None).await;
    assert_eq!(rows.values().cloned().collect::<Vec<_>>(), expected);
    bench.check_change_data(&rows).await;
    bench.check_files().await;

    let block = bench.begin().await;
    bench.write(&insert(9), Some(block)).await.expect("a step of the test");
    bench.write(&insert(9), None).await.expect("a step of the test");
    assert_eq!(bench.commit(block).await.unwrap_err().code().code(), "40001");
    bench.check_files().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_after_a_drop_finds_no_table() {
    let bench = Bench::new().await;
    bench.write(&insert(1), None).await.expect("a step of the test");
    bench.drop_table().await;
    let statements = [insert(2), "UPDATE t SET grp = 1".to_string(), "DELETE FROM t".to_string()];
    for sql in &statements {
        assert_eq!(codes(&[bench.write(sql, None).await]), ["42P01"], "{sql}");
    }
    assert_eq!(bench.data_files().await, 0);
}
