//! Deleting chains that nobody needs any more.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::layout::{LATEST_FOLDER, LOCK, Subdir, end_of_mark};
use crate::manifest::{Manifest, Targets};

/// Folders listed at a time.
const LISTS_MAX: usize = 16;

/// Which chains of a collection are meant.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// What they are backups of.
    pub targets: &'a Targets,
    /// Identity of the catalog that they are backups of.
    pub cluster: &'a str,
}

impl Whose<'_> {
    fn is_of(&self, full: &Manifest) -> bool {
        full.targets.covers_as(self.targets) && full.cluster.as_deref().is_none_or(|cluster| cluster == self.cluster)
    }
}

impl Collection {
    /// The chains whose every layer ends before a moment (microseconds since the epoch), if they open with these keys and are
    /// backups of these targets, of this cluster as far as they tell: what others have put into the collection stays. So
    /// does the newest full backup. What is left of a chain whose deletion was interrupted counts as one of them: nobody can
    /// tell any more whose it was, but there is the lock of whoever deleted it.
    pub async fn expired(&self, before: i64, whose: &Whose<'_>, keys: &Keys) -> Result<Vec<Subdir>> {
        let newest = self.fulls().await?.pop();
        let mut expired = Vec::new();
        for subdir in self.folders().await? {
            let is_old = Some(&subdir) != newest.as_ref() && subdir.latest_end() < before;
            if is_old && self.is_of(&subdir, whose, keys).await? && !self.reaches(&subdir, before).await? {
                expired.push(subdir);
            }
        }
        Ok(expired)
    }

    /// Deletes a chain that `owner` has locked, unless it has a layer by now that ends at the moment or later; answers whether.
    /// The lock goes too, except that of a chain that can be told by nothing else any more.
    ///
    /// # Errors
    /// Those of the storage: the next run goes on.
    pub async fn delete_expired(&self, subdir: &Subdir, before: i64, owner: &str) -> Result<bool> {
        match self.delete_contents(subdir, before).await {
            Ok(true) => {}
            kept => {
                let unlocked = self.unlock(subdir, owner).await;
                return kept.and_then(|kept| unlocked.map(|()| kept));
            }
        }
        self.delete(&subdir.full().manifest()).await?;
        let lock = subdir.file(LOCK);
        let kept = lock.clone();
        self.delete_all(&subdir.full().folder(), move |path| *path != kept).await?;
        self.delete(&lock).await?;
        Ok(true)
    }

    /// Deletes the files of a chain but for those that tell what it is; answers false for one that is needed again. Its mark
    /// goes first, so that nobody takes what is being deleted for a backup.
    async fn delete_contents(&self, subdir: &Subdir, before: i64) -> Result<bool> {
        if self.reaches(subdir, before).await? {
            return Ok(false);
        }
        let marked = subdir.clone();
        let is_mark = move |path: &Path| end_of_mark(path).map(Subdir::of).as_ref() == Some(&marked);
        self.delete_all(&Path::from(LATEST_FOLDER), is_mark).await?;
        self.delete_all(&subdir.incrementals(), |_| true).await?;
        self.delete_all(&subdir.full().data(), |_| true).await?;
        Ok(true)
    }

    /// Whether a chain is one of those, as far as the keys tell.
    async fn is_of(&self, subdir: &Subdir, whose: &Whose<'_>, keys: &Keys) -> Result<bool> {
        let opened = async {
            let is_clear = self.infos(subdir).await?.is_empty();
            let keys = if is_clear { &Keys::None } else { keys };
            self.layer(subdir.full(), &self.protection(subdir, keys).await?).await
        };
        match opened.await {
            Ok(Some(full)) => Ok(whose.is_of(&full.manifest)),
            Ok(None) => Ok(self.holder(subdir).await?.is_some()),
            Err(Error::Storage(error)) => Err(error.into()),
            // Others' keys, or damage: not ours to delete.
            Err(_) => Ok(false),
        }
    }

    /// Whether a chain has a layer that ends at the moment or later.
    async fn reaches(&self, subdir: &Subdir, before: i64) -> Result<bool> {
        Ok(self.incrementals(subdir).await?.iter().any(|layer| layer.latest_end() >= before))
    }

