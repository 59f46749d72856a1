//! Databend's `GRANT OWNERSHIP`, and its answers to `SHOW GRANTS ON {CONNECTION | STAGE}` and `FOR {ROLE | USER}`.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use lakeport_base::{QualifiedName, SqlType};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Connection, Grant as Row, Object, Stage};
use lakeport_sql::stmt::grant::{GrantOwnership, ShowGrants, Target};

use super::{Names, ObjectName, add, audit, checked_roles};
use crate::databend::Number;
use crate::directory::{ADMIN, PUBLIC};
use crate::error::{Error, Result};
use crate::external::missing_connection;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stage::place::missing_stage;
use crate::stmt::Cx;

/// Makes a role the owner, with every privilege; the owner before keeps none.
pub(crate) async fn grant_ownership(cx: &Cx<'_>, statement: &GrantOwnership) -> Result<Outcome> {
    let owners = checked_roles(cx, std::slice::from_ref(&statement.owner))?;
    let mut tx = cx.server.config.catalog.write().await?;
    for name in names(&statement.target) {
        let old = owned(cx, tx.as_mut(), name).await?;
        require_own_role(cx, &statement.owner)?;
        transfer(cx, tx.as_mut(), old, &statement.owner).await?;
    }
    if let Target::Stages(names) = &statement.target {
        for name in names {
            transfer_stage(cx, tx.as_mut(), name, &statement.owner).await?;
        }
    }
    audit(cx, tx.as_mut(), "grant", &["OWNERSHIP".to_string()], &owners).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("GRANT"))
}

fn names(target: &Target) -> &[String] {
    if let Target::Connections(names) = target { names } else { &[] }
}

/// The connection, if the user owns it. The refusal is the same whether or not there is one.
async fn owned(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str) -> Result<Connection> {
    match tx.find_connection(name).await? {
        Some(connection) if cx.subject().owns(&connection.owner) => Ok(connection),
        None if cx.subject().is_admin() => Err(missing_connection(name)),
        _ => {
            let message = format!("only owner can grant ownership of connection {name}");
            Err(Error::databend(Number::ILLEGAL_GRANT, message))
        }
    }
}

/// # Errors
/// 0LP01 for a role that is not the user's own, since it could not be had back.
fn require_own_role(cx: &Cx<'_>, role: &str) -> Result<()> {
    if cx.subject().owns(role) {
        return Ok(());
    }
    Err(Error::databend(Number::ILLEGAL_GRANT, format!("invalid new owner {role}: not a role of {}", cx.user())))
}

async fn transfer(cx: &Cx<'_>, tx: &mut dyn Tx, old: Connection, owner: &str) -> Result<()> {
    let object = Object::Connection(old.id);
    for row in tx.grants_on(object).await?.iter().filter(|row| row.grantee == old.owner) {
        tx.delete_grant(object, &row.grantee, &row.privilege).await?;
    }
    add(tx, object, owner, "ALL", false).await?;
    let (owner, version, updated) = (owner.to_string(), old.version + 1, cx.server.config.env.now_micros());
    Ok(tx.update_connection(&Connection { owner, version, updated, ..old }).await?)
}

/// The stage's new owner has all privileges without a grant. The refusal is the same whether or not there is a stage.
async fn transfer_stage(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str, owner: &str) -> Result<()> {
    let stage = match tx.find_stage(name).await? {
        Some(stage) if cx.subject().owns(&stage.owner) => stage,
        None if cx.subject().is_admin() => return Err(missing_stage(name)),
        _ => {
            let message = format!("only owner can grant ownership of stage {name}");
            return Err(Error::databend(Number::ILLEGAL_GRANT, message));
        }
    };
    require_own_role(cx, owner)?;
    Ok(tx.update_stage(&Stage { owner: owner.to_string(), version: stage.version + 1, ..stage }).await?)
}

pub(super) fn show_columns() -> SchemaRef {
    schema_of(&[
        ("privileges", SqlType::Text),
        ("object_name", SqlType::Text),
        ("object_id", SqlType::Int8),
        ("grant_to", SqlType::Text),
        ("name", SqlType::Text),
        ("grants", SqlType::Text),
    ])
}

pub(super) async fn show(cx: &Cx<'_>, statement: &ShowGrants) -> Result<Outcome> {
    let grantees = checked_roles(cx, &statement.grantees)?;
    let mut tx = cx.server.config.catalog.read().await?;
    let rows = match (&statement.target, grantees.as_slice()) {
        (Some(target), _) => on(cx, tx.as_mut(), target, &grantees).await?,
        (None, [holder]) => of(cx, tx.as_mut(), holder).await?,
        (None, _) => Vec::new(),
    };
    Ok(Outcome::rows("SHOW", batch_of(show_columns(), &rows)?))
}

/// Who has what on connections or stages.
async fn on(cx: &Cx<'_>, tx: &mut dyn Tx, target: &Target, grantees: &[String]) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    let (Target::Connections(names) | Target::Stages(names)) = target else { return Ok(rows) };
    for name in names {
        let (object, owner) = match target {
            Target::Stages(_) => seen_stage(cx, tx, name).await?,
            _ => seen_connection(cx, tx, name).await?,
        };
        let grants = tx.grants_on(object).await?;
        let held = held(&owner, &grants).into_iter();
        let asked = held.filter(|(grantee, _)| grantees.is_empty() || grantees.iter().any(|role| role == grantee));
        rows.extend(asked.map(|(grantee, privileges)| {
            row![privileges.join(", "), name, Cell::Null, sort_of(cx, grantee), grantee, ""]
        }));
    }
    Ok(rows)
}

