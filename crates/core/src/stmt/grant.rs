//! `GRANT`, `REVOKE`, `SHOW GRANTS`, `SHOW SYSTEM GRANTS`.

pub(crate) mod databend;

use arrow_schema::SchemaRef;
use lakeport_base::{Dialect, SqlType, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Connection, Grant as Row, Membership, Object, Stage};
use lakeport_sql::stmt::grant::{Grant, GrantRole, Revoke, RevokeRole, ShowGrants, ShowSystemGrants, Target};

use super::Cx;
use crate::authz::privileges_of;
use crate::directory::{ADMIN, Directory, PUBLIC, missing_role};
use crate::error::{Error, Result};
use crate::external::missing_connection;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stage::place::missing_stage;

/// An object that grants are about, with who owns it.
struct Granted {
    object: Object,
    owner: String,
}

pub(crate) async fn grant(cx: &Cx<'_>, statement: &Grant) -> Result<Outcome> {
    let grantees = checked_roles(cx, &statement.grantees)?;
    let mut tx = cx.server.config.catalog.write().await?;
    for granted in objects(cx, tx.as_mut(), &statement.target).await? {
        check_privileges(granted.object, &statement.privileges)?;
        require_grant_option(cx, tx.as_mut(), &granted, &statement.privileges).await?;
        for grantee in &grantees {
            for privilege in &statement.privileges {
                add(tx.as_mut(), granted.object, grantee, privilege, statement.grant_option).await?;
            }
        }
    }
    audit(cx, tx.as_mut(), "grant", &statement.privileges, &grantees).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("GRANT"))
}

pub(crate) async fn revoke(cx: &Cx<'_>, statement: &Revoke) -> Result<Outcome> {
    let grantees = checked_roles(cx, &statement.grantees)?;
    let mut tx = cx.server.config.catalog.write().await?;
    for revoked in objects(cx, tx.as_mut(), &statement.target).await? {
        check_privileges(revoked.object, &statement.privileges)?;
        require_grant_option(cx, tx.as_mut(), &revoked, &statement.privileges).await?;
        for grantee in &grantees {
            for privilege in &statement.privileges {
                remove(tx.as_mut(), revoked.object, grantee, privilege, statement.grant_option_only).await?;
            }
        }
    }
    audit(cx, tx.as_mut(), "revoke", &statement.privileges, &grantees).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("REVOKE"))
}

async fn audit(cx: &Cx<'_>, tx: &mut dyn Tx, event: &str, privileges: &[String], grantees: &[String]) -> Result<()> {
    let event = cx.server.audit_event(&cx.session.user, event, &grantees.join(", "), &privileges.join(", "));
    Ok(tx.insert_event(&event).await?)
}

/// Adds a privilege. ALL swallows the others; a privilege beside ALL only matters for its grant option.
async fn add(tx: &mut dyn Tx, object: Object, grantee: &str, privilege: &str, grant_option: bool) -> Result<()> {
    let held: Vec<Row> = tx.grants_on(object).await?.into_iter().filter(|row| row.grantee == grantee).collect();
    let row = |privilege: &str, grant_option| Row {
        object,
        grantee: grantee.to_string(),
        privilege: privilege.to_string(),
        grant_option,
    };
    if let Some(all) = held.iter().find(|row| row.privilege == "ALL") {
        if privilege == "ALL" && grant_option && !all.grant_option {
            tx.put_grant(&row("ALL", true)).await?;
        } else if grant_option && !all.grant_option {
            expand_all(tx, object, grantee, false).await?;
            tx.put_grant(&row(privilege, true)).await?;
        }
        return Ok(());
    }
    if privilege == "ALL" {
        for row in &held {
            tx.delete_grant(object, grantee, &row.privilege).await?;
        }
        let kept = !held.is_empty() && held.iter().all(|row| row.grant_option);
        tx.put_grant(&row("ALL", grant_option || (kept && held.len() + 1 == privileges_of(object).0.len()))).await?;
        return Ok(());
    }
    let had_option = held.iter().any(|row| row.privilege == privilege && row.grant_option);
    Ok(tx.put_grant(&row(privilege, grant_option || had_option)).await?)
}

