//! The catalog: what exists, who owns it, who may use it, which jobs run.
//!
//! [`Catalog`] hands out transactions; [`Tx`] reads and writes rows. Reads inside one `Tx` see one
//! state. The store behind it is SQLite ([`sqlite`]); `conformance` is the suite that any other
//! store must pass. Secrets are sealed on the way in and unsealed on the way out ([`seal`]), so a
//! store only ever holds ciphertext.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod model;
pub mod seal;
pub mod sqlite;
mod stored;

use async_trait::async_trait;
use lakeport_base::id::{ConnectionId, DatabaseId, JobId, ScheduleId, SchemaId, StageId, TableId};

pub use error::{Error, Result};
use model::*;
pub use seal::MasterKey;
pub use sqlite::SqliteCatalog;

/// A store of catalog rows.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// A transaction that only reads. Never waits for a writer.
    async fn read(&self) -> Result<Box<dyn Tx>>;

    /// A transaction that may write. Writers take turns; the write is durable when
    /// [`Tx::commit`] returns.
    async fn write(&self) -> Result<Box<dyn Tx>>;

    /// A number that grows with every committed change of anything but jobs, schedules, audit events, leftovers and the
    /// sequence of ids, so that callers know when what they remember is stale. Counts from 0 in each process. Cheap: no I/O.
    fn generation(&self) -> u64;

    /// What tells this catalog from all others: random, drawn when it was made.
    fn identity(&self) -> &str;
}

/// One transaction. Dropping it without [`commit`](Tx::commit) undoes it.
///
/// `find_*` answer `None` for what is missing; `insert_*` fail with [`Error::Exists`], `update_*` and
/// `delete_*` with [`Error::NotFound`].
#[async_trait]
pub trait Tx: Send {
    /// Makes the changes durable.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// The next id of databases, schemas, tables, connections and stages. Starts at 100.
    async fn next_id(&mut self) -> Result<i64>;

    async fn databases(&mut self) -> Result<Vec<Database>>;
    async fn find_database(&mut self, name: &str) -> Result<Option<Database>>;
    async fn insert_database(&mut self, database: &Database) -> Result<()>;
    async fn update_database(&mut self, database: &Database) -> Result<()>;
    async fn delete_database(&mut self, id: DatabaseId) -> Result<()>;

    async fn schemas(&mut self, database: DatabaseId) -> Result<Vec<Schema>>;
    async fn find_schema(&mut self, database: DatabaseId, name: &str) -> Result<Option<Schema>>;
    async fn insert_schema(&mut self, schema: &Schema) -> Result<()>;
    async fn delete_schema(&mut self, id: SchemaId) -> Result<()>;

    /// Tables of a database, by schema and name.
    async fn tables(&mut self, database: DatabaseId) -> Result<Vec<Table>>;
    async fn find_table(&mut self, schema: SchemaId, name: &str) -> Result<Option<Table>>;
    async fn table(&mut self, id: TableId) -> Result<Option<Table>>;
    async fn insert_table(&mut self, table: &Table) -> Result<()>;
    /// Replaces a table if its stored version is `table.version - 1`, else [`Error::Conflict`].
    async fn update_table(&mut self, table: &Table) -> Result<()>;
    async fn delete_table(&mut self, id: TableId) -> Result<()>;

    /// Folders of tables that the catalog does not know, oldest table first.
    async fn leftovers(&mut self) -> Result<Vec<Leftover>>;
    async fn insert_leftover(&mut self, leftover: &Leftover) -> Result<()>;
    async fn delete_leftover(&mut self, id: TableId) -> Result<()>;

    /// When something of an object was last dropped, by object.
    async fn drops(&mut self) -> Result<Vec<LastDrop>>;
    /// Remembers a drop unless a later one is known.
    async fn record_drop(&mut self, drop: LastDrop) -> Result<()>;

    /// Connections by name.
    async fn connections(&mut self) -> Result<Vec<Connection>>;
    /// The first connections whose names come after one; the empty name comes before all.
    async fn connections_after(&mut self, name: &str, limit: u32) -> Result<Vec<Connection>>;
    async fn find_connection(&mut self, name: &str) -> Result<Option<Connection>>;
    async fn insert_connection(&mut self, connection: &Connection) -> Result<()>;
    /// Replaces a connection if its stored version is `connection.version - 1`, else [`Error::Conflict`].
    async fn update_connection(&mut self, connection: &Connection) -> Result<()>;
    /// Records the outcome of a check; changes no version.
    async fn record_check(&mut self, id: ConnectionId, check: &Check) -> Result<()>;
    async fn delete_connection(&mut self, id: ConnectionId) -> Result<()>;

