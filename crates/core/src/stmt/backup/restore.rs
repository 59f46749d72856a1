//! `RESTORE`.

use std::collections::HashSet;

use arrow_schema::SchemaRef;
use lakeport_backup::chain::shown;
use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::{self, ById, Catalog, Manifest, StagePlace};
use lakeport_backup::{Chain, Layer};
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{QualifiedName, Secret, Sqlstate};
use lakeport_connect::{ExternalRef, redact};
use lakeport_sql::stmt::backup::restore::{Restore, RestoreOptions, Restored};
use lakeport_sql::stmt::backup::{TablePattern, Targets};

use super::{Place, query, shown_keys, subdir};
use crate::backup::RestoreOrder;
use crate::backup::restore::{RestoredDatabase, RestoredTable, SystemPart, missing_database};
use crate::backup::rights;
use crate::directory::PUBLIC_SCHEMA;
use crate::error::{Error, Result};
use crate::job::{NewJob, Payload};
use crate::outcome::{Notice, Outcome};
use crate::stmt::{Cx, job};

pub(crate) fn columns(statement: &Restore) -> SchemaRef {
    job::run_columns(statement.options.detached)
}

pub(crate) async fn restore(cx: &Cx<'_>, statement: &Restore) -> Result<Outcome> {
    let options = &statement.options;
    if !options.detached {
        cx.refuse_in_block("RESTORE cannot be used inside a multi-statement transaction without DETACHED option")?;
    }
    let (targets, system) = match &statement.what {
        Restored::Objects(Targets::Cluster) => (&Targets::Cluster, SystemPart::All),
        Restored::Objects(targets) => (targets, SystemPart::Nothing),
        Restored::SystemUsers => (&Targets::Cluster, SystemPart::Users),
    };
    check_options(cx, targets, options)?;
    require_restore(cx, targets, options)?;
    let place = Place::read(cx, &statement.collection, &options.encryption).await?;
    let as_of = statement.as_of.as_deref().map(|text| query::moment_text(cx, text)).transpose()?;
    let moment = as_of.as_deref().map(|text| query::past(cx, text)).transpose()?;
    let collection = cx.server.open_collection(cx.user(), &place.uri).await?;
    let subdir = subdir(cx, &statement.chain, &collection).await?;
    let protection = collection.protection(&subdir, &place.keys).await?;
    let chain = collection.chain(&subdir, &protection).await?;
    let plan = Plan::of(cx, &chain, moment, targets, options, system)?;
    if system == SystemPart::All {
        tell_withheld(cx, &plan.manifest.catalog);
    }
    plan.check_names(cx)?;
    let order = RestoreOrder {
        collection: Secret::new(place.uri.clone()),
        keys: place.key_texts.clone(),
        subdir,
        layer_end: plan.manifest.end,
        moment: plan.moment,
        databases: plan.databases,
        tables: plan.tables,
        schema_only: options.schema_only,
        verify: options.verify_backup_table_data,
        grants: options.grants,
        system,
    };
    let new = NewJob {
        description: description(statement, targets, as_of.as_deref(), &place, &order.subdir),
        payload: Payload::Restore(order),
        owner: cx.user().to_string(),
        connections: place.connections.clone(),
    };
    job::run(cx, new, "RESTORE", options.detached).await
}

/// Names what a backup without encryption has kept back.
fn tell_withheld(cx: &Cx<'_>, catalog: &Catalog) {
    let connections: Vec<&String> =
        catalog.connections.iter().filter(|row| row.definition.is_none()).map(|row| &row.name).collect();
    let is_withheld = |place: &StagePlace| match place {
        StagePlace::Internal => false,
        StagePlace::Copied { uri, .. } => uri.is_none(),
        StagePlace::Follows { uri } => {
            let reference = ExternalRef::parse(uri).ok().flatten();
            reference.is_some_and(|reference| connections.contains(&&reference.name))
        }
    };
    let stages = catalog.stages.iter().filter(|row| is_withheld(&row.place)).map(|row| &row.name).collect();
    let listed = [("connections", connections), ("stages", stages)];
    let listed = listed.into_iter().filter(|(_, names)| !names.is_empty());
    let listed: Vec<String> = listed.map(|(sort, names)| format!("not these {sort}: {}", quoted(&names))).collect();
    if listed.is_empty() {
        return;
    }
    let message = format!("the backup is not encrypted, so it has no passwords of users and {}", listed.join(", and "));
    let hint = "CREATE EXTERNAL CONNECTION, CREATE STAGE and ALTER USER ... WITH PASSWORD make them again";
    let hint = Some(hint.to_string());
    cx.session.notice(Notice { hint, ..Notice::new(message) });
}

