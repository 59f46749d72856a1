//! A collection: the folder in which backups lie.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_base::limits::{BACKUP_LAYERS_MAX, CHAIN_BYTES_MAX};
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt, PutMode};

use crate::chain::{Chain, Damage, Layer};
use crate::error::{Error, Result};
use crate::keys::{self, EncryptionInfo, KeyCount, Keys};
use crate::layout::{self, LATEST_FOLDER, LOCK, LayerPath, Subdir};
use crate::manifest::{self, Pack};
use crate::room::Room;
use crate::sealed::{self, Protection};

/// Manifests read at a time.
const READS_MAX: usize = 16;
/// A manifest's file of no more bytes is opened at once: to hand it to another thread would cost more.
const SMALL_BYTES_MAX: u64 = 16 << 10;
/// Most files of wrapped keys that a chain may have, and most bytes of one.
const INFOS_MAX: usize = 1000;
const INFO_BYTES_MAX: u64 = 1 << 20;
/// Most bytes of a lock that are read.
const LOCK_BYTES_MAX: u64 = 1 << 10;

/// Attempts to take a lock that comes and goes.
const LOCKS_MAX: usize = 10;

/// The folder in which backups lie.
#[derive(Clone)]
pub struct Collection {
    store: Arc<dyn ObjectStore>,
}

/// What became of a file that may have been there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is as written.
    Written,
    /// Another was there, and stays.
    Present,
}

