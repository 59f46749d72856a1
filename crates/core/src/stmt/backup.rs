//! `BACKUP`, `RESTORE` and their kin: who may, what exactly, from where to where. The work is that of [`crate::backup`].

mod alter;
mod locality;
mod restore;
mod show;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use lakeport_backup::chain::shown;
use lakeport_backup::keys::Keys;
use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::Targets;
use lakeport_backup::{Chain, Collection};
use lakeport_base::id::{ConnectionId, TableId};
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{Secret, Sqlstate, units};
use lakeport_catalog::model::Table;
use lakeport_connect::{ExternalRef, redact};
use lakeport_sql::stmt::backup::{self as ast, Backup, Encryption, TablePattern};
use lakeport_sql::stmt::{Text, Texts};

use super::{Cx, job, query};
use crate::backup::contents::Contents;
use crate::backup::settle::settle;
use crate::backup::{BackupOrder, KeyTexts, rights};
use crate::error::{Error, Result};
use crate::external::missing_connection;
use crate::job::{NewJob, Payload};
use crate::outcome::{Notice, Outcome};

pub(crate) use alter::alter;
pub(crate) use restore::{columns as restore_columns, restore};
pub(crate) use show::{
    backup_columns as show_backup_columns, backups_columns as show_backups_columns, encryption_columns, show_backup,
    show_backups, show_encryption,
};

/// What the name of a layer's folder tells apart, in microseconds.
const FOLDER_MICROS: i64 = 10_000;

pub(crate) fn columns(statement: &Backup) -> SchemaRef {
    job::run_columns(statement.options.detached)
}

pub(crate) async fn backup(cx: &Cx<'_>, statement: &Backup) -> Result<Outcome> {
    if !statement.options.detached {
        cx.refuse_in_block("BACKUP cannot be used inside a multi-statement transaction without DETACHED option")?;
    }
    let targets = targets(cx, &statement.targets)?;
    let tables = Contents::of(&cx.directory, &targets).tables;
    let place = Place::read(cx, &statement.collection, &statement.options.encryption).await?;
    let as_of = statement.as_of.as_deref().map(|text| query::moment_text(cx, text)).transpose()?;
    let end = match &as_of {
        Some(text) => query::as_of(cx, text)?,
        None => {
            let changed = settle(cx.server, &cx.directory, &tables).await?;
            // After a clock was set back it may be earlier than what is there.
            cx.server.config.env.now_micros().max(changed)
        }
    };
    warn_of_younger(cx, &targets, end);
    if targets == Targets::Cluster && matches!(place.key_texts, KeyTexts::None) {
        let message = "a backup without encryption has neither passwords nor connections with secrets";
        let hint = Some("WITH encryption_passphrase or kms keeps them".to_string());
        cx.session.notice(Notice { hint, ..Notice::new(message) });
    }
    let collection = cx.server.open_collection(cx.user(), &place.uri).await?;
    let Position { subdir, start, end } = position(cx, statement, &collection, &place, &targets, end).await?;
    let order = BackupOrder {
        collection: Secret::new(place.uri.clone()),
        keys: place.key_texts.clone(),
        subdir,
        start,
        end,
        revision_history: statement.options.revision_history,
        retain_micros: statement.options.retain.as_ref().map(|text| retain_micros(cx, text)).transpose()?,
        tables: tables.iter().map(|table| table.id).collect(),
        targets,
    };
    let new = NewJob {
        description: description(statement, as_of.as_deref(), &place, &order),
        payload: Payload::Backup(order),
        owner: cx.user().to_string(),
        connections: place.connections.clone(),
    };
    job::run(cx, new, "BACKUP", statement.options.detached).await
}

