//! What every storage kind must do, in one suite. Each test works below a folder of its own.
#![expect(clippy::unwrap_used, reason = "a failed step fails the suite")]

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart,
};

use crate::kind::Capability;

/// A large object, in bytes: several parts of an upload.
const LARGE_BYTES: usize = 20 << 20;

/// Runs the whole suite on an empty store.
///
/// # Panics
/// On the first deviation.
pub async fn storage(store: &dyn ObjectStore, capability: Capability) {
    if !capability.write {
        return refuses_writes(store).await;
    }
    put_get_head(store).await;
    ranges(store).await;
    overwrite(store).await;
    missing(store).await;
    names(store).await;
    sizes(store).await;
    multipart(store).await;
    if capability.list {
        listing(store).await;
        sibling_prefixes(store).await;
    }
    if capability.delete {
        deletion(store).await;
    }
    if capability.conditional_put {
        create_only(store).await;
    }
    copies(store).await;
}

async fn refuses_writes(store: &dyn ObjectStore) {
    let path = Path::from("x");
    assert!(matches!(store.put(&path, "x".into()).await, Err(Error::NotSupported { .. })));
    assert!(matches!(store.list_with_delimiter(None).await, Err(Error::NotSupported { .. })));
    assert!(matches!(store.list(None).try_collect::<Vec<_>>().await, Err(Error::NotSupported { .. })));
    assert!(matches!(store.delete(&path).await, Err(Error::NotSupported { .. })));
}

async fn read(store: &dyn ObjectStore, path: &Path) -> bytes::Bytes {
    store.get(path).await.unwrap().bytes().await.unwrap()
}

async fn list(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let files: Vec<_> = store.list(Some(&Path::from(prefix))).try_collect().await.unwrap();
    let mut names: Vec<String> = files.into_iter().map(|meta| meta.location.to_string()).collect();
    names.sort();
    names
}

async fn put_get_head(store: &dyn ObjectStore) {
    let path = Path::from("basic/file");
    let put = store.put(&path, "hello".into()).await.unwrap();
    assert_eq!(read(store, &path).await, "hello");
    let head = store.head(&path).await.unwrap();
    assert_eq!((head.size, &head.location), (5, &path));
    assert_eq!(head.e_tag, put.e_tag);
}

async fn ranges(store: &dyn ObjectStore) {
    let path = Path::from("ranges/file");
    store.put(&path, "0123456789".into()).await.unwrap();
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "234");
    assert_eq!(store.get_ranges(&path, &[0..1, 8..10]).await.unwrap(), ["0", "89"]);
    for (range, expected) in
        [(GetRange::Offset(7), "789"), (GetRange::Suffix(2), "89"), (GetRange::Bounded(8..20), "89")]
    {
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let result = store.get_opts(&path, options).await.unwrap();
        assert_eq!(result.meta.size, 10);
        assert_eq!(result.bytes().await.unwrap(), expected);
    }
    let beyond = GetOptions { range: Some(GetRange::Offset(11)), ..GetOptions::default() };
    assert!(store.get_opts(&path, beyond).await.is_err());
}

async fn overwrite(store: &dyn ObjectStore) {
    let path = Path::from("overwrite/file");
    let first = store.put(&path, "a longer first text".into()).await.unwrap();
    let second = store.put(&path, "second".into()).await.unwrap();
    assert_ne!(first.e_tag, second.e_tag);
    assert_eq!(read(store, &path).await, "second");
}

async fn missing(store: &dyn ObjectStore) {
    for path in ["missing", "missing/deep/file", "basic/file-not"] {
        let path = Path::from(path);
        assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })), "{path}");
        assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })), "{path}");
    }
}

async fn names(store: &dyn ObjectStore) {
    let deep = (0..30).map(|n| format!("level-{n}")).collect::<Vec<_>>().join("/");
    let names = [
        "with space",
        "ünïcödé-Ω-漢字",
        "emoji-🚕",
        "per%cent",
        "per%2Fcent",
        "plus+sign",
        "a=b&c=d",
        "semi;colon,comma",
        "quote'\"",
        "paren(1)",
        "~tilde",
        "#hash",
        "question?mark",
        "at@sign",
        "colon:",
        "[x]{y}",
        "...",
        ".hidden",
        deep.as_str(),
    ];
    for name in names {
        let path = Path::parse(format!("names/{name}")).unwrap();
        store.put(&path, PutPayload::from(name.as_bytes().to_vec())).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read(store, &path).await, name.as_bytes(), "{name}");
    }
    let mut expected: Vec<String> = names.iter().map(|name| format!("names/{name}")).collect();
    expected.sort();
    assert_eq!(list(store, "names").await, expected);
}

