//! `SHOW BACKUPS`, `SHOW BACKUP`, `SHOW BACKUP ENCRYPTION`.

mod listing;
mod stages;

use std::collections::HashMap;

use arrow_schema::SchemaRef;
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_backup::chain::{Damage, Replay};
use lakeport_backup::keys::{WrappedKey, fingerprint};
use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::{Manifest, StagePlace};
use lakeport_backup::pack::PackReader;
use lakeport_backup::{Chain, Collection, Protection};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_connect::{Role, kms};
use lakeport_sql::stmt::Texts;
use lakeport_sql::stmt::backup::Encryption;
use lakeport_sql::stmt::backup::show::{ShowBackup, ShowBackupEncryption, ShowBackups};
use tokio_util::task::AbortOnDropHandle;

use self::listing::Listing;
use super::{Place, query, subdir};
use crate::error::{Error, Result};
use crate::external::target_of;
use crate::outcome::{Notice, Outcome};
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stmt::Cx;

/// Chains read at a time; each may take as much memory as a chain may.
const CHAINS_MAX: usize = 2;
/// Files looked for at a time.
const LOOKS_MAX: usize = 16;
/// Missing files that an error names.
const NAMED_MAX: usize = 10;

pub(crate) fn backups_columns(statement: &ShowBackups) -> SchemaRef {
    let path = ("path", SqlType::Text);
    if !statement.revision_start_time {
        return schema_of(&[path]);
    }
    schema_of(&[path, ("backup_time", SqlType::TimestampTz), ("revision_start_time", SqlType::TimestampTz)])
}

pub(crate) async fn show_backups(cx: &Cx<'_>, statement: &ShowBackups) -> Result<Outcome> {
    let moment = |text: &str| query::past(cx, &query::moment_text(cx, text)?);
    let time = |text: &Option<String>| text.as_deref().map(moment).transpose();
    let (newer, older) = (time(&statement.newer_than)?, time(&statement.older_than)?);
    let (_, collection) = open(cx, &statement.collection, &Encryption::None).await?;
    let is_shown = |subdir: &Subdir| {
        newer.is_none_or(|newer| *subdir > Subdir::of(newer)) && older.is_none_or(|older| *subdir < Subdir::of(older))
    };
    let mut fulls = collection.fulls().await?;
    fulls.retain(is_shown);
    let rows = match statement.revision_start_time {
        false => fulls.iter().map(|subdir| row![subdir.shown()]).collect(),
        true => layer_rows(cx, &collection, fulls).await?,
    };
    Ok(Outcome::rows("SHOW BACKUPS", batch_of(backups_columns(statement), &rows)?))
}

/// Every layer with the moments that it restores: its end, and all from its revision start on. Those of encrypted chains
/// are known with their keys only, and are NULL.
async fn layer_rows(cx: &Cx<'_>, collection: &Collection, fulls: Vec<Subdir>) -> Result<Vec<Vec<Cell>>> {
    let read = |subdir| AbortOnDropHandle::new(tokio::spawn(clear_chain(collection.clone(), subdir)));
    let mut chains = stream::iter(fulls).map(read).buffered(CHAINS_MAX);
    let mut rows = Vec::new();
    while let Some(read) = chains.next().await {
        let (subdir, chain) = read.map_err(Error::internal)??;
        let Some(chain) = chain else {
            rows.push(row![subdir.shown(), Cell::Null, Cell::Null]);
            continue;
        };
        warn_of_damage(cx, &chain);
        for layer in chain.layers {
            let since = layer.manifest.revisions_since.map_or(Cell::Null, Cell::Time);
            rows.push(row![subdir.shown(), Cell::Time(layer.manifest.end), since]);
        }
    }
    Ok(rows)
}

/// A chain; `None` for one that is encrypted.
async fn clear_chain(collection: Collection, subdir: Subdir) -> Result<(Subdir, Option<Chain>)> {
    let is_clear = collection.infos(&subdir).await?.is_empty();
    let chain = if is_clear { Some(collection.chain(&subdir, &Protection::Checksums).await?) } else { None };
    Ok((subdir, chain))
}

/// What is listed of a chain is what can be restored.
fn warn_of_damage(cx: &Cx<'_>, chain: &Chain) {
    if let Some(Damage { file, what }) = &chain.damage {
        let message = format!("{file} is damaged: {what}; nothing after it in its chain can be restored");
        cx.session.notice(Notice::warning(Sqlstate::DATA_CORRUPTED, message));
    }
}

pub(crate) fn encryption_columns() -> SchemaRef {
    schema_of(&[
        ("file", SqlType::Text),
        ("method", SqlType::Text),
        ("key_sha256", SqlType::Text),
        ("connection_name", SqlType::Text),
    ])
}

