//! Restored tables in the catalog: their ids before a file is written, their rows when all are.

use std::collections::HashMap;
use std::sync::Arc;

use lakeport_backup::manifest::{self, ById, Manifest};
use lakeport_base::Sqlstate;
use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Database, Grant, Object, Schema, Table};
use object_store::ObjectStore;

use super::system::{self, Owners, System};
use super::{NewTable, RestoreOrder, SystemPart, claims, leftover};
use crate::directory::{Directory, PUBLIC_SCHEMA};
use crate::engine::TableHandle;
use crate::error::{Error, Result};
use crate::job::{Checkpoint, Done, TaskContext};
use crate::relations::table_folder;

/// What becomes part of the catalog in one step.
pub(super) struct Publication {
    databases: Vec<Database>,
    schemas: Vec<Schema>,
    grants: Vec<Grant>,
    system: System,
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
        let mut reserving = Reserving::begin(cx, order, manifest, tables).await?;
        for database in &order.databases {
            reserving.new_database(database.id, &database.name).await?;
        }
        for table in tables {
            let handle = reserving.new_table(table).await?;
            made.push(handle);
        }
        reserving.system(order, tables, made).await?;
        reserving.tx.commit().await?;
        Ok(reserving.publication)
    }

    /// Writes all rows, and that the job is done, in one transaction.
    ///
    /// # Errors
    /// 42P04, 42P07 when a name was taken meanwhile.
    pub async fn publish(self, cx: &TaskContext, made: &[TableHandle], done: Done) -> Result<()> {
        let mut tx = cx.server.config.catalog.write().await?;
        for database in &self.databases {
            tx.insert_database(database).await?;
        }
        for schema in &self.schemas {
            tx.insert_schema(schema).await?;
        }
        let created = cx.server.config.env.now_micros();
        for TableHandle { row, .. } in made {
            tx.insert_table(&Table { created, ..Table::clone(row) }).await?;
            tx.delete_leftover(row.id).await?;
        }
        self.system.publish(tx.as_mut()).await?;
        for grant in &self.grants {
            tx.put_grant(grant).await?;
        }
        cx.save_in(tx.as_mut(), &Checkpoint::Done(done)).await?;
        Ok(tx.commit().await?)
    }
}

/// Ids being drawn, in one transaction.
struct Reserving<'a> {
    cx: &'a TaskContext,
    manifest: &'a Manifest,
    known: ById<'a>,
    /// The listed schemas, by id of the database.
    schemas_of: HashMap<i64, Vec<&'a manifest::Schema>>,
    directory: Arc<Directory>,
    tx: Box<dyn Tx>,
    homes: HashMap<String, Home>,
    owners: Owners,
    /// By database and name; new ones and old.
    schemas: HashMap<(DatabaseId, String), SchemaId>,
    publication: Publication,
    /// Ids of the backup and those here.
    database_ids: HashMap<i64, DatabaseId>,
    schema_ids: HashMap<i64, SchemaId>,
    now: i64,
}

impl<'a> Reserving<'a> {
    async fn begin(
        cx: &'a TaskContext,
        order: &RestoreOrder,
        manifest: &'a Manifest,
        tables: &[NewTable<'_>],
    ) -> Result<Reserving<'a>> {
        let directory = cx.server.directory().await?;
        // Opened before the catalog is: a storage may take its time.
        let mut homes = HashMap::new();
        for table in tables {
            let name = &table.target.database;
            let is_new = order.databases.iter().any(|database| database.name == *name);
            if !is_new && !homes.contains_key(name) {
                homes.insert(name.clone(), home(cx, &directory, name, &table.listed.name).await?);
            }
        }
        let mut schemas_of: HashMap<i64, Vec<&manifest::Schema>> = HashMap::new();
        for schema in &manifest.catalog.schemas {
            schemas_of.entry(schema.database).or_default().push(schema);
        }
        Ok(Reserving {
            known: manifest.catalog.by_id(),
            schemas_of,
            schemas: directory.schemas.values().map(|row| ((row.database, row.name.clone()), row.id)).collect(),
            tx: cx.server.config.catalog.write().await?,
            homes,
            owners: Owners::of(order.system, &directory, manifest, &cx.owner),
            publication: Publication {
                databases: Vec::new(),
                schemas: Vec::new(),
                grants: Vec::new(),
                system: System::default(),
            },
            database_ids: HashMap::new(),
            schema_ids: HashMap::new(),
            now: cx.server.config.env.now_micros(),
            cx,
            manifest,
            directory,
        })
    }

