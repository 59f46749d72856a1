//! Restored tables in the catalog: their ids before a file is written, their rows when all are.

use std::collections::HashMap;
use std::sync::Arc;

use lakeport_backup::manifest::{self, Manifest};
use lakeport_base::Sqlstate;
use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Database, Grant, Object, Schema};
use object_store::ObjectStore;

use super::{NewTable, RestoreOrder, leftover};
use crate::directory::{Directory, PUBLIC_SCHEMA};
use crate::engine::TableHandle;
use crate::error::{Error, Result};
use crate::job::TaskContext;
use crate::relations::table_folder;

/// What becomes part of the catalog in one step.
pub(super) struct Publication {
    databases: Vec<Database>,
    schemas: Vec<Schema>,
    grants: Vec<Grant>,
}

/// A database that tables come into.
struct Home {
    id: DatabaseId,
    location: Option<String>,
    owner: String,
    root: Arc<dyn ObjectStore>,
}

impl Publication {
    /// Draws ids for all that is new, notes the folders of the tables as left over, and puts the tables into `made`.
    pub async fn reserve(
        cx: &TaskContext,
        order: &RestoreOrder,
        manifest: &Manifest,
        tables: &[NewTable<'_>],
        made: &mut Vec<TableHandle>,
    ) -> Result<Publication> {
        let mut reserving = Reserving::begin(cx, manifest).await?;
        for database in &order.databases {
            reserving.new_database(database.id, &database.name).await?;
        }
        for table in tables {
            let handle = reserving.new_table(table).await?;
            made.push(handle);
        }
        if order.grants {
            reserving.grants(tables, made);
        }
        reserving.tx.commit().await?;
        Ok(reserving.publication)
    }

    /// Writes all rows in one transaction.
    ///
    /// # Errors
    /// 42P04, 42P07 when a name was taken meanwhile.
    pub async fn publish(self, cx: &TaskContext, made: &[TableHandle]) -> Result<()> {
        let mut tx = cx.server.config.catalog.write().await?;
        for database in &self.databases {
            tx.insert_database(database).await?;
        }
        for schema in &self.schemas {
            tx.insert_schema(schema).await?;
        }
        for TableHandle { row, .. } in made {
            tx.insert_table(row).await?;
            tx.delete_leftover(row.id).await?;
        }
        for grant in &self.grants {
            tx.put_grant(grant).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Ids being drawn, in one transaction.
struct Reserving<'a> {
    cx: &'a TaskContext,
    manifest: &'a Manifest,
    directory: Arc<Directory>,
    tx: Box<dyn Tx>,
    homes: HashMap<String, Home>,
    /// By database and name; new ones and old.
    schemas: HashMap<(DatabaseId, String), SchemaId>,
    publication: Publication,
    now: i64,
}

impl<'a> Reserving<'a> {
    async fn begin(cx: &'a TaskContext, manifest: &'a Manifest) -> Result<Reserving<'a>> {
        let directory = cx.server.directory().await?;
        Ok(Reserving {
            schemas: directory.schemas.values().map(|row| ((row.database, row.name.clone()), row.id)).collect(),
            tx: cx.server.config.catalog.write().await?,
            homes: HashMap::new(),
            publication: Publication { databases: Vec::new(), schemas: Vec::new(), grants: Vec::new() },
            now: cx.server.config.env.now_micros(),
            cx,
            manifest,
            directory,
        })
    }

    async fn new_database(&mut self, listed: i64, name: &str) -> Result<()> {
        let id = DatabaseId(self.tx.next_id().await?);
        let owner = self.cx.owner.clone();
        let comment = self.manifest.catalog.databases.iter().find(|row| row.id == listed);
        let comment = comment.and_then(|row| row.comment.clone());
        let location = None;
        let root = self.cx.server.root(&owner, location.as_deref()).await?;
        self.homes.insert(name.to_string(), Home { id, location: None, owner: owner.clone(), root });
        let row = Database { id, name: name.to_string(), owner, location, comment, created: self.now };
        self.publication.databases.push(row);
        let inside = self.manifest.catalog.schemas.iter().filter(|schema| schema.database == listed);
        let mut names: Vec<String> = inside.map(|schema| schema.name.clone()).collect();
        if !names.iter().any(|name| name == PUBLIC_SCHEMA) {
            names.push(PUBLIC_SCHEMA.to_string());
        }
        for name in names {
            let schema = self.schema(id, &name).await?;
            if name == PUBLIC_SCHEMA {
                self.publication.grants.extend(Grant::of_everybody(id, schema));
            }
        }
        Ok(())
    }

    /// The schema of a name, new if need be.
    async fn schema(&mut self, database: DatabaseId, name: &str) -> Result<SchemaId> {
        if let Some(id) = self.schemas.get(&(database, name.to_string())) {
            return Ok(*id);
        }
        let id = SchemaId(self.tx.next_id().await?);
        let row = Schema { id, database, name: name.to_string(), owner: self.cx.owner.clone() };
        self.publication.schemas.push(row);
        self.schemas.insert((database, name.to_string()), id);
        Ok(id)
    }

    async fn new_table(&mut self, table: &NewTable<'_>) -> Result<TableHandle> {
        let name = table.target.database.clone();
        if !self.homes.contains_key(&name) {
            let home = home(self.cx, &self.directory, &name, &table.listed.name).await?;
            self.homes.insert(name.clone(), home);
        }
        let (database, location, owner) = {
            let home = &self.homes[&name];
            (home.id, home.location.clone(), home.owner.clone())
        };
        let schema = self.schema(database, &table.target.schema).await?;
        let id = self.tx.next_id().await?;
        self.tx.insert_leftover(&leftover(TableId(id), database, &owner, location)).await?;
        let row = Arc::new(table.row(id, schema, database, &self.cx.owner, self.now));
        let store = table_folder(self.homes[&name].root.clone(), database, row.id);
        Ok(TableHandle { row, store })
    }

    /// The backup's grants on the new tables, to roles that exist here.
    fn grants(&mut self, tables: &[NewTable<'_>], made: &[TableHandle]) {
        for (table, handle) in tables.iter().zip(made) {
            let listed = self.manifest.catalog.grants.iter();
            let on_table = listed.filter(|grant| grant.object == manifest::Object::Table(table.listed.id));
            let known = on_table.filter(|grant| self.directory.roles.contains_key(&grant.grantee));
            self.publication.grants.extend(known.map(|grant| Grant {
                object: Object::Table(handle.row.id),
                grantee: grant.grantee.clone(),
                privilege: grant.privilege.clone(),
                grant_option: grant.grant_option,
            }));
        }
    }
}

/// A database that exists.
async fn home(cx: &TaskContext, directory: &Directory, name: &str, table: &str) -> Result<Home> {
    let database = directory.databases.get(name).ok_or_else(|| missing_database(name, table))?;
    Ok(Home {
        id: database.id,
        location: database.location.clone(),
        owner: database.owner.clone(),
        root: cx.server.root_of(directory, database.id).await?,
    })
}

/// The documented text.
pub(crate) fn missing_database(name: &str, table: &str) -> Error {
    Error::new(
        Sqlstate::INVALID_CATALOG_NAME,
        format!("a database named {name:?} needs to exist to restore table {table:?}"),
    )
    .with_hint("CREATE DATABASE it, or name another WITH into_db")
}
