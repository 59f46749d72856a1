//! `SHOW BACKUPS`, `SHOW BACKUP`, `SHOW BACKUP ENCRYPTION`.

use std::fmt;

use super::option::{self, Given, Options};
use super::{Chain, Encryption, chain_in};
use crate::cursor::{Cursor, Result};
use crate::print;
use crate::stmt::{Statement, Texts, query};

/// `SHOW BACKUPS IN collection [NEWER THAN time] [OLDER THAN time] [WITH REVISION START TIME]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowBackups {
    pub collection: Texts,
    /// The expression's text, as that of AS OF SYSTEM TIME.
    pub newer_than: Option<String>,
    pub older_than: Option<String>,
    pub revision_start_time: bool,
}

/// `SHOW BACKUP [SCHEMAS] [FROM] chain IN collection [WITH options]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowBackup {
    pub schemas: bool,
    pub chain: Chain,
    pub collection: Texts,
    pub options: ShowBackupOptions,
}

/// What follows WITH in a SHOW BACKUP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShowBackupOptions {
    pub as_json: bool,
    pub check_files: bool,
    pub skip_size: bool,
    pub debug_ids: bool,
    pub privileges: bool,
    pub encryption: Encryption,
}

/// `SHOW BACKUP ENCRYPTION FROM chain IN collection`: which keys open the chain; our extension.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowBackupEncryption {
    pub chain: Chain,
    pub collection: Texts,
}

/// After `SHOW BACKUPS`.
pub(in crate::stmt) fn backups(c: &mut Cursor) -> Result<Statement> {
    c.expect("IN").map_err(|error| error.with_hint("write SHOW BACKUPS IN 'collection'"))?;
    let collection = c.texts()?;
    let bound = |phrase, c: &mut Cursor| if c.keywords(phrase) { query::time(c).map(Some) } else { Ok(None) };
    let newer_than = bound("NEWER THAN", c)?;
    let older_than = bound("OLDER THAN", c)?;
    let revision_start_time = c.keywords("WITH REVISION START TIME");
    Ok(Statement::ShowBackups(ShowBackups { collection, newer_than, older_than, revision_start_time }))
}

/// After `SHOW BACKUP ENCRYPTION FROM`.
pub(in crate::stmt) fn encryption(c: &mut Cursor) -> Result<Statement> {
    let (chain, collection) = chain_in(c)?;
    Ok(Statement::ShowBackupEncryption(ShowBackupEncryption { chain, collection }))
}

/// After `SHOW BACKUP`.
pub(in crate::stmt) fn backup(c: &mut Cursor) -> Result<Statement> {
    let schemas = c.keywords("SCHEMAS");
    c.keywords("FROM");
    let (chain, collection) = chain_in(c)?;
    Ok(Statement::ShowBackup(ShowBackup { schemas, chain, collection, options: options(c)? }))
}

fn options(c: &mut Cursor) -> Result<ShowBackupOptions> {
    const NAMES: &[&str] =
        &["AS_JSON", "CHECK_FILES", "SKIP SIZE", "DEBUG_IDS", "PRIVILEGES", "ENCRYPTION_PASSPHRASE", "KMS"];
    let mut options = ShowBackupOptions::default();
    Options { names: NAMES, refused: &[] }.with(c, |Given { name, position }, c| {
        match name {
            "AS_JSON" => options.as_json = option::flag(c)?,
            "CHECK_FILES" => options.check_files = option::flag(c)?,
            "SKIP SIZE" => options.skip_size = option::flag(c)?,
            "DEBUG_IDS" => options.debug_ids = option::flag(c)?,
            "PRIVILEGES" => options.privileges = option::flag(c)?,
            key => option::encryption(key, position, &mut options.encryption, c)?,
        }
        Ok(())
    })?;
    Ok(options)
}

impl fmt::Display for ShowBackups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newer_than = print::optional(" NEWER THAN ", self.newer_than.as_ref());
        let older_than = print::optional(" OLDER THAN ", self.older_than.as_ref());
        let with = print::when(self.revision_start_time, " WITH REVISION START TIME");
        write!(f, "SHOW BACKUPS IN {}{newer_than}{older_than}{with}", self.collection)
    }
}

impl fmt::Display for ShowBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemas = print::when(self.schemas, "SCHEMAS ");
        write!(f, "SHOW BACKUP {schemas}FROM {} IN {}{}", self.chain, self.collection, self.options)
    }
}

impl fmt::Display for ShowBackupOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.as_json, "as_json"),
            (self.check_files, "check_files"),
            (self.skip_size, "skip size"),
            (self.debug_ids, "debug_ids"),
            (self.privileges, "privileges"),
        ];
        f.write_str(&option::printed(&flags, &[], &self.encryption))
    }
}

impl fmt::Display for ShowBackupEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW BACKUP ENCRYPTION FROM {} IN {}", self.chain, self.collection)
    }
}
