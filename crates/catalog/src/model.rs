//! The rows of the catalog as plain structs. Times are microseconds since the Unix epoch, UTC.
//! How they are stored, and the version of each stored shape, is the store's affair.

use lakeport_base::id::{ConnectionId, DatabaseId, JobId, ScheduleId, SchemaId, StageId, TableId};
use lakeport_base::{Dialect, Secret, SqlType};

/// A database: a namespace of schemas, and a folder of the warehouse.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub id: DatabaseId,
    pub name: String,
    pub owner: String,
    /// Where its tables lie instead of the warehouse: an `external://` URI.
    pub location: Option<String>,
    pub comment: Option<String>,
    pub created: i64,
}

/// A schema: a namespace of tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub id: SchemaId,
    pub database: DatabaseId,
    pub name: String,
    pub owner: String,
}

/// A table. Its rows lie in the warehouse; the catalog knows its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub id: TableId,
    pub schema: SchemaId,
    pub database: DatabaseId,
    pub name: String,
    pub owner: String,
    /// Counts the changes of the row, from 1.
    pub version: i64,
    pub columns: Vec<Column>,
    /// Names of the primary key's columns, in key order; empty without a key.
    pub primary_key: Vec<String>,
    pub comment: Option<String>,
    pub created: i64,
}

impl Table {
    /// Whether rows made for one state of a table fit the other. Defaults and comments do not count.
    pub fn has_columns_of(&self, other: &Table) -> bool {
        let same = |(left, right): (&Column, &Column)| {
            (&left.name, &left.stored_name, &left.ty, left.nullable)
                == (&right.name, &right.stored_name, &right.ty, right.nullable)
        };
        self.primary_key == other.primary_key
            && self.columns.len() == other.columns.len()
            && self.columns.iter().zip(&other.columns).all(same)
    }
}

/// The folder of a table that the catalog does not know: not yet, or not any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    pub id: TableId,
    /// The table's database, which may be gone too.
    pub database: DatabaseId,
    /// Owner of the database, as whom its location is opened.
    pub owner: String,
    /// As that of [`Database`].
    pub location: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// The column's name in the Delta files; differs from `name` after a rename.
    pub stored_name: String,
    pub ty: SqlType,
    pub nullable: bool,
    /// SQL expression for rows that give no value.
    pub default: Option<String>,
    pub comment: Option<String>,
}

/// An external connection: a named way to something outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    pub id: ConnectionId,
    pub name: String,
    /// Name of the kind in the registry of kinds, such as `s3`.
    pub kind: String,
    /// The one it was written in.
    pub dialect: Dialect,
    /// The definition exactly as written in its dialect (a URI, or an option list). Sealed at rest; the additional
    /// authenticated data are the id and the version.
    pub definition: Secret<String>,
    /// The definition with every secret replaced; what SHOW prints.
    pub redacted: String,
    pub owner: String,
    /// Starts at 1; grows by one with every ALTER.
    pub version: i64,
    pub created: i64,
    pub updated: i64,
    pub last_check: Option<Check>,
}

/// The outcome of the last check of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub at: i64,
    /// `None` when it passed.
    pub error: Option<String>,
}

/// A stage: a folder of files under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub id: StageId,
    pub name: String,
    pub place: StagePlace,
    pub file_format: FormatOptions,
    pub comment: String,
    pub owner: String,
    pub creator: String,
    /// Starts at 1; grows by one with every ALTER.
    pub version: i64,
    pub created: i64,
}

/// Where the files of a stage lie.
#[derive(Clone, Debug, PartialEq)]
pub enum StagePlace {
    /// In the warehouse, in the folder of the stage's id.
    Internal,
    /// At a URI with parameters of its own.
    Copied {
        /// With its secrets. Sealed at rest; the additional authenticated data are the stage's id and version.
        uri: Secret<String>,
        /// The URI with every secret replaced.
        redacted: String,
        /// What the parameters were copied from.
        from: Option<Copied>,
    },
    /// At an `external://` URI: wherever its connection leads.
    Follows {
        uri: String,
        /// Name of the connection.
        connection: String,
    },
}

