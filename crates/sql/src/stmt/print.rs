//! A statement as text: in full, or for a log.

use std::fmt;

use super::Statement;

impl Statement {
    /// The statement for a log: URIs of connections and passwords are `'*****'`, other URIs lose
    /// their parameters.
    pub fn redacted(&self) -> String {
        match self {
            Statement::CreateConnection(create) => create.redacted().to_string(),
            Statement::AlterConnection(alter) => alter.redacted().to_string(),
            Statement::CreateRole(create) => create.redacted().to_string(),
            Statement::AlterRole(alter) => alter.redacted().to_string(),
            Statement::CheckConnection(check) => check.redacted().to_string(),
            Statement::CreateDatabase(create) => create.redacted().to_string(),
            Statement::Import(import) => import.redacted().to_string(),
            Statement::Export(export) => export.redacted().to_string(),
            Statement::Prepare(prepare) => prepare.redacted(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statement::CreateConnection(statement) => statement.fmt(f),
            Statement::AlterConnection(statement) => statement.fmt(f),
            Statement::DropConnection(statement) => statement.fmt(f),
            Statement::ShowConnections(statement) => statement.fmt(f),
            Statement::ShowCreateConnection(statement) => statement.fmt(f),
            Statement::CheckConnection(statement) => statement.fmt(f),
            Statement::Grant(statement) => statement.fmt(f),
            Statement::Revoke(statement) => statement.fmt(f),
            Statement::GrantRole(statement) => statement.fmt(f),
            Statement::RevokeRole(statement) => statement.fmt(f),
            Statement::ShowGrants(statement) => statement.fmt(f),
            Statement::ShowSystemGrants(statement) => statement.fmt(f),
            Statement::CreateRole(statement) => statement.fmt(f),
            Statement::AlterRole(statement) => statement.fmt(f),
            Statement::AlterRoleSet(statement) => statement.fmt(f),
            Statement::DropRole(statement) => statement.fmt(f),
            Statement::ShowRoles(statement) => statement.fmt(f),
            Statement::ShowJobs(statement) => statement.fmt(f),
            Statement::ShowJob(statement) => statement.fmt(f),
            Statement::ControlJob(statement) => statement.fmt(f),
            Statement::Import(statement) => statement.fmt(f),
            Statement::Export(statement) => statement.fmt(f),
            Statement::CreateDatabase(statement) => statement.fmt(f),
            Statement::DropDatabase(statement) => statement.fmt(f),
            Statement::RenameDatabase(statement) => statement.fmt(f),
            Statement::CreateSchema(statement) => statement.fmt(f),
            Statement::DropSchema(statement) => statement.fmt(f),
            Statement::ShowDatabases => f.write_str("SHOW DATABASES"),
            Statement::ShowSchemas(statement) => statement.fmt(f),
            Statement::CreateTable(statement) => statement.fmt(f),
            Statement::DropTable(statement) => statement.fmt(f),
            Statement::AlterTable(statement) => statement.fmt(f),
            Statement::Truncate(statement) => statement.fmt(f),
            Statement::Comment(statement) => statement.fmt(f),
            Statement::ShowTables(statement) => statement.fmt(f),
            Statement::ShowColumns(statement) => statement.fmt(f),
            Statement::ShowCreateTable(statement) => statement.fmt(f),
            Statement::Insert(statement) => statement.fmt(f),
            Statement::Update(statement) => statement.fmt(f),
            Statement::Delete(statement) => statement.fmt(f),
            Statement::Query(statement) => statement.fmt(f),
            Statement::Copy(statement) => statement.fmt(f),
            Statement::CopyUserfile(statement) => statement.fmt(f),
            Statement::ShowUserfiles(_) => f.write_str("SHOW USERFILES"),
            Statement::DropUserfile(statement) => statement.fmt(f),
            Statement::Transaction(statement) => statement.fmt(f),
            Statement::Set(statement) => statement.fmt(f),
            Statement::Show(statement) => statement.fmt(f),
            Statement::Reset(statement) => statement.fmt(f),
            Statement::SetClusterSetting(statement) => statement.fmt(f),
            Statement::ShowClusterSetting(statement) => statement.fmt(f),
            Statement::Discard => f.write_str("DISCARD ALL"),
            Statement::Prepare(statement) => statement.fmt(f),
            Statement::Execute(statement) => statement.fmt(f),
            Statement::Deallocate(statement) => statement.fmt(f),
            Statement::Declare(statement) => statement.fmt(f),
            Statement::Fetch(statement) => statement.fmt(f),
            Statement::Close(statement) => statement.fmt(f),
            Statement::Nothing("DISCARD") => f.write_str("DISCARD PLANS"),
            Statement::Nothing(tag) => f.write_str(tag),
        }
    }
}
