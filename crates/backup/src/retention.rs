//! Deleting chains that nobody needs any more.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::collection::Collection;
use crate::error::Result;
use crate::layout::{LATEST_FOLDER, LOCK, Subdir, end_of_mark};

/// Folders listed at a time.
const LISTS_MAX: usize = 16;

impl Collection {
    /// Deletes the chains whose every layer ends before a moment (microseconds since the epoch), but never the newest full
    /// backup, nor a chain that is being written. Answers the full backups that are gone.
    ///
    /// A chain loses its mark first, so that nobody begins to read what is being deleted. What an interrupted run has left
    /// has no mark, and goes with the next.
    ///
    /// # Errors
    /// Those of the storage; the chains before are gone then.
    pub async fn expire(&self, before: i64) -> Result<Vec<Subdir>> {
        let marks: Vec<Path> =
            self.store().list(Some(&Path::from(LATEST_FOLDER))).map_ok(|file| file.location).try_collect().await?;
        let newest = marks.iter().filter_map(end_of_mark).max().map(Subdir::of);
        let mut expired = Vec::new();
        for subdir in self.folders().await? {
            if Some(&subdir) == newest.as_ref()
                || subdir.latest_end() >= before
                || self.is_in_use(&subdir, before).await?
            {
                continue;
            }
            for mark in marks.iter().filter(|mark| end_of_mark(mark).map(Subdir::of).as_ref() == Some(&subdir)) {
                self.delete(mark).await?;
            }
            self.delete_all(&subdir.incrementals(), |_| true).await?;
            self.delete_all(&subdir.full().folder(), |_| true).await?;
            expired.push(subdir);
        }
        Ok(expired)
    }

    /// Whether a chain is being written, or has a layer that ends at the moment or later.
    async fn is_in_use(&self, subdir: &Subdir, before: i64) -> Result<bool> {
        if self.read(&subdir.file(LOCK)).await?.is_some() {
            return Ok(true);
        }
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

    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, PutPayload};

    use super::*;
    use crate::layout::LayerPath;

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

    async fn fill(collection: &Collection, layer: &LayerPath) {
        for path in [layer.manifest(), layer.pack("00")] {
            collection.store().put(&path, PutPayload::from_static(b"x")).await.unwrap();
        }
    }

    async fn files(collection: &Collection) -> usize {
        collection.store().list(None).try_collect::<Vec<_>>().await.unwrap().len()
    }

    #[tokio::test]
    async fn a_chain_goes_when_its_last_layer_is_too_old() {
        let chains: &[(i64, &[i64])] = &[(0, &[1, 2]), (3, &[4, 9]), (10, &[])];
        let collection = collection(chains).await;
        assert_eq!(collection.expire(START + 2 * DAY).await.unwrap(), []);
        assert_eq!(collection.expire(START + 5 * DAY).await.unwrap(), [Subdir::of(START)]);
        assert_eq!(collection.fulls().await.unwrap().len(), 2);
        assert_eq!(files(&collection).await, 3 * 2 + 1 + 2 + 1);
        assert_eq!(collection.expire(START + 10 * DAY).await.unwrap(), [Subdir::of(START + 3 * DAY)]);
    }

    #[tokio::test]
    async fn the_newest_full_backup_stays() {
        let collection = collection(&[(0, &[]), (1, &[])]).await;
        assert_eq!(collection.expire(i64::MAX).await.unwrap(), [Subdir::of(START)]);
        assert_eq!(collection.latest().await.unwrap(), Subdir::of(START + DAY));
    }

    #[tokio::test]
    async fn what_is_being_written_stays() {
        let collection = collection(&[(0, &[]), (1, &[])]).await;
        collection.lock(&Subdir::of(START), "job 1").await.unwrap();
        assert_eq!(collection.expire(i64::MAX).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_an_interrupted_run_has_left_goes_with_the_next() {
        let collection = collection(&[(0, &[1]), (5, &[])]).await;
        collection.delete(&crate::layout::latest_mark(START)).await.unwrap();
        assert_eq!(collection.expire(START + 2 * DAY).await.unwrap(), [Subdir::of(START)]);
        assert_eq!(files(&collection).await, 3);
    }
}
