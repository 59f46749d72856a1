use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::task::{Context, Waker};

use lakeport_base::id::ConnectionId;
use lakeport_base::{Dialect, Secret};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};

use super::*;
use crate::model::Connection;
use crate::{Error, conformance};

fn key(byte: u8) -> MasterKey {
    MasterKey::from_bytes(&[byte; 32]).unwrap()
}

fn master() -> MasterKey {
    key(9)
}

async fn open(directory: &Path) -> SqliteCatalog {
    try_open(directory, master()).await.unwrap()
}

async fn try_open(directory: &Path, master: MasterKey) -> Result<SqliteCatalog> {
    let path = directory.join("store").join("catalog.db");
    SqliteCatalog::open(&path, |_| Ok(master), Env::system()).await
}

fn connection(name: &str) -> Connection {
    Connection {
        id: ConnectionId(7000),
        name: name.into(),
        kind: "s3".into(),
        dialect: Dialect::Cockroach,
        definition: Secret::new("canary-f3a9".into()),
        redacted: "redacted".into(),
        owner: "root".into(),
        version: 1,
        created: 1,
        updated: 1,
        last_check: None,
    }
}

async fn insert(catalog: &SqliteCatalog, connection: &Connection) {
    let mut tx = catalog.write().await.unwrap();
    tx.insert_connection(connection).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_suite_new_and_reopened() {
    let directory = tempfile::tempdir().unwrap();
    conformance::run(Arc::new(open(directory.path()).await)).await.unwrap();
    conformance::reopened(Arc::new(open(directory.path()).await)).await.unwrap();
}

#[tokio::test]
async fn files_are_for_their_owner_and_hold_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    insert(&catalog, &connection("lake")).await;
    let store = directory.path().join("store");
    assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&store).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        let content = std::fs::read(&path).unwrap();
        assert!(!content.windows(11).any(|window| window == b"canary-f3a9"), "{path:?}");
    }
    catalog.close().await;
}

#[tokio::test]
async fn a_catalog_is_the_same_when_opened_again_and_no_other() {
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let catalog = open(directory.path()).await;
    let identity = catalog.identity().to_string();
    catalog.close().await;
    assert_eq!(open(directory.path()).await.identity(), identity);
    assert_ne!(open(other.path()).await.identity(), identity);
}

#[tokio::test]
async fn who_gives_the_key_is_told_whether_it_must_be_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("catalog.db");
    let missing = || Error::MasterKey("missing".into());
    for sealed_before in [false, true] {
        let given = |sealed| if sealed == sealed_before { Ok(master()) } else { Err(missing()) };
        SqliteCatalog::open(&path, given, Env::system()).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_second_opener_is_told_which_file_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await;
    let error = try_open(directory.path(), master()).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains("catalog.db") && text.contains("another process"), "{text}");
    first.close().await;
    open(directory.path()).await;
}

#[tokio::test]
async fn another_master_key_does_not_open_it_until_rewrapped() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    insert(&catalog, &connection("lake")).await;
    catalog.close().await;

    let error = try_open(directory.path(), key(8)).await.err().unwrap();
    assert!(matches!(error, Error::MasterKey(_)), "{error}");
    let catalog = open(directory.path()).await;
    catalog.rewrap(&key(8)).await.unwrap();
    catalog.close().await;

    assert!(try_open(directory.path(), master()).await.is_err());
    let catalog = try_open(directory.path(), key(8)).await.unwrap();
    let found = catalog.read().await.unwrap().find_connection("lake").await.unwrap();
    assert_eq!(found, Some(connection("lake")));
}

#[tokio::test]
async fn a_sealed_value_moved_to_another_row_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    insert(&catalog, &connection("lake")).await;
    insert(&catalog, &Connection { id: ConnectionId(7001), ..connection("other") }).await;
    let swap =
        "UPDATE connections SET definition = (SELECT definition FROM connections WHERE id = 7000) WHERE id = 7001";
    sqlx::query(swap).execute(&catalog.writer).await.unwrap();
    let mut tx = catalog.read().await.unwrap();
    let error = tx.find_connection("other").await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { what: "connection", .. }), "{error}");
    assert!(!error.to_string().contains("canary"));
}

#[tokio::test]
async fn a_file_that_is_no_catalog_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("store")).unwrap();
    std::fs::write(directory.path().join("store/catalog.db"), "not a database, but long enough to look").unwrap();
    let error = try_open(directory.path(), master()).await.err().unwrap();
    assert!(matches!(error, Error::Store(_)), "{error}");
}

#[tokio::test]
async fn a_catalog_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', 1, x'00', 0)";
    sqlx::query(newer).execute(&catalog.writer).await.unwrap();
    catalog.close().await;
    let error = try_open(directory.path(), master()).await.err().unwrap();
    assert!(matches!(error, Error::Store(_)), "{error}");
}

#[test]
fn every_migration_file_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite/migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let listed: Vec<_> = open::MIGRATIONS.iter().map(|(version, name, _)| format!("{version:04}_{name}.sql")).collect();
    assert_eq!(files, listed);
}