/// Names what was made after the moment that is backed up.
fn warn_of_younger(cx: &Cx<'_>, targets: &Targets, end: i64) {
    let is_younger = |created: i64| created > end;
    let younger: Vec<String> = match targets {
        Targets::Cluster => Vec::new(),
        Targets::Databases(names) => {
            let found = names.iter().filter_map(|name| cx.directory.databases.get(name));
            found.filter(|row| is_younger(row.created)).map(|row| format!("database {:?}", row.name)).collect()
        }
        Targets::Tables(tables) => {
            let found = tables
                .iter()
                .filter(|(id, _)| cx.directory.tables.get(&TableId(*id)).is_some_and(|row| is_younger(row.created)));
            found.map(|(_, name)| format!("table {name}")).collect()
        }
    };
    for name in younger {
        let message = format!("{name} did not exist at {}: the backup has nothing of it", shown(end));
        cx.session.notice(Notice::warning(Sqlstate::WARNING, message));
    }
}

/// # Errors
/// 42501 when the user may not back up what a schedule names, and for what is not there.
pub(super) fn require(cx: &Cx<'_>, statement: &Backup) -> Result<()> {
    targets(cx, &statement.targets).map(drop)
}

/// Checks where a schedule is to put backups: keys and a collection that the user may use now. Answers the collection.
pub(super) async fn check(cx: &Cx<'_>, statement: &Backup) -> Result<Collection> {
    let place = Place::read(cx, &statement.collection, &statement.options.encryption).await?;
    cx.server.open_collection(cx.user(), &place.uri).await
}

/// # Errors
/// 22023 for what is no length of time.
pub(crate) fn retain_micros(cx: &Cx<'_>, text: &Text) -> Result<i64> {
    let text = cx.string(text)?;
    let parsed = units::parse_duration(&text).and_then(|duration| i64::try_from(duration.as_micros()).ok());
    parsed.filter(|micros| *micros > 0).ok_or_else(|| {
        Error::invalid(format!("retain: {text:?} is no length of time")).with_hint("such as '30 days' or '12h'")
    })
}

/// A collection and the keys that a statement names, all of which the user may use.
struct Place {
    uri: String,
    key_texts: KeyTexts,
    /// Held until the job has ended, which needs what is made of a passphrase too.
    keys: Keys,
    connections: Vec<ConnectionId>,
}

impl Place {
    async fn read(cx: &Cx<'_>, collection: &Texts, encryption: &Encryption) -> Result<Place> {
        let uris = cx.strings(&collection.0)?;
        for uri in &uris {
            cx.server.authorise_uri(cx.subject(), uri).await?;
        }
        let uri = locality::place(&uris)?;
        let mut connections: Vec<ConnectionId> =
            cx.server.resolve(uri).await?.connection.map(|(id, _)| id).into_iter().collect();
        let key_texts = key_texts(cx, encryption, &mut connections).await?;
        let keys = cx.server.open_keys(cx.user(), &key_texts).await?;
        connections.sort_unstable();
        connections.dedup();
        Ok(Place { uri: uri.clone(), key_texts, keys, connections })
    }
}

async fn key_texts(cx: &Cx<'_>, encryption: &Encryption, used: &mut Vec<ConnectionId>) -> Result<KeyTexts> {
    Ok(match encryption {
        Encryption::None => KeyTexts::None,
        Encryption::Passphrase(text) => match cx.string(text)? {
            empty if empty.is_empty() => return Err(Error::invalid("encryption_passphrase must not be empty")),
            passphrase => KeyTexts::Passphrase(Secret::new(passphrase)),
        },
        Encryption::Kms(texts) => {
            let uris = cx.strings(&texts.0)?;
            for uri in &uris {
                cx.server.authorise_kms(cx.subject(), uri).await?;
                if let Some(reference) = ExternalRef::parse(uri)? {
                    let found = cx.server.config.catalog.read().await?.find_connection(&reference.name).await?;
                    used.push(found.ok_or_else(|| missing_connection(&reference.name))?.id);
                }
            }
            KeyTexts::Kms(Secret::new(uris))
        }
    })
}

/// Where a new layer goes.
struct Position {
    /// The full backup that is made or added to.
    subdir: Subdir,
    /// The end of the layer below.
    start: Option<i64>,
    end: i64,
}

