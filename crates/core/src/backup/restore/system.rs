//! What a restore of the cluster brings beside tables.
//!
//! What exists here stays as it is: a role, a connection, a setting of the same name is not overwritten.

use std::collections::{HashMap, HashSet};

use lakeport_backup::manifest::{self, Manifest};
use lakeport_base::Secret;
use lakeport_base::id::{ConnectionId, ScheduleId};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{
    Connection, Grant, Membership, Object, OnFailure, OnRunning, Role, Schedule, SchedulePlan, ScheduleRun,
};
use lakeport_connect::Target;

use super::SystemPart;
use crate::backup::cluster::{dialect_named, restored_role};
use crate::directory::{ADMIN, Directory, PUBLIC};
use crate::error::Result;
use crate::schedule::{Recurrence, backup_of};

/// State of a schedule that a restore has brought.
const RESTORED: &str = "restored with the cluster: RESUME SCHEDULE lets it run";

/// Roles, memberships, settings, connections and schedules that become part of the catalog with the tables.
#[derive(Default)]
pub(super) struct System {
    roles: Vec<Role>,
    memberships: Vec<Membership>,
    settings: Vec<(String, String)>,
    connections: Vec<Connection>,
    /// Ids of all of the backup's connections, there and here, new or not.
    connection_ids: HashMap<i64, ConnectionId>,
    schedules: Vec<Schedule>,
}

impl System {
    /// What of a manifest is new here, if `restorer` restores it.
    pub async fn reserve(
        part: SystemPart,
        manifest: &Manifest,
        directory: &Directory,
        tx: &mut dyn Tx,
        restorer: &str,
        now: i64,
    ) -> Result<System> {
        let mut system = System::default();
        if part == SystemPart::Nothing {
            return Ok(system);
        }
        let catalog = &manifest.catalog;
        let new_roles = catalog.roles.iter().filter(|role| !directory.roles.contains_key(&role.name));
        system.roles = new_roles.map(restored_role).collect();
        let known: HashSet<&str> = system.known_roles(directory);
        // Between roles that were here before, what was granted and revoked here counts.
        let is_new = |name: &str| !directory.roles.contains_key(name);
        let is_whole = |row: &&manifest::Membership| {
            known.contains(&*row.role) && known.contains(&*row.member) && (is_new(&row.role) || is_new(&row.member))
        };
        let membership = |row: &manifest::Membership| Membership {
            role: row.role.clone(),
            member: row.member.clone(),
            admin_option: row.admin_option,
        };
        let memberships: Vec<Membership> = catalog.memberships.iter().filter(is_whole).map(membership).collect();
        system.memberships = memberships;
        if part == SystemPart::Users {
            return Ok(system);
        }
        let is_new = |(name, _): &&(String, String)| !directory.settings.contains_key(name);
        system.settings = catalog.settings.iter().filter(is_new).cloned().collect();
        for listed in &catalog.connections {
            let here = tx.find_connection(&listed.name).await?.map(|connection| connection.id);
            let new = if here.is_none() { restored_connection(listed, tx, now).await? } else { None };
            let id = here.or(new.as_ref().map(|connection| connection.id));
            system.connection_ids.extend(id.map(|id| (listed.id, id)));
            system.connections.extend(new);
        }
        let known = system.known_roles(directory).into_iter().map(str::to_string).collect();
        system.schedules = restored_schedules(&catalog.schedules, &known, restorer, tx, now).await?;
        Ok(system)
    }

    /// The roles that there will be.
    pub fn known_roles<'a>(&'a self, directory: &'a Directory) -> HashSet<&'a str> {
        let here = directory.roles.keys().map(String::as_str);
        here.chain(self.roles.iter().map(|role| role.name.as_str())).chain([ADMIN, PUBLIC]).collect()
    }

    /// What a connection of the backup is here.
    pub fn connection_id(&self, listed: i64) -> Option<ConnectionId> {
        self.connection_ids.get(&listed).copied()
    }

