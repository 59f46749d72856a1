//! `ALTER BACKUP`: who opens a chain. No data is touched.

use std::slice;
use std::sync::Arc;

use futures::future::join_all;
use lakeport_backup::Collection;
use lakeport_backup::collection::Creation;
use lakeport_backup::keys::{self, EncryptionInfo, Keys, WrappedKey};
use lakeport_backup::layout::Subdir;
use lakeport_base::{Point, Sqlstate};
use lakeport_connect::Kms;
use lakeport_sql::stmt::Texts;
use lakeport_sql::stmt::backup::alter::{AlterBackup, KeyChange};

use super::subdir;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::stmt::Cx;

/// The statement is made again when another has changed the keys meanwhile.
const RUNS_MAX: usize = 5;
const SUBDIR_HINT: &str = "name a full backup of the collection; SHOW BACKUPS IN lists them";

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterBackup) -> Result<Outcome> {
    cx.subject().require_admin("run ALTER BACKUP")?;
    let (uri, named) = collection_of(cx, statement)?;
    cx.server.authorise_uri(cx.subject(), &uri).await?;
    let collection = cx.server.open_collection(cx.user(), &uri).await?;
    let subdir = match (&statement.chain, named) {
        (Some(chain), _) => subdir(cx, chain, &collection).await?,
        (None, Some(named)) => named,
        (None, None) => return Err(Error::invalid("invalid base backup specified").with_hint(SUBDIR_HINT)),
    };
    if !collection.has(&subdir).await? {
        return Err(Error::new(Sqlstate::UNDEFINED_FILE, "invalid base backup specified")
            .with_detail(format!("there is no full backup in {:?}", subdir.shown()))
            .with_hint(SUBDIR_HINT));
    }
    for change in &statement.changes {
        match change {
            KeyChange::Add { new, old } => add(cx, &collection, &subdir, new, old).await?,
            KeyChange::Drop { keys, .. } => drop_keys(cx, &collection, &subdir, keys).await?,
        }
    }
    cx.server.audit(&cx.session.user, "alter_backup", &subdir.shown(), &lakeport_connect::redact(&uri)).await;
    Ok(Outcome::done("ALTER BACKUP"))
}

/// The collection's URI and, where the statement has one URI for both, the subdirectory at its end.
fn collection_of(cx: &Cx<'_>, statement: &AlterBackup) -> Result<(String, Option<Subdir>)> {
    let uris = cx.strings(&statement.collection.0)?;
    let uri = super::locality::place(&uris)?;
    if statement.chain.is_some() {
        return Ok((uri.clone(), None));
    }
    let (path, query) = uri.split_once('?').map_or((uri.as_str(), None), |(path, query)| (path, Some(query)));
    let path = path.trim_end_matches('/');
    let parts: Vec<&str> = path.rsplitn(4, '/').collect();
    let [day, month, year, collection] = parts.as_slice() else { return Ok((uri.clone(), None)) };
    let Ok(subdir) = Subdir::parse(&format!("{year}/{month}/{day}")) else { return Ok((uri.clone(), None)) };
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Ok((format!("{collection}{query}"), Some(subdir)))
}

/// Wraps the chain's key for new keys too, in a file of their own. What is wrapped for all of them already stays as it is.
async fn add(cx: &Cx<'_>, collection: &Collection, subdir: &Subdir, new: &Texts, old: &Texts) -> Result<()> {
    let old = known(cx, old).await?;
    let new = opened(cx, new).await?;
    for _ in 0..RUNS_MAX {
        let infos = infos(collection, subdir).await?;
        let key = keys::unwrap_by_any(&old, &infos).await?;
        // A key of the same name elsewhere may be listed: only one that opens the chain is there already.
        let opens: Vec<_> = new.iter().map(|kms| keys::unwrap_by_any(slice::from_ref(kms), &infos)).collect();
        let opened = new.iter().zip(join_all(opens).await);
        let fresh: Vec<Arc<dyn Kms>> =
            opened.filter(|(_, opened)| opened.is_err()).map(|(kms, _)| kms.clone()).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        require_room(&infos, fresh.len())?;
        let info = EncryptionInfo::lock(&key, &Keys::Kms(fresh), &cx.server.config.env).await.map_err(adding)?;
        cx.server.config.env.fault(Point::AlterBackup)?;
        let path = subdir.encryption_info(infos.len() + 1);
        let creation = cx.cancel.commit(async { Ok(collection.create(&path, info.encode()).await?) }).await?;
        if creation == Creation::Written {
            return Ok(());
        }
    }
    Err(busy(subdir))
}