impl Collection {
    /// The collection at the root of a store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Collection {
        Collection { store }
    }

    /// Where its files are.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The full backups, oldest first.
    pub async fn fulls(&self) -> Result<Vec<Subdir>> {
        let listed = self.store.list(Some(&Path::from(LATEST_FOLDER)));
        let ends = listed.try_filter_map(|file| std::future::ready(Ok(layout::end_of_mark(&file.location))));
        let mut fulls: Vec<Subdir> = ends.map_ok(Subdir::of).try_collect().await?;
        fulls.sort_unstable();
        Ok(fulls)
    }

    /// The newest full backup.
    ///
    /// # Errors
    /// [`Error::Missing`] in the documented words when there is none.
    pub async fn latest(&self) -> Result<Subdir> {
        let newest = self.fulls().await?.pop();
        newest.ok_or_else(|| {
            Error::missing("path does not contain a completed latest backup")
                .with_hint("check the path; BACKUP INTO without LATEST begins the first chain of a collection")
        })
    }

    /// Whether a full backup is there.
    pub async fn has(&self, subdir: &Subdir) -> Result<bool> {
        self.exists(&subdir.full().manifest()).await
    }

    /// The files of wrapped keys of a chain, by number from 1; none for a chain that is not encrypted.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for more keys than a reader tries.
    pub async fn infos(&self, subdir: &Subdir) -> Result<Vec<EncryptionInfo>> {
        let (mut infos, mut count) = (Vec::new(), KeyCount::default());
        for number in 1..=INFOS_MAX {
            let path = subdir.encryption_info(number);
            let Some(bytes) = self.read(&path, INFO_BYTES_MAX).await? else { break };
            let info = EncryptionInfo::decode(&path, &bytes)?;
            count.add(&path, &info)?;
            infos.push(info);
        }
        Ok(infos)
    }

    /// How a chain is protected, opened with the keys of a statement.
    ///
    /// # Errors
    /// [`Error::Key`] when the keys do not open it, and when they are given for a chain that has none.
    pub async fn protection(&self, subdir: &Subdir, keys: &Keys) -> Result<Protection> {
        let infos = self.infos(subdir).await?;
        match (infos.is_empty(), keys) {
            (true, Keys::None) => Ok(Protection::Checksums),
            (true, _) => Err(self.without_keys(subdir).await),
            (false, keys) => Ok(Protection::Encrypted(keys::unlock(&infos, keys).await?)),
        }
    }

    /// Why no key opens a chain that has no wrapped keys.
    async fn without_keys(&self, subdir: &Subdir) -> Error {
        let manifest = subdir.full().manifest();
        match self.read(&manifest, manifest::FILE_BYTES_MAX).await {
            Ok(None) => no_backup(subdir),
            Ok(Some(file)) if sealed::is_encrypted(manifest.as_ref(), &file).unwrap_or(false) => Error::corrupt(
                subdir.encryption_info(1).as_ref(),
                "it is missing, and without it no key opens the chain",
            ),
            Ok(Some(_)) => not_encrypted(subdir),
            Err(error) => error,
        }
    }

    /// A chain with the manifests of its layers, up to the first that is damaged.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such full backup; what is wrong with its files, or with the keys.
    pub async fn chain(&self, subdir: &Subdir, protection: &Protection) -> Result<Chain> {
        self.chain_in(subdir, protection, Room::default()).await
    }

    pub(crate) async fn chain_in(&self, subdir: &Subdir, protection: &Protection, room: Room) -> Result<Chain> {
        let room = Arc::new(room);
        let full = self.layer_in(subdir.full(), protection, &room).await?.ok_or_else(|| no_backup(subdir))?;
        let mut folders = self.incrementals(subdir).await?;
        folders.sort_by_key(LayerPath::latest_end);
        if folders.len() >= BACKUP_LAYERS_MAX {
            return Err(too_large(subdir, format!("it has {} layers", folders.len() + 1)));
        }
        let reads: Vec<_> = folders.into_iter().map(|folder| self.layer_above(folder, protection, &room)).collect();
        let mut layers = stream::iter(reads).buffered(READS_MAX);
        let mut chain = Chain::begin(subdir.clone(), full, room.left())?;
        while let Some(layer) = layers.next().await {
            let Some(layer) = layer.transpose() else { continue };
            match layer.and_then(|layer| chain.push(layer, room.left())) {
                Ok(()) => {}
                Err(_) if room.is_exceeded() => {
                    return Err(too_large(subdir, format!("its manifests take over {CHAIN_BYTES_MAX} bytes")));
                }
                Err(Error::Corrupt { file, what }) => {
                    chain.damage = Some(Damage { file, what });
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(chain)
    }

    /// The folders of layers on top of a full backup, finished or not. Listed file by file: with one folder a day, and one
    /// for each layer in it, listing folders would take a request for every day.
    pub(crate) async fn incrementals(&self, subdir: &Subdir) -> Result<Vec<LayerPath>> {
        let files = self.store.list(Some(&subdir.incrementals()));
        let layers = files.map_ok(|file| LayerPath::of_file(subdir, &file.location));
        let found: BTreeSet<LayerPath> =
            layers.try_filter_map(|layer| std::future::ready(Ok(layer))).try_collect().await?;
        Ok(found.into_iter().collect())
    }

    /// A layer on top of a full backup. Without its manifest it counts as never finished, and all would go back by its
    /// changes in silence; so a storage that lists the manifest and says that it is not there is not believed.
    async fn layer_above(&self, path: LayerPath, protection: &Protection, room: &Arc<Room>) -> Result<Option<Layer>> {
        let manifest = path.manifest();
        let layer = self.layer_in(path.clone(), protection, room).await?;
        if layer.is_some() || !self.lists(&manifest).await? {
            return Ok(layer);
        }
        // It may have been finished between the two requests.
        let layer = self.layer_in(path, protection, room).await?;
        layer.map(Some).ok_or_else(|| Error::corrupt(manifest.as_ref(), "it is listed, and cannot be read"))
    }

    async fn lists(&self, path: &Path) -> Result<bool> {
        let Some(folder) = path.parent() else { return Ok(false) };
        let found = self.store.list_with_delimiter(Some(&folder)).await?;
        Ok(found.objects.iter().any(|file| file.location == *path))
    }

    /// One layer; `None` when it was never finished.
    pub async fn layer(&self, path: LayerPath, protection: &Protection) -> Result<Option<Layer>> {
        self.layer_in(path, protection, &Arc::new(Room::default())).await
    }

    /// One layer of a chain with this room.
    async fn layer_in(&self, path: LayerPath, protection: &Protection, room: &Arc<Room>) -> Result<Option<Layer>> {
        let name = path.manifest();
        let Some(found) = self.find(&name, manifest::FILE_BYTES_MAX).await? else { return Ok(None) };
        let is_small = found.meta.size <= SMALL_BYTES_MAX;
        let _memory = room.hold(found.meta.size).await;
        let file = found.bytes().await?;
        if is_small {
            return Layer::open(path, protection, file, room).map(Some);
        }
        let (protection, room) = (protection.clone(), room.clone());
        // A large one takes seconds, in which its thread does nothing else.
        let opened = tokio::task::spawn_blocking(move || Layer::open(path, &protection, file, &room)).await;
        opened.unwrap_or_else(|_| Err(Error::corrupt(name.as_ref(), "it cannot be read"))).map(Some)
    }

    /// Whether a file is there.
    pub async fn exists(&self, path: &Path) -> Result<bool> {
        let found = match self.store.head(path).await {
            Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => {
                // What refuses HEAD cannot say why.
                self.store.get(path).await.map(drop)
            }
            found => found.map(drop),
        };
        match found {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A whole small file; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for one that is larger than `bytes_max`, of which nothing is read.
    async fn read(&self, path: &Path, bytes_max: u64) -> Result<Option<Bytes>> {
        match self.find(path, bytes_max).await? {
            Some(found) => Ok(Some(found.bytes().await?)),
            None => Ok(None),
        }
    }

    /// A file of which nothing is read yet; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for one that is larger than `bytes_max`.
    async fn find(&self, path: &Path, bytes_max: u64) -> Result<Option<GetResult>> {
        match self.store.get(path).await {
            Ok(found) if found.meta.size > bytes_max => {
                let what = format!("it has {} bytes, of {bytes_max} that such a file may have", found.meta.size);
                Err(Error::corrupt(path.as_ref(), what))
            }
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file that must not be there. An answer that was lost is found out.
    pub async fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<Creation> {
        let bytes = Bytes::from(bytes);
        let put = self.store.put_opts(path, bytes.clone().into(), PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(Creation::Written),
            Err(error) => match self.read(path, bytes.len() as u64).await {
                Ok(Some(found)) if found == bytes => Ok(Creation::Written),
                Ok(Some(_)) | Err(Error::Corrupt { .. }) => Ok(Creation::Present),
                _ => Err(error.into()),
            },
        }
    }

    /// Writes a file in place of the one that is there, all at once.
    pub async fn replace(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        self.store.put(path, bytes.into()).await?;
        Ok(())
    }

    /// Marks a full backup as finished.
    pub async fn mark_latest(&self, subdir: &Subdir, end: i64) -> Result<()> {
        self.create(&layout::latest_mark(end), subdir.shown().into_bytes()).await.map(drop)
    }

    /// Takes the right to write a layer of a chain for a job. The job may take it again.
    ///
    /// # Errors
    /// [`Error::Conflict`] when another job has it.
    pub async fn lock(&self, subdir: &Subdir, owner: &str) -> Result<()> {
        let path = subdir.file(LOCK);
        // Who had it may give it back between the two requests.
        for _ in 0..LOCKS_MAX {
            match self.create(&path, owner.as_bytes().to_vec()).await {
                Ok(Creation::Written) => return Ok(()),
                Ok(Creation::Present) => break,
                Err(Error::Storage(object_store::Error::AlreadyExists { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        let other: String = self.holder(subdir).await?.unwrap_or_default().chars().take(80).collect();
        Err(Error::conflict(format!("{path} was written by {other}: another backup is writing there"))
            .with_hint("wait for it to end; if its server is gone for good, remove that file"))
    }

    /// Who has the right of [`Collection::lock`], if anybody.
    pub async fn holder(&self, subdir: &Subdir) -> Result<Option<String>> {
        let found = self.read(&subdir.file(LOCK), LOCK_BYTES_MAX).await?;
        Ok(found.map(|owner| String::from_utf8_lossy(&owner).into_owned()))
    }

    /// Gives back the right of [`Collection::lock`], if this job has it.
    pub async fn unlock(&self, subdir: &Subdir, owner: &str) -> Result<()> {
        let path = subdir.file(LOCK);
        match self.read(&path, LOCK_BYTES_MAX).await? {
            Some(found) if found == owner.as_bytes() => self.delete(&path).await,
            _ => Ok(()),
        }
    }

    /// Deletes what there is of a layer that was not finished.
    pub async fn discard(&self, layer: &LayerPath) -> Result<()> {
        let lock = layer.file(LOCK);
        self.delete_all(&layer.folder(), move |path| *path != lock).await
    }

    /// Deletes what there is of layers on top of a full backup that were not finished, but for `mine`.
    pub async fn discard_unfinished(&self, subdir: &Subdir, mine: &LayerPath) -> Result<()> {
        for layer in self.incrementals(subdir).await?.iter().filter(|layer| *layer != mine) {
            if !self.exists(&layer.manifest()).await? {
                self.discard(layer).await?;
            }
        }
        Ok(())
    }

    /// Deletes the packs of a layer that a run has left which did not get as far as to note them.
    pub async fn sweep(&self, layer: &LayerPath, noted: &[Pack]) -> Result<()> {
        let noted: HashSet<Path> = noted.iter().map(|pack| layer.pack(&pack.id)).collect();
        self.delete_all(&layer.data(), move |path| !noted.contains(path)).await
    }

    /// Which of the packs of a layer are there with their size.
    pub async fn present(&self, layer: &LayerPath, packs: &[Pack]) -> Result<Vec<bool>> {
        if packs.is_empty() {
            return Ok(Vec::new());
        }
        let files = self.store.list(Some(&layer.data())).map_ok(|file| (file.location, file.size));
        let sizes: HashMap<Path, u64> = files.try_collect().await?;
        Ok(packs.iter().map(|pack| sizes.get(&layer.pack(&pack.id)) == Some(&pack.bytes)).collect())
    }

    pub(crate) async fn delete_all(
        &self,
        folder: &Path,
        is_doomed: impl Fn(&Path) -> bool + Send + 'static,
    ) -> Result<()> {
        let files = self.store.list(Some(folder)).map_ok(|file| file.location);
        let doomed = files.try_filter(move |path| std::future::ready(is_doomed(path))).boxed();
        let mut deleted = self.store.delete_stream(doomed);
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Deletes a file that may be gone already.
    pub async fn delete(&self, path: &Path) -> Result<()> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collection({})", self.store)
    }
}

fn no_backup(subdir: &Subdir) -> Error {
    Error::missing(format!("there is no backup in {:?}", subdir.shown()))
        .with_hint("SHOW BACKUPS IN lists the backups of a collection")
}

fn too_large(subdir: &Subdir, what: String) -> Error {
    Error::corrupt(subdir.to_string(), format!("{what}, more than a chain may have"))
}

fn not_encrypted(subdir: &Subdir) -> Error {
    Error::key(format!("could not find or read encryption information: the backup in {:?} has none", subdir.shown()))
        .with_hint("it is not encrypted: leave out encryption_passphrase and kms")
}