    /// Writes all rows.
    pub async fn publish(&self, tx: &mut dyn Tx) -> Result<()> {
        for role in &self.roles {
            tx.insert_role(role).await?;
        }
        for membership in &self.memberships {
            tx.put_membership(membership).await?;
        }
        for (name, value) in &self.settings {
            tx.put_setting(name, value).await?;
        }
        for connection in &self.connections {
            tx.insert_connection(connection).await?;
        }
        for schedule in &self.schedules {
            tx.insert_schedule(schedule).await?;
        }
        Ok(())
    }
}

/// The listed connection with an id of its own; `None` for one without its secrets, or that nobody here understands.
async fn restored_connection(listed: &manifest::Connection, tx: &mut dyn Tx, now: i64) -> Result<Option<Connection>> {
    let Some((definition, dialect)) = listed.definition.as_ref().zip(dialect_named(&listed.dialect)) else {
        return Ok(None);
    };
    let Ok(target) = Target::parse(definition) else { return Ok(None) };
    Ok(Some(Connection {
        id: ConnectionId(tx.next_id().await?),
        name: listed.name.clone(),
        kind: target.spec().name.to_string(),
        dialect,
        redacted: target.redacted(),
        definition: Secret::new(definition.clone()),
        owner: listed.owner.clone(),
        version: 1,
        created: now,
        updated: now,
        last_check: None,
    }))
}

/// The listed schedules with ids of their own, paused; without those that nobody here understands. One whose owner is
/// not there is the restorer's.
async fn restored_schedules(
    listed: &[manifest::Schedule],
    known: &HashSet<String>,
    restorer: &str,
    tx: &mut dyn Tx,
    now: i64,
) -> Result<Vec<Schedule>> {
    let mut ids: HashMap<i64, ScheduleId> = HashMap::new();
    let mut schedules = Vec::new();
    for row in listed {
        let owner = if known.contains(&row.owner) { row.owner.as_str() } else { restorer };
        let id = ScheduleId(tx.next_id().await?);
        let Some(schedule) = restored_schedule(row, id, owner, now) else { continue };
        ids.insert(row.id, id);
        schedules.push((schedule, row));
    }
    let paired = schedules.into_iter().map(|(mut schedule, row)| {
        schedule.plan.partner = row.partner.and_then(|id| ids.get(&id).copied());
        schedule
    });
    Ok(paired.collect())
}

/// One that makes backups and holds no secrets. Incremental ones wait for a full one, since what is there is of another
/// cluster.
fn restored_schedule(listed: &manifest::Schedule, id: ScheduleId, owner: &str, now: i64) -> Option<Schedule> {
    let plan = SchedulePlan {
        recurrence: listed.recurrence.clone(),
        statement: listed.statement.clone(),
        variables: listed.variables.clone(),
        on_failure: OnFailure::parse(&listed.on_failure)?,
        on_running: OnRunning::parse(&listed.on_running)?,
        partner: None,
        ignores_existing: listed.ignores_existing,
    };
    let run = ScheduleRun { state: RESTORED.to_string(), ..ScheduleRun::default() };
    let owner = owner.to_string();
    let mut schedule = Schedule { id, label: listed.label.clone(), owner, created: now, next_run: None, plan, run };
    let backup = backup_of(&schedule).ok()?;
    Recurrence::parse(&schedule.plan.recurrence).and_then(|recurrence| recurrence.after(now)).ok()?;
    schedule.run.resumes_partner = backup.chain.is_none();
    Some(schedule)
}

/// The grants of a manifest to roles that there will be, on objects that are restored.
pub(super) fn grants(
    manifest: &Manifest,
    known: &HashSet<&str>,
    restored: impl Fn(manifest::Object) -> Option<Object>,
) -> Vec<Grant> {
    let grant = |listed: &manifest::Grant| {
        Some(Grant {
            object: restored(listed.object)?,
            grantee: Some(listed.grantee.clone()).filter(|grantee| known.contains(grantee.as_str()))?,
            privilege: listed.privilege.clone(),
            grant_option: listed.grant_option,
        })
    };
    manifest.catalog.grants.iter().filter_map(grant).collect()
}