fn quoted(names: &[&String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// # Errors
/// Options that do not go with the targets, in the documented words.
fn check_options(cx: &Cx<'_>, targets: &Targets, options: &RestoreOptions) -> Result<()> {
    let is_one_database = matches!(targets, Targets::Databases(names) if names.len() == 1);
    if options.new_db_name.is_some() && !is_one_database {
        let message = "new_db_name can only be used for RESTORE DATABASE with a single target database";
        return Err(Error::invalid(message));
    }
    if options.into_db.is_some() && !matches!(targets, Targets::Tables(_)) {
        return Err(Error::invalid("into_db can only be used for RESTORE TABLE")
            .with_hint("WITH new_db_name renames a restored database"));
    }
    if options.verify_backup_table_data && !options.schema_only {
        return Err(Error::invalid("to set the verify_backup_table_data option, the schema_only option must be set"));
    }
    for name in [&options.into_db, &options.new_db_name].into_iter().flatten() {
        if cx.string(name)?.is_empty() {
            return Err(Error::invalid("the name of a database must not be empty"));
        }
    }
    Ok(())
}

/// # Errors
/// 42501 in the documented words.
fn require_restore(cx: &Cx<'_>, targets: &Targets, options: &RestoreOptions) -> Result<()> {
    match targets {
        Targets::Cluster => rights::require_restore_of_cluster(cx.subject()),
        Targets::Databases(_) => rights::require_restore_of_databases(cx.subject()),
        Targets::Tables(patterns) => {
            for pattern in patterns {
                let database = match &options.into_db {
                    Some(name) => cx.string(name)?,
                    None => parts(cx, pattern).0,
                };
                rights::require_restore_into(cx.subject(), &database)?;
            }
            Ok(())
        }
    }
}

/// What a restore makes, and from which layer.
struct Plan<'a> {
    manifest: &'a Manifest,
    known: ById<'a>,
    moment: i64,
    databases: Vec<RestoredDatabase>,
    tables: Vec<RestoredTable>,
}

impl<'a> Plan<'a> {
    fn of(
        cx: &Cx<'_>,
        chain: &'a Chain,
        moment: Option<i64>,
        targets: &Targets,
        options: &RestoreOptions,
        system: SystemPart,
    ) -> Result<Plan<'a>> {
        let index = chain.layer_at(moment)?;
        let manifest = &chain.layers[index].manifest;
        let below = index.checked_sub(1).filter(|_| moment.is_some_and(|moment| moment < manifest.end));
        let mut plan = Plan {
            manifest,
            known: manifest.catalog.by_id(),
            moment: moment.unwrap_or(manifest.end),
            databases: Vec::new(),
            tables: Vec::new(),
        };
        match targets {
            Targets::Cluster => {
                require_whole(cx, manifest)?;
                if system == SystemPart::All {
                    require_unused(cx)?;
                    for database in below.iter().flat_map(|below| &chain.layers[*below].manifest.catalog.databases) {
                        plan.require_kept(&chain.layers[index - 1].manifest, database.id)?;
                    }
                    plan.require_no_drop(|_| true)?;
                    plan.add_cluster(cx);
                }
            }
            Targets::Databases(names) => {
                for name in names {
                    plan.require_kept_in(below.map(|below| &chain.layers[below].manifest), name)?;
                    let new_name = options.new_db_name.as_ref().map(|text| cx.string(text)).transpose()?;
                    plan.add_database(name, new_name.as_deref().unwrap_or(name))?;
                }
            }
            Targets::Tables(patterns) => {
                let into = options.into_db.as_ref().map(|text| cx.string(text)).transpose()?;
                for pattern in patterns {
                    if let TablePattern::AllIn(_) = pattern {
                        let below = below.map(|below| &chain.layers[below].manifest);
                        plan.require_kept_in(below, &parts(cx, pattern).0)?;
                    }
                    let added = plan.add_tables(cx, pattern, into.as_deref());
                    added.map_err(|error| plan.with_earlier(error, cx, pattern, &chain.layers[..index]))?;
                    if matches!(pattern, TablePattern::Table(_)) {
                        plan.require_made(chain, index, pattern)?;
                    }
                }
            }
        }
        Ok(plan)
    }

    fn add_cluster(&mut self, cx: &Cx<'_>) {
        for database in &self.manifest.catalog.databases {
            if !cx.directory.databases.contains_key(&database.name) {
                self.databases.push(RestoredDatabase { id: database.id, name: database.name.clone() });
            }
        }
        for table in &self.manifest.catalog.tables {
            if let Some(database) = self.known.databases.get(&table.database) {
                let schema = self.schema_name(table);
                self.tables.push(RestoredTable { id: table.id, database: database.name.clone(), schema });
            }
        }
    }

    fn add_database(&mut self, name: &str, new_name: &str) -> Result<()> {
        let database = self.manifest.catalog.databases.iter().find(|database| database.name == name);
        let database = database.ok_or_else(|| unresolved(&format!("database {name:?} does not exist")))?;
        self.databases.push(RestoredDatabase { id: database.id, name: new_name.to_string() });
        self.add_tables_of(database.id, new_name);
        Ok(())
    }

    fn add_tables_of(&mut self, database: i64, name: &str) {
        for table in self.manifest.catalog.tables.iter().filter(|table| table.database == database) {
            let schema = self.schema_name(table);
            self.tables.push(RestoredTable { id: table.id, database: name.to_string(), schema });
        }
    }

    fn add_tables(&mut self, cx: &Cx<'_>, pattern: &TablePattern, into: Option<&str>) -> Result<()> {
        let (database, schema, name) = parts(cx, pattern);
        let catalog = &self.manifest.catalog;
        let listed = self.database(&database);
        let is_meant = |table: &&manifest::Table| {
            Some(table.database) == listed
                && name.as_ref().is_none_or(|name| *name == table.name)
                && schema.as_ref().is_none_or(|schema| *schema == self.schema_name(table))
        };
        let found: Vec<&manifest::Table> = catalog.tables.iter().filter(is_meant).collect();
        if found.is_empty() {
            return Err(unresolved(&format!("table {:?} does not exist", written(pattern))));
        }
        for table in found {
            let schema = self.schema_name(table);
            let database = into.unwrap_or(&database).to_string();
            self.tables.push(RestoredTable { id: table.id, database, schema });
        }
        Ok(())
    }

    /// # Errors
    /// 42704 when the table that was just added was made after the moment.
    fn require_made(&self, chain: &Chain, index: usize, pattern: &TablePattern) -> Result<()> {
        let Some(table) = self.tables.last() else { return Ok(()) };
        if chain.table_at(table.id, index + 1, self.moment)?.is_some() {
            return Ok(());
        }
        let text = format!("table {:?} did not exist at {}", written(pattern), shown(self.moment));
        Err(unresolved(&text))
    }

    /// # Errors
    /// As [`Plan::require_kept`], for the databases that had the name in the layer `below` and that have it now, and as
    /// [`Plan::require_no_drop`].
    fn require_kept_in(&self, below: Option<&Manifest>, name: &str) -> Result<()> {
        let now = self.database(name);
        if let Some(below) = below {
            let before = below.catalog.databases.iter().find(|row| row.name == name).map(|row| row.id);
            [before, now].into_iter().flatten().try_for_each(|id| self.require_kept(below, id))?;
        }
        self.require_no_drop(|object| now.is_some_and(|id| object == manifest::Object::Database(id)))
    }

    /// # Errors
    /// 22023 when something of an object that is meant was dropped after the moment: the layer does not have it.
    fn require_no_drop(&self, is_meant: impl Fn(manifest::Object) -> bool) -> Result<()> {
        let drops = self.manifest.catalog.drops.iter();
        let after = drops.filter(|drop| drop.at > self.moment && is_meant(drop.object));
        let Some(last) = after.max_by_key(|drop| drop.at) else { return Ok(()) };
        let what = match last.object {
            manifest::Object::Database(id) => {
                let name =
                    self.known.databases.get(&id).map_or_else(|| id.to_string(), |row| format!("{:?}", row.name));
                format!("a table of database {name}")
            }
            _ => "a database".to_string(),
        };
        let at = shown(last.at);
        let message = format!("{what} was dropped by {at}: the backup does not have it as of {}", shown(self.moment));
        let hint = format!("restore as of {at} or later, or RESTORE TABLE what is there");
        Err(Error::invalid(message).with_hint(hint))
    }

    /// # Errors
    /// 22023 for a table of the database that was dropped after the layer `below`: its last rows are in neither.
    fn require_kept(&self, below: &Manifest, database: i64) -> Result<()> {
        let is_dropped =
            |table: &&manifest::Table| table.database == database && !self.known.tables.contains_key(&table.id);
        let Some(dropped) = below.catalog.tables.iter().find(is_dropped) else { return Ok(()) };
        Err(Error::invalid(format!(
            "table {:?} was dropped between {} and {}: the backup does not have all its rows of that time",
            dropped.name,
            shown(below.end),
            shown(self.manifest.end)
        ))
        .with_hint("restore as of one of these two moments, or RESTORE TABLE the others"))
    }

    /// Tells where a table that was dropped or renamed can still be found.
    fn with_earlier(&self, error: Error, cx: &Cx<'_>, pattern: &TablePattern, below: &[Layer]) -> Error {
        let (database, _, name) = parts(cx, pattern);
        let find = |layer: &Layer| {
            let Catalog { databases, tables, .. } = &layer.manifest.catalog;
            let home = databases.iter().find(|row| row.name == database)?.id;
            let table = tables.iter().find(|table| table.database == home && Some(&table.name) == name.as_ref())?;
            Some((table.id, layer.manifest.end))
        };
        let Some((id, end)) = below.iter().rev().find_map(find) else { return error };
        let end = shown(end);
        error.with_hint(match self.known.tables.get(&id) {
            Some(table) => {
                format!("it is called {:?} since; AS OF SYSTEM TIME '{end}' has it under this name", table.name)
            }
            None => format!("it was dropped since: AS OF SYSTEM TIME '{end}' is the last moment that has it"),
        })
    }

    /// The id of a database in the backup.
    fn database(&self, name: &str) -> Option<i64> {
        let databases = &self.manifest.catalog.databases;
        databases.iter().find(|database| database.name == name).map(|database| database.id)
    }

    fn schema_name(&self, table: &manifest::Table) -> String {
        self.known.schemas.get(&table.schema).map_or_else(|| PUBLIC_SCHEMA.to_string(), |schema| schema.name.clone())
    }

    /// # Errors
    /// 42P04, 42P07 for a name that is taken, 3D000 for a database that should be there.
    fn check_names(&self, cx: &Cx<'_>) -> Result<()> {
        let mut new = HashSet::new();
        for RestoredDatabase { name, .. } in &self.databases {
            if cx.directory.databases.contains_key(name) || !new.insert(name.as_str()) {
                let message = format!("database {name:?} already exists");
                return Err(Error::new(Sqlstate::DUPLICATE_DATABASE, message)
                    .with_hint("restore it under another name WITH new_db_name, or drop the one that exists"));
            }
        }
        let mut taken = HashSet::new();
        for table in &self.tables {
            let name = self.known.tables.get(&table.id).map_or("", |listed| listed.name.as_str());
            let home = cx.directory.databases.get(&table.database);
            if home.is_none() && !new.contains(table.database.as_str()) {
                return Err(missing_database(&table.database, name));
            }
            let schema = home.and_then(|database| cx.directory.schema(database.id, &table.schema));
            let exists = schema.is_some_and(|schema| cx.directory.table(schema.id, name).is_some());
            if exists || !taken.insert((&table.database, &table.schema, name)) {
                let message = format!("relation {name:?} already exists");
                return Err(Error::new(Sqlstate::DUPLICATE_TABLE, message)
                    .with_detail(format!(
                        "the name is taken in schema {:?} of database {:?}",
                        table.schema, table.database
                    ))
                    .with_hint("restore it into another database WITH into_db, or drop the one that exists"));
            }
        }
        Ok(())
    }
}

