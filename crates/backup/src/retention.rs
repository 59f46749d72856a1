//! Deleting chains that nobody needs any more.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::layout::{LATEST_FOLDER, Subdir, end_of_mark};
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
    /// Deletes the chains whose every layer ends before a moment (microseconds since the epoch), if they open with these
    /// keys and are backups of these targets, of this cluster as far as they tell: what others have put into the collection
    /// stays. So does the newest full backup, and a chain that is being written. Answers the full backups that are gone.
    ///
    /// A chain loses its mark first, so that nobody begins to read what is being deleted, and its manifest last, so that
    /// the next run knows what an interrupted one has left.
    ///
    /// # Errors
    /// Those of the storage; the chains before are gone then.
    pub async fn expire(&self, before: i64, whose: &Whose<'_>, keys: &Keys, owner: &str) -> Result<Vec<Subdir>> {
        let listed = self.store().list(Some(&Path::from(LATEST_FOLDER))).map_ok(|file| file.location);
        let marks: Vec<Path> = listed.try_collect().await?;
        let newest = marks.iter().filter_map(end_of_mark).max().map(Subdir::of);
        let mut expired = Vec::new();
        for subdir in self.folders().await? {
            if Some(&subdir) == newest.as_ref() || subdir.latest_end() >= before {
                continue;
            }
            if !self.is_of(&subdir, whose, keys).await? {
                continue;
            }
            // Whoever adds a layer has the lock; it goes with the chain.
            match self.lock(&subdir, owner).await {
                Ok(()) => {}
                Err(Error::Conflict { .. }) => continue,
                Err(error) => return Err(error),
            }
            if self.reaches(&subdir, before).await? {
                self.unlock(&subdir, owner).await?;
                continue;
            }
            for mark in marks.iter().filter(|mark| end_of_mark(mark).map(Subdir::of).as_ref() == Some(&subdir)) {
                self.delete(mark).await?;
            }
            self.delete_chain(&subdir).await?;
            expired.push(subdir);
        }
        Ok(expired)
    }

    /// Deletes the files of a chain, those that tell what it is last.
    async fn delete_chain(&self, subdir: &Subdir) -> Result<()> {
        self.delete_all(&subdir.incrementals(), |_| true).await?;
        self.delete_all(&subdir.full().data(), |_| true).await?;
        self.delete(&subdir.full().manifest()).await?;
        self.delete_all(&subdir.full().folder(), |_| true).await
    }

    /// Whether a chain is one of those, as far as the keys tell.
    async fn is_of(&self, subdir: &Subdir, whose: &Whose<'_>, keys: &Keys) -> Result<bool> {
        let opened = async {
            let is_clear = self.infos(subdir).await?.is_empty();
            let keys = if is_clear { &Keys::None } else { keys };
            self.layer(subdir.full(), &self.protection(subdir, keys).await?).await
        };
        match opened.await {
            Ok(full) => Ok(full.is_some_and(|full| whose.is_of(&full.manifest))),
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
    use std::sync::Arc;

    use lakeport_base::Env;
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;
    use crate::layout::LayerPath;
    use crate::manifest::{Catalog, FORMAT};
    use crate::sealed::Protection;

    const OURS: &str = "this cluster";
    const DAY: i64 = 86_400_000_000;
    const START: i64 = 1_700_000_000_000_000;

    /// A collection of full backups and the ends of their layers, in days.
    async fn collection(chains: &[(i64, &[i64])]) -> Collection {
        let collection = Collection::new(Arc::new(InMemory::new()));
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
        let whose = Whose { targets: &ours(), cluster: OURS };
        collection.expire(before, &whose, &Keys::None, "job 2").await.unwrap()
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
        let file = manifest.seal(&Protection::Checksums, path.as_ref(), &Env::system()).unwrap();
        collection.store().put(&path, file.into()).await.unwrap();
        collection.store().put(&layer.pack("00"), PutPayload::from_static(b"x")).await.unwrap();
    }

    async fn files(collection: &Collection) -> usize {
        collection.store().list(None).try_collect::<Vec<_>>().await.unwrap().len()
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
            assert_eq!(collection.expire(i64::MAX, &whose, &Keys::None, "job 2").await.unwrap(), []);
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
