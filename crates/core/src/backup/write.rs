//! The job of a BACKUP.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakeport_backup::chain::Layer;
use lakeport_backup::collection::Creation;
use lakeport_backup::format::FORMAT;
use lakeport_backup::keys::{EncryptionInfo, Keys};
use lakeport_backup::layout::{LayerPath, Subdir};
use lakeport_backup::manifest::{self, Manifest, Previous, TableHistory, Targets};
use lakeport_backup::retention::Whose;
use lakeport_backup::sealed::ChainKey;
use lakeport_backup::{Chain, Collection, Protection};
use lakeport_base::id::{JobId, TableId};
use lakeport_base::{Point, Secret, Sqlstate};
use lakeport_catalog::model::Table;
use tokio::time::Instant;

use super::contents::Contents;
use super::copy::{Copied, Destination, Packing, copy_all, source_files};
use super::cut::{Span, TableCut, cut_of};
use super::{KeyTexts, TABLES_AT_ONCE, cluster, rights};
use crate::authz::Subject;
use crate::directory::Directory;
use crate::engine::{TableFile, TableRevision};
use crate::error::{Error, Result};
use crate::job::{Checkpoint, Done, Task, TaskContext, may_pass};
use crate::setting;

/// Random bytes in the id of a layer.
const ID_BYTES: usize = 16;
/// What precedes a job's id in a lock.
const OWNER: &str = "job ";

/// Waits between attempts to delete the files of a failed backup: the first, each next twice as long, and the longest.
const UNDO_WAIT_MIN: Duration = Duration::from_secs(1);
const UNDO_WAIT_MAX: Duration = Duration::from_secs(5);
/// After that no further attempt is begun.
const UNDO_TIME_MAX: Duration = Duration::from_secs(600);
/// How long a backup deletes old ones before it ends.
const EXPIRE_TIME_MAX: Duration = Duration::from_secs(600);

/// What one BACKUP is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupOrder {
    /// URI of the collection.
    pub collection: Secret<String>,
    pub keys: KeyTexts,
    /// The full backup that is made, or added to.
    pub subdir: Subdir,
    /// End of the layer below; none for a full backup.
    pub start: Option<i64>,
    /// The moment that is backed up.
    pub end: i64,
    pub revision_history: bool,
    /// How old (in microseconds, at the end of this backup) the last layer of a chain may be that stays.
    pub retain_micros: Option<i64>,
    pub targets: Targets,
    /// The tables that the targets meant when the statement was planned. None of them is left out in silence, and their
    /// files stay until the job has ended.
    pub tables: Vec<TableId>,
}

impl BackupOrder {
    /// The oldest moment whose files it needs.
    pub(super) fn needs_since(&self, directory: &Directory) -> i64 {
        if !self.revision_history { self.end } else { self.start.unwrap_or_else(|| oldest(directory, self.end)) }
    }

    fn layer(&self) -> LayerPath {
        self.start.map_or_else(|| self.subdir.full(), |start| self.subdir.incremental(start, self.end))
    }
}

/// Makes a layer: packs first, their list last. Until the list is there, there is no layer.
pub struct BackupTask(pub BackupOrder);

#[async_trait]
impl Task for BackupTask {
    async fn run(&self, cx: &TaskContext) -> Result<Done> {
        let copied = match cx.checkpoint().await? {
            Some(Checkpoint::Done(done)) => return Ok(done),
            Some(Checkpoint::Backup(copied)) => copied,
            _ => Copied::default(),
        };
        let directory = cx.server.directory().await?;
        rights::require_backup(Subject { directory: &directory, user: &cx.owner }, &self.0.targets)?;
        let uri = self.0.collection.expose();
        let collection = cx.server.open_job_collection(&cx.owner, uri, cx.progress.clone()).await?;
        if let Some(layer) = self.finished(cx, &collection).await? {
            return self.finish(cx, &collection, &layer.manifest).await;
        }
        let mut packing = Packing::default();
        let written = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => Err(Error::canceled()),
            written = self.write(cx, &collection, copied, &mut packing) => written,
        };
        match written {
            Ok(manifest) => self.finish(cx, &collection, &manifest).await,
            Err(error) => {
                packing.stop().await;
                Err(error)
            }
        }
    }

    async fn revert(&self, cx: &TaskContext) -> Result<()> {
        let (started, mut wait) = (Instant::now(), UNDO_WAIT_MIN);
        while let Err(error) = self.undo(cx).await {
            // What cannot be deleted is no layer, and readers pass over it: a job must not wait for its storage for ever.
            if !may_pass(&error) || started.elapsed() >= UNDO_TIME_MAX {
                tracing::warn!(job = cx.id.0, %error, "files of an unfinished backup remain");
                break;
            }
            cx.progress.set_status(format!("its files cannot be deleted yet: {error}"));
            tokio::select! {
                () = cx.cancel.cancelled() => return Err(Error::canceled()),
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(UNDO_WAIT_MAX),
            }
        }
        Ok(())
    }
}

