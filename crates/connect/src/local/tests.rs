use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path(), Env::system()).unwrap();
    (folder, store)
}

async fn names(store: &LocalStore) -> Vec<String> {
    let files: Vec<_> = store.list(None).try_collect().await.unwrap();
    files.into_iter().map(|meta| meta.location.to_string()).collect()
}

#[tokio::test]
async fn links_are_neither_followed_nor_listed() {
    let (folder, store) = store();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("dir")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("file")).unwrap();
    for path in ["dir/secret", "file"] {
        let error = crate::Error::from(store.get(&Path::from(path)).await.unwrap_err());
        assert!(matches!(error, crate::Error::Forbidden(_)), "{error:?}");
        assert!(error.to_string().contains("outside of external-io-dir"), "{error}");
    }
    for path in ["dir/new", "dir/secret"] {
        let error = crate::Error::from(store.put(&Path::from(path), "y".into()).await.unwrap_err());
        assert!(matches!(error, crate::Error::Forbidden(_)), "{error:?}");
        assert!(store.delete(&Path::from(path)).await.is_err());
    }
    // Writing over a link replaces the link, not what it points to.
    store.put(&Path::from("file"), "y".into()).await.unwrap();
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "x");
    assert_eq!(names(&store).await, ["file"]);
}

#[tokio::test]
async fn a_folder_swapped_for_a_link_leads_nowhere() {
    let (folder, store) = store();
    let outside = tempfile::tempdir().unwrap();
    let (dir, link) = (folder.path().join("dir"), folder.path().join("link"));
    std::fs::create_dir(&dir).unwrap();
    std::os::unix::fs::symlink(outside.path(), &link).unwrap();
    let swapping = std::thread::spawn(move || {
        for _ in 0..2000 {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            let _ = rustix::fs::renameat_with(rustix::fs::CWD, &dir, rustix::fs::CWD, &link, flags);
        }
    });
    while !swapping.is_finished() {
        let _ = store.put(&Path::from("dir/file"), "x".into()).await;
    }
    swapping.join().unwrap();
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn staged_names_are_reserved() {
    let (folder, store) = store();
    std::fs::write(folder.path().join(".tmp-1"), "x").unwrap();
    assert!(names(&store).await.is_empty());
    let error = crate::Error::from(store.get(&Path::from(".tmp-1")).await.unwrap_err());
    assert!(matches!(error, crate::Error::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn what_cannot_be_a_file_is_refused() {
    let (folder, store) = store();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    std::fs::create_dir(folder.path().join("dir")).unwrap();
    for path in ["pipe", "dir"] {
        assert!(matches!(store.get(&Path::from(path)).await, Err(Error::NotFound { .. })), "{path}");
        assert!(matches!(store.delete(&Path::from(path)).await, Err(Error::NotFound { .. })), "{path}");
    }
    let error = crate::Error::from(store.put(&Path::from("n".repeat(300)), "x".into()).await.unwrap_err());
    assert!(matches!(error, crate::Error::Invalid(_)), "{error:?}");
    store.put(&Path::from("file"), "x".into()).await.unwrap();
    let error = crate::Error::from(store.put(&Path::from("file/below"), "x".into()).await.unwrap_err());
    assert!(matches!(error, crate::Error::Conflict(_)), "{error:?}");
}

#[tokio::test]
async fn many_writers_of_one_new_name_have_one_winner() {
    let (_folder, store) = store();
    let path = Path::from("log/0.json");
    let create = |n: usize| {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&path, n.to_string().into(), options)
    };
    let outcomes = futures::future::join_all((0..20).map(create)).await;
    let won: Vec<usize> = (0..20).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(won.len(), 1);
    assert!(
        outcomes.iter().flat_map(|outcome| outcome.as_ref().err()).all(|e| matches!(e, Error::AlreadyExists { .. }))
    );
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), won[0].to_string());
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let (folder, store) = store();
    let mut upload = store.put_multipart(&Path::from("a/b")).await.unwrap();
    upload.put_part("x".into()).await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    drop(upload);
    assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 0);
}

#[tokio::test]
async fn deleting_the_last_file_of_a_folder_removes_the_folder() {
    let (folder, store) = store();
    store.put(&Path::from("a/b/c"), "x".into()).await.unwrap();
    store.put(&Path::from("a/d"), "x".into()).await.unwrap();
    store.delete(&Path::from("a/b/c")).await.unwrap();
    assert!(!folder.path().join("a/b").exists() && folder.path().join("a").exists());
}

/// Names the folder in which the child process stops between staging and publishing.
const CHILD_FOLDER: &str = "LAKEPORT_TEST_CHILD_FOLDER";

