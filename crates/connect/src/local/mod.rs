//! A store on local disk that never leaves its root and never shows half a file.
//!
//! A file is staged under a hidden name in its folder, synced, then published by a hard link (which fails when the
//! name is taken) or a rename, and the folder is synced. Folders are opened one segment after the other without
//! following symbolic links, so nothing swapped in between can lead outside.

mod dir;
mod direct;
mod list;
mod read;
mod stage;
mod upload;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{BoxStream, StreamExt};
use lakeport_base::{Env, Point};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result,
};
use rustix::fs::{AtFlags, fstat, fsync, linkat, renameat, unlinkat};
use rustix::io::Errno;

use self::dir::{Location, failed, failed_io};
use self::stage::{Publish, Staged};
use self::upload::LocalUpload;

/// Deletions in flight at once.
const DELETES_AT_ONCE: usize = 8;

/// How long another process may take from making a staged file to locking it.
const UNLOCKED_MAX: TimeDelta = TimeDelta::minutes(1);

/// How this store is called in errors.
const STORE: &str = "local";

/// A folder of the local disk as a store.
#[derive(Clone)]
pub struct LocalStore {
    root: Arc<Root>,
    /// Uploads in parts go past the page cache.
    is_direct: bool,
}

/// The open root folder.
struct Root {
    fd: OwnedFd,
    env: Env,
}

/// Folders, by device and inode, in which a file has its name but may lose it in a crash: syncing them has failed. All
/// stores of the process share them, since one folder may be reached through several.
static UNSYNCED: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

fn unsynced() -> MutexGuard<'static, BTreeSet<(u64, u64)>> {
    UNSYNCED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Root {
    /// Reaches a fault point on the way of a file.
    fn reach(&self, point: Point, path: &Path) -> Result<()> {
        self.env.fault(point).map_err(|error| failed_io(path, &error))
    }

    /// Makes the name of a new file durable.
    fn sync(&self, folder: &OwnedFd, location: &Location) -> Result<()> {
        let synced = self.try_sync(folder, location.path());
        if synced.is_err() {
            unsynced().insert(identity(folder, location.path())?);
        }
        synced
    }

    /// Makes what is about to be read durable, if it is not: nobody acts on what a crash may take back.
    fn require_synced(&self, folder: &OwnedFd, location: &Location) -> Result<()> {
        // Held until the folder is synced: one for which that fails meanwhile is noted after it.
        let mut unsynced = unsynced();
        if unsynced.is_empty() {
            return Ok(());
        }
        let identity = identity(folder, location.path())?;
        if unsynced.contains(&identity) {
            self.try_sync(folder, location.path())?;
            unsynced.remove(&identity);
        }
        Ok(())
    }

    fn try_sync(&self, folder: &OwnedFd, path: &Path) -> Result<()> {
        self.reach(Point::LocalPublished, path)?;
        fsync(folder).map_err(|errno| failed(path, errno))
    }
}

/// The device and inode of an open folder.
fn identity(folder: &OwnedFd, path: &Path) -> Result<(u64, u64)> {
    let stat = fstat(folder).map_err(|errno| failed(path, errno))?;
    Ok((stat.st_dev, stat.st_ino))
}

impl LocalStore {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// The folder is absent or may not be read.
    pub fn open(folder: &FsPath, env: Env) -> crate::Result<LocalStore> {
        let root = dir::open_root(folder).map_err(|errno| {
            let error = crate::Error::io(std::io::Error::from(errno).to_string());
            error.context(format!("cannot open folder {}", folder.display()))
        })?;
        Ok(LocalStore { root: Arc::new(Root { fd: root, env }), is_direct: false })
    }

    /// Writes large files past the page cache, as suits files that nobody reads soon.
    #[must_use]
    pub fn direct(self) -> LocalStore {
        LocalStore { is_direct: true, ..self }
    }

    /// Opens a folder, creating it first if it is absent.
    ///
    /// # Errors
    /// The folder cannot be created or opened.
    pub fn create(folder: &FsPath, env: Env) -> crate::Result<LocalStore> {
        std::fs::create_dir_all(folder).map_err(|error| {
            crate::Error::io(error.to_string()).context(format!("cannot create folder {}", folder.display()))
        })?;
        Self::open(folder, env)
    }

