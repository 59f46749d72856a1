//! [`Tx`] over one SQLite transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use lakeport_base::Point;
use lakeport_base::id::{ConnectionId, DatabaseId, JobId, ScheduleId, SchemaId, StageId, TableId};
use sqlx::sqlite::Sqlite;
use sqlx::{Row, SqliteConnection, Transaction};

use super::{
    Shared, connection, database, drops, event, file_format, grant, job, leftover, role, schedule, setting, stage,
    table,
};
use crate::Tx;
use crate::error::{Error, Result};
use crate::model::{
    AuditEvent, Check, Connection, Database, FileFormat, Grant, Job, LastDrop, Leftover, Membership, Object, Role,
    Schedule, Schema, Stage, Table,
};

/// An open transaction; rolled back when dropped.
pub(super) struct SqliteTx {
    transaction: Transaction<'static, Sqlite>,
    shared: Arc<Shared>,
    /// Whether a commit makes what callers remember stale.
    stales: bool,
}

impl SqliteTx {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, shared: Arc<Shared>) -> SqliteTx {
        SqliteTx { transaction, shared, stales: false }
    }

    /// Commits and then counts the change.
    async fn finish(self) -> Result<()> {
        self.shared.reach(Point::CatalogCommit)?;
        self.transaction.commit().await?;
        if self.stales {
            self.shared.generation.fetch_add(1, Ordering::AcqRel);
        }
        self.shared.reach(Point::CatalogCommitted)
    }

    /// The connection, for reads and for changes that nobody remembers.
    fn db(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// The connection, for changes of what callers remember.
    fn changing(&mut self) -> &mut SqliteConnection {
        self.stales = true;
        &mut self.transaction
    }
}

/// Takes the next id of objects.
pub(super) async fn next_id(db: &mut SqliteConnection) -> Result<i64> {
    let taken = sqlx::query("UPDATE sequence SET next = next + 1 RETURNING next - 1 AS id").fetch_one(db).await?;
    Ok(taken.try_get("id")?)
}

#[async_trait]
impl Tx for SqliteTx {
    async fn commit(self: Box<Self>) -> Result<()> {
        // A task of its own, so that a caller who stops waiting cannot part the commit from its generation.
        let committed = tokio::spawn(self.finish()).await;
        committed.unwrap_or_else(|_| Err(Error::Store(sqlx::Error::WorkerCrashed)))
    }

    async fn next_id(&mut self) -> Result<i64> {
        next_id(self.db()).await
    }

    async fn databases(&mut self) -> Result<Vec<Database>> {
        database::list(self.db()).await
    }

    async fn find_database(&mut self, name: &str) -> Result<Option<Database>> {
        database::find(self.db(), name).await
    }

    async fn insert_database(&mut self, database: &Database) -> Result<()> {
        database::insert(self.changing(), database).await
    }

    async fn update_database(&mut self, database: &Database) -> Result<()> {
        database::update(self.changing(), database).await
    }

    async fn delete_database(&mut self, id: DatabaseId) -> Result<()> {
        drops::forget(self.db(), id).await?;
        database::delete(self.changing(), id).await
    }

    async fn schemas(&mut self, database: DatabaseId) -> Result<Vec<Schema>> {
        database::list_schemas(self.db(), database).await
    }

    async fn find_schema(&mut self, database: DatabaseId, name: &str) -> Result<Option<Schema>> {
        database::find_schema(self.db(), database, name).await
    }

    async fn insert_schema(&mut self, schema: &Schema) -> Result<()> {
        database::insert_schema(self.changing(), schema).await
    }

    async fn delete_schema(&mut self, id: SchemaId) -> Result<()> {
        database::delete_schema(self.changing(), id).await
    }

    async fn tables(&mut self, database: DatabaseId) -> Result<Vec<Table>> {
        table::list(self.db(), database).await
    }

    async fn find_table(&mut self, schema: SchemaId, name: &str) -> Result<Option<Table>> {
        table::find(self.db(), schema, name).await
    }

    async fn table(&mut self, id: TableId) -> Result<Option<Table>> {
        table::get(self.db(), id).await
    }