/// Takes a privilege, or its grant option only. Taking one from a holder of ALL leaves the rest.
async fn remove(tx: &mut dyn Tx, object: Object, grantee: &str, privilege: &str, option_only: bool) -> Result<()> {
    let held: Vec<Row> = tx.grants_on(object).await?.into_iter().filter(|row| row.grantee == grantee).collect();
    if privilege == "ALL" {
        for row in &held {
            take(tx, row, option_only).await?;
        }
        return Ok(());
    }
    if let Some(all) = held.iter().find(|row| row.privilege == "ALL") {
        if option_only && !all.grant_option {
            return Ok(());
        }
        expand_all(tx, object, grantee, all.grant_option).await?;
        let row = Row { privilege: privilege.to_string(), ..all.clone() };
        return take(tx, &row, option_only).await;
    }
    match held.iter().find(|row| row.privilege == privilege) {
        Some(row) => take(tx, row, option_only).await,
        None => Ok(()),
    }
}

async fn take(tx: &mut dyn Tx, row: &Row, option_only: bool) -> Result<()> {
    if option_only {
        return Ok(tx.put_grant(&Row { grant_option: false, ..row.clone() }).await?);
    }
    Ok(tx.delete_grant(row.object, &row.grantee, &row.privilege).await?)
}

/// Replaces ALL by every single privilege.
async fn expand_all(tx: &mut dyn Tx, object: Object, grantee: &str, grant_option: bool) -> Result<()> {
    tx.delete_grant(object, grantee, "ALL").await?;
    for privilege in privileges_of(object).0.iter().filter(|privilege| **privilege != "ALL") {
        let row = Row { object, grantee: grantee.to_string(), privilege: (*privilege).to_string(), grant_option };
        tx.put_grant(&row).await?;
    }
    Ok(())
}

fn check_privileges(object: Object, privileges: &[String]) -> Result<()> {
    let (known, sort) = privileges_of(object);
    match privileges.iter().find(|privilege| !known.contains(&privilege.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            Err(Error::new(Sqlstate::INVALID_GRANT_OPERATION, format!("invalid privilege type {unknown} for {sort}"))
                .with_hint(format!("privileges on {sort}: {}", known.join(", "))))
        }
    }
}

/// 42501 unless the user is admin, owns the object, or holds every privilege with grant option.
async fn require_grant_option(cx: &Cx<'_>, tx: &mut dyn Tx, granted: &Granted, privileges: &[String]) -> Result<()> {
    if cx.subject().is_admin() || (granted.object != Object::System && cx.subject().owns(&granted.owner)) {
        return Ok(());
    }
    let roles = cx.directory.roles_of(cx.user());
    let grants = tx.grants_on(granted.object).await?;
    let may_grant = |privilege: &String| {
        grants.iter().any(|row| {
            row.grant_option
                && roles.contains(row.grantee.as_str())
                && (row.privilege == *privilege || row.privilege == "ALL")
        })
    };
    if privileges.iter().all(may_grant) {
        return Ok(());
    }
    Err(Error::denied(format!(
        "user {} missing WITH GRANT OPTION privilege on one or more of {}",
        cx.user(),
        privileges.join(", ")
    ))
    .with_hint("the owner, an admin, or who holds them WITH GRANT OPTION may grant them"))
}

/// The grantees, each of which must exist; `public` is one.
fn checked_roles(cx: &Cx<'_>, names: &[String]) -> Result<Vec<String>> {
    for name in names {
        if name != PUBLIC && !cx.directory.roles.contains_key(name) {
            return Err(missing_role(name));
        }
    }
    Ok(names.to_vec())
}

