//! Opening folders below the root, one segment at a time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path as FsPath;

use object_store::path::Path;
use object_store::{Error, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fsync, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::STORE;
use crate::error::{Error as ConnectError, is_full};

/// Names that start so are staged files: neither listed nor given out.
pub(super) const STAGED_PREFIX: &str = ".tmp-";
/// Random bytes behind it, in hex.
pub(super) const STAGED_ID_BYTES: usize = 8;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// A file's folder and name below the root.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub folder: Path,
    pub name: String,
    path: Path,
}

impl Location {
    /// Splits a path.
    ///
    /// # Errors
    /// The root itself, or a name reserved for staged files.
    pub(super) fn new(path: &Path) -> Result<Location> {
        let name = path.filename().ok_or_else(|| refused(ConnectError::invalid("an empty path names no file")))?;
        if name.starts_with(STAGED_PREFIX) {
            let text = format!("file names must not start with {STAGED_PREFIX:?}");
            return Err(refused(ConnectError::invalid(text)));
        }
        let folder = path.parent().unwrap_or_default();
        Ok(Location { folder, name: name.to_string(), path: path.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An absent folder means an absent file.
    pub(super) fn or_missing(&self, error: Error) -> Error {
        match error {
            Error::NotFound { source, .. } => Error::NotFound { path: self.path.to_string(), source },
            error => error,
        }
    }
}

/// One of our errors, carried through the trait of stores.
pub(super) fn refused(error: ConnectError) -> Error {
    Error::Generic { store: STORE, source: Box::new(error) }
}

/// What an errno means for a file.
pub(super) fn failed(path: &Path, errno: Errno) -> Error {
    let source = Box::new(io::Error::from(errno));
    let path = path.to_string();
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR => Error::NotFound { path, source },
        Errno::EXIST => Error::AlreadyExists { path, source },
        Errno::LOOP => refused(symbolic_link(&path)),
        Errno::NOSPC | Errno::DQUOT => {
            let text = format!("no space left on the disk for file {path:?}");
            Error::Generic { store: STORE, source: Box::new(io::Error::new(io::ErrorKind::StorageFull, text)) }
        }
        Errno::NAMETOOLONG => refused(ConnectError::invalid(format!("a name in {path:?} is too long for this disk"))),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            refused(ConnectError::denied(format!("this server may not access file {path:?}: {source}")))
        }
        _ => refused(ConnectError::io(source.to_string()).context(format!("file {path:?}"))),
    }
}

/// What a failure of the operating system means for a file.
pub(super) fn failed_io(path: &Path, error: &io::Error) -> Error {
    let errno = if is_full(error) { Errno::NOSPC } else { Errno::from_io_error(error).unwrap_or(Errno::IO) };
    failed(path, errno)
}

fn symbolic_link(path: &str) -> ConnectError {
    let text = format!("local file access to paths outside of external-io-dir is not allowed: {path}");
    ConnectError::forbidden(text).with_hint("symbolic links are not followed")
}

/// Opens the root; links on the way to it are the operator's own.
pub(super) fn open_root(folder: &FsPath) -> rustix::io::Result<OwnedFd> {
    openat(CWD, folder, FOLDER, Mode::empty())
}

/// Opens a folder below the root.
pub(super) fn open(root: &OwnedFd, folder: &Path) -> Result<OwnedFd> {
    descend(root, folder, |parent, name| step(parent, name))
}

/// Opens a folder below the root, creating what is missing.
pub(super) fn open_or_create(root: &OwnedFd, folder: &Path) -> Result<OwnedFd> {
    descend(root, folder, |parent, name| match step(parent, name) {
        Err(Errno::NOENT) => {
            match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
                // Who has just made it may not have synced it yet.
                Ok(()) | Err(Errno::EXIST) => fsync(parent)?,
                Err(errno) => return Err(errno),
            }
            step(parent, name)
        }
        outcome => outcome,
    })
}

fn descend(
    root: &OwnedFd,
    folder: &Path,
    step: impl Fn(&OwnedFd, &str) -> rustix::io::Result<OwnedFd>,
) -> Result<OwnedFd> {
    let mut fd = rustix::io::dup(root).map_err(|errno| failed(folder, errno))?;
    for part in folder.parts() {
        let name: &str = part.as_ref();
        if name.starts_with(STAGED_PREFIX) {
            return Err(failed(folder, Errno::NOENT));
        }
        fd = step(&fd, name).map_err(|errno| failed(folder, errno))?;
    }
    Ok(fd)
}

/// Opens one folder of a folder. A symbolic link is ELOOP, whatever the system calls it.
fn step(parent: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    openat(&parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(|errno| {
        let is_link = || is_symbolic_link(&parent, name);
        if errno == Errno::NOTDIR && is_link() { Errno::LOOP } else { errno }
    })
}

fn is_symbolic_link(parent: impl AsFd, name: &str) -> bool {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Removes a folder and those above it as far as they are empty.
pub(super) fn remove_empty(root: &OwnedFd, folder: &Path) {
    let mut folder = folder.clone();
    while let (Some(name), Some(above)) = (folder.filename(), folder.parent()) {
        let removed = open(root, &above).is_ok_and(|parent| unlinkat(&parent, name, AtFlags::REMOVEDIR).is_ok());
        if !removed {
            return;
        }
        folder = above;
    }
}