    /// Deletes staged files that no process is writing and that were last written before a time; tells how many. Folders
    /// that hold nothing go too, those directly in the root aside. Meant for the start of a server: what a crash left behind.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub async fn sweep(&self, before: DateTime<Utc>) -> crate::Result<u64> {
        let root = Arc::clone(&self.root);
        Ok(blocking(move || stage::sweep(&root.fd, before, true, || false)).await?)
    }

    /// Deletes staged files alone, in a folder where others write too. It ends early once `is_stopped` says so.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub async fn sweep_files(
        &self,
        now: DateTime<Utc>,
        is_stopped: impl Fn() -> bool + Send + 'static,
    ) -> crate::Result<u64> {
        let before = now - UNLOCKED_MAX;
        let root = Arc::clone(&self.root);
        Ok(blocking(move || stage::sweep(&root.fd, before, false, is_stopped)).await?)
    }

    async fn on<T: Send + 'static>(
        &self,
        path: &Path,
        run: impl FnOnce(&Arc<Root>, Location) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = Arc::clone(&self.root);
        let location = Location::new(path)?;
        blocking(move || run(&root, location)).await
    }
}

/// Runs file work on a thread that may wait.
async fn blocking<T: Send + 'static>(run: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(run).await?
}

impl fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalStore")
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

fn publish_of(mode: &PutMode) -> Result<Publish> {
    match mode {
        PutMode::Overwrite => Ok(Publish::Replace),
        PutMode::Create => Ok(Publish::Create),
        PutMode::Update(_) => Err(Error::NotSupported { source: "local storage cannot update a known version".into() }),
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let publish = publish_of(&options.mode)?;
        self.on(location, move |root, location| {
            let mut staged = Staged::create(root, location)?;
            payload.iter().try_for_each(|chunk| staged.write(chunk))?;
            staged.publish(publish)
        })
        .await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let staged = self.on(location, Staged::create).await?;
        Ok(Box::new(LocalUpload::new(self.root.env.clone(), location.clone(), staged, self.is_direct)?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.on(location, |root, location| read::open(root, &location)?.result(options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let ranges = ranges.to_vec();
        self.on(location, move |root, location| {
            let opened = read::open(root, &location)?;
            ranges.into_iter().map(|range| opened.exactly(range)).collect()
        })
        .await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |path: Result<Path>| {
            let store = store.clone();
            async move {
                let path = path?;
                store.on(&path, |root, location| delete(root, &location)).await?;
                Ok(path)
            }
        };
        locations.map(delete).buffered(DELETES_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        list::walk(Arc::clone(&self.root), prefix.cloned().unwrap_or_default())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let root = Arc::clone(&self.root);
        let folder = prefix.cloned().unwrap_or_default();
        blocking(move || list::one_folder(&root.fd, &folder)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let publish = match options.mode {
            CopyMode::Overwrite => Publish::Replace,
            CopyMode::Create => Publish::Create,
        };
        let from = Location::new(from)?;
        self.on(to, move |root, to| {
            let mut source = read::open(root, &from)?.file;
            let mut staged = Staged::create(root, to)?;
            staged.copy(&mut source)?;
            staged.publish(publish).map(drop)
        })
        .await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let from = Location::new(from)?;
        self.on(to, move |root, to| rename(&root.fd, &from, &to, options.target_mode)).await
    }
}

fn delete(root: &Root, location: &Location) -> Result<()> {
    let folder = dir::open(&root.fd, &location.folder).map_err(|error| location.or_missing(error))?;
    read::require_file(&folder, location)?;
    root.reach(Point::LocalDelete, location.path())?;
    unlinkat(&folder, &location.name, AtFlags::empty()).map_err(|errno| failed(location.path(), errno))?;
    root.reach(Point::LocalDeleted, location.path())?;
    fsync(&folder).map_err(|errno| failed(location.path(), errno))?;
    dir::remove_empty(&root.fd, &location.folder);
    Ok(())
}

fn rename(root: &OwnedFd, from: &Location, to: &Location, mode: RenameTargetMode) -> Result<()> {
    let source = dir::open(root, &from.folder).map_err(|error| from.or_missing(error))?;
    read::require_file(&source, from)?;
    let target = dir::open_or_create(root, &to.folder)?;
    match mode {
        RenameTargetMode::Overwrite => renameat(&source, &from.name, &target, &to.name),
        RenameTargetMode::Create => linkat(&source, &from.name, &target, &to.name, AtFlags::empty())
            .and_then(|()| unlinkat(&source, &from.name, AtFlags::empty())),
    }
    .map_err(|errno| match errno {
        Errno::NOENT => failed(from.path(), errno),
        errno => failed(to.path(), errno),
    })?;
    for folder in [&target, &source] {
        fsync(folder).map_err(|errno| failed(to.path(), errno))?;
    }
    dir::remove_empty(root, &from.folder);
    Ok(())
}

#[cfg(test)]
mod tests;