/// The clock may stand behind what is there: a layer that need not have a certain end gets the earliest whose folder is
/// new.
async fn position(
    cx: &Cx<'_>,
    statement: &Backup,
    collection: &Collection,
    place: &Place,
    targets: &Targets,
    mut end: i64,
) -> Result<Position> {
    let Some(chain) = &statement.chain else {
        while collection.has(&Subdir::of(end)).await? {
            if statement.as_of.is_some() {
                return Err(full_exists(&place.uri, &Subdir::of(end)));
            }
            end += FOLDER_MICROS;
        }
        return Ok(Position { subdir: Subdir::of(end), start: None, end });
    };
    let subdir = subdir(cx, chain, collection).await?;
    // One that has lost its mark is being deleted.
    if !collection.fulls().await?.contains(&subdir) {
        return Err(no_full(&subdir));
    }
    let protection = collection.protection(&subdir, &place.keys).await?;
    let chain = collection.chain(&subdir, &protection).await?;
    chain.check_whole()?;
    let last = &chain.last().manifest;
    require_same_cluster(cx, &chain)?;
    require_same_targets(&chain, targets)?;
    chain.check_room()?;
    if statement.as_of.is_some() && last.end >= end {
        return Err(Error::invalid(format!(
            "the backup would end at {}, which is not after the end of the chain, {}",
            shown(end),
            shown(last.end)
        ))
        .with_hint("back up a later moment, or begin a chain with BACKUP INTO"));
    }
    if statement.as_of.is_none() {
        end = end.max(last.end + FOLDER_MICROS);
    }
    Ok(Position { subdir, start: Some(last.end), end })
}

/// The full backup that a statement names.
async fn subdir(cx: &Cx<'_>, chain: &ast::Chain, collection: &Collection) -> Result<Subdir> {
    match chain {
        ast::Chain::Latest => Ok(collection.latest().await?),
        ast::Chain::Subdir(text) => match cx.string(text)? {
            latest if latest.eq_ignore_ascii_case("latest") => Ok(collection.latest().await?),
            subdir => Ok(Subdir::parse(&subdir)?),
        },
    }
}

/// What the statement's targets are now, if the user may back them up.
fn targets(cx: &Cx<'_>, targets: &ast::Targets) -> Result<Targets> {
    let listed = match targets {
        ast::Targets::Cluster => Targets::Cluster,
        ast::Targets::Databases(names) => {
            names.iter().try_for_each(|name| cx.directory.database(name).map(drop))?;
            Targets::Databases(sorted(names.clone()))
        }
        ast::Targets::Tables(patterns) => {
            let mut tables: Vec<Arc<Table>> = Vec::new();
            for pattern in patterns {
                tables.extend(tables_of(cx, pattern)?);
            }
            Targets::Tables(sorted(tables.iter().map(|table| (table.id.0, cx.directory.full_name(table))).collect()))
        }
    };
    rights::require_backup(cx.subject(), &listed)?;
    Ok(listed)
}

/// In order, each once.
fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

fn tables_of(cx: &Cx<'_>, pattern: &TablePattern) -> Result<Vec<Arc<Table>>> {
    let prefix = match pattern {
        TablePattern::Table(name) => return Ok(vec![cx.table(name)?]),
        TablePattern::AllIn(prefix) => prefix,
    };
    let (database, schema, _) = restore::parts(cx, pattern);
    let database = cx.directory.database(&database)?.id;
    let schema = schema.as_ref().map(|name| cx.directory.schema(database, name).map(|schema| schema.id));
    let is_meant =
        |table: &&Arc<Table>| table.database == database && schema.is_none_or(|schema| schema == Some(table.schema));
    let found: Vec<Arc<Table>> = cx.directory.tables.values().filter(is_meant).cloned().collect();
    match found.is_empty() {
        true => Err(Error::new(Sqlstate::UNDEFINED_TABLE, format!("no table matches {prefix}.*"))),
        false => Ok(found),
    }
}

