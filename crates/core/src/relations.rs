//! What names in a query stand for, as a session's user sees the catalog. Whatever the engine reads in a statement it
//! finds here, so here is where SELECT is asked for. The table that a statement writes does not come this way.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use lakeport_base::QualifiedName;
use lakeport_base::id::{DatabaseId, TableId};
use lakeport_catalog::model::Table;
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;

use crate::authz::Subject;
use crate::directory::Directory;
use crate::engine::{Relation, Relations, TableHandle};
use crate::error::Result;
use crate::server::Server;
use crate::session::Session;
use crate::show::function::{CatalogFunction, Pending};
use crate::show::rows::Cell;
use crate::show::{self, Viewer};

/// The relations of one statement: tables, system tables, the rows of its `[SHOW ...]` sources, and its files.
pub(crate) struct SessionRelations {
    pub server: Arc<Server>,
    pub directory: Arc<Directory>,
    pub session: Arc<Session>,
    /// Whose privileges count.
    pub user: String,
    pub database: String,
    pub search_path: Vec<String>,
    /// What the statement itself has put in the place of a name.
    pub own: HashMap<String, Relation>,
}

impl SessionRelations {
    fn viewer(&self) -> Viewer<'_> {
        Viewer {
            server: &self.server,
            directory: &self.directory,
            session: &self.session,
            user: &self.user,
            database: &self.database,
            search_path: &self.search_path,
        }
    }
}

#[async_trait]
impl Relations for SessionRelations {
    async fn find(&self, name: &QualifiedName) -> Result<Option<Relation>> {
        if let ([], Some(own)) = (name.qualifiers(), self.own.get(name.name())) {
            return Ok(Some(own.clone()));
        }
        if let Some(rows) = show::system_table(self.viewer(), name)? {
            return Ok(Some(Relation::Rows(rows)));
        }
        let Some(table) = self.directory.find_table(name, &self.database, &self.search_path) else { return Ok(None) };
        Subject { directory: &self.directory, user: &self.user }.require_table(table, "SELECT")?;
        Ok(Some(Relation::Table(self.server.table_handle(&self.directory, table).await?)))
    }

    fn answer(&self, function: &CatalogFunction, arguments: &[Cell]) -> Result<Cell> {
        function.answer(self.viewer(), arguments)
    }

    fn answer_in_time(&self, function: &CatalogFunction, arguments: &[Cell]) -> Result<Pending> {
        function.answer_in_time(self.viewer(), arguments)
    }
}

impl Server {
    /// A table with the store of its folder.
    pub(crate) async fn table_handle(
        self: &Arc<Self>,
        directory: &Directory,
        table: &Arc<Table>,
    ) -> Result<TableHandle> {
        let root = self.root_of(directory, table.database).await?;
        Ok(TableHandle { row: table.clone(), store: table_folder(root, table.database, table.id) })
    }

    /// Where the tables of a database lie.
    pub(crate) async fn root_of(
        self: &Arc<Self>,
        directory: &Directory,
        database: DatabaseId,
    ) -> Result<Arc<dyn ObjectStore>> {
        let database = directory.database_of(database);
        let owner = database.map(|database| database.owner.as_str()).unwrap_or_default();
        self.root(owner, database.and_then(|database| database.location.as_deref())).await
    }

    /// A database's location as its owner opens it, or the warehouse.
    pub(crate) async fn root(self: &Arc<Self>, owner: &str, location: Option<&str>) -> Result<Arc<dyn ObjectStore>> {
        match location {
            None => Ok(self.config.warehouse.clone()),
            Some(location) => self.location_store(owner, location).await,
        }
    }
}

/// The store of a table's folder.
pub(crate) fn table_folder(root: Arc<dyn ObjectStore>, database: DatabaseId, table: TableId) -> Arc<dyn ObjectStore> {
    Arc::new(PrefixStore::new(root, format!("{database}/{table}")))
}
