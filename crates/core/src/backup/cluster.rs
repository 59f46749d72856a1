//! What a backup of the cluster has beside databases: roles, memberships, grants, settings, connections, stages, file
//! formats, schedules.

use lakeport_backup::manifest::{self, Catalog, Targets};
use lakeport_base::Secret;
use lakeport_catalog::model::{Connection, FileFormat, Grant, Object, Role, Schedule, Stage, StagePlace};
use lakeport_connect::Target;

use super::cut::Span;
use crate::directory::Directory;
use crate::error::Result;
use crate::external::target_of;
use crate::server::Server;

/// Adds it to a list. Secrets come along only where nobody reads them without a key.
pub(super) async fn add(
    server: &Server,
    directory: &Directory,
    is_encrypted: bool,
    catalog: &mut Catalog,
) -> Result<()> {
    let mut tx = server.config.catalog.read().await?;
    catalog.roles = directory.roles.values().map(|role| listed_role(role, is_encrypted)).collect();
    catalog.memberships = directory.memberships.iter().map(listed_membership).collect();
    catalog.settings = directory.settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    catalog.settings.sort_unstable();
    catalog.connections =
        tx.connections().await?.iter().map(|connection| listed_connection(connection, is_encrypted)).collect();
    catalog.stages = tx.stages().await?.iter().map(|stage| listed_stage(stage, is_encrypted)).collect();
    catalog.file_formats = tx.file_formats().await?.iter().map(listed_format).collect();
    catalog.grants = tx.grants().await?.iter().map(listed_grant).collect();
    catalog.schedules = tx.schedules().await?.iter().map(listed_schedule).collect();
    Ok(())
}

/// The grants on the listed objects.
pub(super) fn add_grants(directory: &Directory, catalog: &mut Catalog) {
    let databases = catalog.databases.iter().map(|row| manifest::Object::Database(row.id));
    let schemas = catalog.schemas.iter().map(|row| manifest::Object::Schema(row.id));
    let tables = catalog.tables.iter().map(|row| manifest::Object::Table(row.id));
    let objects: Vec<manifest::Object> = databases.chain(schemas).chain(tables).collect();
    let grants = objects.into_iter().flat_map(|object| directory.grants_on(object_of(object)));
    catalog.grants = grants.map(listed_grant).collect();
}

/// What went while the moments passed that a layer covers. Tables that are backed up by name are not looked for in what
/// has gone.
pub(super) fn listed_drops(
    directory: &Directory,
    targets: &Targets,
    catalog: &Catalog,
    span: Span,
) -> Vec<manifest::LastDrop> {
    let Some(since) = span.revisions_since else { return Vec::new() };
    let is_listed = |object: manifest::Object| match targets {
        Targets::Cluster => true,
        Targets::Databases(_) => catalog.databases.iter().any(|row| object == manifest::Object::Database(row.id)),
        Targets::Tables(_) => false,
    };
    // Only the last drop is known: one after the end may hide one before it.
    let listed = directory.drops.iter().filter(|drop| drop.at > since);
    let listed =
        listed.map(|drop| manifest::LastDrop { object: listed_object(drop.object), at: drop.at.min(span.end) });
    listed.filter(|drop| is_listed(drop.object)).collect()
}

fn listed_role(role: &Role, is_encrypted: bool) -> manifest::Role {
    let Role { name, login, verifier, valid_until, options, defaults } = role.clone();
    let verifier = verifier.filter(|_| is_encrypted).map(|verifier| verifier.expose().clone());
    manifest::Role { name, login, verifier, valid_until, options, defaults }
}

/// The role that is listed.
pub(super) fn restored_role(listed: &manifest::Role) -> Role {
    let manifest::Role { name, login, verifier, valid_until, options, defaults } = listed.clone();
    Role { name, login, verifier: verifier.map(Secret::new), valid_until, options, defaults }
}

