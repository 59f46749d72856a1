//! `CREATE | DROP | ALTER DATABASE`, `CREATE | DROP SCHEMA`, `SHOW DATABASES | SCHEMAS`.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use lakeport_base::id::{DatabaseId, SchemaId};
use lakeport_base::{QualifiedName, SqlType, Sqlstate};
use lakeport_catalog::model::{Database, Grant, LastDrop, Object, Schema, Table};
use lakeport_connect::ExternalRef;
use lakeport_sql::stmt::database::{
    CreateDatabase, CreateSchema, DropDatabase, DropSchema, RenameDatabase, ShowSchemas,
};
use object_store::ObjectStore;

use super::Cx;
use super::table::Doomed;
use crate::authz::Subject;
use crate::directory::{Directory, PUBLIC_SCHEMA};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::server::Server;
use crate::show::rows::batch_of;

/// Schemas that every database has and nobody may make or drop.
pub(crate) const SYSTEM_SCHEMAS: &[&str] = &["crdb_internal", "information_schema", "pg_catalog"];

/// Whether no schema can be made under a name.
pub(crate) fn is_reserved_schema(name: &str) -> bool {
    SYSTEM_SCHEMAS.contains(&name) || name.starts_with("pg_")
}

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateDatabase) -> Result<Outcome> {
    cx.subject().require_system("CREATEDB", || "permission denied to create database".to_string())?;
    let location = statement.location.as_ref().map(|location| cx.string(location)).transpose()?;
    if let Some(location) = &location {
        check_location(cx, location).await?;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    if tx.find_database(&statement.name).await?.is_some() {
        let message = format!("database {:?} already exists", statement.name);
        let error = Error::new(Sqlstate::DUPLICATE_DATABASE, message);
        return if statement.if_not_exists { Ok(cx.skipped("CREATE DATABASE", &error)) } else { Err(error) };
    }
    let id = DatabaseId(tx.next_id().await?);
    let database = Database {
        id,
        name: statement.name.clone(),
        owner: cx.owner().to_string(),
        location,
        comment: None,
        created: cx.server.config.env.now_micros(),
    };
    tx.insert_database(&database).await?;
    let schema = SchemaId(tx.next_id().await?);
    let owner = cx.owner().to_string();
    tx.insert_schema(&Schema { id: schema, database: id, name: PUBLIC_SCHEMA.to_string(), owner }).await?;
    for grant in Grant::of_everybody(id, schema) {
        tx.put_grant(&grant).await?;
    }
    cx.commit(tx).await?;
    Ok(Outcome::done("CREATE DATABASE"))
}

/// A location must be an `external://` URI that the owner may use and that can be written and listed.
async fn check_location(cx: &Cx<'_>, location: &str) -> Result<()> {
    if ExternalRef::parse(location)?.is_none() {
        return Err(Error::invalid(format!(
            "LOCATION must be an external:// URI, not {:?}",
            lakeport_connect::redact(location)
        ))
        .with_hint("CREATE EXTERNAL CONNECTION first; then WITH LOCATION = 'external://name/folder'"));
    }
    cx.server.authorise_uri(cx.owning_subject(), location).await?;
    let resolved = cx.server.resolve(location).await?;
    let limit = crate::setting::CHECK_TIMEOUT.duration(&cx.directory);
    cx.server.probe(resolved.owner.as_deref().unwrap_or(cx.owner()), &resolved.target, limit).await
}

impl Server {
    /// The storage of a database's location, opened as its owner.
    pub(crate) async fn location_store(self: &Arc<Self>, owner: &str, location: &str) -> Result<Arc<dyn ObjectStore>> {
        let directory = self.directory().await?;
        self.authorise_uri(Subject { directory: &directory, user: owner }, location).await?;
        self.open_storage(owner, location).await
    }
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropDatabase) -> Result<Outcome> {
    let database = match cx.directory.database(&statement.name) {
        Ok(database) => database,
        Err(error) if statement.if_exists => return Ok(cx.skipped("DROP DATABASE", &error)),
        Err(error) => return Err(error),
    };
    cx.subject().require(Object::Database(database.id), &database.owner, &database.name, "DROP")?;
    if cx.session.variable("database") == database.name {
        return Err(Error::new(
            Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot drop the currently open database {:?}", database.name),
        )
        .with_hint("USE another database first"));
    }
    let tables: Vec<Arc<Table>> =
        cx.directory.tables.values().filter(|table| table.database == database.id).cloned().collect();
    if statement.restrict && !tables.is_empty() {
        return Err(Error::new(
            Sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("database {:?} is not empty and RESTRICT was specified", database.name),
        ));
    }
    for table in &tables {
        cx.subject().require_table(table, "DROP")?;
    }
    let doomed = Doomed::open(cx, &tables).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    doomed.delete(cx, tx.as_mut()).await?;
    for schema in tx.schemas(database.id).await? {
        tx.delete_grants_on(Object::Schema(schema.id)).await?;
        tx.delete_schema(schema.id).await?;
    }
    tx.delete_grants_on(Object::Database(database.id)).await?;
    tx.delete_database(database.id).await?;
    tx.record_drop(LastDrop { object: Object::System, at: cx.server.config.env.now_micros() }).await?;
    cx.commit(tx).await?;
    doomed.delete_files(cx).await;
    Ok(Outcome::done("DROP DATABASE"))
}

pub(crate) async fn rename(cx: &Cx<'_>, statement: &RenameDatabase) -> Result<Outcome> {
    let database = cx.directory.database(&statement.name)?;
    cx.subject().require_system("CREATEDB", || "permission denied to rename database".to_string())?;
    cx.subject().require(Object::Database(database.id), &database.owner, &database.name, "DROP")?;
    if cx.directory.databases.contains_key(&statement.new_name) {
        let message = format!("database {:?} already exists", statement.new_name);
        return Err(Error::new(Sqlstate::DUPLICATE_DATABASE, message));
    }
    let mut tx = cx.server.config.catalog.write().await?;
    tx.update_database(&Database { name: statement.new_name.clone(), ..database.clone() }).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("ALTER DATABASE"))
}