/// # Errors
/// A backup of less than the cluster; a user who could make himself what the backup calls an admin.
fn require_whole(cx: &Cx<'_>, manifest: &Manifest) -> Result<()> {
    if manifest.targets != manifest::Targets::Cluster {
        return Err(Error::invalid("full cluster RESTORE can only be used on full cluster BACKUP files")
            .with_hint("RESTORE DATABASE or RESTORE TABLE what the backup has; SHOW BACKUP lists it"));
    }
    rights::require_restore_of_roles(cx.subject())
}

/// # Errors
/// The documented text, for a server that has something already.
fn require_unused(cx: &Cx<'_>) -> Result<()> {
    const MADE_AT_START: &[&str] = &["defaultdb", "postgres", "system"];
    let databases = cx.directory.databases.values().filter(|database| !MADE_AT_START.contains(&database.name.as_str()));
    let mut found: Vec<String> = Vec::new();
    for database in databases {
        let schemas = cx.directory.schemas.values().filter(|schema| schema.database == database.id);
        found.push(database.name.clone());
        found.extend(schemas.map(|schema| schema.name.clone()));
    }
    found.extend(cx.directory.tables.values().map(|table| table.name.clone()));
    if found.is_empty() {
        return Ok(());
    }
    let message = format!(
        "full cluster restore can only be run on a cluster with no tables or databases but found {} descriptors: {}",
        found.len(),
        found.join(", ")
    );
    Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint("restore into a new server, or RESTORE DATABASE what is needed"))
}

