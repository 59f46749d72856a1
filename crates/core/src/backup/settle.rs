//! Logs of tables that say more, or less, than the catalog.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lakeport_base::Sqlstate;
use lakeport_catalog::model::{Column, Table};

use super::TABLES_AT_ONCE;
use crate::directory::Directory;
use crate::error::Result;
use crate::server::Server;

/// Makes the logs of tables say what the catalog says. Where a server ended in the middle of an ALTER TABLE the log has what
/// that would have done, and a backup would hold columns that the table never had, or lack some. Answers when the last of
/// them was made or changed.
///
/// # Errors
/// Those of a log that cannot be read or written.
pub(crate) async fn settle(server: &Arc<Server>, directory: &Directory, tables: &[Arc<Table>]) -> Result<i64> {
    let settling: Vec<_> = tables.iter().map(|row| settle_one(server, directory, row).boxed()).collect();
    let settled = stream::iter(settling).buffer_unordered(TABLES_AT_ONCE);
    settled.try_fold(i64::MIN, |last, changed| std::future::ready(Ok(last.max(changed)))).await
}

async fn settle_one(server: &Arc<Server>, directory: &Directory, row: &Arc<Table>) -> Result<i64> {
    let engine = &server.config.engine;
    let table = server.table_handle(directory, row).await?;
    let now = match engine.table_at(&table, i64::MAX).await {
        Ok(now) => now,
        // One that is being made has no log yet.
        Err(error) if error.code() == Sqlstate::UNDEFINED_TABLE => return Ok(i64::MIN),
        Err(error) => return Err(error),
    };
    let changed = row.created.max(now.at.unwrap_or(i64::MIN));
    if names(&engine.columns_of(&now.schema)?) == names(&row.columns) {
        return Ok(changed);
    }
    // Holds the table, so that no other ALTER is under way; one may have ended since the names were compared.
    let mut alteration = engine.alter_table(&table, row, None).await?;
    let directory = server.directory().await?;
    if directory.tables.get(&row.id).is_none_or(|known| known.version != row.version) {
        return Ok(changed);
    }
    alteration.commit().await?;
    // Whoever reads the table waits for whoever holds it.
    drop(alteration);
    Ok(changed.max(engine.table_at(&table, i64::MAX).await?.at.unwrap_or(i64::MIN)))
}

fn names(columns: &[Column]) -> BTreeSet<(&str, &str)> {
    columns.iter().map(|column| (column.stored_name.as_str(), column.name.as_str())).collect()
}