    async fn insert_table(&mut self, table: &Table) -> Result<()> {
        table::insert(self.changing(), table).await
    }

    async fn update_table(&mut self, table: &Table) -> Result<()> {
        table::update(self.changing(), table).await
    }

    async fn delete_table(&mut self, id: TableId) -> Result<()> {
        table::delete(self.changing(), id).await
    }

    async fn leftovers(&mut self) -> Result<Vec<Leftover>> {
        leftover::list(self.db()).await
    }

    async fn insert_leftover(&mut self, leftover: &Leftover) -> Result<()> {
        leftover::insert(self.db(), leftover).await
    }

    async fn delete_leftover(&mut self, id: TableId) -> Result<()> {
        leftover::delete(self.db(), id).await
    }

    async fn drops(&mut self) -> Result<Vec<LastDrop>> {
        drops::list(self.db()).await
    }

    async fn record_drop(&mut self, drop: LastDrop) -> Result<()> {
        drops::record(self.changing(), drop).await
    }

    async fn connections(&mut self) -> Result<Vec<Connection>> {
        connection::list(&mut self.transaction, &self.shared.key).await
    }

    async fn connections_after(&mut self, name: &str, limit: u32) -> Result<Vec<Connection>> {
        connection::list_after(&mut self.transaction, &self.shared.key, name, limit).await
    }

    async fn find_connection(&mut self, name: &str) -> Result<Option<Connection>> {
        connection::find(&mut self.transaction, &self.shared.key, name).await
    }

    async fn insert_connection(&mut self, connection: &Connection) -> Result<()> {
        self.stales = true;
        connection::insert(&mut self.transaction, &self.shared.key, &self.shared.env, connection).await
    }

    async fn update_connection(&mut self, connection: &Connection) -> Result<()> {
        self.stales = true;
        connection::update(&mut self.transaction, &self.shared.key, &self.shared.env, connection).await
    }

    async fn record_check(&mut self, id: ConnectionId, check: &Check) -> Result<()> {
        connection::record_check(self.changing(), id, check).await
    }

    async fn delete_connection(&mut self, id: ConnectionId) -> Result<()> {
        connection::delete(self.changing(), id).await
    }

    async fn stages(&mut self) -> Result<Vec<Stage>> {
        stage::list(&mut self.transaction, &self.shared.key).await
    }

    async fn find_stage(&mut self, name: &str) -> Result<Option<Stage>> {
        stage::find(&mut self.transaction, &self.shared.key, name).await
    }

    async fn stages_following(&mut self, connection: &str) -> Result<Vec<Stage>> {
        stage::list_following(&mut self.transaction, &self.shared.key, connection).await
    }

    async fn insert_stage(&mut self, stage: &Stage) -> Result<()> {
        self.stales = true;
        stage::insert(&mut self.transaction, &self.shared.key, &self.shared.env, stage).await
    }

    async fn update_stage(&mut self, stage: &Stage) -> Result<()> {
        self.stales = true;
        stage::update(&mut self.transaction, &self.shared.key, &self.shared.env, stage).await
    }

    async fn delete_stage(&mut self, id: StageId) -> Result<()> {
        stage::delete(self.changing(), id).await
    }

    async fn file_formats(&mut self) -> Result<Vec<FileFormat>> {
        file_format::list(self.db()).await
    }

    async fn find_file_format(&mut self, name: &str) -> Result<Option<FileFormat>> {
        file_format::find(self.db(), name).await
    }

    async fn put_file_format(&mut self, format: &FileFormat) -> Result<()> {
        file_format::put(self.changing(), format).await
    }

    async fn delete_file_format(&mut self, name: &str) -> Result<()> {
        file_format::delete(self.changing(), name).await
    }

    async fn roles(&mut self) -> Result<Vec<Role>> {
        role::list(&mut self.transaction, &self.shared.key).await
    }

    async fn find_role(&mut self, name: &str) -> Result<Option<Role>> {
        role::find(&mut self.transaction, &self.shared.key, name).await
    }

    async fn insert_role(&mut self, role: &Role) -> Result<()> {
        self.stales = true;
        role::insert(&mut self.transaction, &self.shared.key, &self.shared.env, role).await
    }