/// Database, schema and table that a pattern names; a schema is only known of three parts, or of a schema of the current
/// database.
pub(super) fn parts(cx: &Cx<'_>, pattern: &TablePattern) -> (String, Option<String>, Option<String>) {
    let (qualifiers, name) = match pattern {
        TablePattern::Table(name) => (name.qualifiers().to_vec(), Some(name.name().to_string())),
        TablePattern::AllIn(prefix) => (prefix.parts.clone(), None),
    };
    let current = cx.session.variable("database");
    match qualifiers.as_slice() {
        [] => (current, Some(PUBLIC_SCHEMA.to_string()), name),
        [first] => {
            let database = cx.directory.databases.get(&current);
            let is_schema = database.is_some_and(|database| cx.directory.schema(database.id, first).is_some());
            match is_schema {
                true => (current, Some(first.clone()), name),
                false if name.is_none() => (first.clone(), None, None),
                false => (first.clone(), Some(PUBLIC_SCHEMA.to_string()), name),
            }
        }
        [database, schema, ..] => (database.clone(), Some(schema.clone()), name),
    }
}

fn written(pattern: &TablePattern) -> String {
    match pattern {
        TablePattern::Table(name) => plain(name),
        TablePattern::AllIn(prefix) => format!("{}.*", plain(prefix)),
    }
}

