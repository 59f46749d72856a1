//! Transactions, variables, settings, SQL-level prepared statements.

use super::Statement;

/// Transaction control.
#[derive(Clone, Debug, PartialEq)]
pub enum Transaction {
    Begin { read_only: bool },
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `SET TRANSACTION ...`: accepted where it asks for what we do anyway.
    Characteristics { read_only: bool },
}

/// `SET [SESSION | LOCAL] name {= | TO} value, ...`; `USE db` is `SET database = db`.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Lower case.
    pub name: String,
    /// `None` is `DEFAULT`.
    pub value: Option<String>,
    pub local: bool,
}

/// `SHOW name`; `SHOW ALL` has the name `all`.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    pub name: String,
}

/// `RESET name | ALL`
#[derive(Clone, Debug, PartialEq)]
pub struct Reset {
    pub name: String,
}

/// `SET CLUSTER SETTING name = value`, `RESET CLUSTER SETTING name` (no value)
#[derive(Clone, Debug, PartialEq)]
pub struct SetClusterSetting {
    pub name: String,
    pub value: Option<String>,
}

/// `SHOW CLUSTER SETTING name`, `SHOW [ALL] CLUSTER SETTINGS` (no name)
#[derive(Clone, Debug, PartialEq)]
pub struct ShowClusterSetting {
    pub name: Option<String>,
}

/// `PREPARE name [(types)] AS statement`
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    pub name: String,
    pub types: Vec<String>,
    pub statement: Box<Statement>,
}

/// `EXECUTE name [(expressions)]`
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    pub name: String,
    /// SQL texts.
    pub arguments: Vec<String>,
}

/// `DEALLOCATE {name | ALL}` (no name is all)
#[derive(Clone, Debug, PartialEq)]
pub struct Deallocate {
    pub name: Option<String>,
}