/// The connection that parameters were copied from, as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub connection: String,
    pub version: i64,
}

/// Options of a file format as written: names in lower case with their values, the type among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatOptions(pub Vec<(String, Vec<String>)>);

/// Options of a file format under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct FileFormat {
    pub name: String,
    pub options: FormatOptions,
    pub owner: String,
    pub created: i64,
}

/// A role: a user, or a group of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    pub name: String,
    pub login: bool,
    /// SCRAM-SHA-256 verifier in PostgreSQL's text form; `None` refuses every password.
    pub verifier: Option<Secret<String>>,
    pub valid_until: Option<i64>,
    /// Role options other than LOGIN and PASSWORD, upper case, sorted: `CREATEROLE`, `CREATEDB`, ...
    pub options: Vec<String>,
    /// Session variable defaults (`ALTER ROLE ... SET`).
    pub defaults: Vec<(String, String)>,
}

/// `member` has the privileges of `role`.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    pub role: String,
    pub member: String,
    pub admin_option: bool,
}

/// What a privilege is granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    System,
    Connection(ConnectionId),
    Database(DatabaseId),
    Schema(SchemaId),
    Table(TableId),
    Stage(StageId),
}

impl Object {
    /// The connections that there are and those to come: no connection has this id.
    pub const EVERY_CONNECTION: Object = Object::Connection(ConnectionId(0));
}

/// The last time that something of an object was dropped: of the system a database, of a database a table. What is known
/// of a database goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastDrop {
    pub object: Object,
    pub at: i64,
}

/// A privilege that a role has on an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub object: Object,
    pub grantee: String,
    /// Upper case, `ALL` for all.
    pub privilege: String,
    pub grant_option: bool,
}

impl Grant {
    /// What everybody may do in a new database, until it is revoked: connect, and use and create in its schema `public`.
    pub fn of_everybody(database: DatabaseId, public_schema: SchemaId) -> [Grant; 3] {
        let grant = |object, privilege: &str| Grant {
            object,
            grantee: "public".to_string(),
            privilege: privilege.to_string(),
            grant_option: false,
        };
        [
            grant(Object::Database(database), "CONNECT"),
            grant(Object::Schema(public_schema), "USAGE"),
            grant(Object::Schema(public_schema), "CREATE"),
        ]
    }
}

/// The state of a job; the text form is what SHOW JOBS prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Pending,
    Running,
    PauseRequested,
    Paused,
    CancelRequested,
    Reverting,
    Succeeded,
    Failed,
    Canceled,
}

impl JobState {
    /// Every state, for parsing and tests.
    pub const ALL: [JobState; 9] = [
        JobState::Pending,
        JobState::Running,
        JobState::PauseRequested,
        JobState::Paused,
        JobState::CancelRequested,
        JobState::Reverting,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Canceled,
    ];

    /// The documented spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Pending => "pending",
            JobState::Running => "running",
            JobState::PauseRequested => "pause-requested",
            JobState::Paused => "paused",
            JobState::CancelRequested => "cancel-requested",
            JobState::Reverting => "reverting",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Canceled => "canceled",
        }
    }

    /// Whether the job will never run again.
    pub fn is_final(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Canceled)
    }
}

/// A long-running statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    /// `IMPORT`, `BACKUP`, ...
    pub ty: String,
    pub state: JobState,
    pub owner: String,
    /// The statement with secrets redacted.
    pub description: String,
    /// What to do: JSON with a version, written by core's `job/payload.rs`.
    pub payload: String,
    /// The part of the payload that holds secrets, such as URIs as written. Sealed at rest.
    pub secrets: Option<Secret<String>>,
    /// How far it got: JSON with a version; `None` before the first durable point.
    pub checkpoint: Option<String>,
    /// 0 to 1.
    pub fraction: f64,
    pub running_status: Option<String>,
    /// Why it failed or was paused.
    pub error: Option<String>,
    /// SQLSTATE of `error`.
    pub error_code: Option<String>,
    /// The remedy for `error`.
    pub error_hint: Option<String>,
    /// JSON result of a succeeded job (rows, bytes).
    pub result: Option<String>,
    pub created: i64,
    pub started: Option<i64>,
    /// Set exactly when the state is final.
    pub finished: Option<i64>,
    pub modified: i64,
    pub lease: Option<Lease>,
    /// Ids of the connections the job uses.
    pub connections: Vec<ConnectionId>,
}

