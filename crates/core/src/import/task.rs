//! The job of an IMPORT.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use lakeport_base::{Point, Sqlstate};
use lakeport_catalog::model::Table;

use super::batch::Target;
use super::bytes::ReadMeter;
use super::options::ImportOptions;
use super::part::{self, Part};
use super::read::Plan;
use super::staging::Stager;
use super::{ImportOrder, StagedImport, source};
use crate::authz::Subject;
use crate::engine::{Appended, Once, TableHandle};
use crate::error::{Error, Result};
use crate::job::{Checkpoint, Done, Task, TaskContext};
use crate::stmt::options::Values;
use crate::stmt::table::columns_named;

/// Reads the files of an order into its table, in one append.
///
/// Parts of the input are staged one after another, and each is a checkpoint: a run that follows goes on after the last.
pub struct ImportTask(pub ImportOrder);

/// What an import takes on its table.
pub(crate) const PRIVILEGES: [&str; 2] = ["INSERT", "DROP"];

/// What a run reads, and where to.
struct Prepared {
    stager: Arc<Stager>,
    parts: Vec<Part>,
    /// What earlier runs have staged.
    staged: StagedImport,
}

#[async_trait]
impl Task for ImportTask {
    async fn run(&self, cx: &TaskContext) -> Result<Done> {
        let earlier = match cx.checkpoint().await? {
            Some(Checkpoint::Done(done)) => return Ok(done),
            Some(Checkpoint::Import(staged)) => staged,
            _ => StagedImport::default(),
        };
        let table = self.table(cx).await?;
        // After a kill between the append and its record.
        if let Some(appended) = cx.server.config.engine.appended(&table, &key(cx)).await? {
            return finish(cx, appended).await;
        }
        let prepared = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(Error::canceled()),
            prepared = self.prepare(cx, table, earlier) => prepared?,
        };
        let (stager, staged) = stage(cx, prepared).await?;
        let appended = append(cx, &stager, staged).await?;
        finish(cx, appended).await
    }

    async fn revert(&self, cx: &TaskContext) -> Result<()> {
        let Some(Checkpoint::Import(staged)) = cx.checkpoint().await? else { return Ok(()) };
        match self.table(cx).await {
            Ok(table) => discard(cx, &table, &staged).await,
            // Its files have gone with it.
            Err(error) if error.code() == Sqlstate::UNDEFINED_TABLE => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl ImportTask {
    async fn table(&self, cx: &TaskContext) -> Result<TableHandle> {
        let directory = cx.server.directory().await?;
        let table = directory.tables.get(&self.0.table).ok_or_else(|| {
            Error::new(Sqlstate::UNDEFINED_TABLE, format!("the table of job {} has been dropped", cx.id))
        })?;
        cx.server.table_handle(&directory, table).await
    }

    async fn prepare(&self, cx: &TaskContext, table: TableHandle, earlier: StagedImport) -> Result<Prepared> {
        let order = &self.0;
        require_privileges(cx, &table.row).await?;
        let options = ImportOptions::parse(&order.format, &Values(order.options.clone()))?;
        let target = Target::new(columns_named(&table.row, &order.columns)?);
        cx.progress.set_status("looking for files");
        let files = source::files(&cx.server, &cx.owner, order.uris.expose(), &options).await?;
        cx.progress.set_status(format!("reading {} files", files.len()));
        let parts = part::parts(files, &options);
        let source = part::source_of(&options, &target, &table.row.columns, &parts);
        let staged = if earlier.source == source {
            earlier
        } else {
            discard(cx, &table, &earlier).await?;
            StagedImport { source, parts: Vec::new() }
        };
        let total_bytes = parts.iter().map(Part::bytes).sum();
        let meter = Arc::new(ReadMeter::new(cx.progress.clone(), total_bytes));
        meter.add(parts[..staged.parts.len()].iter().map(Part::bytes).sum());
        let plan = Arc::new(Plan { options, target, meter, errors_max: None });
        let engine = cx.server.config.engine.clone();
        let stager = Arc::new(Stager { engine, table, plan, key: key(cx), cancel: cx.cancel.clone() });
        Ok(Prepared { stager, parts, staged })
    }
}

/// Makes a second run, after a kill between the append and its record, add nothing.
fn key(cx: &TaskContext) -> String {
    format!("lakeport-job-{}", cx.id)
}

/// Stages what is not staged yet. Each part but the last is a checkpoint; after that comes the append.
async fn stage(cx: &TaskContext, prepared: Prepared) -> Result<(Arc<Stager>, StagedImport)> {
    let Prepared { stager, mut parts, mut staged } = prepared;
    let count = parts.len();
    let left = parts.split_off(staged.parts.len());
    {
        let mut found = pin!(stager.stage_all(left));
        while let Some((part, outcome)) = found.next().await {
            let before = staged.parts.last().map(|part| part.extent);
            staged.parts.push(stager.confirmed(&part, outcome, before.as_ref()).await?.claim());
            if staged.parts.len() < count {
                cx.fault(Point::ImportStaged)?;
                cx.save(&Checkpoint::Import(staged.clone())).await?;
                cx.fault(Point::ImportSaved)?;
            }
        }
    }
    Ok((stager, staged))
}

async fn append(cx: &TaskContext, stager: &Stager, staged: StagedImport) -> Result<Appended> {
    cx.fault(Point::ImportAppend)?;
    let engine = &cx.server.config.engine;
    let appended = engine.append_staged(&stager.table, &staged.rows(), &Once::Key(key(cx)), &cx.cancel).await;
    match &appended {
        Ok(_) => {}
        // Staged files are gone, or do not fit any more.
        Err(error) if error.code() == Sqlstate::SERIALIZATION_FAILURE => {
            discard(cx, &stager.table, &staged).await?;
            cx.save(&Checkpoint::Import(StagedImport::default())).await?;
        }
        Err(_) => cx.save(&Checkpoint::Import(staged)).await?,
    }
    appended
}

async fn discard(cx: &TaskContext, table: &TableHandle, staged: &StagedImport) -> Result<()> {
    cx.server.config.engine.discard_staged(table, &staged.rows(), &key(cx)).await
}

async fn finish(cx: &TaskContext, appended: Appended) -> Result<Done> {
    cx.fault(Point::ImportAppended)?;
    let done = Done { rows: appended.rows, bytes: appended.bytes };
    cx.save(&Checkpoint::Done(done)).await?;
    cx.fault(Point::ImportRecorded)?;
    Ok(done)
}

/// # Errors
/// 42501 when the job's owner has lost a privilege since the statement.
async fn require_privileges(cx: &TaskContext, table: &Table) -> Result<()> {
    let directory = cx.server.directory().await?;
    let owner = Subject { directory: &directory, user: &cx.owner };
    PRIVILEGES.iter().try_for_each(|privilege| owner.require_table(table, privilege))
}
