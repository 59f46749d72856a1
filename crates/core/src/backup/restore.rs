//! The job of a RESTORE.
//!
//! New tables are made beside those that exist, and the catalog learns of all of them at once. A run that ends before
//! that leaves nothing: its folders are noted as left over. So a run that follows begins anew.

mod claims;
mod publish;
mod stages;
mod system;
mod unpack;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use lakeport_backup::Chain;
use lakeport_backup::chain::{Place, TableState};
use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::{self, Manifest};
use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_base::{Point, Secret, Sqlstate};
use lakeport_catalog::model::{Column, Leftover, Table};

use self::publish::Publication;
pub(crate) use self::publish::missing_database;
use self::unpack::{Unpacking, Wanted};
use super::contents::{restored_columns, restored_key};
use super::meter::Meter;
use super::{KeyTexts, rights};
use crate::authz::Subject;
use crate::engine::{TableFile, TableHandle};
use crate::error::{Error, Result};
use crate::job::{Checkpoint, Done, Task, TaskContext};

/// Tables whose logs are written at a time.
const TABLES_AT_ONCE: usize = 8;

/// What one RESTORE is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreOrder {
    /// URI of the collection.
    pub collection: Secret<String>,
    pub keys: KeyTexts,
    pub subdir: Subdir,
    /// End of the layer that is restored; later ones are not looked at.
    pub layer_end: i64,
    /// The moment that is restored.
    pub moment: i64,
    pub databases: Vec<RestoredDatabase>,
    pub tables: Vec<RestoredTable>,
    /// No rows.
    pub schema_only: bool,
    /// Read and check all rows, although none are restored.
    pub verify: bool,
    /// Grants to roles that exist here.
    pub grants: bool,
    pub system: SystemPart,
}

/// What is restored beside tables, of a backup of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemPart {
    Nothing,
    /// Roles and their memberships.
    Users,
    /// These, grants, settings, connections, stages and schedules.
    All,
}

/// A database that the restore makes.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredDatabase {
    /// Its id in the backup.
    pub id: i64,
    /// Its name here.
    pub name: String,
}

/// A table that the restore makes.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredTable {
    /// Its id in the backup.
    pub id: i64,
    /// Name of the database that it comes into.
    pub database: String,
    /// Name of the schema that it comes into; made when it is not there.
    pub schema: String,
}

/// Makes tables of a chain.
pub struct RestoreTask(pub RestoreOrder);

#[async_trait]
impl Task for RestoreTask {
    async fn run(&self, cx: &TaskContext) -> Result<Done> {
        if let Some(Checkpoint::Done(done)) = cx.checkpoint().await? {
            return Ok(done);
        }
        let mut made = Vec::new();
        let mut unpacking = Unpacking::default();
        let restored = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => Err(Error::canceled()),
            restored = self.restore(cx, &mut made, &mut unpacking) => restored,
        };
        match restored {
            Ok(done) => {
                cx.fault(Point::RestorePublished)?;
                Ok(done)
            }
            Err(error) => {
                // A write that goes on would leave a file in a folder that nobody knows any more.
                if unpacking.stop().await {
                    delete(cx, &made).await;
                }
                Err(error)
            }
        }
    }

    async fn revert(&self, _: &TaskContext) -> Result<()> {
        // A run undoes what it has done; what a killed one has left is noted, and goes at the next start.
        Ok(())
    }
}

/// A table of the chain on its way to being one here.
struct NewTable<'a> {
    listed: &'a manifest::Table,
    state: TableState<'a>,
    columns: Vec<Column>,
    target: &'a RestoredTable,
}

impl RestoreTask {
    async fn restore(&self, cx: &TaskContext, made: &mut Vec<TableHandle>, unpacking: &mut Unpacking) -> Result<Done> {
        cx.fault(Point::RestoreStart)?;
        cx.progress.set_status("reading the backup");
        let order = &self.0;
        let directory = cx.server.directory().await?;
        rights::require_restore(Subject { directory: &directory, user: &cx.owner }, order)?;
        let collection = cx.server.open_collection(&cx.owner, order.collection.expose()).await?;
        let keys = cx.server.open_keys(&cx.owner, &order.keys).await?;
        let protection = collection.protection(&order.subdir, &keys).await?;
        let chain = collection.chain(&order.subdir, &protection).await?;
        let layer = chain.layers.iter().position(|layer| layer.manifest.end == order.layer_end);
        if layer.is_none() {
            chain.check_whole()?;
        }
        let layers = layer.ok_or_else(|| gone(&order.subdir))? + 1;
        let manifest = &chain.layers[layers - 1].manifest;
        let tables = self.new_tables(cx, &chain, manifest, layers)?;
        let publication = Publication::reserve(cx, order, manifest, &tables, made).await?;
        let wanted = self.wanted(&tables, made)?;
        let done = self.done(&tables);
        if !order.schema_only || order.verify {
            unpacking.start(wanted, &collection, &chain, &protection, meter(cx, &tables))?;
            copy(cx, unpacking).await?;
        }
        // A log that is written after the clean-up of a cancelled run would stay.
        cx.cancel.commit(self.create(cx, &tables, made, protection.is_encrypted())).await?;
        cx.fault(Point::RestorePublish)?;
        cx.cancel.commit(publication.publish(cx, made, done)).await?;
        Ok(done)
    }

