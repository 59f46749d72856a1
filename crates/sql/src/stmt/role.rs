//! `CREATE | ALTER | DROP {ROLE | USER}`, `SHOW ROLES | USERS`.

use super::Text;

/// An option of a role.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleOption {
    /// Upper case without the `NO`, such as `LOGIN` or `CREATEDB`.
    Flag { name: String, on: bool },
    /// `None` is `PASSWORD NULL`.
    Password(Option<Text>),
    /// `None` is `VALID UNTIL NULL`.
    ValidUntil(Option<Text>),
}

/// `CREATE {ROLE | USER} [IF NOT EXISTS] name [[WITH] options]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateRole {
    pub name: String,
    pub if_not_exists: bool,
    /// Written `CREATE USER`: may log in by default.
    pub is_user: bool,
    pub options: Vec<RoleOption>,
}

/// `ALTER {ROLE | USER} [IF EXISTS] name [WITH] options`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterRole {
    pub name: String,
    pub if_exists: bool,
    pub options: Vec<RoleOption>,
}

/// `ALTER ROLE {name | ALL} [IN DATABASE db] {SET v = x | RESET v | RESET ALL}`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterRoleSet {
    /// `None` is `ALL`.
    pub name: Option<String>,
    pub database: Option<String>,
    /// `None` is `RESET ALL`.
    pub variable: Option<String>,
    /// `None` is `RESET`.
    pub value: Option<String>,
}

/// `DROP {ROLE | USER} [IF EXISTS] names`
#[derive(Clone, Debug, PartialEq)]
pub struct DropRole {
    pub names: Vec<String>,
    pub if_exists: bool,
}

/// `SHOW ROLES | USERS`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowRoles;
