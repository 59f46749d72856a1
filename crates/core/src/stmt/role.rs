//! `CREATE | ALTER | DROP {ROLE | USER}`, `SHOW ROLES | USERS`.

use std::collections::HashSet;

use arrow_schema::SchemaRef;
use chrono::DateTime;
use lakeport_base::{Secret, SqlType, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::Role;
use lakeport_sql::stmt::role::{AlterRole, AlterRoleSet, CreateRole, DropRole, RoleOption};

use super::Cx;
use crate::directory::{ADMIN, PUBLIC, missing_role};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::variable::{NO_ROLE, ROLE, SECONDARY_ROLES, Variable};

/// Role options other than LOGIN, PASSWORD and VALID UNTIL.
const OPTIONS: &[&str] = &[
    "BYPASSRLS",
    "CANCELQUERY",
    "CONTROLCHANGEFEED",
    "CONTROLJOB",
    "CREATEDB",
    "CREATELOGIN",
    "CREATEROLE",
    "MODIFYCLUSTERSETTING",
    "REPLICATION",
    "SQLLOGIN",
    "VIEWACTIVITY",
    "VIEWACTIVITYREDACTED",
    "VIEWCLUSTERSETTING",
];
/// Roles that cannot be made, altered or dropped.
const RESERVED: &[&str] = &[PUBLIC, "none", "node"];

/// Whether no role can be made under a name.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// Whether there is such an option of roles, beside LOGIN, PASSWORD and VALID UNTIL.
pub(crate) fn is_option(name: &str) -> bool {
    OPTIONS.contains(&name)
}

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateRole) -> Result<Outcome> {
    require_createrole(cx, "CREATE ROLE")?;
    let name = &statement.name;
    if is_reserved(name) {
        return Err(Error::new(Sqlstate::RESERVED_NAME, format!("role name {name:?} is reserved")));
    }
    let mut role = Role {
        name: name.clone(),
        login: statement.is_user,
        verifier: None,
        valid_until: None,
        options: Vec::new(),
        defaults: Vec::new(),
    };
    for change in changes(cx, &statement.options).await? {
        change.apply(&mut role);
    }
    let mut tx = cx.server.config.catalog.write().await?;
    if tx.find_role(name).await?.is_some() {
        let error = Error::new(Sqlstate::DUPLICATE_OBJECT, format!("a role/user named {name} already exists"));
        return if statement.if_not_exists { Ok(cx.skipped("CREATE ROLE", &error)) } else { Err(error) };
    }
    // Files of a dropped user, if the server ended before they were deleted. Nobody else makes the role meanwhile.
    cx.server.empty_own_stage(name).await?;
    tx.insert_role(&role).await?;
    tx.insert_event(&cx.server.audit_event(&cx.session.user, "create_role", name, "")).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("CREATE ROLE"))
}

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterRole) -> Result<Outcome> {
    let name = statement.name.as_ref().unwrap_or(&cx.session.user);
    let is_own = |option: &RoleOption| matches!(option, RoleOption::Password(_) | RoleOption::DefaultRole(_));
    if !(is_oneself(cx, name) && statement.options.iter().all(is_own)) {
        require_createrole(cx, "ALTER ROLE")?;
    }
    cx.subject().require_over_role(name, "alter")?;
    let changes = changes(cx, &statement.options).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    let Some(mut role) = tx.find_role(name).await? else {
        let error = missing_role(name);
        return if statement.if_exists { Ok(cx.skipped("ALTER ROLE", &error)) } else { Err(error) };
    };
    for change in changes {
        change.apply(&mut role);
    }
    tx.update_role(&role).await?;
    tx.insert_event(&cx.server.audit_event(&cx.session.user, "alter_role", &role.name, "")).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("ALTER ROLE"))
}