/// # Errors
/// 55000 for another server's chain, also when this one was restored from it: ids and versions mean other tables here.
fn require_same_cluster(cx: &Cx<'_>, chain: &Chain) -> Result<()> {
    let ours = cx.server.config.catalog.identity();
    let theirs =
        chain.layers.iter().filter_map(|layer| layer.manifest.cluster.as_deref()).find(|cluster| *cluster != ours);
    let Some(theirs) = theirs else { return Ok(()) };
    let message = format!("previous BACKUP belongs to cluster {theirs}, and this is cluster {ours}");
    Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint("begin a chain of this server with BACKUP INTO, in a collection of its own"))
}

fn require_same_targets(chain: &Chain, targets: &Targets) -> Result<()> {
    let below = &chain.last().manifest.targets;
    if below.covers_as(targets) {
        return Ok(());
    }
    let message = match (named(below), named(targets)) {
        (below, targets) if below == targets => {
            format!("the chain is a backup of {below} as it was before it was made again")
        }
        (below, targets) => format!("the chain is a backup of {below}, not of {targets}"),
    };
    Err(Error::invalid(message)
        .with_hint("add to a chain with the targets that it began with, or begin one with BACKUP INTO"))
}

fn named(targets: &Targets) -> String {
    match targets {
        Targets::Cluster => "the cluster".to_string(),
        Targets::Databases(names) => format!("database {}", names.join(", ")),
        Targets::Tables(tables) => {
            format!("table {}", tables.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The statement in its canonical form, with the folder that was chosen and URIs without secrets.
fn description(statement: &Backup, as_of: Option<&str>, place: &Place, order: &BackupOrder) -> String {
    let targets = match &order.targets {
        Targets::Cluster => String::new(),
        Targets::Databases(names) => {
            format!("DATABASE {} ", names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", "))
        }
        tables => format!("{} ", named(tables).replacen("table", "TABLE", 1)),
    };
    let as_of = as_of.map_or_else(String::new, |text| format!(" AS OF SYSTEM TIME {text}"));
    let mut options: Vec<String> = Vec::new();
    if statement.options.detached {
        options.push("detached".to_string());
    }
    if order.revision_history {
        options.push("revision_history = true".to_string());
    }
    if let Some(retain) = &statement.options.retain {
        options.push(format!("retain = {retain}"));
    }
    options.extend(shown_keys(&place.key_texts));
    let options = if options.is_empty() { String::new() } else { format!(" WITH OPTIONS ({})", options.join(", ")) };
    let (subdir, uri) = (quote_literal(&order.subdir.shown()), quote_literal(&redact(&place.uri)));
    format!("BACKUP {targets}INTO {subdir} IN {uri}{as_of}{options}")
}

/// Keys as descriptions show them.
fn shown_keys(keys: &KeyTexts) -> Option<String> {
    match keys {
        KeyTexts::None => None,
        KeyTexts::Passphrase(_) => Some("encryption_passphrase = '*****'".to_string()),
        KeyTexts::Kms(uris) => {
            let uris: Vec<String> = uris.expose().iter().map(|uri| quote_literal(&redact(uri))).collect();
            Some(match uris.as_slice() {
                [uri] => format!("kms = {uri}"),
                uris => format!("kms = ({})", uris.join(", ")),
            })
        }
    }
}

/// The documented text.
fn full_exists(uri: &str, subdir: &Subdir) -> Error {
    let uri = redact(uri);
    let message = format!(
        "A full backup already exists in {uri}/{subdir}. Consider running an incremental backup to this full backup via \
         `BACKUP INTO '{}' IN '{uri}'`",
        subdir.shown()
    );
    Error::new(Sqlstate::DUPLICATE_OBJECT, message)
}

/// The documented text.
fn no_full(subdir: &Subdir) -> Error {
    Error::new(
        Sqlstate::UNDEFINED_FILE,
        format!(
            "No full backup exists in {:?} to append an incremental backup to. To take a full backup, remove the \
             subdirectory from the backup command (i.e. run 'BACKUP ... INTO <collectionURI>').",
            subdir.shown()
        ),
    )
}
