//! `CREATE | DROP | ALTER DATABASE`, `CREATE | DROP SCHEMA`, `SHOW DATABASES | SCHEMAS`.

use lakeport_base::QualifiedName;

use super::Text;

/// `CREATE DATABASE [IF NOT EXISTS] name [WITH LOCATION = uri]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateDatabase {
    pub name: String,
    pub if_not_exists: bool,
    pub location: Option<Text>,
}

/// `DROP DATABASE [IF EXISTS] name [CASCADE | RESTRICT]`; CASCADE is the default.
#[derive(Clone, Debug, PartialEq)]
pub struct DropDatabase {
    pub name: String,
    pub if_exists: bool,
    pub restrict: bool,
}

/// `ALTER DATABASE name RENAME TO new_name`
#[derive(Clone, Debug, PartialEq)]
pub struct RenameDatabase {
    pub name: String,
    pub new_name: String,
}

/// `CREATE SCHEMA [IF NOT EXISTS] [database.]name`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSchema {
    pub name: QualifiedName,
    pub if_not_exists: bool,
}

/// `DROP SCHEMA [IF EXISTS] [database.]name [CASCADE | RESTRICT]`; RESTRICT is the default.
#[derive(Clone, Debug, PartialEq)]
pub struct DropSchema {
    pub name: QualifiedName,
    pub if_exists: bool,
    pub cascade: bool,
}

/// `SHOW SCHEMAS [FROM database]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowSchemas {
    pub database: Option<String>,
}