    /// Writes the logs of the tables. Answers when no write is under way any more.
    async fn create(
        &self,
        cx: &TaskContext,
        tables: &[NewTable<'_>],
        made: &[TableHandle],
        is_authentic: bool,
    ) -> Result<()> {
        let one = |(table, handle)| self.create_one(cx, table, handle, is_authentic).boxed();
        let created: Vec<_> = tables.iter().zip(made).map(one).collect();
        let created: Vec<Result<()>> = stream::iter(created).buffer_unordered(TABLES_AT_ONCE).collect().await;
        created.into_iter().collect()
    }

    async fn create_one(
        &self,
        cx: &TaskContext,
        table: &NewTable<'_>,
        handle: &TableHandle,
        is_authentic: bool,
    ) -> Result<()> {
        let files = if self.0.schema_only { Vec::new() } else { files_of(&table.state, is_authentic) };
        cx.fault(Point::RestoreTable)?;
        cx.server.config.engine.create_table_of(handle, table.state.schema, &files).await
    }

    /// The tables as the chain has them.
    fn new_tables<'a>(
        &'a self,
        cx: &TaskContext,
        chain: &'a Chain,
        manifest: &'a Manifest,
        layers: usize,
    ) -> Result<Vec<NewTable<'a>>> {
        let mut tables = Vec::with_capacity(self.0.tables.len());
        let known = manifest.catalog.by_id();
        for target in &self.0.tables {
            let missing = || gone(&self.0.subdir);
            let listed = known.tables.get(&target.id).copied().ok_or_else(missing)?;
            // A table that is younger than the moment.
            let Some(state) = chain.table_at(target.id, layers, self.0.moment)? else { continue };
            let columns = cx.server.config.engine.columns_of(state.schema)?;
            let columns = restored_columns(columns, listed, &state, self.0.moment < manifest.end);
            claims::check_table(listed, &columns, &restored_key(&columns, listed))?;
            tables.push(NewTable { listed, state, columns, target });
        }
        Ok(tables)
    }

    /// The files of the tables by index of layer and pack, and where each goes, if anywhere.
    fn wanted(&self, tables: &[NewTable<'_>], made: &[TableHandle]) -> Result<BTreeMap<(usize, usize), Vec<Wanted>>> {
        let mut wanted: BTreeMap<(usize, usize), Vec<Wanted>> = BTreeMap::new();
        for (table, handle) in tables.iter().zip(made) {
            for Place { layer, file } in table.state.files.values() {
                let to = (!self.0.schema_only).then(|| handle.store.clone());
                wanted.entry((*layer, file.pack)).or_default().push(Wanted::new(file, to)?);
            }
        }
        Ok(wanted)
    }

    /// What will have been restored.
    fn done(&self, tables: &[NewTable<'_>]) -> Done {
        let places = tables.iter().filter(|_| !self.0.schema_only).flat_map(|table| table.state.files.values());
        places.fold(Done { rows: 0, bytes: 0 }, |done, Place { file, .. }| Done {
            rows: done.rows.saturating_add(file.rows),
            bytes: done.bytes.saturating_add(file.bytes),
        })
    }
}

/// Waits until all files are copied, or read.
async fn copy(cx: &TaskContext, unpacking: &mut Unpacking) -> Result<()> {
    while unpacking.next().await? {
        cx.fault(Point::RestoreCopied)?;
    }
    Ok(())
}

/// Counts the bytes of the tables' files.
fn meter(cx: &TaskContext, tables: &[NewTable<'_>]) -> Meter {
    let places = tables.iter().flat_map(|table| table.state.files.values());
    let total = places.fold(0_u64, |total, place| total.saturating_add(place.file.bytes));
    cx.progress.set_status(format!("reading the files of {} tables", tables.len()));
    Meter::new(cx.progress.clone(), 0, total)
}

impl NewTable<'_> {
    /// The table's row here.
    fn row(&self, id: i64, schema: SchemaId, database: DatabaseId, owner: &str, now: i64) -> Table {
        Table {
            id: TableId(id),
            schema,
            database,
            name: self.listed.name.clone(),
            owner: owner.to_string(),
            version: 1,
            primary_key: restored_key(&self.columns, self.listed),
            columns: self.columns.clone(),
            comment: self.listed.comment.clone(),
            created: now,
        }
    }
}

/// What a backup without a key says of the contents of files is a stranger's claim.
fn files_of(state: &TableState<'_>, is_authentic: bool) -> Vec<TableFile> {
    let file = |place: &Place<'_>| TableFile {
        path: place.file.path.clone(),
        bytes: place.file.bytes,
        rows: place.file.rows,
        stats: place.file.stats.clone().filter(|_| is_authentic),
    };
    state.files.values().map(file).collect()
}

/// Deletes the folders of tables that are not published.
async fn delete(cx: &TaskContext, made: &[TableHandle]) {
    for TableHandle { row, store } in made {
        if let Err(error) = cx.server.delete_leftover(row.id, Arc::clone(store)).await {
            tracing::warn!(table = %row.id, %error, "files of an unfinished restore remain until the next start");
        }
    }
}

/// What the catalog notes of a new table's folder.
fn leftover(table: TableId, database: DatabaseId, owner: &str, location: Option<String>) -> Leftover {
    Leftover { id: table, database, owner: owner.to_string(), location }
}

/// The layer was there when the statement was planned.
fn gone(subdir: &Subdir) -> Error {
    Error::new(
        Sqlstate::SERIALIZATION_FAILURE,
        format!("the backup in {:?} has changed since the statement began", subdir.shown()),
    )
    .with_hint("run the statement again")
}