async fn objects(cx: &Cx<'_>, tx: &mut dyn Tx, target: &Target) -> Result<Vec<Granted>> {
    let mut found = Vec::new();
    match target {
        Target::System => found.push(Granted { object: Object::System, owner: ADMIN.to_string() }),
        Target::EveryConnection => {
            found.push(Granted { object: Object::EVERY_CONNECTION, owner: ADMIN.to_string() });
        }
        Target::Connections(names) => {
            for name in names {
                let connection = resolve_connection(tx, name).await?;
                found.push(Granted { object: Object::Connection(connection.id), owner: connection.owner });
            }
        }
        Target::Databases(names) => {
            for name in names {
                let database = cx.directory.database(name)?;
                found.push(Granted { object: Object::Database(database.id), owner: database.owner.clone() });
            }
        }
        Target::Schemas(names) => {
            for name in names {
                let schema = super::database::find_schema(cx, name)?;
                found.push(Granted { object: Object::Schema(schema.id), owner: schema.owner.clone() });
            }
        }
        Target::Tables(names) => {
            for name in names {
                let table = cx.table(name)?;
                found.push(Granted { object: Object::Table(table.id), owner: table.owner.clone() });
            }
        }
        Target::Stages(names) => {
            for name in names {
                let stage = tx.find_stage(name).await?.ok_or_else(|| missing_stage(name))?;
                found.push(Granted { object: Object::Stage(stage.id), owner: stage.owner });
            }
        }
        Target::AllTablesInSchemas(names) => {
            for name in names {
                let schema = super::database::find_schema(cx, name)?.id;
                let tables = cx.directory.tables.values().filter(|table| table.schema == schema);
                found.extend(
                    tables.map(|table| Granted { object: Object::Table(table.id), owner: table.owner.clone() }),
                );
            }
        }
    }
    Ok(found)
}

async fn resolve_connection(tx: &mut dyn Tx, name: &str) -> Result<Connection> {
    let found = tx.find_connection(name).await?;
    found.ok_or_else(|| missing_connection(name).prefixed("failed to resolve External Connection"))
}

pub(crate) async fn grant_role(cx: &Cx<'_>, statement: &GrantRole) -> Result<Outcome> {
    checked_roles(cx, &statement.roles)?;
    let members = checked_roles(cx, &statement.members)?;
    for role in &statement.roles {
        require_role_admin(cx, role, "grant")?;
        for member in &members {
            if cx.directory.roles_of(role).contains(member.as_str()) {
                return Err(Error::new(
                    Sqlstate::INVALID_GRANT_OPERATION,
                    format!("making {member} a member of {role} would create a cycle"),
                ));
            }
        }
    }
    let mut tx = cx.server.config.catalog.write().await?;
    for role in &statement.roles {
        for member in &members {
            let held =
                cx.directory.memberships.iter().any(|m| m.role == *role && m.member == *member && m.admin_option);
            let admin_option = statement.admin_option || held;
            tx.put_membership(&Membership { role: role.clone(), member: member.clone(), admin_option }).await?;
        }
    }
    audit(cx, tx.as_mut(), "grant_role", &statement.roles, &members).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("GRANT"))
}

pub(crate) async fn revoke_role(cx: &Cx<'_>, statement: &RevokeRole) -> Result<Outcome> {
    checked_roles(cx, &statement.roles)?;
    let members = checked_roles(cx, &statement.members)?;
    let mut tx = cx.server.config.catalog.write().await?;
    for role in &statement.roles {
        require_role_admin(cx, role, "revoke")?;
        for member in &members {
            if role == ADMIN && member == "root" {
                return Err(Error::new(
                    Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "user root cannot be removed from role admin",
                ));
            }
            if !cx.directory.memberships.iter().any(|m| m.role == *role && m.member == *member) {
                continue;
            }
            if statement.admin_option_only {
                let membership = Membership { role: role.clone(), member: member.clone(), admin_option: false };
                tx.put_membership(&membership).await?;
            } else {
                tx.delete_membership(role, member).await?;
            }
        }
    }
    audit(cx, tx.as_mut(), "revoke_role", &statement.roles, &members).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("REVOKE"))
}