    async fn update_role(&mut self, role: &Role) -> Result<()> {
        self.stales = true;
        role::update(&mut self.transaction, &self.shared.key, &self.shared.env, role).await
    }

    async fn delete_role(&mut self, name: &str) -> Result<()> {
        role::delete(self.changing(), name).await
    }

    async fn memberships(&mut self) -> Result<Vec<Membership>> {
        role::list_memberships(self.db()).await
    }

    async fn put_membership(&mut self, membership: &Membership) -> Result<()> {
        role::put_membership(self.changing(), membership).await
    }

    async fn delete_membership(&mut self, role: &str, member: &str) -> Result<()> {
        role::delete_membership(self.changing(), role, member).await
    }

    async fn grants(&mut self) -> Result<Vec<Grant>> {
        grant::list(self.db()).await
    }

    async fn grants_beside_connections(&mut self) -> Result<Vec<Grant>> {
        grant::list_beside_connections(self.db()).await
    }

    async fn grants_on(&mut self, object: Object) -> Result<Vec<Grant>> {
        grant::list_on(self.db(), object).await
    }

    async fn put_grant(&mut self, grant: &Grant) -> Result<()> {
        grant::put(self.changing(), grant).await
    }

    async fn delete_grant(&mut self, object: Object, grantee: &str, privilege: &str) -> Result<()> {
        grant::delete(self.changing(), object, grantee, privilege).await
    }

    async fn delete_grants_on(&mut self, object: Object) -> Result<()> {
        grant::delete_on(self.changing(), object).await
    }

    async fn settings(&mut self) -> Result<Vec<(String, String)>> {
        setting::list(self.db()).await
    }

    async fn put_setting(&mut self, name: &str, value: &str) -> Result<()> {
        setting::put(self.changing(), name, value).await
    }

    async fn delete_setting(&mut self, name: &str) -> Result<()> {
        setting::delete(self.changing(), name).await
    }

    async fn jobs(&mut self) -> Result<Vec<Job>> {
        job::list(&mut self.transaction, &self.shared.key).await
    }

    async fn unfinished_jobs(&mut self) -> Result<Vec<Job>> {
        job::unfinished(&mut self.transaction, &self.shared.key).await
    }

    async fn job(&mut self, id: JobId) -> Result<Option<Job>> {
        job::get(&mut self.transaction, &self.shared.key, id).await
    }

    async fn insert_job(&mut self, job: &Job) -> Result<()> {
        job::insert(&mut self.transaction, &self.shared.key, &self.shared.env, job).await
    }

    async fn update_job(&mut self, job: &Job) -> Result<()> {
        job::update(&mut self.transaction, &self.shared.key, &self.shared.env, job).await
    }

    async fn lease_job(&mut self, id: JobId, node: i64, now: i64, until: i64) -> Result<bool> {
        job::lease(self.db(), id, node, now, until).await
    }

    async fn release_job(&mut self, id: JobId, node: i64) -> Result<()> {
        job::release(self.db(), id, node).await
    }

    async fn delete_finished_jobs(&mut self, until: i64) -> Result<u64> {
        job::delete_finished(self.db(), until).await
    }

    async fn schedules(&mut self) -> Result<Vec<Schedule>> {
        schedule::list(self.db()).await
    }

    async fn due_schedules(&mut self, now: i64) -> Result<Vec<Schedule>> {
        schedule::due(self.db(), now).await
    }

    async fn schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>> {
        schedule::get(self.db(), id).await
    }

    async fn insert_schedule(&mut self, schedule: &Schedule) -> Result<()> {
        schedule::insert(self.db(), schedule).await
    }

    async fn update_schedule(&mut self, schedule: &Schedule) -> Result<()> {
        schedule::update(self.db(), schedule).await
    }

    async fn delete_schedule(&mut self, id: ScheduleId) -> Result<()> {
        schedule::delete(self.db(), id).await
    }

    async fn insert_event(&mut self, event: &AuditEvent) -> Result<()> {
        event::insert(self.db(), event).await
    }

    async fn events(&mut self, limit: i64) -> Result<Vec<AuditEvent>> {
        event::newest(self.db(), limit).await
    }
}