impl BackupTask {
    async fn undo(&self, cx: &TaskContext) -> Result<()> {
        let collection = cx.server.open_collection(&cx.owner, self.0.collection.expose()).await?;
        match collection.lock(&self.0.subdir, &owner_text(cx)).await {
            Ok(()) => {}
            // Another backup writes here: this one was refused before it wrote anything.
            Err(lakeport_backup::Error::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        // A layer that is finished stays, and can be found: another may have been put on top of it.
        match self.finished(cx, &collection).await {
            Ok(None) => collection.discard(&self.0.layer()).await?,
            Ok(Some(_)) => self.mark(&collection).await?,
            Err(error) if error.code() == Sqlstate::DUPLICATE_OBJECT => {}
            Err(error) => return Err(error),
        }
        Ok(collection.unlock(&self.0.subdir, &owner_text(cx)).await?)
    }

    /// The layer, when an earlier run has made it.
    async fn finished(&self, cx: &TaskContext, collection: &Collection) -> Result<Option<Layer>> {
        let path = self.0.layer();
        if !collection.exists(&path.manifest()).await? {
            return Ok(None);
        }
        let keys = cx.server.open_keys(&cx.owner, &self.0.keys).await?;
        let protection = collection.protection(&self.0.subdir, &keys).await?;
        let layer = collection.layer(path, &protection).await?;
        match layer {
            Some(layer) if layer.manifest.job != cx.id.0 => Err(present(&layer.path)),
            layer => Ok(layer),
        }
    }

    /// Makes the layer.
    async fn write(
        &self,
        cx: &TaskContext,
        collection: &Collection,
        mut copied: Copied,
        packing: &mut Packing,
    ) -> Result<Manifest> {
        cx.fault(Point::BackupStart)?;
        self.lock(cx, collection).await?;
        let layer = self.0.layer();
        // Another job may have made this very layer before it gave the lock back.
        if collection.exists(&layer.manifest()).await? {
            return Err(present(&layer));
        }
        let keys = cx.server.open_keys(&cx.owner, &self.0.keys).await?;
        let protection = self.protection(cx, collection, &keys, &mut copied).await?;
        let chain = self.chain(collection, &protection).await?;
        cx.progress.set_status("looking for changes");
        let span = self.span(cx, chain.as_ref()).await?;
        let (mut contents, cuts) = self.cuts(cx, chain.as_ref(), span).await?;
        self.add_rights(cx, &protection, &mut contents).await?;
        let room = chain.as_ref().map_or(u64::MAX, |chain| chain.room);
        let previous = chain.map(|chain| chain.last().link.clone());
        let files = source_files(&cuts);
        let manifest = self.manifest(cx, previous, span, contents, cuts);
        // What cannot be listed need not be copied.
        let manifest = aside(manifest, move |manifest| manifest.check_size(room)).await?.0;
        collection.sweep(&layer, &copied.packs).await?;
        // What an ALTER of the connection has left elsewhere is copied again.
        copied.retain(&collection.present(&layer, &copied.packs).await?);
        let to = Destination {
            collection: collection.clone(),
            layer: layer.clone(),
            protection: protection.clone(),
            env: cx.server.config.env.clone(),
        };
        copy_all(cx, files, &mut copied, to, packing).await?;
        if collection.present(&layer, &copied.packs).await?.contains(&false) {
            return Err(moved(&layer));
        }
        let manifest = placed(manifest, copied)?;
        let (path, env) = (layer.manifest(), cx.server.config.env.clone());
        let seal = move |manifest: &Manifest| manifest.seal(&protection, path.as_ref(), &env, room);
        let (manifest, file) = aside(manifest, seal).await?;
        cx.fault(Point::BackupManifest)?;
        // From here on the layer may be there, and is not given up.
        let creation = cx.cancel.commit(async { Ok(collection.create(&layer.manifest(), file).await?) }).await?;
        match creation {
            Creation::Written => Ok(manifest),
            Creation::Present => Err(present(&layer)),
        }
    }

    /// Takes the right to write to the chain, also from a job of this server that has ended without giving it back. What that
    /// one has left goes too.
    async fn lock(&self, cx: &TaskContext, collection: &Collection) -> Result<()> {
        match take(cx, collection, &self.0.subdir).await? {
            Taken::Free => Ok(()),
            Taken::FromEnded => Ok(collection.discard_unfinished(&self.0.subdir, &self.0.layer()).await?),
        }
    }

    /// How the chain is protected; a new one gets its key here, under which nothing can be copied yet.
    async fn protection(
        &self,
        cx: &TaskContext,
        collection: &Collection,
        keys: &Keys,
        copied: &mut Copied,
    ) -> Result<Protection> {
        let subdir = &self.0.subdir;
        let is_new = self.0.start.is_none() && collection.infos(subdir).await?.is_empty();
        if !is_new || matches!(keys, Keys::None) {
            return Ok(collection.protection(subdir, keys).await?);
        }
        let env = &cx.server.config.env;
        *copied = Copied::default();
        let key = ChainKey::generate(env);
        let info = EncryptionInfo::lock(&key, keys, env).await?;
        cx.fault(Point::BackupKey)?;
        match collection.create(&subdir.encryption_info(1), info.encode()).await? {
            Creation::Written => Ok(Protection::Encrypted(key)),
            Creation::Present => Err(present(&subdir.full())),
        }
    }

    /// What the layer is put on top of.
    async fn chain(&self, collection: &Collection, protection: &Protection) -> Result<Option<Chain>> {
        let Some(start) = self.0.start else { return Ok(None) };
        // Who deletes a chain takes its mark away first.
        if !collection.fulls().await?.contains(&self.0.subdir) {
            return Err(gone(&self.0.subdir));
        }
        let chain = collection.chain(&self.0.subdir, protection).await?;
        chain.check_whole()?;
        match chain.last().manifest.end == start {
            true => Ok(Some(chain)),
            false => Err(Error::new(
                Sqlstate::SERIALIZATION_FAILURE,
                format!("another backup was added to {:?} meanwhile", self.0.subdir.shown()),
            )
            .with_hint("run the statement again")),
        }
    }

    async fn span(&self, cx: &TaskContext, chain: Option<&Chain>) -> Result<Span> {
        let end = self.0.end;
        if !self.0.revision_history {
            return Ok(Span { revisions_since: None, end });
        }
        let directory = cx.server.directory().await?;
        let since = match chain {
            Some(chain) => chain.last().manifest.end,
            // Before the first of them was made there is nothing to restore.
            None => {
                let databases = Contents::of(&directory, &self.0.targets).databases;
                let made = databases.iter().map(|database| database.created).min().unwrap_or(end);
                oldest(&directory, end).max(made)
            }
        };
        Ok(Span { revisions_since: Some(since), end })
    }

    /// What each table's part of the layer is.
    async fn cuts(
        &self,
        cx: &TaskContext,
        chain: Option<&Chain>,
        span: Span,
    ) -> Result<(manifest::Catalog, Vec<TableCut>)> {
        let directory = cx.server.directory().await?;
        let contents = Contents::of(&directory, &self.0.targets);
        let found: HashSet<TableId> = contents.tables.iter().map(|row| row.id).collect();
        if let Some(id) = self.0.tables.iter().find(|id| !found.contains(id)) {
            return Err(Error::new(
                Sqlstate::UNDEFINED_TABLE,
                format!("table {id} was dropped, or its database renamed, before it was backed up"),
            )
            .with_hint("run the statement again"));
        }
        let cuts: Vec<_> =
            contents.tables.iter().map(|row| cut_of(&cx.server, &directory, row, chain, span).boxed()).collect();
        let cuts: Vec<Option<TableCut>> = stream::iter(cuts).buffered(TABLES_AT_ONCE).try_collect().await?;
        let cuts: Vec<TableCut> = cuts.into_iter().flatten().collect();
        let tables: Vec<Arc<Table>> = cuts.iter().map(|cut| cut.table.row.clone()).collect();
        let mut catalog = contents.listed(&tables);
        catalog.drops = cluster::listed_drops(&directory, &self.0.targets, &catalog, span);
        Ok((catalog, cuts))
    }

    /// Lists who may do what, and for a backup of the cluster who there is and what else it has.
    async fn add_rights(
        &self,
        cx: &TaskContext,
        protection: &Protection,
        catalog: &mut manifest::Catalog,
    ) -> Result<()> {
        let directory = cx.server.directory().await?;
        match self.0.targets {
            Targets::Cluster => cluster::add(&cx.server, &directory, protection.is_encrypted(), catalog).await,
            _ => {
                cluster::add_grants(&directory, catalog);
                Ok(())
            }
        }
    }

    /// The layer's list; where the files are is not known yet.
    fn manifest(
        &self,
        cx: &TaskContext,
        previous: Option<Previous>,
        span: Span,
        catalog: manifest::Catalog,
        cuts: Vec<TableCut>,
    ) -> Manifest {
        Manifest {
            format: FORMAT,
            id: cx.server.config.env.random_hex(ID_BYTES),
            previous,
            start: self.0.start,
            end: self.0.end,
            revisions_since: span.revisions_since,
            job: cx.id.0,
            server: env!("CARGO_PKG_VERSION").to_string(),
            cluster: Some(cx.server.config.catalog.identity().to_string()),
            targets: self.0.targets.clone(),
            catalog,
            packs: Vec::new(),
            tables: cuts.into_iter().map(listed).collect(),
        }
    }

    /// Deletes chains that are too old. The backup is made, whatever becomes of this; the next one goes on.
    async fn expire(&self, cx: &TaskContext, collection: &Collection, retain_micros: i64) {
        let deleted = self.delete_all_expired(cx, collection, retain_micros);
        match tokio::time::timeout(EXPIRE_TIME_MAX, deleted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(job = cx.id.0, %error, "old backups not deleted"),
            Err(_) => tracing::warn!(job = cx.id.0, "old backups not all deleted in time"),
        }
    }

    /// One that cannot be deleted, such as one that is being written to, does not keep the others.
    async fn delete_all_expired(&self, cx: &TaskContext, collection: &Collection, retain_micros: i64) -> Result<()> {
        let keys = cx.server.open_keys(&cx.owner, &self.0.keys).await?;
        let before = self.0.end.saturating_sub(retain_micros);
        let whose = Whose { targets: &self.0.targets, cluster: cx.server.config.catalog.identity() };
        for subdir in collection.expired(before, &whose, &keys).await? {
            match delete_expired(cx, collection, &subdir, before).await {
                Ok(true) => tracing::info!(job = cx.id.0, %subdir, "old backup deleted"),
                Ok(false) => {}
                Err(error) => tracing::warn!(job = cx.id.0, %subdir, %error, "old backup not deleted"),
            }
        }
        Ok(())
    }

    /// Makes a full backup the latest.
    async fn mark(&self, collection: &Collection) -> Result<()> {
        match self.0.start {
            Some(_) => Ok(()),
            None => Ok(collection.mark_latest(&self.0.subdir, self.0.end).await?),
        }
    }

    /// Makes a layer known that is there.
    async fn finish(&self, cx: &TaskContext, collection: &Collection, manifest: &Manifest) -> Result<Done> {
        cx.fault(Point::BackupWritten)?;
        self.mark(collection).await?;
        collection.unlock(&self.0.subdir, &owner_text(cx)).await?;
        cx.fault(Point::BackupMarked)?;
        let added = manifest.tables.iter().flat_map(|table| &table.versions).flat_map(|version| &version.added);
        let (rows, bytes) = added.fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
        let done = Done { rows, bytes };
        cx.save(&Checkpoint::Done(done)).await?;
        if let Some(retain_micros) = self.0.retain_micros {
            self.expire(cx, collection, retain_micros).await;
        }
        Ok(done)
    }
}

/// Deletes a chain unless a layer is or was put on top of it; answers whether.
async fn delete_expired(cx: &TaskContext, collection: &Collection, subdir: &Subdir, before: i64) -> Result<bool> {
    match take(cx, collection, subdir).await {
        Ok(_) => Ok(collection.delete_expired(subdir, before, &owner_text(cx)).await?),
        Err(error) if error.code() == Sqlstate::OBJECT_IN_USE => Ok(false),
        Err(error) => Err(error),
    }
}

/// From which moment on a first backup keeps history: a little later than what may be deleted while it begins.
fn oldest(directory: &Directory, end: i64) -> i64 {
    let ttl_micros = i64::try_from(setting::GC_TTL.duration(directory).as_micros()).unwrap_or(i64::MAX);
    end.saturating_sub(ttl_micros - ttl_micros / 10)
}

/// A cut as the manifest lists it, with its files nowhere.
fn listed(cut: TableCut) -> TableHistory {
    let file = |TableFile { path, bytes, rows, stats }| manifest::File { path, bytes, rows, stats, pack: 0, offset: 0 };
    let version = |TableRevision { version, at, schema, added, removed }| {
        let added = added.into_iter().map(file).collect();
        manifest::Version { version, at, schema, added, removed }
    };
    TableHistory { table: cut.table.row.id.0, versions: cut.versions.into_iter().map(version).collect() }
}

/// The list with the places of the files.
fn placed(mut manifest: Manifest, copied: Copied) -> Result<Manifest> {
    let places = copied.by_path();
    for history in &mut manifest.tables {
        for file in history.versions.iter_mut().flat_map(|version| &mut version.added) {
            let place = places.get(&(history.table, file.path.as_str()));
            let place = place.ok_or_else(|| Error::internal("a file was not copied"))?;
            (file.pack, file.offset) = (place.pack, place.offset);
        }
    }
    manifest.packs = copied.packs;
    Ok(manifest)
}

/// Does what may take seconds with a list, on a thread that nothing else waits for.
async fn aside<T: Send + 'static>(
    manifest: Manifest,
    work: impl FnOnce(&Manifest) -> lakeport_backup::Result<T> + Send + 'static,
) -> Result<(Manifest, T)> {
    let working = tokio::task::spawn_blocking(move || work(&manifest).map(|done| (manifest, done)));
    Ok(working.await.map_err(Error::internal)??)
}

/// Whose a lock was before it was taken.
enum Taken {
    Free,
    /// A job's of this server that had ended.
    FromEnded,
}

/// Takes the lock of a chain, also from a job of this server that has ended without giving it back.
///
/// # Errors
/// 55006 while somebody else writes to the chain.
async fn take(cx: &TaskContext, collection: &Collection, subdir: &Subdir) -> Result<Taken> {
    let owner = owner_text(cx);
    let conflict = match collection.lock(subdir, &owner).await {
        Err(conflict @ lakeport_backup::Error::Conflict { .. }) => conflict,
        locked => return Ok(locked.map(|()| Taken::Free)?),
    };
    // Who finds the same one gone must not take the right from who was quicker.
    let _turn = cx.server.taking_over.lock().await;
    let holder = collection.holder(subdir).await?.unwrap_or_default();
    let Some(job) = holder.strip_prefix(OWNER).and_then(|id| id.parse().ok()).map(JobId) else {
        return Err(conflict.into());
    };
    if !cx.server.config.catalog.read().await?.job(job).await?.is_some_and(|job| job.state.is_final()) {
        return Err(conflict.into());
    }
    collection.unlock(subdir, &holder).await?;
    collection.lock(subdir, &owner).await?;
    Ok(Taken::FromEnded)
}

/// Who holds the lock of a chain.
fn owner_text(cx: &TaskContext) -> String {
    format!("{OWNER}{}", cx.id)
}

fn moved(layer: &LayerPath) -> Error {
    Error::new(Sqlstate::IO_ERROR, format!("packs of {layer} that were written are gone"))
        .with_hint("the collection's connection was altered, or somebody deletes there")
}

fn gone(subdir: &Subdir) -> Error {
    Error::new(Sqlstate::UNDEFINED_FILE, format!("the full backup in {:?} is not there any more", subdir.shown()))
        .with_hint("begin a chain with BACKUP INTO")
}

fn present(layer: &LayerPath) -> Error {
    Error::new(Sqlstate::DUPLICATE_OBJECT, format!("another backup exists in {layer} already"))
        .with_hint("run the statement again: its time, and with it its folder, will be another")
}
