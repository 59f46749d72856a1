//! Pieces of remote files that queries have read, kept so that the next query need not fetch them again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, OBJECT_STORE_COALESCE_DEFAULT, ObjectStore, Result, coalesce_ranges};

use super::known::Identity;
use crate::recent::Recent;

/// What a piece takes beside its bytes, at most: its key and its place in the map.
const OVERHEAD_BYTES: usize = 512;

/// The pieces that are kept.
#[derive(Debug)]
pub(crate) struct Pieces(Recent<Piece, Bytes>);

/// Bytes of a file as somebody has asked for them: readers of a column ask for the same each time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Piece {
    file: Arc<Identity>,
    range: Range<u64>,
}

impl Pieces {
    pub fn new(bytes_max: usize) -> Pieces {
        Pieces(Recent::new(bytes_max))
    }

    /// Ranges of a file, in their order. Those that nobody has read lately are fetched together and kept, if the file can
    /// be told from others and is not this machine's, whose kernel keeps what is read.
    ///
    /// # Errors
    /// Those of the storage.
    pub async fn read(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        file: Option<&Arc<Identity>>,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let Some(file) = file else { return store.get_ranges(path, ranges).await };
        let piece = |range: &Range<u64>| Piece { file: Arc::clone(file), range: range.clone() };
        let mut found = self.0.find_all(ranges.iter().map(piece));
        let missing: Vec<usize> = (0..ranges.len()).filter(|at| found[*at].is_none()).collect();
        let wanted: Vec<Range<u64>> = missing.iter().map(|at| ranges[*at].clone()).collect();
        let (fetched, is_remote) = fetch(store, path, &wanted).await?;
        for (at, bytes) in missing.into_iter().zip(fetched) {
            // A slice would keep all that was fetched with it.
            let bytes = if is_remote { Bytes::copy_from_slice(&bytes) } else { bytes };
            if is_remote {
                self.0.keep(piece(&ranges[at]), bytes.clone(), bytes.len() + OVERHEAD_BYTES);
            }
            found[at] = Some(bytes);
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// Ranges of a file, near ones in one request, and whether they came from another machine.
async fn fetch(store: &dyn ObjectStore, path: &Path, ranges: &[Range<u64>]) -> Result<(Vec<Bytes>, bool)> {
    let is_remote = AtomicBool::new(false);
    let get = async |range: Range<u64>| {
        let got = store.get_opts(path, GetOptions::new().with_range(Some(range))).await?;
        if matches!(got.payload, GetResultPayload::Stream(_)) {
            is_remote.store(true, Ordering::Relaxed);
        }
        got.bytes().await
    };
    let bytes = coalesce_ranges(ranges, get, OBJECT_STORE_COALESCE_DEFAULT).await?;
    Ok((bytes, is_remote.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use object_store::memory::InMemory;
    use object_store::{ObjectMeta, ObjectStoreExt};

    fn identity(tag: &str) -> Arc<Identity> {
        let meta = ObjectMeta {
            location: Path::from("a"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 10,
            e_tag: Some(tag.to_string()),
            version: None,
        };
        Arc::new(Identity::of(&"s".into(), &meta).unwrap())
    }

    /// What is read when the file was another one meanwhile.
    async fn second_read(pieces: &Pieces, second: Option<&Arc<Identity>>) -> Vec<Bytes> {
        let (store, path) = (InMemory::new(), Path::from("a"));
        store.put(&path, "0123456789".into()).await.unwrap();
        let first = pieces.read(&store, &path, Some(&identity("x")), &[0..2, 8..10]).await.unwrap();
        assert_eq!(first, ["01", "89"]);
        store.put(&path, "abcdefghij".into()).await.unwrap();
        pieces.read(&store, &path, second, &[8..10, 4..6, 0..2]).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_read_is_kept() {
        assert_eq!(second_read(&Pieces::new(1 << 20), Some(&identity("x"))).await, ["89", "ef", "01"]);
    }

    #[tokio::test]
    async fn another_file_is_read_anew() {
        assert_eq!(second_read(&Pieces::new(1 << 20), Some(&identity("y"))).await, ["ij", "ef", "ab"]);
        assert_eq!(second_read(&Pieces::new(1 << 20), None).await, ["ij", "ef", "ab"]);
    }

    #[tokio::test]
    async fn no_more_is_kept_than_may_be() {
        assert_eq!(second_read(&Pieces::new(OVERHEAD_BYTES), Some(&identity("x"))).await, ["ij", "ef", "ab"]);
    }
}
