//! What names in a query stand for, as a session's user sees the catalog. Whatever the engine reads in a statement it
//! finds here, so here is where SELECT is asked for. The table that a statement writes does not come this way.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use lakeport_base::QualifiedName;
use lakeport_catalog::model::Table;
use object_store::prefix::PrefixStore;

use crate::authz::Subject;
use crate::directory::Directory;
use crate::engine::{Relation, Relations, TableHandle};
use crate::error::Result;
use crate::server::Server;
use crate::session::Session;
use crate::show::function::CatalogFunction;
use crate::show::rows::Cell;
use crate::show::{self, Viewer};

/// The relations of one statement: tables, system tables, and the rows of its `[SHOW ...]` sources.
pub(crate) struct SessionRelations {
    pub server: Arc<Server>,
    pub directory: Arc<Directory>,
    pub session: Arc<Session>,
    pub database: String,
    pub search_path: Vec<String>,
    /// Rows that stand for a name.
    pub shows: HashMap<String, RecordBatch>,
}

impl SessionRelations {
    fn viewer(&self) -> Viewer<'_> {
        Viewer {
            server: &self.server,
            directory: &self.directory,
            session: &self.session,
            database: &self.database,
            search_path: &self.search_path,
        }
    }
}

#[async_trait]
impl Relations for SessionRelations {
    async fn find(&self, name: &QualifiedName) -> Result<Option<Relation>> {
        if let ([], Some(rows)) = (name.qualifiers(), self.shows.get(name.name())) {
            return Ok(Some(Relation::Rows(rows.clone())));
        }
        if let Some(rows) = show::system_table(self.viewer(), name)? {
            return Ok(Some(Relation::Rows(rows)));
        }
        let Some(table) = self.directory.find_table(name, &self.database, &self.search_path) else { return Ok(None) };
        Subject { directory: &self.directory, user: &self.session.user }.require_table(table, "SELECT")?;
        Ok(Some(Relation::Table(self.server.table_handle(&self.directory, table).await?)))
    }

    fn answer(&self, function: &CatalogFunction, arguments: &[Cell]) -> Result<Cell> {
        function.answer(self.viewer(), arguments)
    }
}

impl Server {
    /// A table with the store of its folder: in the warehouse, or where its database lies.
    pub(crate) async fn table_handle(
        self: &Arc<Self>,
        directory: &Directory,
        table: &Arc<Table>,
    ) -> Result<TableHandle> {
        let folder = format!("{}/{}", table.database, table.id);
        let location =
            directory.database_of(table.database).and_then(|database| Some((database, database.location.as_ref()?)));
        let root = match location {
            None => self.config.warehouse.clone(),
            Some((database, location)) => self.location_store(&database.owner, location).await?,
        };
        Ok(TableHandle { row: table.clone(), store: Arc::new(PrefixStore::new(root, folder)) })
    }
}