/// Which keys open a chain; those of connections that the user may use with their names.
pub(crate) async fn show_encryption(cx: &Cx<'_>, statement: &ShowBackupEncryption) -> Result<Outcome> {
    let (_, collection) = open(cx, &statement.collection, &Encryption::None).await?;
    let subdir = subdir(cx, &statement.chain, &collection).await?;
    let infos = collection.infos(&subdir).await?;
    let names = if infos.is_empty() { HashMap::new() } else { key_connections(cx).await? };
    let mut rows = Vec::new();
    for (number, info) in (1..).zip(infos) {
        let file = subdir.encryption_info(number).filename().unwrap_or_default().to_string();
        for key in &info.keys {
            rows.push(match key {
                WrappedKey::Passphrase { .. } => row![&file, "passphrase", Cell::Null, Cell::Null],
                WrappedKey::Kms { kind, key_sha256, .. } => row![&file, kind, key_sha256, names.get(key_sha256)],
            });
        }
    }
    Ok(Outcome::rows("SHOW BACKUP ENCRYPTION", batch_of(encryption_columns(), &rows)?))
}

/// Names of the key connections that the user may use, by what backups know their keys by.
async fn key_connections(cx: &Cx<'_>) -> Result<HashMap<String, String>> {
    let mut tx = cx.server.config.catalog.read().await?;
    let mut names = HashMap::new();
    for connection in tx.connections().await? {
        let is_key = lakeport_connect::kind_named(&connection.kind).is_some_and(|kind| kind.spec().role == Role::Kms);
        if is_key && cx.subject().has_on_connection(tx.as_mut(), connection.id, "USAGE").await? {
            let target = target_of(&connection)?;
            names.insert(fingerprint(&kms::key_name(&target)?), connection.name);
        }
    }
    Ok(names)
}

async fn open(cx: &Cx<'_>, collection: &Texts, encryption: &Encryption) -> Result<(Place, Collection)> {
    let place = Place::read(cx, collection, encryption).await?;
    let collection = cx.server.open_collection(cx.user(), &place.uri).await?;
    Ok((place, collection))
}

pub(crate) fn backup_columns(statement: &ShowBackup) -> SchemaRef {
    if statement.options.as_json {
        return schema_of(&[("manifest", SqlType::Jsonb)]);
    }
    listing::columns(statement)
}

pub(crate) async fn show_backup(cx: &Cx<'_>, statement: &ShowBackup) -> Result<Outcome> {
    let (place, collection) = open(cx, &statement.collection, &statement.options.encryption).await?;
    let subdir = subdir(cx, &statement.chain, &collection).await?;
    let protection = collection.protection(&subdir, &place.keys).await?;
    let chain = collection.chain(&subdir, &protection).await?;
    if statement.options.check_files {
        chain.check_whole()?;
        check_files(&collection, &chain, &protection).await?;
    }
    warn_of_damage(cx, &chain);
    let listing = Listing { cx, statement };
    let mut rows = Vec::new();
    let mut tables = Replay::default();
    for layer in &chain.layers {
        if statement.schemas {
            tables.add(layer)?;
        }
        match statement.options.as_json {
            true => rows.push(row![json(&layer.manifest)?]),
            false => rows.extend(listing.rows(layer, &tables)?),
        }
    }
    Ok(Outcome::rows("SHOW BACKUP", batch_of(backup_columns(statement), &rows)?))
}

/// The manifest without what it keeps secret.
fn json(manifest: &Manifest) -> Result<String> {
    let mut shown = manifest.clone();
    shown.catalog.roles.iter_mut().for_each(|role| role.verifier = None);
    shown.catalog.connections.iter_mut().for_each(|connection| connection.definition = None);
    for stage in &mut shown.catalog.stages {
        if let StagePlace::Copied { uri, .. } = &mut stage.place {
            *uri = None;
        }
    }
    serde_json::to_string(&shown).map_err(Error::internal)
}

/// # Errors
/// 58P01 naming files that are missing, or have another size.
async fn check_files(collection: &Collection, chain: &Chain, protection: &Protection) -> Result<()> {
    let packs = chain.layers.iter().flat_map(|layer| layer.manifest.packs.iter().map(move |pack| (layer, pack)));
    let readers = packs
        .map(|(layer, pack)| PackReader::new(collection.store().clone(), &layer.path, protection, pack))
        .collect::<lakeport_backup::Result<Vec<_>>>()?;
    let checks = stream::iter(readers).map(|reader| async move {
        match reader.check_size().await {
            Ok(()) => Ok(None),
            Err(lakeport_backup::Error::Corrupt { file, what }) => Ok(Some(format!("{file}: {what}"))),
            Err(error) => Err(Error::from(error)),
        }
    });
    let bad: Vec<Option<String>> = checks.buffered(LOOKS_MAX).try_collect().await?;
    let bad: Vec<String> = bad.into_iter().flatten().collect();
    if bad.is_empty() {
        return Ok(());
    }
    let named = bad.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    let message = format!("{} files of the backup are missing or have another size", bad.len());
    Err(Error::new(Sqlstate::UNDEFINED_FILE, message).with_detail(named))
}
