//! What a restore of the cluster brings beside tables.
//!
//! What exists here stays as it is: a role, a connection, a setting of the same name is not overwritten.

use std::collections::{HashMap, HashSet};

use lakeport_backup::manifest::{self, Manifest};
use lakeport_base::id::{ConnectionId, ScheduleId, StageId};
use lakeport_base::{Dialect, Secret};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{
    Connection, FileFormat, Grant, Membership, Object, OnFailure, OnRunning, Role, Schedule, SchedulePlan, ScheduleRun,
    Stage,
};
use lakeport_connect::dialect;

use super::stages::{restored_format, restored_stage};
use super::{SystemPart, claims};
use crate::authz::privileges_of;
use crate::directory::{ADMIN, Directory, PUBLIC};
use crate::error::Result;
use crate::schedule::{Recurrence, backup_of};
use crate::stmt::schedule::is_storable;

/// What a schedule keeps of the session that made it.
const VARIABLES: &[&str] = &["database", "search_path"];
/// State of a schedule that a restore has brought.
const RESTORED: &str = "restored with the cluster: RESUME SCHEDULE lets it run";

/// Who may own what is restored.
pub(super) struct Owners {
    /// Of a backup of the cluster: the roles that there will be, without the one that everybody has.
    known: HashSet<String>,
    /// Owns what nobody else may.
    restorer: String,
}

impl Owners {
    pub fn of(part: SystemPart, directory: &Directory, manifest: &Manifest, restorer: &str) -> Owners {
        let listed = manifest.catalog.roles.iter().map(|role| &role.name);
        let known = directory.roles.keys().chain(listed).filter(|role| part == SystemPart::All && *role != PUBLIC);
        Owners { known: known.cloned().collect(), restorer: restorer.to_string() }
    }

    /// The owner here of what is listed with this one.
    pub fn owner(&self, listed: &str) -> String {
        self.known.get(listed).unwrap_or(&self.restorer).clone()
    }
}

/// What becomes part of the catalog with the tables.
#[derive(Default)]
pub(super) struct System {
    roles: Vec<Role>,
    memberships: Vec<Membership>,
    settings: Vec<(String, String)>,
    connections: Vec<Connection>,
    /// Ids of all of the backup's connections, there and here, new or not.
    connection_ids: HashMap<i64, ConnectionId>,
    /// Names of the connections that there will be, of those that the backup lists.
    connection_names: HashSet<String>,
    stages: Vec<Stage>,
    /// As [`System::connection_ids`].
    stage_ids: HashMap<i64, StageId>,
    file_formats: Vec<FileFormat>,
    schedules: Vec<Schedule>,
}

impl System {
    /// What of a manifest is new here.
    ///
    /// # Errors
    /// For what no statement would have made; the catalog's.
    pub async fn reserve(
        part: SystemPart,
        manifest: &Manifest,
        directory: &Directory,
        tx: &mut dyn Tx,
        owners: &Owners,
        now: i64,
    ) -> Result<System> {
        let mut system = System::default();
        if part == SystemPart::Nothing {
            return Ok(system);
        }
        let catalog = &manifest.catalog;
        claims::check_distinct("role", catalog.roles.iter().map(|role| role.name.as_str()))?;
        let new_roles = catalog.roles.iter().filter(|role| !directory.roles.contains_key(&role.name));
        system.roles = new_roles.map(claims::role).collect::<Result<_>>()?;
        let known: HashSet<&str> = system.known_roles(directory);
        // Between roles that were here before, what was granted and revoked here counts.
        let is_new = |name: &str| !directory.roles.contains_key(name);
        let is_whole = |row: &&manifest::Membership| {
            known.contains(&*row.role) && known.contains(&*row.member) && (is_new(&row.role) || is_new(&row.member))
        };
        let memberships = catalog.memberships.iter().filter(is_whole).map(claims::membership);
        system.memberships = memberships.collect::<Result<_>>()?;
        claims::check_acyclic(directory.memberships.iter().chain(&system.memberships))?;
        if part == SystemPart::Users {
            return Ok(system);
        }
        let is_new = |(name, _): &&(String, String)| !directory.settings.contains_key(name);
        let settings = catalog.settings.iter().filter(is_new);
        let settings = settings.filter_map(|(name, value)| claims::setting(name, value).transpose());
        system.settings = settings.collect::<Result<_>>()?;
        system.reserve_connections(catalog, tx, owners, now).await?;
        system.reserve_stages(catalog, tx, owners, now).await?;
        system.schedules = restored_schedules(&catalog.schedules, owners, tx, now).await?;
        Ok(system)
    }