fn plain(name: &QualifiedName) -> String {
    name.parts.join(".")
}

/// The documented text.
fn unresolved(what: &str) -> Error {
    Error::new(
        Sqlstate::UNDEFINED_OBJECT,
        format!(
            "failed to resolve targets in the BACKUP location specified by the RESTORE statement, use SHOW BACKUP to find \
             correct targets: {what}"
        ),
    )
}

fn description(statement: &Restore, targets: &Targets, as_of: Option<&str>, place: &Place, chain: &Subdir) -> String {
    let options = &statement.options;
    let as_of = as_of.map_or_else(String::new, |text| format!(" AS OF SYSTEM TIME {text}"));
    let flags = [
        (options.detached, "detached"),
        (options.schema_only, "schema_only"),
        (options.verify_backup_table_data, "verify_backup_table_data"),
        (options.grants, "grants"),
    ];
    let mut shown: Vec<String> =
        flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_string()).collect();
    for (name, value) in [("into_db", &options.into_db), ("new_db_name", &options.new_db_name)] {
        shown.extend(value.as_ref().map(|value| format!("{} = {value}", quote_ident(name))));
    }
    shown.extend(shown_keys(&place.key_texts));
    let shown = if shown.is_empty() { String::new() } else { format!(" WITH OPTIONS ({})", shown.join(", ")) };
    let (subdir, uri) = (quote_literal(&chain.shown()), quote_literal(&redact(&place.uri)));
    let what = match statement.what {
        Restored::SystemUsers => "SYSTEM USERS ".to_string(),
        Restored::Objects(_) => targets.to_string(),
    };
    format!("RESTORE {what}FROM {subdir} IN {uri}{as_of}{shown}")
}
