//! Folders of tables that the catalog does not know.
//!
//! The catalog notes a table's folder before its first file is made until the table is published, and from the moment
//! the table is dropped until its last file is deleted. So what a killed server has left of a table is found at the next
//! start, wherever it lies, and no other folder is ever taken for it.

use std::sync::Arc;

use lakeport_base::id::TableId;
use lakeport_catalog::model::{Leftover, Table};
use object_store::ObjectStore;

use crate::directory::Directory;
use crate::error::Result;
use crate::relations::table_folder;
use crate::server::Server;

/// What the catalog notes of a table's folder.
pub(crate) fn leftover_of(directory: &Directory, table: &Table) -> Leftover {
    let database = directory.database_of(table.database);
    Leftover {
        id: table.id,
        database: table.database,
        owner: database.map(|database| database.owner.clone()).unwrap_or_default(),
        location: database.and_then(|database| database.location.clone()),
    }
}

impl Server {
    /// What earlier servers have left. To be asked before any session makes or drops a table: its folder is noted too.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>> {
        Ok(self.config.catalog.read().await?.leftovers().await?)
    }

    /// Deletes what earlier servers have left; answers what could not be deleted, to be tried again.
    pub(crate) async fn delete_leftovers(self: &Arc<Self>, leftovers: Vec<Leftover>) -> Vec<Leftover> {
        let mut kept = Vec::new();
        for leftover in leftovers {
            let table = leftover.id;
            let deleted = async {
                let root = self.root(&leftover.owner, leftover.location.as_deref()).await?;
                self.delete_leftover(table, table_folder(root, leftover.database, table)).await
            };
            match deleted.await {
                Ok(()) => tracing::info!(%table, "removed the files of a table that was never finished, or dropped"),
                Err(error) => {
                    tracing::warn!(%table, %error, "files of a table that was never finished, or dropped, remain");
                    kept.push(leftover);
                }
            }
        }
        kept
    }

    /// Deletes a table's files if its folder is noted as left over; later, when a backup still reads them. A commit whose outcome nobody knows may have
    /// published the table: then it is not.
    pub(crate) async fn delete_leftover(&self, table: TableId, store: Arc<dyn ObjectStore>) -> Result<()> {
        if !self.leftovers().await?.iter().any(|leftover| leftover.id == table) {
            return Ok(());
        }
        if self.is_protected(table).await? {
            self.housekeeping.postpone(table, store);
            return Ok(());
        }
        self.config.engine.delete_table(table, &store).await?;
        let mut tx = self.config.catalog.write().await?;
        tx.delete_leftover(table).await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use lakeport_base::Point;

    use crate::engine_stub::StubServer;

    fn failure() -> std::io::Error {
        std::io::Error::other("as the test wants it")
    }

    async fn tables(stub: &StubServer) -> usize {
        stub.session("root").await.ok("SHOW TABLES").await.len()
    }

    #[tokio::test]
    async fn a_table_that_is_not_published_leaves_nothing() {
        let stub = StubServer::without_jobs().await;
        stub.fail_at(|point| if point == Point::TableMade { Err(failure()) } else { Ok(()) });
        assert_eq!(stub.session("root").await.error("CREATE TABLE t (a INT8)").await.0, "58030");
        assert_eq!(stub.engine.deleted.lock().unwrap().len(), 1);
        assert!(stub.server.leftovers().await.unwrap().is_empty());
        assert_eq!(tables(&stub).await, 0);
    }

    #[tokio::test]
    async fn a_table_that_may_be_published_keeps_its_files() {
        let stub = StubServer::without_jobs().await;
        let root = stub.session("root").await;
        let commits = AtomicU64::new(0);
        // The first takes the table's id, the second publishes it.
        stub.fail_at(move |point| match point {
            Point::CatalogCommitted if commits.fetch_add(1, Ordering::Relaxed) == 1 => Err(failure()),
            _ => Ok(()),
        });
        assert_eq!(root.error("CREATE TABLE t (a INT8)").await.0, "58030");
        assert_eq!(stub.engine.deleted.lock().unwrap().len(), 0);
        assert_eq!(tables(&stub).await, 1);
    }

    #[tokio::test]
    async fn what_is_left_of_a_dropped_table_goes_at_the_next_start() {
        let stub = StubServer::without_jobs().await;
        let root = stub.session("root").await;
        root.ok("CREATE TABLE t (a INT8); CREATE TABLE u (a INT8)").await;
        stub.fail_at(|point| if point == Point::TableDropped { Err(failure()) } else { Ok(()) });
        root.ok("DROP TABLE t").await;
        assert_eq!(stub.engine.deleted.lock().unwrap().len(), 0);

        let next = stub.other_node(1);
        let left = next.leftovers().await.unwrap();
        assert_eq!(left.len(), 1);
        assert!(next.delete_leftovers(left.clone()).await.is_empty());
        assert_eq!(*stub.engine.deleted.lock().unwrap(), [left[0].id]);
        assert!(next.leftovers().await.unwrap().is_empty());
        assert_eq!(tables(&stub).await, 1, "u is there");
    }
}
