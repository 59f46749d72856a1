//! Every statement, by topic. A topic is one file here (structs, grammar, printing) and one file of the same name in
//! core's `stmt` (behaviour).

pub mod backup;
pub mod connection;
pub mod copy;
pub mod database;
pub mod export;
pub mod fetch;
pub mod file_format;
pub mod grant;
pub mod import;
pub mod job;
pub mod load;
pub mod prepared;
pub mod query;
pub mod role;
pub mod schedule;
pub mod session;
pub mod stage;
pub mod table;
pub mod transaction;
pub mod unload;
pub mod userfile;

mod copy_option;
mod dispatch;
mod print;

use std::fmt;

pub(crate) use self::dispatch::statement;

/// One parsed statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    CreateConnection(connection::CreateConnection),
    AlterConnection(connection::AlterConnection),
    DropConnection(connection::DropConnection),
    ShowConnections(connection::ShowConnections),
    ShowCreateConnection(connection::ShowCreateConnection),
    CheckConnection(connection::CheckConnection),
    Grant(grant::Grant),
    Revoke(grant::Revoke),
    GrantOwnership(grant::GrantOwnership),
    GrantRole(grant::GrantRole),
    RevokeRole(grant::RevokeRole),
    ShowGrants(grant::ShowGrants),
    ShowSystemGrants(grant::ShowSystemGrants),
    CreateRole(role::CreateRole),
    AlterRole(role::AlterRole),
    AlterRoleSet(role::AlterRoleSet),
    DropRole(role::DropRole),
    ShowRoles(role::ShowRoles),
    ShowJobs(job::ShowJobs),
    ShowJob(job::ShowJob),
    ControlJob(job::ControlJob),
    Import(import::Import),
    Export(export::Export),
    Backup(backup::Backup),
    ShowBackups(backup::show::ShowBackups),
    ShowBackup(backup::show::ShowBackup),
    ShowBackupEncryption(backup::show::ShowBackupEncryption),
    Restore(backup::restore::Restore),
    AlterBackup(backup::alter::AlterBackup),
    CreateSchedule(schedule::CreateSchedule),
    AlterSchedule(schedule::AlterSchedule),
    ControlSchedules(schedule::ControlSchedules),
    ShowSchedules(schedule::ShowSchedules),
    ShowCreateSchedules(schedule::ShowCreateSchedules),
    CreateDatabase(database::CreateDatabase),
    DropDatabase(database::DropDatabase),
    RenameDatabase(database::RenameDatabase),
    CreateSchema(database::CreateSchema),
    DropSchema(database::DropSchema),
    ShowDatabases,
    ShowSchemas(database::ShowSchemas),
    CreateTable(table::CreateTable),
    DropTable(table::DropTable),
    AlterTable(table::AlterTable),
    Truncate(table::Truncate),
    Comment(table::Comment),
    ShowTables(table::ShowTables),
    ShowColumns(table::ShowColumns),
    ShowCreateTable(table::ShowCreateTable),
    Insert(query::Insert),
    Update(query::Update),
    Delete(query::Delete),
    Merge(query::Merge),
    /// SELECT, VALUES, WITH, TABLE, EXPLAIN.
    Query(query::Query),
    Copy(copy::Copy),
    CopyUserfile(userfile::CopyUserfile),
    ShowUserfiles(userfile::ShowUserfiles),
    DropUserfile(userfile::DropUserfile),
    CreateStage(stage::CreateStage),
    AlterStage(stage::AlterStage),
    DropStage(stage::DropStage),
    DescribeStage(stage::DescribeStage),
    ShowStages(stage::ShowStages),
    ListFiles(stage::ListFiles),
    RemoveFiles(stage::RemoveFiles),
    CopyFile(stage::CopyFile),
    Unload(unload::Unload),
    Load(load::Load),
    CreateFileFormat(file_format::CreateFileFormat),
    DropFileFormat(file_format::DropFileFormat),
    ShowFileFormats,
    Transaction(transaction::Transaction),
    Set(session::Set),
    SetOwn(session::SetOwn),
    Show(session::Show),
    Reset(session::Reset),
    SetClusterSetting(session::SetClusterSetting),
    ShowClusterSetting(session::ShowClusterSetting),
    Discard,
    Prepare(prepared::Prepare),
    Execute(prepared::Execute),
    Deallocate(prepared::Deallocate),
    Declare(fetch::Declare),
    Fetch(fetch::Fetch),
    Close(fetch::Close),
    /// CHECKPOINT-like statements that tools send and that need nothing done, with their tag.
    Nothing(&'static str),
}