/// Takes keys out of the files that have them.
async fn drop_keys(cx: &Cx<'_>, collection: &Collection, subdir: &Subdir, dropped: &Texts) -> Result<()> {
    let dropped = opened(cx, dropped).await?;
    // Two that drop one key each must not both find the other's.
    let _turn = cx.server.dropping_keys.lock().await;
    let before = infos(collection, subdir).await?;
    let after = keys::without(&before, &dropped)?;
    cx.server.config.env.fault(Point::AlterBackup)?;
    cx.cancel
        .commit(async {
            for (number, (before, after)) in (1..).zip(before.iter().zip(after)) {
                if *before != after {
                    collection.replace(&subdir.encryption_info(number), after.encode()).await?;
                }
            }
            Ok(())
        })
        .await
}

/// The keys, each of which must open.
async fn opened(cx: &Cx<'_>, uris: &Texts) -> Result<Vec<Arc<dyn Kms>>> {
    let uris = cx.strings(&uris.0)?;
    for uri in &uris {
        cx.server.authorise_kms(cx.subject(), uri).await?;
    }
    cx.server.open_all_kms(cx.user(), &uris).await
}

/// Those of the keys that open: one that is not the chain's, or no key at all, does not stand in the way of another.
async fn known(cx: &Cx<'_>, uris: &Texts) -> Result<Vec<Arc<dyn Kms>>> {
    let mut known = Vec::new();
    for uri in cx.strings(&uris.0)? {
        match cx.server.open_kms(cx.user(), &uri).await {
            Ok(kms) => known.push(kms),
            Err(error) if error.code() == Sqlstate::INSUFFICIENT_PRIVILEGE => return Err(error),
            Err(error) => tracing::debug!(%error, "an OLD_KMS does not open"),
        }
    }
    Ok(known)
}

/// The wrapped keys of a chain that opens with keys.
async fn infos(collection: &Collection, subdir: &Subdir) -> Result<Vec<EncryptionInfo>> {
    let infos = collection.infos(subdir).await?;
    if infos.is_empty() {
        let message = format!("could not find or read encryption information: {:?} is not encrypted", subdir.shown());
        return Err(Error::invalid(message));
    }
    if !infos.iter().flat_map(|info| &info.keys).any(|key| matches!(key, WrappedKey::Kms { .. })) {
        let message =
            format!("{:?} is encrypted with a passphrase, which ALTER BACKUP does not change", subdir.shown());
        return Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .with_hint("begin a chain that opens with keys by BACKUP INTO ... WITH kms"));
    }
    Ok(infos)
}

/// # Errors
/// 54000 when readers would refuse so many keys.
fn require_room(infos: &[EncryptionInfo], more: usize) -> Result<()> {
    let listed: usize = infos.iter().map(|info| info.keys.len()).sum();
    if listed + more <= keys::KEYS_MAX {
        return Ok(());
    }
    let message = format!("the backup is encrypted for {listed} keys, and may be for {}", keys::KEYS_MAX);
    Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
        .with_hint("ALTER BACKUP ... DROP KMS takes away old ones"))
}

fn adding(error: lakeport_backup::Error) -> Error {
    Error::from(error).prefixed("failed to encrypt data key when adding new KMS")
}

fn busy(subdir: &Subdir) -> Error {
    Error::new(Sqlstate::SERIALIZATION_FAILURE, format!("the keys of {:?} are being changed by others", subdir.shown()))
        .with_hint("run the statement again")
}
