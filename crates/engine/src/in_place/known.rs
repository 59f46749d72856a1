//! What is kept of files that queries have read in place, for when they come again: a file that has the size and tag of
//! before is the file of before.

use std::sync::Arc;

use object_store::ObjectMeta;

use super::footers::Footers;
use super::pieces::Pieces;

/// What tags begin with that files of the same meaning share (RFC 9110, 8.8.1).
const WEAK: &str = "W/";

/// What is kept of files.
#[derive(Debug)]
pub(crate) struct Known {
    pub footers: Footers,
    pub pieces: Pieces,
}

impl Known {
    /// Keeps at most so many bytes of pieces.
    pub fn new(pieces_bytes_max: usize) -> Known {
        Known { footers: Footers::default(), pieces: Pieces::new(pieces_bytes_max) }
    }
}

/// What tells a file from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    store: Arc<str>,
    path: String,
    bytes: u64,
    /// The storage's tag of the content.
    tag: String,
}

impl Identity {
    /// None of a file without a tag, or with one that files of other bytes may share: its content may be another one at
    /// any time.
    pub fn of(store: &Arc<str>, meta: &ObjectMeta) -> Option<Identity> {
        let tag = meta.e_tag.clone().filter(|tag| !tag.starts_with(WEAK))?;
        Some(Identity { store: Arc::clone(store), path: meta.location.to_string(), bytes: meta.size, tag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use object_store::path::Path;

    #[test]
    fn files_are_told_apart_by_store_and_tag() {
        let meta = |tag: Option<&str>| ObjectMeta {
            location: Path::from("a.parquet"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 4,
            e_tag: tag.map(str::to_string),
            version: None,
        };
        let of = |store: &str, tag| Identity::of(&store.into(), &meta(Some(tag))).unwrap();
        assert_eq!(of("stage 1 1", "x"), of("stage 1 1", "x"));
        assert_ne!(of("stage 1 1", "x"), of("stage 1 2", "x"));
        assert_ne!(of("stage 1 1", "x"), of("stage 1 1", "y"));
        for vague in [None, Some("W/\"x\"")] {
            assert_eq!(Identity::of(&"stage 1 1".into(), &meta(vague)), None);
        }
    }
}