    async fn reserve_connections(
        &mut self,
        catalog: &manifest::Catalog,
        tx: &mut dyn Tx,
        owners: &Owners,
        now: i64,
    ) -> Result<()> {
        let names = catalog.connections.iter().map(|connection| connection.name.as_str());
        claims::check_distinct("external connection", names)?;
        for listed in &catalog.connections {
            let here = tx.find_connection(&listed.name).await?.map(|connection| connection.id);
            let new = if here.is_none() { restored_connection(listed, owners, tx, now).await? } else { None };
            let Some(id) = here.or(new.as_ref().map(|connection| connection.id)) else { continue };
            self.connection_ids.insert(listed.id, id);
            self.connection_names.insert(listed.name.clone());
            self.connections.extend(new);
        }
        Ok(())
    }

    /// Stages after the connections that they follow.
    async fn reserve_stages(
        &mut self,
        catalog: &manifest::Catalog,
        tx: &mut dyn Tx,
        owners: &Owners,
        now: i64,
    ) -> Result<()> {
        claims::check_distinct("stage", catalog.stages.iter().map(|stage| stage.name.as_str()))?;
        for listed in &catalog.stages {
            let here = tx.find_stage(&listed.name).await?.map(|stage| stage.id);
            let new = if here.is_none() { restored_stage(listed, self, owners, tx, now).await? } else { None };
            let Some(id) = here.or(new.as_ref().map(|stage| stage.id)) else { continue };
            self.stage_ids.insert(listed.id, id);
            self.stages.extend(new);
        }
        claims::check_distinct("file format", catalog.file_formats.iter().map(|format| format.name.as_str()))?;
        for listed in &catalog.file_formats {
            if tx.find_file_format(&listed.name).await?.is_none() {
                self.file_formats.extend(restored_format(listed, owners, now)?);
            }
        }
        Ok(())
    }

    /// Whether a connection is one of the backup's, not one that was here before.
    pub fn brings(&self, connection: &str) -> bool {
        self.connections.iter().any(|brought| brought.name == connection)
    }

    /// Whether a connection of the backup will be here, as one of the backup's or of this server's.
    pub fn has_connection(&self, name: &str) -> bool {
        self.connection_names.contains(name)
    }

    /// What a stage of the backup is here.
    pub fn stage_id(&self, listed: i64) -> Option<StageId> {
        self.stage_ids.get(&listed).copied()
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
        // What was set or made since the restore began stays too.
        let set_meanwhile: HashSet<String> = tx.settings().await?.into_iter().map(|(name, _)| name).collect();
        for (name, value) in self.settings.iter().filter(|(name, _)| !set_meanwhile.contains(name)) {
            tx.put_setting(name, value).await?;
        }
        for connection in &self.connections {
            tx.insert_connection(connection).await?;
        }
        for stage in &self.stages {
            tx.insert_stage(stage).await?;
        }
        for format in &self.file_formats {
            if tx.find_file_format(&format.name).await?.is_none() {
                tx.put_file_format(format).await?;
            }
        }
        for schedule in &self.schedules {
            tx.insert_schedule(schedule).await?;
        }
        Ok(())
    }
}

/// The listed connection with an id of its own; `None` for one without its secrets, or that nobody here understands.
async fn restored_connection(
    listed: &manifest::Connection,
    owners: &Owners,
    tx: &mut dyn Tx,
    now: i64,
) -> Result<Option<Connection>> {
    claims::check_name("external connection", &listed.name)?;
    let Some((definition, written_in)) = listed.definition.as_ref().zip(Dialect::of_name(&listed.dialect)) else {
        return Ok(None);
    };
    let Ok(target) = dialect::parse(written_in, definition) else { return Ok(None) };
    Ok(Some(Connection {
        id: ConnectionId(tx.next_id().await?),
        name: listed.name.clone(),
        kind: target.spec().name.to_string(),
        dialect: written_in,
        redacted: target.redacted(),
        definition: Secret::new(definition.clone()),
        owner: owners.owner(&listed.owner),
        version: claims::version("external connection", &listed.name, listed.version)?,
        created: now,
        updated: now,
        last_check: None,
    }))
}