    /// Stages by name.
    async fn stages(&mut self) -> Result<Vec<Stage>>;
    async fn find_stage(&mut self, name: &str) -> Result<Option<Stage>>;
    /// Stages that follow a connection, by name.
    async fn stages_following(&mut self, connection: &str) -> Result<Vec<Stage>>;
    async fn insert_stage(&mut self, stage: &Stage) -> Result<()>;
    /// Replaces a stage if its stored version is `stage.version - 1`, else [`Error::Conflict`].
    async fn update_stage(&mut self, stage: &Stage) -> Result<()>;
    async fn delete_stage(&mut self, id: StageId) -> Result<()>;

    /// File formats by name.
    async fn file_formats(&mut self) -> Result<Vec<FileFormat>>;
    async fn find_file_format(&mut self, name: &str) -> Result<Option<FileFormat>>;
    /// Adds a file format, or replaces the one of its name.
    async fn put_file_format(&mut self, format: &FileFormat) -> Result<()>;
    async fn delete_file_format(&mut self, name: &str) -> Result<()>;

    /// Roles by name.
    async fn roles(&mut self) -> Result<Vec<Role>>;
    async fn find_role(&mut self, name: &str) -> Result<Option<Role>>;
    async fn insert_role(&mut self, role: &Role) -> Result<()>;
    async fn update_role(&mut self, role: &Role) -> Result<()>;
    /// Removes the role and its memberships. Its grants must be gone.
    async fn delete_role(&mut self, name: &str) -> Result<()>;
    async fn memberships(&mut self) -> Result<Vec<Membership>>;
    async fn put_membership(&mut self, membership: &Membership) -> Result<()>;
    async fn delete_membership(&mut self, role: &str, member: &str) -> Result<()>;

    /// Every grant, by object, grantee, privilege.
    async fn grants(&mut self) -> Result<Vec<Grant>>;
    /// Every grant but those on one connection each, of which there may be millions.
    async fn grants_beside_connections(&mut self) -> Result<Vec<Grant>>;
    /// The grants on one object.
    async fn grants_on(&mut self, object: Object) -> Result<Vec<Grant>>;
    async fn put_grant(&mut self, grant: &Grant) -> Result<()>;
    async fn delete_grant(&mut self, object: Object, grantee: &str, privilege: &str) -> Result<()>;
    async fn delete_grants_on(&mut self, object: Object) -> Result<()>;

    async fn settings(&mut self) -> Result<Vec<(String, String)>>;
    async fn put_setting(&mut self, name: &str, value: &str) -> Result<()>;
    async fn delete_setting(&mut self, name: &str) -> Result<()>;

    /// Jobs, newest first.
    async fn jobs(&mut self) -> Result<Vec<Job>>;
    /// Jobs that are not final, oldest first.
    async fn unfinished_jobs(&mut self) -> Result<Vec<Job>>;
    async fn job(&mut self, id: JobId) -> Result<Option<Job>>;
    async fn insert_job(&mut self, job: &Job) -> Result<()>;
    /// Replaces a job except its lease, so that a worker with an old copy cannot give away or prolong one.
    async fn update_job(&mut self, job: &Job) -> Result<()>;
    /// Takes or renews the lease of a job for `node` until `until` (microseconds). Answers whether `node` holds it now:
    /// another node's lease that has not run out at `now` stands.
    async fn lease_job(&mut self, id: JobId, node: i64, now: i64, until: i64) -> Result<bool>;
    async fn release_job(&mut self, id: JobId, node: i64) -> Result<()>;
    /// Forgets the jobs that finished before `until` (microseconds); answers how many.
    async fn delete_finished_jobs(&mut self, until: i64) -> Result<u64>;

    /// Schedules, oldest first.
    async fn schedules(&mut self) -> Result<Vec<Schedule>>;
    /// Schedules that are busy or whose time has come at `now` (microseconds), the longest due first.
    async fn due_schedules(&mut self, now: i64) -> Result<Vec<Schedule>>;
    async fn schedule(&mut self, id: ScheduleId) -> Result<Option<Schedule>>;
    async fn insert_schedule(&mut self, schedule: &Schedule) -> Result<()>;
    async fn update_schedule(&mut self, schedule: &Schedule) -> Result<()>;
    async fn delete_schedule(&mut self, id: ScheduleId) -> Result<()>;

    async fn insert_event(&mut self, event: &AuditEvent) -> Result<()>;
    /// The newest events, newest first.
    async fn events(&mut self, limit: i64) -> Result<Vec<AuditEvent>>;
}
