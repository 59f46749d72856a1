//! Many small files become one.

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlanBuilder, ident};
use futures::StreamExt;
use lakeport_base::Point;
use lakeport_catalog::model::{Column, Table};
use lakeport_core::Result;
use lakeport_core::engine::TableHandle;

use crate::DataFusionEngine;
use crate::delta::entry::Changes;
use crate::delta::files::DataFile;
use crate::delta::log::Log;
use crate::delta::schema::by_stored_names;
use crate::delta::snapshot::Snapshot;
use crate::error::{from_datafusion, is_conflict};
use crate::query::run;
use crate::relations::table_provider;

/// Files of this size are left as they are.
const LARGE_BYTES: u64 = 32 << 20;
/// What one merge writes at most.
const MERGED_BYTES: u64 = 128 << 20;
/// Fewest and most files of one merge.
const FILES_MIN: usize = 16;
const FILES_MAX: usize = 4096;

impl DataFusionEngine {
    /// Merges small files and answers how many; none when a writer has changed them meanwhile.
    pub(super) async fn merge_small_files(&self, log: &Arc<Log>, table: &TableHandle) -> Result<u64> {
        let base = log.latest(&table.store).await?;
        let files = mergeable(&base.files);
        if files.is_empty() {
            return Ok(0);
        }
        log.fault(Point::MergeRead)?;
        let merged = as_stored(table, &base);
        let staging = log.staging(&table.store);
        let mut writer = staging.data_writer(&merged.row)?;
        let mut batches = self.in_key_order(&merged, files.clone().into()).await?;
        while let Some(batch) = batches.next().await {
            writer.write(&batch.map_err(from_datafusion)?).await?;
        }
        let mut adds = writer.close().await?;
        adds.iter_mut().for_each(|add| add.data_change = false);
        let removes = files.iter().map(|file| file.remove(log.now_ms(), false)).collect();
        let changes = Changes { adds, removes, ..Changes::default() };
        log.fault(Point::MergeStaged)?;
        let lock = log.lock().await;
        let latest = log.latest(&table.store).await?;
        if self.transactions.is_writing(table.row.id) || !latest.has_columns_of(&base) {
            return Ok(0);
        }
        let store = Arc::clone(&table.store);
        let commit = Arc::clone(log).commit_staged(store, latest, Arc::new(changes), Arc::new(staging), lock);
        match commit.await {
            Ok(_) => Ok(files.len() as u64),
            Err(error) if is_conflict(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The rows of some files in the order of the primary key, so that bounds of the new file's parts tell keys apart.
    async fn in_key_order(
        &self,
        table: &TableHandle,
        files: Arc<[DataFile]>,
    ) -> Result<datafusion::execution::SendableRecordBatchStream> {
        let session = self.sessions.open_internal()?;
        let provider = provider_as_source(table_provider(table, files, false)?);
        let keys: Vec<_> = table.row.primary_key.iter().map(|name| ident(name).sort(true, false)).collect();
        let plan = LogicalPlanBuilder::scan("files", provider, None);
        let plan = if keys.is_empty() { plan } else { plan.and_then(|plan| plan.sort(keys)) };
        run(&session, &plan.and_then(LogicalPlanBuilder::build).map_err(from_datafusion)?).await
    }
}

/// The files worth merging: from the smallest on, as long as none outweighs all that are smaller together. So a row is
/// written again only when its file at least doubles.
fn mergeable(files: &[DataFile]) -> Vec<DataFile> {
    let mut small: Vec<&DataFile> = files.iter().filter(|file| file.bytes < LARGE_BYTES).collect();
    small.sort_by_key(|file| file.bytes);
    let mut total = 0;
    let fits = |(index, file): &(usize, &DataFile)| {
        let fits = (*index < FILES_MIN || file.bytes <= total) && total + file.bytes <= MERGED_BYTES;
        total += file.bytes;
        fits
    };
    let chosen: Vec<DataFile> =
        small.into_iter().take(FILES_MAX).enumerate().take_while(fits).map(|(_, file)| file.clone()).collect();
    if chosen.len() < FILES_MIN { Vec::new() } else { chosen }
}

/// The table, under stored names, with every column that its files may hold: those of its log and, where an ALTER ended
/// between log and catalog, those that only the catalog still has.
fn as_stored(table: &TableHandle, base: &Snapshot) -> TableHandle {
    let own = by_stored_names(table.row.as_ref().clone());
    let logged = by_stored_names(Table { columns: base.columns(), ..own.clone() });
    let is_own = |column: &Column| own.columns.iter().any(|known| known.stored_name == column.stored_name);
    let more: Vec<Column> = logged.columns.into_iter().filter(|column| !is_own(column)).collect();
    let columns = own.columns.into_iter().chain(more).map(|column| Column { nullable: true, ..column }).collect();
    TableHandle { row: Arc::new(Table { columns, ..own }), store: Arc::clone(&table.store) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::kernel::Add;

    fn files(sizes: &[u64]) -> Vec<DataFile> {
        let add = |(index, size): (usize, &u64)| Add { path: index.to_string(), size: *size as i64, ..Add::default() };
        sizes.iter().enumerate().map(|file| DataFile::of(&add(file)).unwrap()).collect()
    }

    #[test]
    fn few_files_are_left_alone() {
        assert!(mergeable(&files(&[1000; FILES_MIN - 1])).is_empty());
        assert!(mergeable(&files(&[LARGE_BYTES; 100])).is_empty());
    }

    #[test]
    fn a_file_waits_until_the_smaller_ones_outweigh_it() {
        let mut sizes = vec![1000; 20];
        sizes.push(30_000);
        assert_eq!(mergeable(&files(&sizes)).len(), 20);
        sizes.extend([1000; 10]);
        assert_eq!(mergeable(&files(&sizes)).len(), 31);
    }

    #[test]
    fn a_merge_has_a_size() {
        let chosen = mergeable(&files(&[LARGE_BYTES / 8; 1000]));
        assert_eq!(chosen.iter().map(|file| file.bytes).sum::<u64>(), MERGED_BYTES);
    }
}
