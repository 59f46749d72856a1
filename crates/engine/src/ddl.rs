//! TRUNCATE, and the end of a dropped table.

use std::sync::Arc;

use futures::StreamExt;
use lakeport_base::id::TableId;
use lakeport_core::Result;
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{TableHandle, TransactionId};
use object_store::ObjectStore;

use crate::DataFusionEngine;
use crate::delta::entry::Changes;
use crate::delta::marks::VOIDED;
use crate::error::from_store;

impl DataFusionEngine {
    /// Deletes every file of a table that was dropped, or never published.
    pub(crate) async fn delete_files(&self, table: TableId, store: &Arc<dyn ObjectStore>) -> Result<()> {
        self.log_of(table).retire().await;
        let listed = store.list(None).map(|found| found.map(|file| file.location)).boxed();
        let mut deleted = store.delete_stream(listed);
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(from_store(error)),
            }
        }
        self.forget(table);
        Ok(())
    }

    /// Voids the marks in the table with the block's commit.
    pub(crate) async fn void_marks_in_block(
        &self,
        table: &TableHandle,
        transaction: TransactionId,
        cancel: &Cancel,
    ) -> Result<()> {
        let writing = self.start_writing(table, Some(transaction), cancel).await?;
        self.finish_writing(writing, Changes { marks: vec![VOIDED.into()], ..Changes::default() }).await
    }

    /// Removes every row and voids all marks. Readers of the change feed take the removed files themselves.
    pub(crate) async fn remove_all_rows(&self, table: &TableHandle, cancel: &Cancel) -> Result<()> {
        self.retrying(table, || async {
            let writing = self.start_writing(table, None, cancel).await?;
            let removes = writing.files.iter().map(|file| file.remove(writing.now_ms(), true)).collect();
            self.finish_writing(writing, Changes { removes, marks: vec![VOIDED.into()], ..Changes::default() }).await
        })
        .await
    }
}