/// 42501 unless the user is admin, or has admin option on the role, or CREATEROLE for any role that is no admin.
fn require_role_admin(cx: &Cx<'_>, role: &str, action: &str) -> Result<()> {
    cx.subject().require_over_role(role, action)?;
    let roles = cx.directory.roles_of(cx.user());
    let has_option = cx.directory.memberships.iter().any(|membership| {
        membership.role == role && membership.admin_option && roles.contains(membership.member.as_str())
    });
    if has_option || cx.subject().has_system("CREATEROLE") {
        return Ok(());
    }
    Err(Error::denied(format!("{} must have admin option on role {role:?}", cx.user())))
}

pub(crate) fn show_columns(statement: &ShowGrants) -> SchemaRef {
    if statement.dialect == Dialect::Databend {
        return databend::show_columns();
    }
    let object: &[(&str, SqlType)] = match &statement.target {
        Some(Target::Connections(_)) => &[("connection_name", SqlType::Text)],
        Some(Target::Databases(_)) => &[("database_name", SqlType::Text)],
        Some(Target::Schemas(_)) => &[("database_name", SqlType::Text), ("schema_name", SqlType::Text)],
        Some(Target::Tables(_) | Target::AllTablesInSchemas(_)) => {
            &[("database_name", SqlType::Text), ("schema_name", SqlType::Text), ("table_name", SqlType::Text)]
        }
        Some(Target::System | Target::EveryConnection | Target::Stages(_)) => &[],
        None => &[
            ("database_name", SqlType::Text),
            ("schema_name", SqlType::Text),
            ("object_name", SqlType::Text),
            ("object_type", SqlType::Text),
        ],
    };
    let grant = [("grantee", SqlType::Text), ("privilege_type", SqlType::Text), ("is_grantable", SqlType::Bool)];
    schema_of(&[object, &grant].concat())
}

pub(crate) async fn show(cx: &Cx<'_>, statement: &ShowGrants) -> Result<Outcome> {
    if statement.dialect == Dialect::Databend {
        return databend::show(cx, statement).await;
    }
    let grantees = checked_roles(cx, &statement.grantees)?;
    let mut tx = cx.server.config.catalog.read().await?;
    let names = Names::load(cx, tx.as_mut()).await?;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let grants = match &statement.target {
        None => tx.grants().await?.into_iter().filter(|row| row.object != Object::System).collect(),
        Some(target) => {
            let mut grants = Vec::new();
            for granted in objects(cx, tx.as_mut(), target).await? {
                grants.extend(tx.grants_on(granted.object).await?);
            }
            grants
        }
    };
    let subject = cx.subject();
    let held = subject.objects_of(&grants);
    for row in grants.iter().filter(|row| grantees.is_empty() || grantees.contains(&row.grantee)) {
        let seen = held.contains(&row.object) || names.owner_of(row.object).is_none_or(|owner| subject.owns(owner));
        let Some(object) = names.of(row.object).filter(|_| seen) else { continue };
        let object = object_cells(statement, object);
        rows.push([object, row![&row.grantee, &row.privilege, row.grant_option]].concat());
    }
    rows.sort_by_key(|row| format!("{row:?}"));
    Ok(Outcome::rows("SHOW", batch_of(show_columns(statement), &rows)?))
}

/// What an object is called: database, schema, name, type; empty where it has none.
struct ObjectName {
    database: Option<String>,
    schema: Option<String>,
    name: String,
    sort: &'static str,
}

fn object_cells(statement: &ShowGrants, object: ObjectName) -> Vec<Cell> {
    match &statement.target {
        Some(Target::Connections(_) | Target::Databases(_)) => row![object.name],
        Some(Target::Schemas(_)) => row![object.database, object.name],
        Some(Target::Tables(_) | Target::AllTablesInSchemas(_)) => row![object.database, object.schema, object.name],
        Some(Target::System | Target::EveryConnection | Target::Stages(_)) => row![],
        None => match object.sort {
            "database" => row![object.name, Cell::Null, Cell::Null, object.sort],
            "schema" => row![object.database, object.name, Cell::Null, object.sort],
            _ => row![object.database, object.schema, object.name, object.sort],
        },
    }
}

/// Names of everything that grants are on.
struct Names<'a> {
    directory: &'a Directory,
    connections: Vec<Connection>,
    stages: Vec<Stage>,
}

