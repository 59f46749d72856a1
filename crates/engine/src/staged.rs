//! Rows staged now and committed later: the parts of an IMPORT, which a job's progress keeps as Delta's Add actions.

use std::sync::Arc;

use deltalake::kernel::Add;
use futures::stream::{self, StreamExt, TryStreamExt};
use lakeport_base::Sqlstate;
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{Appended, Once, StagedRows, TableHandle};
use lakeport_core::rows::RowStream;
use lakeport_core::{Error, Result};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::DataFusionEngine;
use crate::append::Staged;
use crate::delta::staging::delete_all;
use crate::error::from_store;

/// Requests under way at a time that ask whether staged files are there.
const LOOKS_MAX: usize = 16;

impl DataFusionEngine {
    pub(crate) async fn stage_rows(&self, table: &TableHandle, rows: RowStream, cancel: &Cancel) -> Result<StagedRows> {
        let rows = self.completed(table, rows)?;
        let staged = cancel.until_cancelled(Staged::collect(&self.log(table), table, false, rows)).await?;
        let files = serde_json::to_string(&staged.adds).map_err(Error::internal)?;
        staged.staging.keep();
        let (rows, bytes) = (staged.rows, staged.bytes());
        Ok(StagedRows { files, rows, bytes })
    }

    pub(crate) async fn append_parts(
        &self,
        table: &TableHandle,
        parts: &[StagedRows],
        once: &Once,
        cancel: &Cancel,
    ) -> Result<Appended> {
        let adds = staged_adds(table, parts).await?;
        // It records nothing, so that the files stay whatever becomes of the append.
        let staging = self.log(table).staging(&table.store);
        let rows = parts.iter().map(|part| part.rows).sum();
        let staged = Staged { staging, adds, change_files: Vec::new(), rows };
        let append = async {
            match once {
                Once::Key(key) => self.append_once(table, staged, key, cancel).await,
                Once::Marks(marks) => self.append_marked(table, staged, marks, cancel).await,
            }
        };
        cancel.until_cancelled(append).await
    }

    pub(crate) async fn discard_parts(&self, table: &TableHandle, parts: &[StagedRows], key: &str) -> Result<()> {
        let adds = adds_of(parts)?;
        if !adds.is_empty() && self.done_before(table, key).await?.is_none() {
            delete_all(Arc::clone(&table.store), paths_of(&adds)).await;
        }
        Ok(())
    }
}

/// The files of parts, which are all there.
pub(crate) async fn staged_adds(table: &TableHandle, parts: &[StagedRows]) -> Result<Vec<Add>> {
    let adds = adds_of(parts)?;
    require_files(table, &adds).await?;
    Ok(adds)
}

fn adds_of(parts: &[StagedRows]) -> Result<Vec<Add>> {
    let mut adds = Vec::new();
    for part in parts {
        adds.extend(serde_json::from_str::<Vec<Add>>(&part.files).map_err(|error| {
            Error::new(Sqlstate::DATA_CORRUPTED, "the list of staged files cannot be read").with_source(error)
        })?);
    }
    Ok(adds)
}

fn paths_of(adds: &[Add]) -> Vec<Path> {
    adds.iter().map(|add| Path::from(add.path.as_str())).collect()
}

/// Files that no commit names may have been vacuumed when their job stood still for long.
async fn require_files(table: &TableHandle, adds: &[Add]) -> Result<()> {
    let look = |path: Path| async move {
        match table.store.head(&path).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::NotFound { .. }) => {
                Err(Error::new(Sqlstate::SERIALIZATION_FAILURE, format!("staged file {path} is gone")))
            }
            Err(error) => Err(from_store(error)),
        }
    };
    stream::iter(paths_of(adds)).map(look).buffer_unordered(LOOKS_MAX).try_collect().await
}
