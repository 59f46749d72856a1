//! The tables that a statement names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{DFSchema, TableReference};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use datafusion::sql::parser::Statement;
use lakeport_base::QualifiedName;
use lakeport_base::id::TableId;
use lakeport_catalog::model::Table;
use lakeport_core::engine::{QueryContext, Relation, TableHandle};
use lakeport_core::{Error, Result};

use crate::DataFusionEngine;
use crate::context::Session;
use crate::delta::files::DataFile;
use crate::delta::scan::{self, FileScan};
use crate::delta::snapshot::Snapshot;
use crate::error::from_datafusion;
use crate::in_place::{self, FilesRead, Mentions};
use crate::kept::Read;

/// What a statement reads.
pub(crate) struct Registered {
    /// The tables, unless it reads anything else, or the past.
    pub reads: Option<Vec<Read>>,
    pub files: FilesRead,
}

impl DataFusionEngine {
    /// Registers every relation of `statement` that is not registered yet, and takes hidden columns of files out of its
    /// `*`.
    pub(crate) async fn register_relations(
        &self,
        cx: &QueryContext,
        session: &Session,
        statement: &mut Statement,
    ) -> Result<Registered> {
        let found = self.find_relations(cx, session, statement).await?;
        let mut files = BTreeMap::new();
        for (_, name, relation) in &found {
            if let Relation::Files(set) = relation {
                files.insert(name.name().to_string(), Arc::clone(set));
            }
        }
        let mentions = if files.is_empty() { Mentions::default() } else { Mentions::of(statement) };
        let alone = files.len() == found.len();
        let mut reads = Some(Vec::new());
        for (reference, name, relation) in found {
            let (provider, present) = match relation {
                Relation::Files(_) if cx.as_of.is_some() => {
                    return Err(Error::unsupported("files in place cannot be read AS OF SYSTEM TIME"));
                }
                Relation::Files(files) => {
                    let reading = &session.scope.reading;
                    (in_place::provider(name.name(), &files, &mentions, &self.known, reading).await?, None)
                }
                Relation::Rows(rows) => (rows_table(rows)?, None),
                Relation::Table(table) => self.table_as_seen(cx, table).await?,
            };
            match (present, &mut reads) {
                (Some(table), Some(reads)) => reads.push(Read { name, table }),
                _ => reads = None,
            }
            session.register(&reference, provider);
        }
        mentions.hide_metadata(statement, |name| files.contains_key(name));
        let files = FilesRead { sets: files.into_values().collect(), alone };
        Ok(Registered { reads, files })
    }

    /// The relations of `statement` that are not registered yet.
    async fn find_relations(
        &self,
        cx: &QueryContext,
        session: &Session,
        statement: &Statement,
    ) -> Result<Vec<(TableReference, QualifiedName, Relation)>> {
        let mut found = Vec::new();
        for reference in session.scope.table_references(statement).map_err(from_datafusion)? {
            if session.scope.is_known(&reference) {
                continue;
            }
            let name = qualified_name(&reference);
            let relation = cx.relations.find(&name).await?.ok_or_else(|| Error::undefined_table(&name))?;
            found.push((reference, name, relation));
        }
        Ok(found)
    }

    /// Scans of tables as they are now; `None` when a name does not stand for the same table any more.
    pub(crate) async fn present_scans(
        &self,
        cx: &QueryContext,
        reads: &[Read],
    ) -> Result<Option<HashMap<TableId, Arc<FileScan>>>> {
        if cx.as_of.is_some() {
            return Ok(None);
        }
        let mut scans = HashMap::with_capacity(reads.len());
        for read in reads {
            let Some(Relation::Table(table)) = cx.relations.find(&read.name).await? else { return Ok(None) };
            let (seen, files) = self.visible(cx, &table).await?;
            if seen.row != read.table {
                return Ok(None);
            }
            scans.insert(seen.row.id, Arc::new(FileScan::new(&seen.row, seen.store, files, false).with_views()));
        }
        Ok(Some(scans))
    }

    /// The rows of a table, and the table if they are what it holds now.
    async fn table_as_seen(
        &self,
        cx: &QueryContext,
        table: TableHandle,
    ) -> Result<(Arc<dyn TableProvider>, Option<Arc<Table>>)> {
        let Some(moment) = cx.as_of else {
            let (seen, files) = self.visible(cx, &table).await?;
            return Ok((read_provider(&seen, files)?, Some(seen.row)));
        };
        let log = self.log(&table);
        let past = log.as_of(&table, moment).await?;
        // Where the columns are those of now, the catalog has the last word on them.
        let same = past.has_columns_of(&log.latest(&table.store).await?);
        let seen = if same { table } else { as_it_was(&table, &past) };
        Ok((read_provider(&seen, past.files)?, None))
    }

    /// A table as a statement sees it: as its block has it, or the latest.
    pub(crate) async fn visible(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
    ) -> Result<(TableHandle, Arc<[DataFile]>)> {
        let (seen, snapshot) = self.version_seen(table, cx.transaction).await?;
        let own = self.transactions.files(cx.transaction, table.row.id);
        Ok((seen, own.unwrap_or(snapshot.files)))
    }
}

fn rows_table(rows: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    if rows.num_rows() == 0 {
        return empty_table(&rows);
    }
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(from_datafusion)?;
    Ok(Arc::new(table))
}

/// A table that is known to be empty when a query is planned, so that what is joined with it need not be.
fn empty_table(batch: &RecordBatch) -> Result<Arc<dyn TableProvider>> {
    let schema = DFSchema::try_from(batch.schema()).map_err(from_datafusion)?;
    let plan = EmptyRelation { produce_one_row: false, schema: Arc::new(schema) };
    Ok(Arc::new(ViewTable::new(LogicalPlan::EmptyRelation(plan), None)))
}

/// The table with the columns of a past version, under the names of that time.
fn as_it_was(table: &TableHandle, past: &Snapshot) -> TableHandle {
    let row = Table { columns: past.columns(), ..table.row.as_ref().clone() };
    TableHandle { row: Arc::new(row), store: Arc::clone(&table.store) }
}

/// A table over some of its files.
pub(crate) fn table_provider(
    table: &TableHandle,
    files: Arc<[DataFile]>,
    with_position: bool,
) -> Result<Arc<dyn TableProvider>> {
    let scan = FileScan::new(&table.row, Arc::clone(&table.store), files, with_position);
    scan::provider(&table.row, scan).map_err(from_datafusion)
}

/// A table that a query reads.
fn read_provider(table: &TableHandle, files: Arc<[DataFile]>) -> Result<Arc<dyn TableProvider>> {
    let scan = FileScan::new(&table.row, Arc::clone(&table.store), files, false).with_views();
    scan::provider(&table.row, scan).map_err(from_datafusion)
}

fn qualified_name(reference: &TableReference) -> QualifiedName {
    let qualifiers = reference.catalog().into_iter().chain(reference.schema());
    QualifiedName { parts: qualifiers.chain([reference.table()]).map(str::to_string).collect() }
}