/// The listed schedules with ids of their own, paused; without those that nobody here understands.
async fn restored_schedules(
    listed: &[manifest::Schedule],
    owners: &Owners,
    tx: &mut dyn Tx,
    now: i64,
) -> Result<Vec<Schedule>> {
    let mut ids: HashMap<i64, ScheduleId> = HashMap::new();
    let mut schedules = Vec::new();
    for row in listed {
        let id = ScheduleId(tx.next_id().await?);
        let Some(schedule) = restored_schedule(row, id, owners.owner(&row.owner), now)? else { continue };
        ids.insert(row.id, id);
        schedules.push((schedule, row));
    }
    let paired = schedules.into_iter().map(|(mut schedule, row)| {
        schedule.plan.partner = row.partner.and_then(|id| ids.get(&id).copied());
        schedule
    });
    Ok(paired.collect())
}

/// One that makes backups. Incremental ones wait for a full one, since what is there is of another cluster.
///
/// # Errors
/// For what CREATE SCHEDULE would not make.
fn restored_schedule(listed: &manifest::Schedule, id: ScheduleId, owner: String, now: i64) -> Result<Option<Schedule>> {
    claims::check_name("schedule", &listed.label)?;
    let variables: Vec<(String, String)> =
        listed.variables.iter().filter(|(name, _)| VARIABLES.contains(&name.as_str())).cloned().collect();
    claims::check_distinct("variable of a schedule", variables.iter().map(|(name, _)| name.as_str()))?;
    let texts = variables.iter().map(|(name, value)| (name.as_str(), value));
    for (what, text) in texts.chain([("recurrence", &listed.recurrence)]) {
        claims::check_text("schedule", &listed.label, what, Some(text))?;
    }
    let plan = OnFailure::parse(&listed.on_failure).zip(OnRunning::parse(&listed.on_running));
    let plan = plan.map(|(on_failure, on_running)| SchedulePlan {
        recurrence: listed.recurrence.clone(),
        statement: listed.statement.clone(),
        variables,
        on_failure,
        on_running,
        partner: None,
        ignores_existing: listed.ignores_existing,
    });
    let recurs = Recurrence::parse(&listed.recurrence).and_then(|recurrence| recurrence.after(now)).is_ok();
    let Some(plan) = plan.filter(|_| recurs) else { return Ok(None) };
    let run = ScheduleRun { state: RESTORED.to_string(), ..ScheduleRun::default() };
    let mut schedule = Schedule { id, label: listed.label.clone(), owner, created: now, next_run: None, plan, run };
    let Ok(backup) = backup_of(&schedule) else { return Ok(None) };
    if !is_storable(&backup) {
        return Err(claims::refused("schedule", &listed.label, "its statement holds a secret, or is not DETACHED"));
    }
    schedule.plan.statement = backup.to_string();
    schedule.run.resumes_partner = backup.chain.is_none();
    Ok(Some(schedule))
}

/// The grants of a manifest to roles that there will be, on objects that are restored; those that this server knows.
pub(super) fn grants(
    manifest: &Manifest,
    known: &HashSet<&str>,
    restored: impl Fn(manifest::Object) -> Option<Object>,
) -> Vec<Grant> {
    let grant = |listed: &manifest::Grant| {
        let object = restored(listed.object)?;
        let (privileges, _) = privileges_of(object);
        privileges.contains(&listed.privilege.as_str()).then_some(())?;
        Some(Grant {
            object,
            grantee: Some(listed.grantee.clone()).filter(|grantee| known.contains(grantee.as_str()))?,
            privilege: listed.privilege.clone(),
            grant_option: listed.grant_option,
        })
    };
    manifest.catalog.grants.iter().filter_map(grant).collect()
}
