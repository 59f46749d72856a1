//! The only place that says no. Every check names the user, the privilege and the object.

use std::collections::HashSet;

use lakeport_base::id::ConnectionId;
use lakeport_base::name::quote_ident;
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Database, Grant, Object, Table};

use crate::databend::Number;
use crate::directory::{ADMIN, Directory, PUBLIC, missing_role};
use crate::error::{Error, Result};

/// Privileges of the whole server, as `GRANT SYSTEM` takes them.
pub const SYSTEM_PRIVILEGES: &[&str] = &[
    "ALL",
    "BACKUP",
    "CANCELQUERY",
    "CHANGEFEED",
    "CONTROLJOB",
    "CREATEDB",
    "CREATELOGIN",
    "CREATEROLE",
    "EXTERNALCONNECTION",
    "EXTERNALIOIMPLICITACCESS",
    "MANAGEVIRTUALCLUSTER",
    "MODIFYCLUSTERSETTING",
    "NOSQLLOGIN",
    "REPAIRCLUSTER",
    "REPLICATION",
    "REPLICATIONDEST",
    "REPLICATIONSOURCE",
    "RESTORE",
    "VIEWACTIVITY",
    "VIEWACTIVITYREDACTED",
    "VIEWCLUSTERMETADATA",
    "VIEWCLUSTERSETTING",
    "VIEWJOB",
    "VIEWSYSTEMTABLE",
];
/// Privileges on an external connection.
pub const CONNECTION_PRIVILEGES: &[&str] = &["ALL", "DROP", "UPDATE", "USAGE"];
/// Privileges on a database.
pub const DATABASE_PRIVILEGES: &[&str] = &["ALL", "BACKUP", "CHANGEFEED", "CONNECT", "CREATE", "DROP", "RESTORE"];
/// Privileges on a schema.
pub const SCHEMA_PRIVILEGES: &[&str] = &["ALL", "CHANGEFEED", "CREATE", "USAGE"];
/// Privileges on a table.
pub const TABLE_PRIVILEGES: &[&str] =
    &["ALL", "BACKUP", "CHANGEFEED", "CREATE", "DELETE", "DROP", "INSERT", "SELECT", "UPDATE"];

/// Privileges on a stage.
pub const STAGE_PRIVILEGES: &[&str] = &["ALL", "READ", "WRITE"];

/// The privileges an object of this sort can have, and what messages call the sort.
pub fn privileges_of(object: Object) -> (&'static [&'static str], &'static str) {
    match object {
        Object::System => (SYSTEM_PRIVILEGES, "system"),
        Object::Connection(_) => (CONNECTION_PRIVILEGES, "external_connection"),
        Object::Database(_) => (DATABASE_PRIVILEGES, "database"),
        Object::Schema(_) => (SCHEMA_PRIVILEGES, "schema"),
        Object::Table(_) => (TABLE_PRIVILEGES, "relation"),
        Object::Stage(_) => (STAGE_PRIVILEGES, "stage"),
    }
}

/// The words of GRANT for an object of this sort.
fn grantable(object: Object) -> &'static str {
    match object {
        Object::System => "SYSTEM",
        Object::Connection(_) => "EXTERNAL CONNECTION",
        Object::Database(_) => "DATABASE",
        Object::Schema(_) => "SCHEMA",
        Object::Table(_) => "TABLE",
        Object::Stage(_) => "STAGE",
    }
}

/// Databend's privileges on objects as refusals call them, and as GRANT does.
const DATABEND_PRIVILEGES: [(&str, &str); 3] =
    [("AccessConnection", "ACCESS CONNECTION"), ("Read", "READ"), ("Write", "WRITE")];

/// Who asks, in which catalog.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub directory: &'a Directory,
    pub user: &'a str,
}

