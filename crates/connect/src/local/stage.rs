//! Staged files: written under a hidden name, then published whole.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lakeport_base::Point;
use object_store::path::Path;
use object_store::{PutResult, Result};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fsync, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::dir::{self, Location, STAGED_ID_BYTES, STAGED_PREFIX, failed, failed_io, refused};
use super::direct::DirectFile;
use super::{Root, list, read};
use crate::error::Error as ConnectError;

/// Tries to create a file in a folder that another task may be removing as empty.
const TRIES: usize = 8;

/// How a staged file gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publish {
    /// Fails when the name is taken.
    Create,
    /// Replaces what had the name.
    Replace,
}

/// A file being written. Its lock tells a sweep that somebody still does; dropping it unpublished deletes it.
pub(super) struct Staged {
    folder: OwnedFd,
    name: String,
    file: File,
    target: Location,
    root: Arc<Root>,
    published: bool,
}

impl Staged {
    /// Creates an empty staged file in the folder of its target.
    pub(super) fn create(root: &Arc<Root>, target: Location) -> Result<Staged> {
        root.reach(Point::LocalStage, target.path())?;
        let name = format!("{STAGED_PREFIX}{}", root.env.random_hex(STAGED_ID_BYTES));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut tries = 0;
        loop {
            tries += 1;
            let folder = dir::open_or_create(&root.fd, &target.folder);
            let opened = folder.and_then(|folder| {
                let fd = openat(&folder, &name, flags, Mode::from_raw_mode(0o644));
                Ok((fd.map_err(|errno| failed(target.path(), errno))?, folder))
            });
            match opened {
                Ok((fd, folder)) => {
                    let (file, root) = (File::from(fd), Arc::clone(root));
                    let staged = Staged { folder, name, file, target, root, published: false };
                    flock(&staged.file, FlockOperation::LockShared)
                        .map_err(|errno| failed(staged.target.path(), errno))?;
                    return Ok(staged);
                }
                Err(object_store::Error::NotFound { .. }) if tries < TRIES => {}
                Err(object_store::Error::NotFound { path, .. }) => {
                    let text = format!("a part of {path:?} is a file, not a folder");
                    return Err(refused(ConnectError::conflict(text)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Another handle of the open file.
    pub(super) fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(|error| self.io(&error))
    }

    /// The open file for writes past the page cache; `None` where there are none.
    pub(super) fn direct(&self) -> Option<DirectFile> {
        DirectFile::open(&self.folder, &self.name)
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.reach(Point::LocalWrite)?;
        self.file.write_all(chunk).map_err(|error| self.io(&error))
    }

    /// Appends the rest of another file.
    pub(super) fn copy(&mut self, source: &mut impl Read) -> Result<()> {
        self.reach(Point::LocalWrite)?;
        std::io::copy(source, &mut self.file).map(drop).map_err(|error| self.io(&error))
    }

    /// Makes the file durable and gives it its name. After an error the file may have its name.
    pub(super) fn publish(mut self, publish: Publish) -> Result<PutResult> {
        let path = self.target.path().clone();
        let fail = |errno| failed(&path, errno);
        self.reach(Point::LocalSync)?;
        fsync(&self.file).map_err(fail)?;
        let e_tag = Some(read::e_tag(&rustix::fs::fstat(&self.file).map_err(fail)?));
        self.reach(Point::LocalPublish)?;
        match publish {
            Publish::Create => linkat(&self.folder, &self.name, &self.folder, &self.target.name, AtFlags::empty()),
            Publish::Replace => renameat(&self.folder, &self.name, &self.folder, &self.target.name),
        }
        .map_err(fail)?;
        self.published = publish == Publish::Replace;
        self.root.sync(&self.folder, &self.target)?;
        Ok(PutResult { e_tag, version: None })
    }

    fn io(&self, error: &std::io::Error) -> object_store::Error {
        failed_io(self.target.path(), error)
    }

    fn reach(&self, point: Point) -> Result<()> {
        self.root.reach(point, self.target.path())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // Nothing refers to the file; a sweep deletes it if this fails.
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Deletes staged files below the root that are not locked and older than `before`, and, if they are to go too, folders
/// that hold nothing. One directly in the root may be the operator's own.
pub(super) fn sweep(
    root: &OwnedFd,
    before: DateTime<Utc>,
    with_folders: bool,
    is_stopped: impl Fn() -> bool,
) -> Result<u64> {
    let mut swept = 0;
    let mut folders = vec![Path::default()];
    while let Some(folder) = folders.pop().filter(|_| !is_stopped()) {
        let fd = match dir::open(root, &folder) {
            Err(object_store::Error::NotFound { .. }) => continue,
            outcome => outcome?,
        };
        let entries = list::entries(&fd, &folder)?;
        swept += entries.staged.iter().filter(|name| sweep_one(&fd, name, before).is_ok()).count() as u64;
        let is_bare = with_folders && entries.files.is_empty() && entries.folders.is_empty();
        if is_bare && folder.parts().count() > 1 {
            dir::remove_empty(root, &folder);
        }
        folders.extend(entries.folders);
    }
    Ok(swept)
}

fn sweep_one(folder: &OwnedFd, name: &str, before: DateTime<Utc>) -> rustix::io::Result<()> {
    let fd =
        openat(folder, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
    if read::modified(&rustix::fs::fstat(&fd)?) >= before {
        return Err(Errno::AGAIN);
    }
    unlinkat(folder, name, AtFlags::empty())
}
