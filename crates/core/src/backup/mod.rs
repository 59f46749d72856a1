//! BACKUP and RESTORE: tables to files of a collection and back.
//!
//! The format itself is the crate `lakeport-backup`. `contents` turns rows of the catalog into what a manifest lists, and
//! back, and `cluster` those that only a backup of everything has; `rights` says who may. `settle` puts right what an
//! interrupted ALTER TABLE has left. `cut` finds out what tables were at one moment and what a chain lacks of it, `copy`
//! puts files into packs and `write` is the job that makes a layer of them. `restore` is the job that makes tables of a
//! chain, beside those that exist, and publishes them at once. Both let a `crew` of tasks move the files, and a `meter`
//! count them. `protect` keeps what an unfinished backup needs, and `passphrases` lets a statement and its job derive a key
//! once.

mod cluster;
pub(crate) mod contents;
mod copy;
mod crew;
mod cut;
mod error;
mod meter;
mod passphrases;
mod protect;
pub(crate) mod restore;
pub(crate) mod rights;
pub(crate) mod settle;
pub(crate) mod write;

use std::sync::Arc;

use lakeport_backup::Collection;
use lakeport_backup::keys::Keys;
use lakeport_base::Secret;
use lakeport_connect::{Kms, Role, redact};

use crate::authz::Subject;
use crate::error::{Error, Result};
use crate::external::Named;
use crate::job::Progress;
use crate::server::Server;

pub(crate) use passphrases::PassphraseCache;

pub use copy::{Copied, CopiedFile};
pub use restore::{RestoreOrder, RestoreTask};
pub use write::{BackupOrder, BackupTask};

/// Tables that are looked at side by side.
const TABLES_AT_ONCE: usize = 8;

/// What opens or locks a chain, as the statement has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum KeyTexts {
    #[default]
    None,
    Passphrase(Secret<String>),
    /// URIs of keys.
    Kms(Secret<Vec<String>>),
}

impl Server {
    /// The collection of a URI for a user.
    ///
    /// # Errors
    /// 42501 when the user may not use it; 0A000 when the URI's kind takes no backups; as [`Server::open_storage`].
    pub(crate) async fn open_collection(self: &Arc<Self>, user: &str, uri: &str) -> Result<Collection> {
        self.open_job_collection(user, uri, Arc::default()).await
    }

    /// As [`Server::open_collection`], for a job.
    ///
    /// # Errors
    /// As [`Server::open_collection`].
    pub(crate) async fn open_job_collection(
        self: &Arc<Self>,
        user: &str,
        uri: &str,
        progress: Arc<Progress>,
    ) -> Result<Collection> {
        let directory = self.directory().await?;
        self.authorise_uri(Subject { directory: &directory, user }, uri).await?;
        let target = self.resolve(uri).await?.target;
        if target.role() != Role::Storage || !target.spec().capability.write {
            let message = format!("{} is not supported for backup and restore", target.uri().scheme);
            return Err(Error::unsupported(message).with_hint("use a bucket, nodelocal or userfile"));
        }
        let store = Named::new(self.open_bound_storage(user, uri, progress).await?, &redact(uri));
        Ok(Collection::new(Arc::new(store)))
    }

    /// Opens the keys of a statement for a user.
    ///
    /// # Errors
    /// Those of the first key that cannot be opened.
    pub(crate) async fn open_keys(&self, user: &str, texts: &KeyTexts) -> Result<Keys> {
        Ok(match texts {
            KeyTexts::None => Keys::None,
            KeyTexts::Passphrase(text) => Keys::Passphrase(self.passphrases.get(text)),
            KeyTexts::Kms(uris) => Keys::Kms(self.open_all_kms(user, uris.expose()).await?),
        })
    }

    /// Opens keys of key services for a user.
    ///
    /// # Errors
    /// Those of the first that cannot be opened.
    pub(crate) async fn open_all_kms(&self, user: &str, uris: &[String]) -> Result<Vec<Arc<dyn Kms>>> {
        let mut opened = Vec::with_capacity(uris.len());
        for uri in uris {
            opened.push(self.open_kms(user, uri).await?);
        }
        Ok(opened)
    }
}
