//! The catalog in memory: everything a statement looks up before it touches a row. Connections, jobs and events stay in
//! the store, since there may be millions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_base::{QualifiedName, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Database, Grant, LastDrop, Membership, Object, Role, Schema, Table};

use crate::error::{Error, Result};

/// Name of the role whose members may do everything.
pub const ADMIN: &str = "admin";
/// Name of the role that everybody is a member of.
pub const PUBLIC: &str = "public";
/// The schema every database is made with.
pub const PUBLIC_SCHEMA: &str = "public";

/// One state of the catalog.
pub struct Directory {
    /// [`lakeport_catalog::Catalog::generation`] before it was read.
    pub generation: u64,
    pub databases: BTreeMap<String, Database>,
    pub schemas: HashMap<SchemaId, Schema>,
    pub tables: BTreeMap<TableId, Arc<Table>>,
    pub roles: BTreeMap<String, Role>,
    pub memberships: Vec<Membership>,
    pub settings: HashMap<String, String>,
    /// Of the system and of databases.
    pub drops: Vec<LastDrop>,
    grants: HashMap<Object, Vec<Grant>>,
    schema_ids: HashMap<(DatabaseId, String), SchemaId>,
    table_ids: HashMap<(SchemaId, String), TableId>,
}

impl Directory {
    /// Reads the catalog in one transaction.
    pub async fn load(tx: &mut dyn Tx, generation: u64) -> Result<Directory> {
        let mut directory = Directory {
            generation,
            databases: tx.databases().await?.into_iter().map(|row| (row.name.clone(), row)).collect(),
            schemas: HashMap::new(),
            tables: BTreeMap::new(),
            roles: tx.roles().await?.into_iter().map(|row| (row.name.clone(), row)).collect(),
            memberships: tx.memberships().await?,
            settings: tx.settings().await?.into_iter().collect(),
            drops: tx.drops().await?,
            grants: HashMap::new(),
            schema_ids: HashMap::new(),
            table_ids: HashMap::new(),
        };
        for grant in tx.grants_beside_connections().await? {
            directory.grants.entry(grant.object).or_default().push(grant);
        }
        let ids: Vec<DatabaseId> = directory.databases.values().map(|database| database.id).collect();
        for id in ids {
            for schema in tx.schemas(id).await? {
                directory.schema_ids.insert((id, schema.name.clone()), schema.id);
                directory.schemas.insert(schema.id, schema);
            }
            for table in tx.tables(id).await? {
                directory.table_ids.insert((table.schema, table.name.clone()), table.id);
                directory.tables.insert(table.id, Arc::new(table));
            }
        }
        Ok(directory)
    }

    /// A database by name.
    ///
    /// # Errors
    /// 3D000 when there is none.
    pub fn database(&self, name: &str) -> Result<&Database> {
        self.databases.get(name).ok_or_else(|| {
            Error::new(Sqlstate::INVALID_CATALOG_NAME, format!("database {name:?} does not exist"))
                .with_hint("SHOW DATABASES lists the databases")
        })
    }

    /// A database by id.
    pub fn database_of(&self, id: DatabaseId) -> Option<&Database> {
        self.databases.values().find(|database| database.id == id)
    }

    /// A schema of a database, if it exists.
    pub fn schema(&self, database: DatabaseId, name: &str) -> Option<&Schema> {
        self.schemas.get(self.schema_ids.get(&(database, name.to_string()))?)
    }

    /// A table of a schema, if it exists.
    pub fn table(&self, schema: SchemaId, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(self.table_ids.get(&(schema, name.to_string()))?)
    }

    /// Where an object of this name lies or would lie, as CockroachDB resolves it: `a.b` is schema `a` of the current
    /// database if there is one, else schema `public` of database `a`.
    ///
    /// # Errors
    /// 3D000 or 3F000 naming what is missing.
    pub fn place<'a>(&'a self, name: &'a QualifiedName, database: &str, search_path: &[String]) -> Result<&'a Schema> {
        match name.qualifiers() {
            [] => {
                let id = self.database(database)?.id;
                search_path.iter().find_map(|schema| self.schema(id, schema)).ok_or_else(|| {
                    Error::new(Sqlstate::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
                        .with_hint("SET search_path = public")
                })
            }
            [first] => {
                let current = self.databases.get(database).and_then(|current| self.schema(current.id, first));
                let elsewhere = || self.schema(self.databases.get(first)?.id, PUBLIC_SCHEMA);
                current.or_else(elsewhere).ok_or_else(|| missing_schema(first))
            }
            [first, second] => self.schema(self.database(first)?.id, second).ok_or_else(|| missing_schema(second)),
            _ => Err(Error::new(Sqlstate::INVALID_NAME, format!("too many parts in the name {name}"))),
        }
    }

    /// The table of a name, looked up along the search path.
    pub fn find_table(&self, name: &QualifiedName, database: &str, search_path: &[String]) -> Option<&Arc<Table>> {
        if name.qualifiers().is_empty() {
            let id = self.databases.get(database)?.id;
            let mut schemas = search_path.iter().filter_map(|schema| self.schema(id, schema));
            return schemas.find_map(|schema| self.table(schema.id, name.name()));
        }
        let schema = self.place(name, database, search_path).ok()?;
        self.table(schema.id, name.name())
    }

    /// `database.schema.table`
    pub fn full_name(&self, table: &Table) -> String {
        let database = self.database_of(table.database).map_or("", |database| &database.name);
        let schema = self.schemas.get(&table.schema).map_or("", |schema| &schema.name);
        QualifiedName { parts: vec![database.into(), schema.into(), table.name.clone()] }.to_string()
    }

    /// The role itself, every role it is a member of however indirectly, and `public`.
    pub fn roles_of<'a>(&'a self, user: &'a str) -> HashSet<&'a str> {
        let mut found = HashSet::from([user, PUBLIC]);
        let mut open = vec![user];
        while let Some(member) = open.pop() {
            for membership in self.memberships.iter().filter(|membership| membership.member == member) {
                if found.insert(&membership.role) {
                    open.push(&membership.role);
                }
            }
        }
        found
    }

    /// Whether the role is `admin` or a member of it.
    pub fn is_admin(&self, user: &str) -> bool {
        self.roles_of(user).contains(ADMIN)
    }

    /// The grants on one object other than a connection, or on every connection.
    pub fn grants_on(&self, object: Object) -> &[Grant] {
        self.grants.get(&object).map_or(&[], Vec::as_slice)
    }
}

pub(crate) fn missing_role(name: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_OBJECT, format!("role/user {name:?} does not exist"))
        .with_hint("SHOW ROLES lists the roles")
}

fn missing_schema(name: &str) -> Error {
    Error::new(Sqlstate::INVALID_SCHEMA_NAME, format!("schema or database {name:?} does not exist"))
}
