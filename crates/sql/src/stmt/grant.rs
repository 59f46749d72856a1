//! `GRANT`, `REVOKE`, `SHOW GRANTS`, `SHOW SYSTEM GRANTS`.

use lakeport_base::QualifiedName;

/// What privileges are granted on.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    System,
    Connections(Vec<String>),
    Databases(Vec<String>),
    Schemas(Vec<QualifiedName>),
    Tables(Vec<QualifiedName>),
    /// `ALL TABLES IN SCHEMA s, ...`
    AllTablesInSchemas(Vec<QualifiedName>),
}

/// `GRANT privileges ON target TO roles [WITH GRANT OPTION]`
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Upper case, in the order written; `ALL` for `ALL [PRIVILEGES]`.
    pub privileges: Vec<String>,
    pub target: Target,
    pub grantees: Vec<String>,
    pub grant_option: bool,
}

/// `REVOKE [GRANT OPTION FOR] privileges ON target FROM roles`
#[derive(Clone, Debug, PartialEq)]
pub struct Revoke {
    pub privileges: Vec<String>,
    pub target: Target,
    pub grantees: Vec<String>,
    pub grant_option_only: bool,
}

/// `GRANT roles TO members [WITH ADMIN OPTION]`
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    pub roles: Vec<String>,
    pub members: Vec<String>,
    pub admin_option: bool,
}

/// `REVOKE [ADMIN OPTION FOR] roles FROM members`
#[derive(Clone, Debug, PartialEq)]
pub struct RevokeRole {
    pub roles: Vec<String>,
    pub members: Vec<String>,
    pub admin_option_only: bool,
}

/// `SHOW GRANTS [ON target] [FOR roles]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowGrants {
    pub target: Option<Target>,
    pub grantees: Vec<String>,
}

/// `SHOW SYSTEM GRANTS [FOR roles]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowSystemGrants {
    pub grantees: Vec<String>,
}
