//! The job of an IMPORT.

use std::sync::Arc;

use async_trait::async_trait;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::{Column, Table};

use super::ImportOrder;
use super::batch::Target;
use super::options::ImportOptions;
use super::read;
use super::source::{self, SourceFile};
use crate::engine::{Append, TableHandle};
use crate::error::{Error, Result};
use crate::job::{Done, Task, TaskContext};
use crate::stmt::options::Values;

/// Reads the files of an order into its table, in one append.
pub struct ImportTask(pub ImportOrder);

/// What a run reads, and where to.
struct Prepared {
    options: ImportOptions,
    table: TableHandle,
    target: Target,
    files: Vec<SourceFile>,
}

#[async_trait]
impl Task for ImportTask {
    async fn run(&self, cx: &TaskContext) -> Result<Done> {
        if let Some(done) = cx.checkpoint().await? {
            return Ok(done);
        }
        let Prepared { options, table, target, files } = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(Error::canceled()),
            prepared = self.prepare(cx) => prepared?,
        };
        cx.progress.set_status(format!("reading {} files", files.len()));
        let (rows, failure) = read::start(options, target, files, cx.progress.clone());
        // The key makes a second run, after a kill between the append and its record, add nothing.
        let append = Append {
            transaction: None,
            idempotency_key: Some(format!("lakeport-job-{}", cx.id)),
            cancel: cx.cancel.clone(),
        };
        let appended = cx.server.config.engine.append(&table, rows, append).await;
        let appended = appended.map_err(|error| failure.explain(error))?;
        let done = Done { rows: appended.rows, bytes: appended.bytes };
        cx.save(done).await?;
        Ok(done)
    }

    /// An append that did not commit left nothing.
    async fn revert(&self, _cx: &TaskContext) -> Result<()> {
        Ok(())
    }
}

impl ImportTask {
    async fn prepare(&self, cx: &TaskContext) -> Result<Prepared> {
        let order = &self.0;
        let directory = cx.server.directory().await?;
        let table = directory.tables.get(&order.table).ok_or_else(|| {
            Error::new(Sqlstate::UNDEFINED_TABLE, format!("the table of job {} has been dropped", cx.id))
        })?;
        let options = ImportOptions::parse(&order.format, &Values(order.options.clone()))?;
        let target = Target::new(columns_of(table, &order.columns)?);
        cx.progress.set_status("looking for files");
        let files = source::files(&cx.server, &cx.owner, order.uris.expose(), options.glob).await?;
        Ok(Prepared { options, table: cx.server.table_handle(&directory, table).await?, target, files })
    }
}

/// The columns of these names; all of the table when there are none.
///
/// # Errors
/// 42703 for a missing column, 42701 for one named twice.
pub(crate) fn columns_of(table: &Arc<Table>, names: &[String]) -> Result<Vec<Column>> {
    if names.is_empty() {
        return Ok(table.columns.clone());
    }
    let mut columns: Vec<Column> = Vec::with_capacity(names.len());
    for name in names {
        let column = table.columns.iter().find(|column| column.name == *name).ok_or_else(|| {
            let message = format!("column {name:?} of relation {:?} does not exist", table.name);
            Error::new(Sqlstate::UNDEFINED_COLUMN, message)
        })?;
        if columns.iter().any(|column| column.name == *name) {
            let message = format!("column {name:?} specified more than once");
            return Err(Error::new(Sqlstate::DUPLICATE_COLUMN, message));
        }
        columns.push(column.clone());
    }
    Ok(columns)
}