pub(crate) async fn alter_set(cx: &Cx<'_>, statement: &AlterRoleSet) -> Result<Outcome> {
    match &statement.name {
        None => cx.subject().require_admin("ALTER ROLE ALL")?,
        Some(name) if is_oneself(cx, name) => {}
        Some(name) => {
            require_createrole(cx, "ALTER ROLE")?;
            cx.subject().require_over_role(name, "alter")?;
        }
    }
    if statement.database.is_some() {
        return Err(Error::unsupported("ALTER ROLE .. IN DATABASE is not supported")
            .with_hint("ALTER ROLE .. SET applies in every database"));
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let roles = match &statement.name {
        None => tx.roles().await?,
        Some(name) => vec![tx.find_role(name).await?.ok_or_else(|| missing_role(name))?],
    };
    for mut role in roles {
        match &statement.variable {
            None => role.defaults.clear(),
            Some(name) => {
                let variable = Variable::find(name)?;
                let value = statement.value.as_ref().map(|value| variable.checked(value)).transpose()?;
                if let Some(role) = value.as_ref().filter(|role| variable.name == ROLE.name && *role != NO_ROLE) {
                    require_exists(cx, role)?;
                }
                set_default(&mut role, variable, value);
            }
        }
        tx.update_role(&role).await?;
        let variable = statement.variable.as_deref().unwrap_or("all");
        let detail = format!("{variable} = {}", statement.value.as_deref().unwrap_or("default"));
        tx.insert_event(&cx.server.audit_event(&cx.session.user, "alter_role_set", &role.name, &detail)).await?;
    }
    cx.commit(tx).await?;
    Ok(Outcome::done("ALTER ROLE"))
}

/// Whether the name is of who has logged in and acts as nobody else, who may change some things of their own.
fn is_oneself(cx: &Cx<'_>, name: &str) -> bool {
    name == cx.session.user && name == cx.user()
}

/// What a variable is when the role opens a session.
fn set_default(role: &mut Role, variable: &Variable, value: Option<String>) {
    role.defaults.retain(|(default, _)| default != variable.name);
    role.defaults.extend(value.map(|value| (variable.name.to_string(), value)));
}

/// # Errors
/// 42704
fn require_exists(cx: &Cx<'_>, role: &str) -> Result<()> {
    if cx.directory.roles.contains_key(role) { Ok(()) } else { Err(missing_role(role)) }
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropRole) -> Result<Outcome> {
    require_createrole(cx, "DROP ROLE")?;
    let mut holders = HashSet::new();
    for name in &statement.names {
        if cx.server.has_userfiles(name).await? {
            holders.insert(name);
        }
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let mut dropped = Vec::new();
    for name in &statement.names {
        if name == "root" || name == ADMIN || is_reserved(name) {
            return Err(Error::new(Sqlstate::INVALID_PARAMETER_VALUE, format!("cannot drop special role {name}")));
        }
        if tx.find_role(name).await?.is_none() {
            if statement.if_exists {
                cx.skipped("DROP ROLE", &missing_role(name));
                continue;
            }
            return Err(missing_role(name));
        }
        cx.subject().require_over_role(name, "drop")?;
        let mut dependents = dependents(cx, tx.as_mut(), name).await?;
        let files = holders.contains(name).then(|| format!("files of userfile://, which SET ROLE {name} leads to"));
        dependents.extend(files);
        if !dependents.is_empty() {
            return Err(Error::new(
                Sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop role/user {name}: grants or objects still depend on it"),
            )
            .with_detail(dependents.join(", "))
            .with_hint(format!("SHOW GRANTS FOR {name} lists the grants; REVOKE them and reassign what it owns")));
        }
        tx.delete_role(name).await?;
        tx.insert_event(&cx.server.audit_event(&cx.session.user, "drop_role", name, "")).await?;
        dropped.push(name);
    }
    cx.commit(tx).await?;
    for name in &dropped {
        if let Err(error) = cx.server.empty_own_stage(name).await {
            tracing::warn!(user = name.as_str(), %error, "files in the stage of a dropped user remain until the next of that name");
        }
    }
    Ok(Outcome::done("DROP ROLE"))
}

/// What a role owns and holds, as messages call it.
async fn dependents(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str) -> Result<Vec<String>> {
    let directory = &cx.directory;
    let mut found = Vec::new();
    let mut owns = |owner: &str, what: &str, object: &dyn std::fmt::Display| {
        if owner == name {
            found.push(format!("owner of {what} {object}"));
        }
    };
    directory.databases.values().for_each(|row| owns(&row.owner, "database", &row.name));
    directory.schemas.values().for_each(|row| owns(&row.owner, "schema", &row.name));
    directory.tables.values().for_each(|row| owns(&row.owner, "table", &directory.full_name(row)));
    tx.connections().await?.iter().for_each(|row| owns(&row.owner, "external connection", &row.name));
    tx.stages().await?.iter().for_each(|row| owns(&row.owner, "stage", &row.name));
    tx.file_formats().await?.iter().for_each(|row| owns(&row.owner, "file format", &row.name));
    tx.schedules().await?.iter().for_each(|row| owns(&row.owner, "schedule", &row.id));
    for row in tx.grants().await?.iter().filter(|row| row.grantee == name) {
        let (_, sort) = crate::authz::privileges_of(row.object);
        found.push(format!("{} privilege on {sort}", row.privilege));
    }
    Ok(found)
}

fn require_createrole(cx: &Cx<'_>, action: &str) -> Result<()> {
    cx.subject().require_system("CREATEROLE", || {
        format!("user {} does not have CREATEROLE privilege, needed for {action}", cx.user())
    })
}

/// One change of a role, with everything worked out that may fail or takes long.
enum Change {
    Login(bool),
    Flag { name: String, on: bool },
    Verifier(Option<Secret<String>>),
    ValidUntil(Option<i64>),
    DefaultRole(Option<String>),
}

impl Change {
    fn apply(self, role: &mut Role) {
        match self {
            Change::Login(on) => role.login = on,
            Change::Flag { name, on } => {
                role.options.retain(|option| *option != name);
                if on {
                    role.options.push(name);
                    role.options.sort();
                }
            }
            Change::Verifier(verifier) => role.verifier = verifier,
            Change::ValidUntil(time) => role.valid_until = time,
            Change::DefaultRole(default) => {
                let secondary = default.as_ref().map(|_| "on".to_string());
                set_default(role, &ROLE, default);
                set_default(role, &SECONDARY_ROLES, secondary);
            }
        }
    }
}

async fn changes(cx: &Cx<'_>, options: &[RoleOption]) -> Result<Vec<Change>> {
    let mut changes = Vec::with_capacity(options.len());
    for option in options {
        changes.push(match option {
            RoleOption::Flag { name, on } if name == "LOGIN" => Change::Login(*on),
            RoleOption::Flag { name, on } => Change::Flag { name: checked_flag(name)?, on: *on },
            RoleOption::Password(None) => Change::Verifier(None),
            RoleOption::Password(Some(password)) => {
                Change::Verifier(Some(verifier(cx, Secret::new(cx.string(password)?)).await?))
            }
            RoleOption::ValidUntil(None) => Change::ValidUntil(None),
            RoleOption::DefaultRole(default) => {
                default.iter().try_for_each(|role| require_exists(cx, role))?;
                Change::DefaultRole(default.clone())
            }
            RoleOption::ValidUntil(Some(text)) => Change::ValidUntil(Some(timestamp(&cx.string(text)?)?)),
        });
    }
    Ok(changes)
}

/// Thousands of rounds of hashing, on a thread that nothing else waits for.
async fn verifier(cx: &Cx<'_>, password: Secret<String>) -> Result<Secret<String>> {
    let env = cx.server.config.env.clone();
    let hashing = tokio::task::spawn_blocking(move || lakeport_base::scram::verifier(&password, &env));
    hashing.await.map_err(Error::internal)
}

fn checked_flag(name: &str) -> Result<String> {
    if is_option(name) {
        return Ok(name.to_string());
    }
    Err(Error::new(Sqlstate::SYNTAX_ERROR, format!("unrecognized role option {name:?}"))
        .with_hint(format!("role options: LOGIN, PASSWORD, VALID UNTIL, {}", OPTIONS.join(", "))))
}

fn timestamp(text: &str) -> Result<i64> {
    let full = if text.len() <= 10 { format!("{text} 00:00:00+00:00") } else { text.to_string() };
    let parsed =
        DateTime::parse_from_rfc3339(&full).or_else(|_| DateTime::parse_from_str(&full, "%Y-%m-%d %H:%M:%S%.f%#z"));
    parsed.map(|time| time.timestamp_micros()).map_err(|_| {
        Error::new(Sqlstate::INVALID_DATETIME_FORMAT, format!("could not parse {text:?} as a timestamp"))
            .with_hint("such as '2030-01-01 00:00:00+00:00'")
    })
}

pub(crate) fn show_columns() -> SchemaRef {
    let texts = SqlType::Array(Box::new(SqlType::Text));
    schema_of(&[("username", SqlType::Text), ("options", texts.clone()), ("member_of", texts)])
}

pub(crate) fn show(cx: &Cx<'_>) -> Result<Outcome> {
    let rows: Vec<Vec<Cell>> = cx
        .directory
        .roles
        .values()
        .filter(|role| role.name != PUBLIC)
        .map(|role| {
            let mut options = role.options.clone();
            if !role.login {
                options.push("NOLOGIN".to_string());
            }
            let memberships = cx.directory.memberships.iter().filter(|membership| membership.member == role.name);
            let member_of: Vec<_> = memberships.map(|membership| membership.role.clone()).collect();
            row![&role.name, options, member_of]
        })
        .collect();
    Ok(Outcome::rows("SHOW", batch_of(show_columns(), &rows)?))
}