async fn sizes(store: &dyn ObjectStore) {
    let empty = Path::from("sizes/empty");
    store.put(&empty, PutPayload::new()).await.unwrap();
    assert_eq!(read(store, &empty).await, "");
    assert_eq!(store.head(&empty).await.unwrap().size, 0);
    let large = Path::from("sizes/large");
    let content = noise(LARGE_BYTES);
    store.put(&large, content.clone().into()).await.unwrap();
    assert!(read(store, &large).await == content, "20 MiB come back as written");
    let tail = (LARGE_BYTES - 10) as u64..LARGE_BYTES as u64;
    assert_eq!(store.get_range(&large, tail).await.unwrap(), content[LARGE_BYTES - 10..]);
}

async fn multipart(store: &dyn ObjectStore) {
    let path = Path::from("multipart/file");
    let content = noise(LARGE_BYTES);
    let upload = store.put_multipart(&path).await.unwrap();
    let mut writer = WriteMultipart::new(upload);
    for chunk in content.chunks(1 << 20) {
        writer.wait_for_capacity(4).await.unwrap();
        writer.write(chunk);
    }
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })), "nothing is seen before the end");
    writer.finish().await.unwrap();
    assert!(read(store, &path).await == content, "parts come back in order");

    let aborted = Path::from("multipart/aborted");
    let mut upload = store.put_multipart(&aborted).await.unwrap();
    upload.put_part(noise(5 << 20).into()).await.unwrap();
    upload.abort().await.unwrap();
    assert!(matches!(store.head(&aborted).await, Err(Error::NotFound { .. })));
}

async fn listing(store: &dyn ObjectStore) {
    let paths = ["list/a", "list/b/c", "list/b/d/e", "list/f"];
    for path in paths {
        store.put(&Path::from(path), "x".into()).await.unwrap();
    }
    assert_eq!(list(store, "list").await, paths);
    assert_eq!(list(store, "list/b").await, ["list/b/c", "list/b/d/e"]);
    assert!(list(store, "list/none").await.is_empty());
    let level = store.list_with_delimiter(Some(&Path::from("list"))).await.unwrap();
    let objects: Vec<_> = level.objects.iter().map(|meta| meta.location.to_string()).collect();
    assert_eq!(objects, ["list/a", "list/f"]);
    assert_eq!(level.common_prefixes, [Path::from("list/b")]);
    let after = store.list_with_offset(Some(&Path::from("list")), &Path::from("list/b/c"));
    let mut after: Vec<_> = after.map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    after.sort();
    assert_eq!(after, ["list/b/d/e", "list/f"]);
}

async fn sibling_prefixes(store: &dyn ObjectStore) {
    for path in ["data/backups/x", "data/backups-archive/y", "data/backups.txt"] {
        store.put(&Path::from(path), "x".into()).await.unwrap();
    }
    assert_eq!(list(store, "data/backups").await, ["data/backups/x"]);
}

async fn deletion(store: &dyn ObjectStore) {
    let path = Path::from("delete/file");
    store.put(&path, "x".into()).await.unwrap();
    store.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
    // Some servers do not tell whether there was a file.
    assert!(matches!(store.delete(&path).await, Ok(()) | Err(Error::NotFound { .. })));
}

async fn create_only(store: &dyn ObjectStore) {
    let path = Path::from("create/file");
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    store.put_opts(&path, "first".into(), create()).await.unwrap();
    assert!(matches!(store.put_opts(&path, "second".into(), create()).await, Err(Error::AlreadyExists { .. })));
    assert_eq!(read(store, &path).await, "first");
}

async fn copies(store: &dyn ObjectStore) {
    let (from, to) = (Path::from("copy/from"), Path::from("copy/deep/to"));
    store.put(&from, "x".into()).await.unwrap();
    store.copy(&from, &to).await.unwrap();
    assert_eq!(read(store, &to).await, "x");
    store.put(&from, "y".into()).await.unwrap();
    store.copy(&from, &to).await.unwrap();
    assert_eq!(read(store, &to).await, "y", "a copy overwrites");
    store.rename(&from, &Path::from("copy/renamed")).await.unwrap();
    assert!(matches!(store.head(&from).await, Err(Error::NotFound { .. })));
    assert_eq!(read(store, &Path::from("copy/renamed")).await, "y");
}

/// Bytes that no compression or reordering leaves unchanged.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(step).collect()
}