impl Job {
    /// A job that has not begun, nobody's and without a payload.
    pub fn pending(id: JobId, ty: &str, now: i64) -> Job {
        Job {
            id,
            ty: ty.to_string(),
            state: JobState::Pending,
            owner: String::new(),
            description: String::new(),
            payload: String::new(),
            secrets: None,
            checkpoint: None,
            fraction: 0.0,
            running_status: None,
            error: None,
            error_code: None,
            error_hint: None,
            result: None,
            created: now,
            started: None,
            finished: None,
            modified: now,
            lease: None,
            connections: Vec::new(),
        }
    }
}

/// Which node runs a job, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub node: i64,
    pub until: i64,
}

/// A statement that is run from time to time.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub id: ScheduleId,
    /// Not unique.
    pub label: String,
    pub owner: String,
    pub created: i64,
    /// When it runs next; `None` while it is paused.
    pub next_run: Option<i64>,
    pub plan: SchedulePlan,
    pub run: ScheduleRun,
}

/// What a schedule does, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulePlan {
    /// A cron expression in UTC, as written.
    pub recurrence: String,
    /// Holds no secrets.
    pub statement: String,
    /// Session variables that the statement's names are looked up with.
    pub variables: Vec<(String, String)>,
    pub on_failure: OnFailure,
    pub on_running: OnRunning,
    /// The schedule made by the same statement: that of the incremental backups, or of the full ones.
    pub partner: Option<ScheduleId>,
    /// It was made for a collection that might have had backups already.
    pub ignores_existing: bool,
}

/// Where a schedule stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScheduleRun {
    /// A run has begun, and what came of it is not written yet.
    pub starting: bool,
    /// Jobs of its runs that had not ended when it was last looked at.
    pub jobs: Vec<JobId>,
    /// Why it is as it is, for people.
    pub state: String,
    /// Resume the partner after the first run that succeeds.
    pub resumes_partner: bool,
}

impl ScheduleRun {
    /// Whether somebody must see to it though its time has not come.
    pub fn is_busy(&self) -> bool {
        self.starting || !self.jobs.is_empty()
    }
}

/// What follows a run that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Another try soon.
    Retry,
    /// The next time of the recurrence.
    Reschedule,
    Pause,
}

impl OnFailure {
    const ALL: [OnFailure; 3] = [OnFailure::Retry, OnFailure::Reschedule, OnFailure::Pause];

    /// The word of the option `on_execution_failure`.
    pub fn as_str(self) -> &'static str {
        match self {
            OnFailure::Retry => "retry",
            OnFailure::Reschedule => "reschedule",
            OnFailure::Pause => "pause",
        }
    }

    /// What a word in any case stands for.
    pub fn parse(word: &str) -> Option<OnFailure> {
        OnFailure::ALL.into_iter().find(|choice| choice.as_str().eq_ignore_ascii_case(word))
    }
}

/// What a schedule does whose time has come before its last run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRunning {
    /// Run beside it.
    Start,
    /// Leave this time out.
    Skip,
    /// Run once it has ended.
    Wait,
}

impl OnRunning {
    const ALL: [OnRunning; 3] = [OnRunning::Start, OnRunning::Skip, OnRunning::Wait];

    /// The word of the option `on_previous_running`.
    pub fn as_str(self) -> &'static str {
        match self {
            OnRunning::Start => "start",
            OnRunning::Skip => "skip",
            OnRunning::Wait => "wait",
        }
    }

    /// What a word in any case stands for.
    pub fn parse(word: &str) -> Option<OnRunning> {
        OnRunning::ALL.into_iter().find(|choice| choice.as_str().eq_ignore_ascii_case(word))
    }
}

/// Who did what to which object.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    pub at: i64,
    pub user: String,
    /// Such as `create_external_connection`.
    pub event: String,
    /// The object's name.
    pub object: String,
    /// Never holds a secret.
    pub detail: String,
}