/// Polls a future so many times and drops it: a caller who stops waiting at any point.
async fn cancel_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_writer_leaves_no_open_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    let mut outcomes = [false; 2];
    for polls in 0..40 {
        let finished = cancel_after(polls, async {
            let mut tx = catalog.write().await.unwrap();
            tx.put_setting("cancelled", &polls.to_string()).await.unwrap();
            tx.put_setting("pair", &polls.to_string()).await.unwrap();
            tx.commit().await.unwrap();
        })
        .await;
        outcomes[usize::from(finished)] = true;
        let generation = catalog.generation();
        let mut tx = tokio::time::timeout(Duration::from_secs(5), catalog.write()).await.unwrap().unwrap();
        let settings = tx.settings().await.unwrap();
        let value = |name| settings.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        assert_eq!(value("cancelled"), value("pair"), "all or nothing after {polls} polls");
        assert!(!finished || value("pair") == Some(polls.to_string()));
        tx.put_setting("next", "1").await.unwrap();
        tx.commit().await.unwrap();
        assert!(catalog.generation() > generation);
    }
    assert_eq!(outcomes, [true, true], "some were cut off, some finished");
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_still_counted() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    let before = catalog.generation();
    let mut tx = catalog.write().await.unwrap();
    tx.put_setting("left", "1").await.unwrap();
    assert!(!cancel_after(1, tx.commit()).await);
    let mut tx = catalog.write().await.unwrap();
    assert_eq!(tx.settings().await.unwrap().len(), 1);
    drop(tx);
    let counted = async {
        while catalog.generation() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), counted).await.unwrap();
}

#[tokio::test]
async fn waiting_too_long_for_a_turn_or_a_lock_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    let first = catalog.write().await.unwrap();
    let options = SqliteConnectOptions::new().filename(directory.path().join("store/catalog.db"));
    let mut stranger = options.busy_timeout(Duration::ZERO).connect().await.unwrap();
    let locked = sqlx::query("BEGIN IMMEDIATE").execute(&mut stranger).await.unwrap_err();
    for error in [locked, sqlx::Error::PoolTimedOut] {
        let error = Error::from(error);
        assert!(matches!(error, Error::Busy(_)), "{error:?}");
        assert_eq!(error.retry(), lakeport_base::Retry::Later);
    }
    drop(first);
}

/// Set in the child that [`acknowledged_commits_survive_a_kill`] starts: the folder to write in.
const CRASH_FOLDER: &str = "LAKEPORT_TEST_CRASH_FOLDER";

/// Commits 1, 2, 3, ... and prints each number after its commit, until it is killed. Does nothing in an ordinary run.
#[tokio::test]
async fn crash_child() {
    #[expect(clippy::disallowed_methods, reason = "the parent test has no other way to reach its child")]
    let Some(folder) = std::env::var_os(CRASH_FOLDER) else { return };
    let catalog = open(Path::new(&folder)).await;
    for number in counter(&catalog).await + 1.. {
        let mut tx = catalog.write().await.unwrap();
        tx.put_setting("counter", &number.to_string()).await.unwrap();
        tx.put_setting("twin", &number.to_string()).await.unwrap();
        tx.commit().await.unwrap();
        println!("\ncommitted {number}");
    }
}

async fn counter(catalog: &SqliteCatalog) -> u64 {
    let settings = catalog.read().await.unwrap().settings().await.unwrap();
    let [(_, counter), (_, twin)] = settings.as_slice() else { return 0 };
    assert_eq!(counter, twin);
    counter.parse().unwrap()
}

#[tokio::test]
async fn acknowledged_commits_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for commits in [1, 17, 60] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["sqlite::tests::crash_child", "--exact", "--nocapture"])
            .env(CRASH_FOLDER, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let goal = acknowledged + commits;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in &mut lines {
            let Some(number) = line.unwrap().strip_prefix("committed ").map(|n| n.parse::<u64>().unwrap()) else {
                continue;
            };
            acknowledged = number;
            if number >= goal {
                child.kill().unwrap();
                break;
            }
        }
        // What it acknowledged between the last line read and its end.
        let rest = lines.map_while(std::result::Result::ok);
        let last = rest.filter_map(|line| line.strip_prefix("committed ")?.parse().ok()).last();
        acknowledged = last.unwrap_or(acknowledged);
        child.wait().unwrap();
        assert!(acknowledged >= goal);

        let catalog = open(directory.path()).await;
        let stored = counter(&catalog).await;
        assert!(stored >= acknowledged, "{stored} stored, {acknowledged} acknowledged");
        acknowledged = stored;
        catalog.close().await;
    }
}

#[tokio::test]
async fn the_store_syncs_every_commit() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    let pragma = async |sql: &'static str| sqlx::query(sql).fetch_one(&catalog.writer).await.unwrap();
    assert_eq!(pragma("PRAGMA synchronous").await.get::<i64, _>(0), 2);
    assert_eq!(pragma("PRAGMA journal_mode").await.get::<String, _>(0), "wal");
    assert_eq!(pragma("PRAGMA foreign_keys").await.get::<i64, _>(0), 1);
}

#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    // Taken as the size that the file has.
    sqlx::query("PRAGMA max_page_count = 1").execute(&catalog.writer).await.unwrap();
    let large = Connection { definition: Secret::new("x".repeat(1 << 20)), ..connection("large") };
    let mut tx = catalog.write().await.unwrap();
    let refused = tx.insert_connection(&large).await.unwrap_err();
    assert!(matches!(refused, Error::Full(_)), "{refused:?}");
    drop(tx);
    sqlx::query("PRAGMA max_page_count = 100000").execute(&catalog.writer).await.unwrap();
    insert(&catalog, &large).await;
}

#[tokio::test]
async fn a_commit_that_fails_leaves_the_catalog_writable() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = open(directory.path()).await;
    let mut transaction = catalog.writer.begin_with(open::BEGIN_WRITE).await.unwrap();
    // What SQLite does by itself when a commit finds the disk full.
    sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
    assert!(transaction.commit().await.is_err());
    insert(&catalog, &connection("c")).await;
}
