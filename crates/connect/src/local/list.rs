//! Listing folders, in the order of their paths.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{Error, ListResult, ObjectMeta, Result};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::dir::{self, STAGED_ID_BYTES, STAGED_PREFIX, failed};
use super::{Root, blocking, read};

/// What a folder holds. Symbolic links, devices and names that are not UTF-8 are left out.
#[derive(Default)]
pub(super) struct Entries {
    pub files: Vec<ObjectMeta>,
    pub folders: Vec<Path>,
    pub staged: Vec<String>,
}

/// Reads an open folder.
pub(super) fn entries(fd: &OwnedFd, folder: &Path) -> Result<Entries> {
    let fail = |errno| failed(folder, errno);
    let mut entries = Entries::default();
    for entry in Dir::read_from(fd).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if let Some(id) = name.strip_prefix(STAGED_PREFIX) {
            // Another name is somebody else's.
            let is_ours = id.len() == 2 * STAGED_ID_BYTES && id.bytes().all(|b| b.is_ascii_hexdigit());
            entries.staged.extend(is_ours.then(|| name.to_string()));
            continue;
        }
        // Also skips `.` and `..`, and names that no path may have.
        let Ok(path) = Path::parse(if folder.is_root() { name.to_string() } else { format!("{folder}/{name}") }) else {
            continue;
        };
        // A file may be deleted between being read and being looked at.
        let Ok(stat) = statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => entries.files.push(read::meta(path, &stat)),
            FileType::Directory => entries.folders.push(path),
            _ => {}
        }
    }
    Ok(entries)
}

fn read_folder(root: &OwnedFd, folder: &Path) -> Result<Entries> {
    match dir::open(root, folder).and_then(|fd| entries(&fd, folder)) {
        Err(Error::NotFound { .. }) => Ok(Entries::default()),
        outcome => outcome,
    }
}

/// The files and folders directly in a folder, sorted.
pub(super) fn one_folder(root: &OwnedFd, folder: &Path) -> Result<ListResult> {
    let mut entries = read_folder(root, folder)?;
    entries.files.sort_by(|a, b| a.location.cmp(&b.location));
    entries.folders.sort();
    Ok(ListResult { common_prefixes: entries.folders, objects: entries.files })
}

/// What is still to be visited.
enum Pending {
    File(ObjectMeta),
    Folder(Path),
}

impl Pending {
    /// A folder sorts as its files do: with a slash after its name.
    fn key(&self) -> String {
        match self {
            Pending::File(meta) => meta.location.to_string(),
            Pending::Folder(path) => format!("{path}/"),
        }
    }
}

/// All files below a folder, sorted by path. Holds one folder per level in memory.
pub(super) fn walk(root: Arc<Root>, folder: Path) -> BoxStream<'static, Result<ObjectMeta>> {
    let next = move |mut pending: Vec<Pending>| {
        let root = Arc::clone(&root);
        async move {
            loop {
                match pending.pop() {
                    None => return Ok(None),
                    Some(Pending::File(meta)) => return Ok(Some((meta, pending))),
                    Some(Pending::Folder(folder)) => {
                        let root = Arc::clone(&root);
                        let entries = blocking(move || read_folder(&root.fd, &folder)).await?;
                        pending.extend(in_reverse(entries));
                    }
                }
            }
        }
    };
    stream::try_unfold(vec![Pending::Folder(folder)], next).boxed()
}

fn in_reverse(entries: Entries) -> Vec<Pending> {
    let files = entries.files.into_iter().map(Pending::File);
    let mut pending: Vec<Pending> = files.chain(entries.folders.into_iter().map(Pending::Folder)).collect();
    pending.sort_by_cached_key(|entry| std::cmp::Reverse(entry.key()));
    pending
}