/// The connection and its owner, if the user may know of it.
async fn seen_connection(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str) -> Result<(Object, String)> {
    let found = tx.find_connection(name).await?;
    match found {
        Some(row) if cx.subject().owns(&row.owner) || cx.subject().has_on_connection(tx, row.id, "USAGE").await? => {
            Ok((Object::Connection(row.id), row.owner))
        }
        None if cx.subject().is_admin() => Err(missing_connection(name)),
        _ => Err(cx.subject().grants_denied("ACCESS CONNECTION", &format!("connection {name}"))),
    }
}

/// The stage and its owner, if the user may know of it.
async fn seen_stage(cx: &Cx<'_>, tx: &mut dyn Tx, name: &str) -> Result<(Object, String)> {
    let subject = cx.subject();
    let sees = |stage: &Stage| {
        let object = Object::Stage(stage.id);
        subject.owns(&stage.owner) || !subject.objects_of(cx.directory.grants_on(object)).is_empty()
    };
    match tx.find_stage(name).await? {
        Some(stage) if sees(&stage) => Ok((Object::Stage(stage.id), stage.owner)),
        None if subject.is_admin() => Err(missing_stage(name)),
        _ => Err(subject.grants_denied("READ", &format!("stage {name}"))),
    }
}

/// Who has what on an object, in Databend's words: its owner everything.
fn held<'a>(owner: &'a str, grants: &'a [Row]) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut held = BTreeMap::from([(owner, vec![OWNERSHIP])]);
    for row in grants.iter().filter(|row| row.grantee != owner) {
        held.entry(&row.grantee).or_default().push(word_for(row));
    }
    held
}

const OWNERSHIP: &str = "OWNERSHIP";

/// What Databend calls a privilege.
fn word_for(row: &Row) -> &str {
    match (row.object, row.privilege.as_str()) {
        (Object::Connection(_), "USAGE") => "ACCESS CONNECTION",
        (Object::System, "EXTERNALCONNECTION") => "CREATE CONNECTION",
        (_, privilege) => privilege,
    }
}

/// What a role has, and of a user what its roles beside `public` have: as far as who asks may know of the objects.
async fn of(cx: &Cx<'_>, tx: &mut dyn Tx, holder: &str) -> Result<Vec<Vec<Cell>>> {
    let names = Names::load(cx, tx).await?;
    let all = tx.grants().await?;
    let known = cx.subject().objects_of(&all);
    let is_seen =
        |object: Object| known.contains(&object) || names.owner_of(object).is_none_or(|owner| cx.subject().owns(owner));
    let mut holders = vec![holder];
    if sort_of(cx, holder) == USER {
        holders.extend(cx.directory.roles_of(holder).into_iter().filter(|role| ![holder, PUBLIC].contains(role)));
        holders[1..].sort_unstable();
    }
    let mut rows = Vec::new();
    for holder in holders {
        let is_super = cx.directory.memberships.iter().any(|held| held.role == ADMIN && held.member == holder);
        let mut held: Vec<(Object, &str)> = names.owned_by(holder).map(|object| (object, OWNERSHIP)).collect();
        let granted = all.iter().filter(|row| row.grantee == holder && names.owner_of(row.object) != Some(holder));
        held.extend(is_super.then_some((Object::System, "SUPER")));
        held.extend(granted.map(|row| (row.object, word_for(row))));
        rows.extend(held.into_iter().filter(|(object, _)| is_seen(*object)).filter_map(|(object, privilege)| {
            let (sort, name, id) = named(names.of(object)?, object);
            let sort = if sort.is_empty() { name.clone() } else { format!("{sort} {name}") };
            let grant = format!("GRANT {privilege} ON {sort} TO {}", grantee(cx, holder));
            Some(row![privilege, name, id, sort_of(cx, holder), holder, grant])
        }));
    }
    Ok(rows)
}

/// What Databend calls an object: its sort, its name and, where it tells one, its id.
fn named(found: ObjectName, object: Object) -> (&'static str, String, Cell) {
    let parts = found.database.into_iter().chain(found.schema).chain([found.name]).collect();
    let name = QualifiedName { parts }.to_string();
    match object {
        Object::System | Object::EVERY_CONNECTION => ("", "*.*".to_string(), Cell::Null),
        Object::Connection(_) => ("CONNECTION", name, Cell::Null),
        Object::Stage(_) => ("STAGE", name, Cell::Null),
        Object::Database(id) => ("DATABASE", name, id.0.into()),
        Object::Schema(id) => ("SCHEMA", name, id.0.into()),
        Object::Table(id) => ("TABLE", name, id.0.into()),
    }
}

const USER: &str = "USER";

fn sort_of(cx: &Cx<'_>, grantee: &str) -> &'static str {
    let logs_in = cx.directory.roles.get(grantee).is_some_and(|role| role.login);
    if logs_in { USER } else { "ROLE" }
}

fn grantee(cx: &Cx<'_>, name: &str) -> String {
    if sort_of(cx, name) == USER { format!("'{name}'@'%'") } else { format!("ROLE `{name}`") }
}