/// Database and bare name of a schema written `[database.]schema`.
fn schema_place<'a>(cx: &'a Cx<'_>, name: &'a QualifiedName) -> Result<(&'a Database, &'a str)> {
    let current = cx.session.variable("database");
    let database = match name.qualifiers() {
        [] => cx.directory.database(&current)?,
        [database] => cx.directory.database(database)?,
        _ => return Err(Error::new(Sqlstate::INVALID_NAME, format!("too many parts in the schema name {name}"))),
    };
    Ok((database, name.name()))
}

/// The schema of a name.
///
/// # Errors
/// 3F000
pub(crate) fn find_schema<'a>(cx: &'a Cx<'_>, name: &'a QualifiedName) -> Result<&'a Schema> {
    let (database, schema) = schema_place(cx, name)?;
    cx.directory.schema(database.id, schema).ok_or_else(|| {
        Error::new(Sqlstate::INVALID_SCHEMA_NAME, format!("schema {schema:?} does not exist"))
            .with_hint("SHOW SCHEMAS lists the schemas")
    })
}

pub(crate) async fn create_schema(cx: &Cx<'_>, statement: &CreateSchema) -> Result<Outcome> {
    let (database, name) = schema_place(cx, &statement.name)?;
    cx.subject().require(Object::Database(database.id), &database.owner, &database.name, "CREATE")?;
    if SYSTEM_SCHEMAS.contains(&name) || cx.directory.schema(database.id, name).is_some() {
        let error = Error::new(Sqlstate::DUPLICATE_SCHEMA, format!("schema {name:?} already exists"));
        return if statement.if_not_exists { Ok(cx.skipped("CREATE SCHEMA", &error)) } else { Err(error) };
    }
    if is_reserved_schema(name) {
        return Err(Error::new(Sqlstate::RESERVED_NAME, format!("unacceptable schema name {name:?}"))
            .with_detail("the prefix \"pg_\" is reserved for system schemas"));
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let id = SchemaId(tx.next_id().await?);
    let owner = cx.owner().to_string();
    tx.insert_schema(&Schema { id, database: database.id, name: name.to_string(), owner }).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("CREATE SCHEMA"))
}

