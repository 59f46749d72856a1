//! Logs of tables that say more, or less, than the catalog.

use std::collections::BTreeSet;
use std::sync::Arc;

use lakeport_catalog::model::{Column, Table};

use crate::directory::Directory;
use crate::error::Result;
use crate::server::Server;

/// Makes the logs of tables say what the catalog says. Where a server ended in the middle of an ALTER TABLE the log has what
/// that would have done, and a backup would hold columns that the table never had, or lack some. Answers when the last of
/// them was made or changed.
pub(crate) async fn settle(server: &Arc<Server>, directory: &Directory, tables: &[Arc<Table>]) -> Result<i64> {
    let engine = &server.config.engine;
    let mut changed = i64::MIN;
    for row in tables {
        let table = server.table_handle(directory, row).await?;
        // One that is being made has no log yet.
        let Ok(now) = engine.table_at(&table, i64::MAX).await else { continue };
        changed = changed.max(row.created).max(now.at.unwrap_or(i64::MIN));
        if names(&engine.columns_of(&now.schema)?) != names(&row.columns) {
            // Holds the table, so that no other ALTER is under way; one may have ended since the names were compared.
            let mut alteration = engine.alter_table(&table, row).await?;
            let directory = server.directory().await?;
            if directory.tables.get(&row.id).is_some_and(|known| known.version == row.version) {
                alteration.commit().await?;
                changed = changed.max(engine.table_at(&table, i64::MAX).await?.at.unwrap_or(i64::MIN));
            }
        }
    }
    Ok(changed)
}

fn names(columns: &[Column]) -> BTreeSet<(&str, &str)> {
    columns.iter().map(|column| (column.stored_name.as_str(), column.name.as_str())).collect()
}
