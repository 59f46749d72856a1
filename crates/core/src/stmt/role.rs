//! `CREATE | ALTER | DROP {ROLE | USER}`, `SHOW ROLES | USERS`.

use arrow_schema::SchemaRef;
use chrono::DateTime;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Role;
use lakeport_sql::stmt::role::{AlterRole, AlterRoleSet, CreateRole, DropRole, RoleOption};

use super::Cx;
use super::grant::missing_role;
use crate::directory::{ADMIN, PUBLIC};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::variable::Variable;

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

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateRole) -> Result<Outcome> {
    require_createrole(cx, "CREATE ROLE")?;
    let name = &statement.name;
    if RESERVED.contains(&name.as_str()) {
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
    apply(cx, &mut role, &statement.options)?;
    let mut tx = cx.server.config.catalog.write().await?;
    if tx.find_role(name).await?.is_some() {
        if statement.if_not_exists {
            return Ok(Outcome::done("CREATE ROLE"));
        }
        return Err(Error::new(Sqlstate::DUPLICATE_OBJECT, format!("a role/user named {name} already exists")));
    }
    tx.insert_role(&role).await?;
    tx.insert_event(&cx.server.audit_event(&cx.session.user, "create_role", name, "")).await?;
    tx.commit().await?;
    Ok(Outcome::done("CREATE ROLE"))
}

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterRole) -> Result<Outcome> {
    let only_own_password = statement.name == cx.session.user
        && statement.options.iter().all(|option| matches!(option, RoleOption::Password(_)));
    if !only_own_password {
        require_createrole(cx, "ALTER ROLE")?;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    let Some(mut role) = tx.find_role(&statement.name).await? else {
        return if statement.if_exists { Ok(Outcome::done("ALTER ROLE")) } else { Err(missing_role(&statement.name)) };
    };
    if cx.directory.is_admin(&role.name) && !cx.subject().is_admin() {
        return Err(Error::denied(format!(
            "only users with the {ADMIN} role may alter a role that is a member of {ADMIN}"
        )));
    }
    apply(cx, &mut role, &statement.options)?;
    tx.update_role(&role).await?;
    tx.insert_event(&cx.server.audit_event(&cx.session.user, "alter_role", &role.name, "")).await?;
    tx.commit().await?;
    Ok(Outcome::done("ALTER ROLE"))
}

pub(crate) async fn alter_set(cx: &Cx<'_>, statement: &AlterRoleSet) -> Result<Outcome> {
    if statement.name.as_deref() != Some(&cx.session.user) {
        require_createrole(cx, "ALTER ROLE")?;
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
                role.defaults.retain(|(default, _)| default != variable.name);
                if let Some(value) = &statement.value {
                    role.defaults.push((variable.name.to_string(), variable.checked(value)?));
                }
            }
        }
        tx.update_role(&role).await?;
    }
    tx.commit().await?;
    Ok(Outcome::done("ALTER ROLE"))
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropRole) -> Result<Outcome> {
    require_createrole(cx, "DROP ROLE")?;
    let mut tx = cx.server.config.catalog.write().await?;
    for name in &statement.names {
        if name == "root" || name == ADMIN || RESERVED.contains(&name.as_str()) {
            return Err(Error::new(Sqlstate::INVALID_PARAMETER_VALUE, format!("cannot drop special role {name}")));
        }
        if tx.find_role(name).await?.is_none() {
            if statement.if_exists {
                continue;
            }
            return Err(missing_role(name));
        }
        if cx.directory.is_admin(name) {
            cx.subject().require_admin("drop an admin")?;
        }
        let mut dependents = owned_objects(cx, name);
        let connections = tx.connections().await?;
        dependents.extend(
            connections
                .iter()
                .filter(|row| row.owner == *name)
                .map(|row| format!("owner of external connection {}", row.name)),
        );
        let grants = tx.grants().await?;
        dependents.extend(grants.iter().filter(|row| row.grantee == *name).map(|row| {
            let (_, sort) = crate::authz::privileges_of(row.object);
            format!("{} privilege on {sort}", row.privilege)
        }));
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
    }
    tx.commit().await?;
    Ok(Outcome::done("DROP ROLE"))
}

fn owned_objects(cx: &Cx<'_>, name: &str) -> Vec<String> {
    let databases = cx.directory.databases.values().filter(|row| row.owner == name);
    let schemas = cx.directory.schemas.values().filter(|row| row.owner == name);
    let tables = cx.directory.tables.values().filter(|row| row.owner == name);
    databases
        .map(|row| format!("owner of database {}", row.name))
        .chain(schemas.map(|row| format!("owner of schema {}", row.name)))
        .chain(tables.map(|row| format!("owner of table {}", cx.directory.full_name(row))))
        .collect()
}

fn require_createrole(cx: &Cx<'_>, action: &str) -> Result<()> {
    cx.subject().require_system("CREATEROLE", || {
        format!("user {} does not have CREATEROLE privilege, needed for {action}", cx.session.user)
    })
}

fn apply(cx: &Cx<'_>, role: &mut Role, options: &[RoleOption]) -> Result<()> {
    for option in options {
        match option {
            RoleOption::Flag { name, on } if name == "LOGIN" => role.login = *on,
            RoleOption::Flag { name, on } => set_flag(role, name, *on)?,
            RoleOption::Password(None) => role.verifier = None,
            RoleOption::Password(Some(password)) => {
                let password = lakeport_base::Secret::new(cx.string(password)?);
                role.verifier = Some(lakeport_base::scram::verifier(&password, &cx.server.config.env));
            }
            RoleOption::ValidUntil(None) => role.valid_until = None,
            RoleOption::ValidUntil(Some(text)) => role.valid_until = Some(timestamp(&cx.string(text)?)?),
        }
    }
    Ok(())
}

fn set_flag(role: &mut Role, name: &str, on: bool) -> Result<()> {
    if !OPTIONS.contains(&name) {
        return Err(Error::new(Sqlstate::SYNTAX_ERROR, format!("unrecognized role option {name:?}"))
            .with_hint(format!("role options: LOGIN, PASSWORD, VALID UNTIL, {}", OPTIONS.join(", "))));
    }
    role.options.retain(|option| option != name);
    if on {
        role.options.push(name.to_string());
        role.options.sort();
    }
    Ok(())
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
            let member_of = memberships.map(|membership| membership.role.clone()).collect();
            row![&role.name, Cell::Texts(options), Cell::Texts(member_of)]
        })
        .collect();
    Ok(Outcome::rows("SHOW", batch_of(show_columns(), &rows)?))
}
