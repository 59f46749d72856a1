//! What backups that are not finished still need: history, and the files of tables that are dropped meanwhile.

use lakeport_base::id::TableId;
use lakeport_catalog::model::Job;

use super::write::BackupOrder;
use crate::error::Result;
use crate::job::Payload;
use crate::server::Server;

impl Server {
    /// The backups that are not finished and need a table's files.
    async fn backups_of(&self, table: TableId) -> Result<Vec<BackupOrder>> {
        let jobs = self.config.catalog.read().await?.unfinished_jobs().await?;
        let order = |job: &Job| match Payload::decode(job) {
            Ok(Payload::Backup(order)) => Some(order),
            _ => None,
        };
        let orders = jobs.iter().filter(|job| job.ty == "BACKUP").filter_map(order);
        Ok(orders.filter(|order| order.tables.contains(&table)).collect())
    }

    /// The oldest moment (microseconds since the epoch) whose files of a table an unfinished backup needs.
    pub(crate) async fn protected_since(&self, table: TableId) -> Result<Option<i64>> {
        let directory = self.directory().await?;
        Ok(self.backups_of(table).await?.iter().map(|order| order.needs_since(&directory)).min())
    }

    /// Whether an unfinished backup needs a table's files.
    pub(crate) async fn is_protected(&self, table: TableId) -> Result<bool> {
        Ok(!self.backups_of(table).await?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use crate::engine_stub::StubServer;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backup_protects_its_own_tables_only() {
        let stub = StubServer::without_jobs().await;
        let root = stub.session("root").await;
        root.ok("CREATE TABLE a (x INT); CREATE TABLE b (x INT)").await;
        let before = stub.server.config.env.now_micros();
        // Nobody runs it.
        root.ok("BACKUP TABLE a INTO 'nodelocal://1/x' WITH detached").await;
        let directory = stub.server.directory().await.unwrap();
        let id = |name: &str| directory.tables.values().find(|table| table.name == name).unwrap().id;
        let since = stub.server.protected_since(id("a")).await.unwrap().unwrap();
        assert!((before..=stub.server.config.env.now_micros()).contains(&since), "{since}");
        assert_eq!(stub.server.protected_since(id("b")).await.unwrap(), None);
        assert!(stub.server.is_protected(id("a")).await.unwrap());
        assert!(!stub.server.is_protected(id("b")).await.unwrap());
    }
}