impl Subject<'_> {
    pub fn is_admin(&self) -> bool {
        self.directory.is_admin(self.user)
    }

    /// Whether the user owns what `owner` owns: is that role, a member of it, or admin.
    pub fn owns(&self, owner: &str) -> bool {
        self.is_admin() || self.directory.roles_of(self.user).contains(owner)
    }

    fn granted(&self, grants: &[Grant], privilege: &str) -> bool {
        let roles = self.directory.roles_of(self.user);
        grants.iter().any(|grant| {
            roles.contains(grant.grantee.as_str()) && (grant.privilege == privilege || grant.privilege == "ALL")
        })
    }

    /// Whether the user holds a system privilege, as a grant or as a role option.
    pub fn has_system(&self, privilege: &str) -> bool {
        let as_option = || {
            let roles = self.directory.roles_of(self.user);
            let mut roles = roles.iter().filter_map(|role| self.directory.roles.get(*role));
            roles.any(|role| role.options.iter().any(|option| option == privilege))
        };
        self.is_admin() || self.granted(self.directory.grants_on(Object::System), privilege) || as_option()
    }

    /// # Errors
    /// 42501 with `message`.
    pub fn require_system(&self, privilege: &str, message: impl FnOnce() -> String) -> Result<()> {
        if self.has_system(privilege) {
            return Ok(());
        }
        Err(Error::denied(message()).with_hint(self.system_remedy(privilege)))
    }

    /// What gives the user a system privilege.
    pub fn system_remedy(&self, privilege: &str) -> String {
        format!("an admin may GRANT SYSTEM {privilege} TO {}", quote_ident(self.user))
    }

    /// What gives the user a privilege on an object, as GRANT spells both. It names nobody: there may be no such object.
    pub fn remedy(&self, privilege: &str, object: &str) -> String {
        format!("its owner or an admin may GRANT {privilege} ON {object} TO {}", quote_ident(self.user))
    }

    /// # Errors
    /// 42501 unless the user may make connections with Databend's statement: is admin or, where privileges on
    /// connections are looked at, has EXTERNALCONNECTION, which Databend calls CREATE CONNECTION. What roles other than
    /// the current one, which will own the connection, have does not count.
    pub fn require_create_connection(&self, role: Option<&str>, by_privilege: bool) -> Result<()> {
        let has = |role: &str| {
            let grants = self.directory.grants_on(Object::System).iter();
            let mut held = grants.filter(|grant| grant.grantee == role).map(|grant| grant.privilege.as_str());
            held.any(|privilege| ["EXTERNALCONNECTION", "ALL"].contains(&privilege))
        };
        let mut counted = self.directory.roles_of(role.unwrap_or(PUBLIC));
        counted.insert(self.user);
        if self.is_admin() || (by_privilege && counted.into_iter().any(has)) {
            return Ok(());
        }
        if !by_privilege {
            let hint = "with enable_experimental_connection_privilege_check = 1 CREATE CONNECTION is enough";
            return Err(self.denied_in_databend("Super", "*.*").with_hint(hint));
        }
        let hint = "SET ROLE or DEFAULT_ROLE to one that an admin has granted CREATE CONNECTION ON *.*";
        Err(self.denied_with(role.unwrap_or(PUBLIC), "CreateConnection", "*.*").with_hint(hint))
    }

    /// 42501 in Databend's words.
    pub fn denied_in_databend(&self, privilege: &str, object: &str) -> Error {
        let mut roles = self.directory.roles_of(self.user);
        roles.remove(self.user);
        let mut roles: Vec<&str> = roles.into_iter().collect();
        roles.sort_unstable();
        let words = DATABEND_PRIVILEGES.iter().find(|(word, _)| *word == privilege);
        let remedy = words.map(|(_, words)| self.remedy(words, object));
        self.denied_with(&roles.join(","), privilege, object).with_hint_opt(remedy)
    }

    fn denied_with(&self, roles: &str, privilege: &str, object: &str) -> Error {
        let user = self.user;
        let message = format!(
            "Permission denied: privilege [{privilege}] is required on {object} for user '{user}'@'%' with roles [{roles}]"
        );
        Error::databend(Number::PERMISSION_DENIED, message)
    }

    /// # Errors
    /// 42501 unless the user may act as the role: is it, a member of it, or admin.
    pub fn require_role(&self, role: &str) -> Result<()> {
        if role == PUBLIC || !self.directory.roles.contains_key(role) {
            return Err(missing_role(role));
        }
        if self.owns(role) {
            return Ok(());
        }
        Err(Error::denied(format!("permission denied to set role {role:?}"))
            .with_hint(format!("its members and admins may; GRANT {role} TO {} makes a member", self.user)))
    }

    /// 42501 for asking who has privileges on a connection or stage.
    pub fn grants_denied(&self, privilege: &str, object: &str) -> Error {
        let user = self.user;
        let message = format!("Permission denied: privilege {privilege} is required on {object} for user {user}");
        Error::databend(Number::PERMISSION_DENIED, message).with_hint(self.remedy(privilege, object))
    }

    /// # Errors
    /// 42501 unless the user is admin.
    pub fn require_admin(&self, action: &str) -> Result<()> {
        if self.is_admin() {
            return Ok(());
        }
        Err(Error::denied(format!("only users with the {ADMIN} role are allowed to {action}"))
            .with_hint(format!("an admin may GRANT {ADMIN} TO {}", quote_ident(self.user))))
    }

    /// # Errors
    /// 42501 when the role is `admin` or a member of it, however indirectly, and the user is not: only admins may give
    /// away, take or change what makes an admin.
    pub fn require_over_role(&self, role: &str, action: &str) -> Result<()> {
        if !self.directory.is_admin(role) || self.is_admin() {
            return Ok(());
        }
        Err(Error::denied(format!("only users with the {ADMIN} role are allowed to {action} role {role:?}"))
            .with_hint(format!("{role:?} has the privileges of {ADMIN}")))
    }

    /// Whether the user holds a privilege on an object other than a connection.
    pub fn has(&self, object: Object, owner: &str, privilege: &str) -> bool {
        self.owns(owner) || self.granted(self.directory.grants_on(object), privilege)
    }

    /// Whether the user may grant a privilege on an object other than a connection.
    pub fn may_grant(&self, object: Object, owner: &str, privilege: &str) -> bool {
        let roles = self.directory.roles_of(self.user);
        let mut grants = self.directory.grants_on(object).iter().filter(|grant| grant.grant_option);
        let held = |grant: &Grant| grant.privilege == privilege || grant.privilege == "ALL";
        self.owns(owner) || grants.any(|grant| roles.contains(grant.grantee.as_str()) && held(grant))
    }

    /// # Errors
    /// 42501 `user u does not have SELECT privilege on relation t`.
    pub fn require(&self, object: Object, owner: &str, name: &str, privilege: &str) -> Result<()> {
        if self.has(object, owner, privilege) {
            return Ok(());
        }
        let (_, sort) = privileges_of(object);
        let remedy = self.remedy(privilege, &format!("{} {}", grantable(object), quote_ident(name)));
        Err(Error::denied(format!("user {} does not have {privilege} privilege on {sort} {name}", self.user))
            .with_hint(remedy))
    }

    /// # Errors
    /// 42501 unless the user may enter the database.
    pub fn require_connect(&self, database: &Database) -> Result<()> {
        self.require(Object::Database(database.id), &database.owner, &database.name, "CONNECT")
    }

    /// # Errors
    /// 42501 unless the user may look into the table's schema and do `privilege` on the table.
    pub fn require_table(&self, table: &Table, privilege: &str) -> Result<()> {
        if let Some(schema) = self.directory.schemas.get(&table.schema).filter(|_| !self.owns(&table.owner)) {
            self.require(Object::Schema(schema.id), &schema.owner, &schema.name, "USAGE")?;
        }
        self.require(Object::Table(table.id), &table.owner, &table.name, privilege)
    }

    /// Whether the user may know of a table: owns it or holds any privilege on it.
    pub fn sees_table(&self, table: &Table) -> bool {
        self.owns(&table.owner) || !self.objects_of(self.directory.grants_on(Object::Table(table.id))).is_empty()
    }

    /// The objects on which the user holds one of these grants.
    pub fn objects_of(&self, grants: &[Grant]) -> HashSet<Object> {
        let roles = self.directory.roles_of(self.user);
        grants.iter().filter(|grant| roles.contains(grant.grantee.as_str())).map(|grant| grant.object).collect()
    }

    /// # Errors
    /// 42501 unless the user may know of the table.
    pub fn require_sight(&self, table: &Table) -> Result<()> {
        if self.sees_table(table) {
            return Ok(());
        }
        Err(Error::denied(format!("user {} has no privileges on relation {}", self.user, table.name))
            .with_hint(self.remedy("SELECT", &format!("TABLE {}", quote_ident(&table.name)))))
    }

    /// Whether the user holds a privilege on a connection. Owning one gives no privilege by itself: its creator is
    /// granted ALL, which can be revoked.
    pub async fn has_on_connection(&self, tx: &mut dyn Tx, id: ConnectionId, privilege: &str) -> Result<bool> {
        if self.is_admin() || self.granted(self.directory.grants_on(Object::EVERY_CONNECTION), privilege) {
            return Ok(true);
        }
        Ok(self.granted(&tx.grants_on(Object::Connection(id)).await?, privilege))
    }

    /// 42501 on a connection, the same whether or not it exists.
    pub fn connection_denied(&self, name: &str, privilege: &str) -> Error {
        Error::denied(format!("user {} does not have {privilege} privilege on external_connection {name}", self.user))
            .with_hint(self.connection_remedy(name, privilege))
    }

    /// What gives the user a privilege on a connection.
    pub fn connection_remedy(&self, name: &str, privilege: &str) -> String {
        self.remedy(privilege, &format!("EXTERNAL CONNECTION {}", quote_ident(name)))
    }
}