    /// The folders of full backups, finished or not.
    async fn folders(&self) -> Result<Vec<Subdir>> {
        let years = self.folders_in(None).await?;
        let years = years.into_iter().filter(|year| year.as_ref().len() == 4).collect();
        let months = self.folders_in_each(years).await?;
        let days = self.folders_in_each(months).await?;
        let found: HashSet<Subdir> = days.iter().filter_map(|day| Subdir::parse(day.as_ref()).ok()).collect();
        let mut found: Vec<Subdir> = found.into_iter().collect();
        found.sort_unstable();
        Ok(found)
    }

    async fn folders_in_each(&self, folders: Vec<Path>) -> Result<Vec<Path>> {
        let lists: Vec<_> = folders.iter().map(|folder| self.folders_in(Some(folder))).collect();
        let found: Vec<Vec<Path>> = stream::iter(lists).buffered(LISTS_MAX).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn folders_in(&self, folder: Option<&Path>) -> Result<Vec<Path>> {
        Ok(self.store().list_with_delimiter(folder).await?.common_prefixes)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use lakeport_base::Env;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStoreExt,
        PutMultipartOptions, PutOptions, PutPayload, PutResult,
    };

    use super::*;
    use crate::format::FORMAT;
    use crate::layout::LayerPath;
    use crate::manifest::Catalog;
    use crate::sealed::Protection;

    const OURS: &str = "this cluster";
    const OWNER: &str = "job 2";
    const DAY: i64 = 86_400_000_000;
    const START: i64 = 1_700_000_000_000_000;

    /// A collection of full backups and the ends of their layers, in days.
    async fn collection(chains: &[(i64, &[i64])]) -> Collection {
        collection_in(Arc::new(InMemory::new()), chains).await
    }

    async fn collection_in(store: Arc<dyn ObjectStore>, chains: &[(i64, &[i64])]) -> Collection {
        let collection = Collection::new(store);
        for (full, layers) in chains {
            let end = START + full * DAY;
            let subdir = Subdir::of(end);
            fill(&collection, &subdir.full()).await;
            collection.mark_latest(&subdir, end).await.unwrap();
            let mut below = end;
            for layer in *layers {
                let end = START + layer * DAY;
                fill(&collection, &subdir.incremental(below, end)).await;
                below = end;
            }
        }
        collection
    }

    /// The targets of the chains.
    fn ours() -> Targets {
        Targets::Databases(vec!["movr".to_string()])
    }

    async fn expired(collection: &Collection, before: i64) -> Vec<Subdir> {
        let mut gone = Vec::new();
        for subdir in told(collection, before).await {
            if expire(collection, &subdir, before).await.unwrap() {
                gone.push(subdir);
            }
        }
        gone
    }

    async fn told(collection: &Collection, before: i64) -> Vec<Subdir> {
        let whose = Whose { targets: &ours(), cluster: OURS };
        collection.expired(before, &whose, &Keys::None).await.unwrap()
    }

    /// Answers false for what another writes to.
    async fn expire(collection: &Collection, subdir: &Subdir, before: i64) -> Result<bool> {
        match collection.lock(subdir, OWNER).await {
            Ok(()) => collection.delete_expired(subdir, before, OWNER).await,
            Err(Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn fill(collection: &Collection, layer: &LayerPath) {
        let manifest = Manifest {
            format: FORMAT,
            id: String::new(),
            previous: None,
            start: None,
            end: 0,
            revisions_since: None,
            job: 1,
            server: String::new(),
            cluster: Some(OURS.to_string()),
            targets: ours(),
            catalog: Catalog::default(),
            packs: Vec::new(),
            tables: Vec::new(),
        };
        let path = layer.manifest();
        let file = manifest.seal(&Protection::Checksums, path.as_ref(), &Env::system(), u64::MAX).unwrap();
        collection.store().put(&path, file.into()).await.unwrap();
        collection.store().put(&layer.pack("00"), PutPayload::from_static(b"x")).await.unwrap();
    }

    async fn files(collection: &Collection) -> usize {
        collection.store().list(None).try_collect::<Vec<_>>().await.unwrap().len()
    }

    /// Deletes so many files, and then no more.
    #[derive(Debug)]
    struct Failing {
        store: Arc<InMemory>,
        deletes: Arc<AtomicI64>,
    }

    impl fmt::Display for Failing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Failing")
        }
    }

    #[async_trait]
    impl ObjectStore for Failing {
        async fn put_opts(
            &self,
            path: &Path,
            payload: PutPayload,
            options: PutOptions,
        ) -> object_store::Result<PutResult> {
            self.store.put_opts(path, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            path: &Path,
            options: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.store.put_multipart_opts(path, options).await
        }

        async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
            self.store.get_opts(path, options).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            let (store, deletes) = (self.store.clone(), self.deletes.clone());
            let delete = move |path: object_store::Result<Path>| {
                let (store, deletes) = (store.clone(), deletes.clone());
                async move {
                    let path = path?;
                    if deletes.fetch_sub(1, Ordering::Relaxed) <= 0 {
                        let source = "as the test wants it".into();
                        return Err(object_store::Error::Generic { store: "Failing", source });
                    }
                    store.delete(&path).await?;
                    Ok(path)
                }
            };
            paths.then(delete).boxed()
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.store.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
            self.store.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
            self.store.copy_opts(from, to, options).await
        }
    }

    /// After any number of deleted files the chain is whole or is not listed, and the next run does the rest.
    #[tokio::test]
    async fn a_run_that_fails_anywhere_is_finished_by_the_next() {
        let before = START + 4 * DAY;
        let old = Subdir::of(START);
        let mut failures = 0;
        for deletes in 0.. {
            let left = Arc::new(AtomicI64::new(i64::MAX));
            let store = Failing { store: Arc::new(InMemory::new()), deletes: left.clone() };
            let collection = collection_in(Arc::new(store), &[(0, &[1, 2]), (9, &[])]).await;
            let all = files(&collection).await;
            assert_eq!(told(&collection, before).await, std::slice::from_ref(&old));
            left.store(deletes, Ordering::Relaxed);
            let failed = expire(&collection, &old, before).await.is_err();
            left.store(i64::MAX, Ordering::Relaxed);
            if !failed {
                break;
            }
            failures += 1;
            let holder = collection.holder(&old).await.unwrap();
            let is_whole = files(&collection).await == all + usize::from(holder.is_some());
            assert_eq!(collection.fulls().await.unwrap().contains(&old), is_whole, "after {deletes} deletes");
            // The job that holds the lock has ended.
            collection.delete(&old.file(LOCK)).await.unwrap();
            if let Some(holder) = holder {
                collection.lock(&old, &holder).await.unwrap();
            }
            let gone = expired(&collection, before).await;
            assert_eq!(gone, std::slice::from_ref(&old), "after {deletes} deletes");
            assert_eq!(files(&collection).await, 3, "after {deletes} deletes");
        }
        // The mark, three layers of two files, the lock.
        assert_eq!(failures, 8);
    }

    #[tokio::test]
    async fn a_chain_goes_when_its_last_layer_is_too_old() {
        let chains: &[(i64, &[i64])] = &[(0, &[1, 2]), (3, &[4, 9]), (10, &[])];
        let collection = collection(chains).await;
        assert_eq!(expired(&collection, START + 2 * DAY).await, []);
        assert_eq!(expired(&collection, START + 5 * DAY).await, [Subdir::of(START)]);
        assert_eq!(collection.fulls().await.unwrap().len(), 2);
        assert_eq!(files(&collection).await, 3 * 2 + 1 + 2 + 1);
        assert_eq!(expired(&collection, START + 10 * DAY).await, [Subdir::of(START + 3 * DAY)]);
    }

    #[tokio::test]
    async fn the_newest_full_backup_stays() {
        let collection = collection(&[(0, &[]), (1, &[])]).await;
        assert_eq!(expired(&collection, i64::MAX).await, [Subdir::of(START)]);
        assert_eq!(collection.latest().await.unwrap(), Subdir::of(START + DAY));
    }

    #[tokio::test]
    async fn what_others_have_put_there_stays() {
        let collection = collection(&[(0, &[]), (1, &[])]).await;
        for (targets, cluster) in [(Targets::Cluster, OURS), (ours(), "another cluster")] {
            let whose = Whose { targets: &targets, cluster };
            assert_eq!(collection.expired(i64::MAX, &whose, &Keys::None).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn what_is_being_written_stays() {
        let collection = collection(&[(0, &[]), (1, &[])]).await;
        collection.lock(&Subdir::of(START), "job 1").await.unwrap();
        assert_eq!(expired(&collection, i64::MAX).await, []);
    }

    #[tokio::test]
    async fn what_an_interrupted_run_has_left_goes_with_the_next() {
        let collection = collection(&[(0, &[1]), (5, &[])]).await;
        collection.delete(&crate::layout::latest_mark(START)).await.unwrap();
        assert_eq!(expired(&collection, START + 2 * DAY).await, [Subdir::of(START)]);
        assert_eq!(files(&collection).await, 3);
    }
}
