//! The suite that every store passes.
//!
//! [`run`] takes a catalog as [`Catalog`] opens it for the first time and leaves rows behind; [`reopened`] then checks
//! the same store opened again. A failed expectation panics, as tests do.

mod lease;
mod object;
mod role;
mod schedule;
mod transaction;

use std::sync::Arc;

use lakeport_base::id::{ConnectionId, DatabaseId, JobId, SchemaId, StageId, TableId};
use lakeport_base::{Dialect, Secret};

use crate::error::{Error, Result};
use crate::model::{Connection, Copied, Database, FormatOptions, Job, Role, Schema, Stage, StagePlace, Table};
use crate::{Catalog, Tx};

/// Name of the connection that [`run`] leaves for [`reopened`].
const KEPT: &str = "kept";

/// Every check, on a new catalog.
///
/// # Errors
/// What the store answers where the suite expects success.
pub async fn run(catalog: Arc<dyn Catalog>) -> Result<()> {
    object::first_rows(&*catalog).await?;
    object::databases_and_schemas(&*catalog).await?;
    object::tables(&*catalog).await?;
    object::leftovers(&*catalog).await?;
    object::drops(&*catalog).await?;
    object::connections(&*catalog).await?;
    object::connection_versions(&*catalog).await?;
    object::stages(&*catalog).await?;
    object::file_formats(&*catalog).await?;
    role::roles_and_memberships(&*catalog).await?;
    role::grants(&*catalog).await?;
    role::settings(&*catalog).await?;
    role::events(&*catalog).await?;
    lease::jobs(&*catalog).await?;
    lease::leases(&*catalog).await?;
    schedule::schedules(&*catalog).await?;
    transaction::dropped_is_undone(&*catalog).await?;
    transaction::reads_see_one_state(&*catalog).await?;
    transaction::reads_cannot_write(&*catalog).await?;
    transaction::generation_counts_changes(&*catalog).await?;
    transaction::writers_take_turns(&catalog).await?;
    keep(&*catalog).await
}

/// What [`run`] left is there when the store is opened again.
///
/// # Errors
/// What the store answers where the suite expects success.
pub async fn reopened(catalog: Arc<dyn Catalog>) -> Result<()> {
    let mut tx = catalog.read().await?;
    let kept = tx.find_connection(KEPT).await?;
    let id = kept.as_ref().map_or(ConnectionId(0), |connection| connection.id);
    assert_eq!(kept, Some(connection(id, KEPT)));
    drop(tx);
    transaction::writers_take_turns(&catalog).await
}

async fn keep(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let id = ConnectionId(tx.next_id().await?);
    tx.insert_connection(&connection(id, KEPT)).await?;
    tx.commit().await
}

fn expect_exists(outcome: Result<()>, expected: &str) {
    assert!(matches!(&outcome, Err(Error::Exists { name, .. }) if name == expected), "{expected}: {outcome:?}");
}

fn expect_missing(outcome: Result<()>) {
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
}

fn database(id: i64, name: &str) -> Database {
    Database {
        id: DatabaseId(id),
        name: name.into(),
        owner: "root".into(),
        location: Some("external://lake/movr".into()),
        comment: None,
        created: 1,
    }
}

fn schema(id: i64, database: DatabaseId, name: &str) -> Schema {
    Schema { id: SchemaId(id), database, name: name.into(), owner: "root".into() }
}

fn table(id: i64, schema: &Schema, name: &str) -> Table {
    Table {
        id: TableId(id),
        schema: schema.id,
        database: schema.database,
        name: name.into(),
        owner: "root".into(),
        version: 1,
        columns: Vec::new(),
        primary_key: Vec::new(),
        comment: None,
        created: 2,
    }
}

fn connection(id: ConnectionId, name: &str) -> Connection {
    Connection {
        id,
        name: name.into(),
        kind: "s3".into(),
        dialect: Dialect::Cockroach,
        definition: Secret::new("s3://bucket?AWS_SECRET_ACCESS_KEY=käse".into()),
        redacted: "s3://bucket?AWS_SECRET_ACCESS_KEY=redacted".into(),
        owner: "root".into(),
        version: 1,
        created: 3,
        updated: 4,
        last_check: None,
    }
}

fn stage(id: i64, name: &str) -> Stage {
    Stage {
        id: StageId(id),
        name: name.into(),
        place: StagePlace::Copied {
            uri: Secret::new("s3://bucket/photos?AWS_SECRET_ACCESS_KEY=käse".into()),
            redacted: "s3://bucket/photos?AWS_SECRET_ACCESS_KEY=redacted".into(),
            from: Some(Copied { connection: "lake".into(), version: 3 }),
        },
        file_format: FormatOptions(vec![("type".into(), vec!["parquet".into()])]),
        comment: String::new(),
        owner: "root".into(),
        creator: "root".into(),
        version: 1,
        created: 5,
    }
}

fn role(name: &str) -> Role {
    Role {
        name: name.into(),
        login: true,
        verifier: None,
        valid_until: None,
        options: Vec::new(),
        defaults: Vec::new(),
    }
}

fn job(id: i64) -> Job {
    Job {
        owner: "root".into(),
        description: "IMPORT INTO rides".into(),
        payload: "{}".into(),
        ..Job::pending(JobId(id), "IMPORT", 5)
    }
}

async fn defaultdb(tx: &mut dyn Tx) -> Result<Database> {
    tx.find_database("defaultdb").await?.ok_or(Error::NotFound { what: "database", name: "defaultdb".into() })
}