impl<'a> Names<'a> {
    async fn load(cx: &'a Cx<'_>, tx: &mut dyn Tx) -> Result<Names<'a>> {
        Ok(Names { directory: &cx.directory, connections: tx.connections().await?, stages: tx.stages().await? })
    }

    /// Who owns an object that not everybody may know of.
    fn owner_of(&self, object: Object) -> Option<&str> {
        match object {
            Object::System | Object::Database(_) | Object::Schema(_) => None,
            Object::Connection(id) => self.connections.iter().find(|row| row.id == id).map(|row| row.owner.as_str()),
            Object::Table(id) => self.directory.tables.get(&id).map(|row| row.owner.as_str()),
            Object::Stage(id) => self.stages.iter().find(|row| row.id == id).map(|row| row.owner.as_str()),
        }
    }

    /// What a role owns.
    fn owned_by(&self, role: &str) -> impl Iterator<Item = Object> {
        let directory = self.directory;
        let databases = directory.databases.values().filter(move |row| row.owner == role);
        let schemas = directory.schemas.values().filter(move |row| row.owner == role);
        let tables = directory.tables.values().filter(move |row| row.owner == role);
        let connections = self.connections.iter().filter(move |row| row.owner == role);
        let stages = self.stages.iter().filter(move |row| row.owner == role);
        let databases = databases.map(|row| Object::Database(row.id));
        let kept = databases.chain(schemas.map(|row| Object::Schema(row.id)));
        let kept = kept.chain(tables.map(|row| Object::Table(row.id)));
        kept.chain(connections.map(|row| Object::Connection(row.id))).chain(stages.map(|row| Object::Stage(row.id)))
    }

    fn of(&self, object: Object) -> Option<ObjectName> {
        let database_name = |id| self.directory.database_of(id).map(|database| database.name.clone());
        Some(match object {
            Object::System => ObjectName { database: None, schema: None, name: String::new(), sort: "system" },
            Object::EVERY_CONNECTION => {
                ObjectName { database: None, schema: None, name: "*.*".to_string(), sort: "external_connection" }
            }
            Object::Connection(id) => {
                let connection = self.connections.iter().find(|connection| connection.id == id)?;
                ObjectName { database: None, schema: None, name: connection.name.clone(), sort: "external_connection" }
            }
            Object::Stage(id) => {
                let stage = self.stages.iter().find(|stage| stage.id == id)?;
                ObjectName { database: None, schema: None, name: stage.name.clone(), sort: "stage" }
            }
            Object::Database(id) => {
                ObjectName { database: None, schema: None, name: database_name(id)?, sort: "database" }
            }
            Object::Schema(id) => {
                let schema = self.directory.schemas.get(&id)?;
                let database = database_name(schema.database);
                ObjectName { database, schema: None, name: schema.name.clone(), sort: "schema" }
            }
            Object::Table(id) => {
                let table = self.directory.tables.get(&id)?;
                let schema = self.directory.schemas.get(&table.schema).map(|schema| schema.name.clone());
                ObjectName { database: database_name(table.database), schema, name: table.name.clone(), sort: "table" }
            }
        })
    }
}

pub(crate) fn show_system_columns() -> SchemaRef {
    schema_of(&[("grantee", SqlType::Text), ("privilege_type", SqlType::Text), ("is_grantable", SqlType::Bool)])
}

pub(crate) fn show_system(cx: &Cx<'_>, statement: &ShowSystemGrants) -> Result<Outcome> {
    let grantees = checked_roles(cx, &statement.grantees)?;
    let mut grants: Vec<&Row> = cx.directory.grants_on(Object::System).iter().collect();
    grants.retain(|row| grantees.is_empty() || grantees.contains(&row.grantee));
    grants.sort_by_key(|row| (&row.grantee, &row.privilege));
    let rows: Vec<_> = grants.iter().map(|row| row![&row.grantee, &row.privilege, row.grant_option]).collect();
    Ok(Outcome::rows("SHOW", batch_of(show_system_columns(), &rows)?))
}
