//! What backups that are not finished still need: history, and the files of tables that are dropped meanwhile.

use lakeport_base::id::TableId;
use lakeport_catalog::model::Job;

use super::write::BackupOrder;
use crate::error::Result;
use crate::job::Payload;
use crate::server::Server;

impl Server {
    /// The backups that are not finished.
    async fn backups_under_way(&self) -> Result<Vec<BackupOrder>> {
        let jobs = self.config.catalog.read().await?.unfinished_jobs().await?;
        let order = |job: &Job| match Payload::decode(job) {
            Ok(Payload::Backup(order)) => Some(order),
            _ => None,
        };
        Ok(jobs.iter().filter(|job| job.ty == "BACKUP").filter_map(order).collect())
    }

    /// The oldest moment (microseconds since the epoch) whose files an unfinished backup needs.
    pub(crate) async fn protected_since(&self) -> Result<Option<i64>> {
        let directory = self.directory().await?;
        Ok(self.backups_under_way().await?.iter().map(|order| order.needs_since(&directory)).min())
    }

    /// Whether an unfinished backup needs a table's files.
    pub(crate) async fn is_protected(&self, table: TableId) -> Result<bool> {
        Ok(self.backups_under_way().await?.iter().any(|order| order.tables.contains(&table)))
    }
}