fn listed_membership(row: &lakeport_catalog::model::Membership) -> manifest::Membership {
    manifest::Membership { role: row.role.clone(), member: row.member.clone(), admin_option: row.admin_option }
}

fn listed_grant(grant: &Grant) -> manifest::Grant {
    manifest::Grant {
        object: listed_object(grant.object),
        grantee: grant.grantee.clone(),
        privilege: grant.privilege.clone(),
        grant_option: grant.grant_option,
    }
}

fn listed_object(object: Object) -> manifest::Object {
    match object {
        Object::System => manifest::Object::System,
        Object::Connection(id) => manifest::Object::Connection(id.0),
        Object::Database(id) => manifest::Object::Database(id.0),
        Object::Schema(id) => manifest::Object::Schema(id.0),
        Object::Table(id) => manifest::Object::Table(id.0),
        Object::Stage(id) => manifest::Object::Stage(id.0),
    }
}

fn object_of(object: manifest::Object) -> Object {
    use lakeport_base::id::{ConnectionId, DatabaseId, SchemaId, StageId, TableId};
    match object {
        manifest::Object::System => Object::System,
        manifest::Object::Connection(id) => Object::Connection(ConnectionId(id)),
        manifest::Object::Database(id) => Object::Database(DatabaseId(id)),
        manifest::Object::Schema(id) => Object::Schema(SchemaId(id)),
        manifest::Object::Table(id) => Object::Table(TableId(id)),
        manifest::Object::Stage(id) => Object::Stage(StageId(id)),
    }
}

fn listed_connection(connection: &Connection, is_encrypted: bool) -> manifest::Connection {
    let definition = connection.definition.expose();
    let is_public = target_of(connection).is_ok_and(|target| is_public(&target));
    manifest::Connection {
        id: connection.id.0,
        name: connection.name.clone(),
        kind: connection.kind.clone(),
        dialect: connection.dialect.as_str().to_string(),
        definition: (is_encrypted || is_public).then(|| definition.clone()),
        redacted: connection.redacted.clone(),
        owner: connection.owner.clone(),
        version: connection.version,
    }
}

/// Whether it holds no secrets.
fn is_public(target: &Target) -> bool {
    target.to_text() == target.redacted()
}

fn listed_stage(stage: &Stage, is_encrypted: bool) -> manifest::Stage {
    let place = match &stage.place {
        StagePlace::Internal => manifest::StagePlace::Internal,
        StagePlace::Copied { uri, redacted, from } => {
            let is_public = Target::parse(uri.expose()).is_ok_and(|target| is_public(&target));
            manifest::StagePlace::Copied {
                uri: (is_encrypted || is_public).then(|| uri.expose().clone()),
                redacted: redacted.clone(),
                from: from.as_ref().map(|from| (from.connection.clone(), from.version)),
            }
        }
        StagePlace::Follows { uri, .. } => manifest::StagePlace::Follows { uri: uri.clone() },
    };
    manifest::Stage {
        id: stage.id.0,
        name: stage.name.clone(),
        place,
        file_format: stage.file_format.0.clone(),
        comment: stage.comment.clone(),
        owner: stage.owner.clone(),
        creator: stage.creator.clone(),
    }
}

fn listed_format(format: &FileFormat) -> manifest::FileFormat {
    let FileFormat { name, options, owner, .. } = format.clone();
    manifest::FileFormat { name, options: options.0, owner }
}

fn listed_schedule(schedule: &Schedule) -> manifest::Schedule {
    let plan = schedule.plan.clone();
    manifest::Schedule {
        id: schedule.id.0,
        label: schedule.label.clone(),
        owner: schedule.owner.clone(),
        recurrence: plan.recurrence,
        statement: plan.statement,
        variables: plan.variables,
        on_failure: plan.on_failure.as_str().to_string(),
        on_running: plan.on_running.as_str().to_string(),
        partner: plan.partner.map(|id| id.0),
        ignores_existing: plan.ignores_existing,
    }
}