pub(crate) async fn drop_schema(cx: &Cx<'_>, statement: &DropSchema) -> Result<Outcome> {
    let schema = match find_schema(cx, &statement.name) {
        Ok(schema) => schema.clone(),
        Err(error) if statement.if_exists => return Ok(cx.skipped("DROP SCHEMA", &error)),
        Err(error) => return Err(error),
    };
    if !cx.subject().owns(&schema.owner) {
        return Err(Error::denied(format!("must be owner of schema {}", schema.name)));
    }
    if schema.name == PUBLIC_SCHEMA {
        return Err(Error::new(Sqlstate::INVALID_SCHEMA_NAME, "cannot drop schema \"public\""));
    }
    let tables: Vec<Arc<Table>> =
        cx.directory.tables.values().filter(|table| table.schema == schema.id).cloned().collect();
    if !statement.cascade && !tables.is_empty() {
        let message = format!("schema {:?} is not empty and CASCADE was not specified", schema.name);
        return Err(Error::new(Sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message));
    }
    for table in &tables {
        cx.subject().require_table(table, "DROP")?;
    }
    let doomed = Doomed::open(cx, &tables).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    doomed.delete(cx, tx.as_mut()).await?;
    tx.delete_grants_on(Object::Schema(schema.id)).await?;
    tx.delete_schema(schema.id).await?;
    cx.commit(tx).await?;
    doomed.delete_files(cx).await;
    Ok(Outcome::done("DROP SCHEMA"))
}

pub(crate) fn show_columns() -> SchemaRef {
    schema_of(&[
        ("database_name", SqlType::Text),
        ("owner", SqlType::Text),
        ("primary_region", SqlType::Text),
        ("secondary_region", SqlType::Text),
        ("regions", SqlType::Array(Box::new(SqlType::Text))),
        ("survival_goal", SqlType::Text),
    ])
}

pub(crate) fn show(cx: &Cx<'_>) -> Result<Outcome> {
    use crate::show::rows::Cell;
    let subject = cx.subject();
    let databases = cx.directory.databases.values().filter(|database| subject.require_connect(database).is_ok());
    let rows: Vec<_> = databases
        .map(|database| {
            row![&database.name, &database.owner, Cell::Null, Cell::Null, Cell::List(Vec::new()), Cell::Null]
        })
        .collect();
    Ok(Outcome::rows("SHOW", batch_of(show_columns(), &rows)?))
}

pub(crate) fn show_schemas_columns() -> SchemaRef {
    schema_of(&[("schema_name", SqlType::Text), ("owner", SqlType::Text)])
}

pub(crate) fn show_schemas(cx: &Cx<'_>, statement: &ShowSchemas) -> Result<Outcome> {
    let current = cx.session.variable("database");
    let database = cx.directory.database(statement.database.as_deref().unwrap_or(&current))?;
    let rows = schema_rows(&cx.directory, database.id);
    let rows: Vec<_> = rows.into_iter().map(|(name, owner)| row![name, owner]).collect();
    Ok(Outcome::rows("SHOW", batch_of(show_schemas_columns(), &rows)?))
}

/// Name and owner of each schema of a database, system schemas included, by name.
pub(crate) fn schema_rows(directory: &Directory, database: DatabaseId) -> Vec<(String, Option<String>)> {
    let own = directory.schemas.values().filter(|schema| schema.database == database);
    let system = SYSTEM_SCHEMAS.iter().map(|name| ((*name).to_string(), None));
    let mut rows: Vec<_> = own.map(|schema| (schema.name.clone(), Some(schema.owner.clone()))).chain(system).collect();
    rows.sort();
    rows
}