    async fn new_database(&mut self, listed: i64, name: &str) -> Result<()> {
        claims::check_name("database", name)?;
        let id = DatabaseId(self.tx.next_id().await?);
        let row = self.known.databases.get(&listed).copied();
        let owner = self.owners.owner(row.map_or("", |row| &row.owner));
        let comment = row.and_then(|row| row.comment.clone());
        claims::check_text("database", name, "comment", comment.as_deref())?;
        let root = self.cx.server.root(&owner, None).await?;
        self.homes.insert(name.to_string(), Home { id, location: None, owner: owner.clone(), root });
        let row = Database { id, name: name.to_string(), owner, location: None, comment, created: self.now };
        self.publication.databases.push(row);
        self.database_ids.insert(listed, id);
        let schemas = self.schemas_of.remove(&listed).unwrap_or_default();
        claims::check_distinct("schema", schemas.iter().map(|schema| schema.name.as_str()))?;
        for row in schemas {
            let owner = self.owners.owner(&row.owner);
            let schema = self.schema(id, &row.name, owner).await?;
            self.schema_ids.insert(row.id, schema);
        }
        let public = self.schema(id, PUBLIC_SCHEMA, self.cx.owner.clone()).await?;
        self.publication.grants.extend(Grant::of_everybody(id, public));
        Ok(())
    }

    /// The schema of a name, new if need be.
    async fn schema(&mut self, database: DatabaseId, name: &str, owner: String) -> Result<SchemaId> {
        if let Some(id) = self.schemas.get(&(database, name.to_string())) {
            return Ok(*id);
        }
        claims::check_schema(name)?;
        let id = SchemaId(self.tx.next_id().await?);
        let row = Schema { id, database, name: name.to_string(), owner };
        self.publication.schemas.push(row);
        self.schemas.insert((database, name.to_string()), id);
        Ok(id)
    }

    async fn new_table(&mut self, table: &NewTable<'_>) -> Result<TableHandle> {
        let home = &self.homes[&table.target.database];
        let (database, location, owner) = (home.id, home.location.clone(), home.owner.clone());
        let root = home.root.clone();
        let schema = self.schema(database, &table.target.schema, self.cx.owner.clone()).await?;
        let id = self.tx.next_id().await?;
        self.tx.insert_leftover(&leftover(TableId(id), database, &owner, location)).await?;
        let row = Arc::new(table.row(id, schema, database, &self.owners.owner(&table.listed.owner), self.now));
        let store = table_folder(root, database, row.id);
        Ok(TableHandle { row, store })
    }

    /// What comes beside tables, and the backup's grants where they are asked for.
    async fn system(&mut self, order: &RestoreOrder, tables: &[NewTable<'_>], made: &[TableHandle]) -> Result<()> {
        let directory = Arc::clone(&self.directory);
        let (owners, tx) = (&self.owners, self.tx.as_mut());
        let system = System::reserve(order.system, self.manifest, &directory, tx, owners, self.now).await?;
        if order.grants || order.system == SystemPart::All {
            let tables = tables.iter().zip(made).map(|(table, handle)| (table.listed.id, handle.row.id)).collect();
            if order.system == SystemPart::All {
                self.find_existing();
            }
            let grants = self.grants(&system, order.system == SystemPart::All, &tables);
            self.publication.grants.extend(grants);
        }
        self.publication.system = system;
        Ok(())
    }

    /// What a new server has from the beginning, or was made to reach the backup, gets the grants of its namesake.
    fn find_existing(&mut self) {
        let catalog = &self.manifest.catalog;
        for listed in &catalog.databases {
            if let Some(database) = self.directory.databases.get(&listed.name) {
                self.database_ids.insert(listed.id, database.id);
            }
        }
        for listed in &catalog.schemas {
            let database = self.database_ids.get(&listed.database);
            let schema = database.and_then(|id| self.schemas.get(&(*id, listed.name.clone())));
            self.schema_ids.extend(schema.map(|schema| (listed.id, *schema)));
        }
    }

    /// The backup's grants on what is restored, to roles that there will be.
    fn grants(&self, system: &System, of_system: bool, tables: &HashMap<i64, TableId>) -> Vec<Grant> {
        let restored = |object| match object {
            manifest::Object::System => of_system.then_some(Object::System),
            manifest::Object::Connection(0) => of_system.then_some(Object::EVERY_CONNECTION),
            manifest::Object::Connection(id) => system.connection_id(id).map(Object::Connection),
            manifest::Object::Database(id) => self.database_ids.get(&id).map(|id| Object::Database(*id)),
            manifest::Object::Schema(id) => self.schema_ids.get(&id).map(|id| Object::Schema(*id)),
            manifest::Object::Stage(id) => system.stage_id(id).map(Object::Stage),
            manifest::Object::Table(id) => tables.get(&id).map(|id| Object::Table(*id)),
        };
        system::grants(self.manifest, &system.known_roles(&self.directory), restored)
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