/// Does nothing unless the next test runs it in a child process.
#[tokio::test]
async fn child_stops_before_publishing() {
    #[expect(clippy::disallowed_methods, reason = "how the parent process tells the child")]
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let stop = |point: Point| -> std::io::Result<()> {
        if point != Point::LocalPublish {
            return Ok(());
        }
        println!("\nreached {}", point.name());
        loop {
            std::thread::park();
        }
    };
    let store = LocalStore::open(FsPath::new(&folder), Env::system().with_fault(Arc::new(stop))).unwrap();
    store.put(&Path::from("table/part"), vec![1u8; 1 << 20].into()).await.unwrap();
}

#[tokio::test]
async fn a_killed_writer_leaves_no_torn_file_and_is_swept() {
    let (folder, store) = store();
    let path = Path::from("table/part");
    store.put(&path, "old".into()).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local::tests::child_stops_before_publishing", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_deref().is_ok_and(|line| line == "reached local.publish")).unwrap().unwrap();

    let future = Env::system().now() + TimeDelta::hours(1);
    assert_eq!(store.sweep(future).await.unwrap(), 0, "a file being written is kept");
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "old");
    assert_eq!(names(&store).await, ["table/part"]);
    assert_eq!(std::fs::read_dir(folder.path().join("table")).unwrap().count(), 2);
    assert_eq!(store.sweep(future - TimeDelta::hours(2)).await.unwrap(), 0, "a young file is kept");
    assert_eq!(store.sweep_files(future, || true).await.unwrap(), 0, "it is stopped");
    std::fs::create_dir_all(folder.path().join("others/empty")).unwrap();
    assert_eq!(store.sweep_files(future, || false).await.unwrap(), 1);
    assert!(folder.path().join("others/empty").exists());
    assert_eq!(std::fs::read_dir(folder.path().join("table")).unwrap().count(), 1);
}

/// A store whose folders cannot be synced while the flag is up.
fn failing_store(folder: &TempDir) -> (LocalStore, Arc<AtomicBool>) {
    let failing = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&failing);
    let fault = move |point: Point| match point {
        Point::LocalPublished if asked.load(Ordering::Relaxed) => Err(std::io::Error::other("a broken disk")),
        _ => Ok(()),
    };
    (LocalStore::open(folder.path(), Env::system().with_fault(Arc::new(fault))).unwrap(), failing)
}

#[tokio::test]
async fn what_is_not_durable_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, failing) = failing_store(&folder);
    let (entry, other) = (Path::from("log/1"), Path::from("data/1"));
    store.put(&other, "x".into()).await.unwrap();
    failing.store(true, Ordering::Relaxed);
    assert!(store.put(&entry, "x".into()).await.is_err());
    assert!(folder.path().join("log/1").exists(), "it has its name");
    assert!(store.get(&entry).await.is_err());
    assert!(store.get_range(&entry, 0..1).await.is_err());
    assert!(store.get(&other).await.is_ok(), "another folder is as it was");
    failing.store(false, Ordering::Relaxed);
    assert_eq!(store.get(&entry).await.unwrap().bytes().await.unwrap(), "x");
    failing.store(true, Ordering::Relaxed);
    assert!(store.get(&entry).await.is_ok(), "it is durable now");
}

#[tokio::test]
async fn a_sweep_removes_folders_that_hold_nothing() {
    let (folder, store) = store();
    std::fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
    store.put(&Path::from("d/file"), "x".into()).await.unwrap();
    std::fs::create_dir(folder.path().join("d/e")).unwrap();
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    store.sweep(Env::system().now()).await.unwrap();
    assert!(folder.path().join("lost+found").exists());
    assert!(!folder.path().join("a").exists() && !folder.path().join("d/e").exists());
    assert_eq!(names(&store).await, ["d/file"]);
}

#[tokio::test]
async fn parts_of_any_size_come_back_whole() {
    const BLOCK: usize = 4096;
    let (_folder, buffered) = store();
    for store in [buffered.clone(), buffered.direct()] {
        for sizes in
            [&[1 << 20, 1 << 20, 5][..], &[3 << 20, BLOCK, 0, BLOCK + 1, 2 * BLOCK], &[7], &[BLOCK - 1, 2 << 20]]
        {
            let parts: Vec<Vec<u8>> =
                sizes.iter().map(|size| (0..*size).map(|at| (at % 251) as u8).collect()).collect();
            let mut upload = store.put_multipart(&Path::from("file")).await.unwrap();
            let chunked = |part: &Vec<u8>| part.chunks(100_003).map(Bytes::copy_from_slice).collect::<PutPayload>();
            let writes: Vec<_> = parts.iter().map(|part| upload.put_part(chunked(part))).collect();
            futures::future::try_join_all(writes.into_iter().rev()).await.unwrap();
            upload.complete().await.unwrap();
            let found = store.get(&Path::from("file")).await.unwrap().bytes().await.unwrap();
            assert!(found == parts.concat(), "{sizes:?}");
        }
    }
}