impl Statement {
    /// The topic's name, for metrics.
    pub fn topic(&self) -> &'static str {
        use Statement as S;
        match self {
            S::CreateConnection(_)
            | S::AlterConnection(_)
            | S::DropConnection(_)
            | S::ShowConnections(_)
            | S::ShowCreateConnection(_)
            | S::CheckConnection(_) => "connection",
            S::Grant(_) | S::Revoke(_) | S::GrantOwnership(_) | S::GrantRole(_) | S::RevokeRole(_) => "grant",
            S::ShowGrants(_) | S::ShowSystemGrants(_) => "grant",
            S::CreateRole(_) | S::AlterRole(_) | S::AlterRoleSet(_) | S::DropRole(_) | S::ShowRoles(_) => "role",
            S::ShowJobs(_) | S::ShowJob(_) | S::ControlJob(_) => "job",
            S::Import(_) => "import",
            S::Export(_) => "export",
            S::Unload(_) => "unload",
            S::Load(_) => "load",
            S::Backup(_) | S::ShowBackups(_) | S::ShowBackup(_) | S::ShowBackupEncryption(_) => "backup",
            S::Restore(_) | S::AlterBackup(_) => "backup",
            S::CreateSchedule(_) | S::AlterSchedule(_) | S::ControlSchedules(_) => "schedule",
            S::ShowSchedules(_) | S::ShowCreateSchedules(_) => "schedule",
            S::CreateDatabase(_) | S::DropDatabase(_) | S::RenameDatabase(_) | S::ShowDatabases => "database",
            S::CreateSchema(_) | S::DropSchema(_) | S::ShowSchemas(_) => "database",
            S::CreateTable(_) | S::DropTable(_) | S::AlterTable(_) | S::Truncate(_) | S::Comment(_) => "table",
            S::ShowTables(_) | S::ShowColumns(_) | S::ShowCreateTable(_) => "table",
            S::Insert(_) => "insert",
            S::Update(_) => "update",
            S::Delete(_) => "delete",
            S::Merge(_) => "merge",
            S::Query(_) => "query",
            S::Copy(_) => "copy",
            S::CopyUserfile(_) | S::ShowUserfiles(_) | S::DropUserfile(_) => "userfile",
            S::CreateStage(_) | S::AlterStage(_) | S::DropStage(_) | S::DescribeStage(_) | S::ShowStages(_) => "stage",
            S::ListFiles(_) | S::RemoveFiles(_) | S::CopyFile(_) => "stage",
            S::CreateFileFormat(_) | S::DropFileFormat(_) | S::ShowFileFormats => "file_format",
            S::Transaction(_) => "transaction",
            S::Set(_) | S::SetOwn(_) | S::Show(_) | S::Reset(_) => "session",
            S::SetClusterSetting(_) | S::ShowClusterSetting(_) => "session",
            S::Prepare(_) | S::Execute(_) | S::Deallocate(_) => "prepared",
            S::Declare(_) | S::Fetch(_) | S::Close(_) => "fetch",
            S::Discard | S::Nothing(_) => "session",
        }
    }
}

/// A string written as a literal, a bare word or `$n` (`string_or_placeholder`).
#[derive(Clone, PartialEq, Eq)]
pub enum Text {
    Literal(String),
    /// From 1.
    Placeholder(usize),
}

/// One text, or several in parentheses (`string_or_placeholder_opt_list`); never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts(pub Vec<Text>);

/// One item of a `WITH` list: `name`, `name = value`.
#[derive(Clone, Debug, Eq)]
pub struct KvOption {
    /// Lower case unless it was quoted.
    pub name: String,
    pub value: Option<Text>,
    /// Character offset in the statement's text, from 1.
    pub position: usize,
}

/// Where it was written does not make an option another one.
impl PartialEq for KvOption {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.value) == (&other.name, &other.value)
    }
}

/// Hides a literal: it may be a password or a URI with secrets.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Literal(_) => f.write_str("'*****'"),
            Text::Placeholder(number) => write!(f, "${number}"),
        }
    }
}
