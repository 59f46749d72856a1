//! `BACKUP`, and what it shares with its kin: which objects, which backup of a collection, which keys.

pub mod alter;
pub(super) mod option;
pub mod restore;
pub mod show;

use std::fmt;

use lakeport_base::QualifiedName;

use self::option::{Given, Options};
use super::{Statement, Text, Texts, grant, query};
use crate::cursor::{Cursor, Result, Seen};
use crate::print;

/// `BACKUP [targets] INTO {collection | LATEST IN collection | 'subdir' IN collection} [AS OF SYSTEM TIME time]
/// [WITH options]`
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    pub targets: Targets,
    /// The chain that the backup is added to; `None` begins one.
    pub chain: Option<Chain>,
    /// One URI, or one for each locality.
    pub collection: Texts,
    /// The expression's text.
    pub as_of: Option<String>,
    pub options: BackupOptions,
}

/// Which objects are backed up or restored.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Everything that the server has.
    Cluster,
    Databases(Vec<String>),
    Tables(Vec<TablePattern>),
}

/// Tables by their names.
#[derive(Clone, Debug, PartialEq)]
pub enum TablePattern {
    Table(QualifiedName),
    /// `prefix.*`: the tables of a schema, or of a database.
    AllIn(QualifiedName),
}

/// A full backup of a collection, with the incremental ones made on top of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Chain {
    /// `LATEST`, bare or in quotes: the last one begun.
    Latest,
    /// The folder of its full backup. `$n` may stand for `LATEST` as well.
    Subdir(Text),
}

/// What follows WITH in a BACKUP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BackupOptions {
    pub revision_history: bool,
    pub detached: bool,
    /// Chains of the collection whose every layer is older are deleted; our extension.
    pub retain: Option<Text>,
    pub encryption: Encryption,
}

/// One of these options, as ALTER BACKUP SCHEDULE sets it.
#[derive(Clone, Debug, PartialEq)]
pub enum BackupOption {
    RevisionHistory(bool),
    Detached(bool),
    Retain(Text),
    Encryption(Encryption),
}

/// What backups are encrypted with, or what opens them.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Encryption {
    #[default]
    None,
    Passphrase(Text),
    /// URIs of KMS keys.
    Kms(Texts),
}

/// After `BACKUP`.
pub(super) fn backup(c: &mut Cursor) -> Result<Statement> {
    let targets = targets("INTO", c)?;
    if c.is_next("TO") {
        let hint = "write BACKUP INTO 'collection', or INTO LATEST IN 'collection'";
        return Err(c.unsupported("BACKUP TO is not supported").with_hint(hint));
    }
    c.expect("INTO")?;
    let (chain, collection) = place(c)?;
    let as_of = as_of(c)?;
    if c.is_next("INCREMENTAL FROM") {
        let hint = "write BACKUP INTO LATEST IN 'collection' to add to the last backup of a collection";
        return Err(c.unsupported("INCREMENTAL FROM is not supported").with_hint(hint));
    }
    let options = backup_options(c)?;
    Ok(Statement::Backup(Backup { targets, chain, collection, as_of, options }))
}

/// `[targets] INTO collection [WITH options]`: a backup that is made again and again.
pub(super) fn repeated(c: &mut Cursor) -> Result<Backup> {
    let targets = targets("INTO", c)?;
    c.expect("INTO")?;
    Ok(Backup { targets, chain: None, collection: c.texts()?, as_of: None, options: backup_options(c)? })
}

/// Objects up to the word that follows them; none at all are the cluster.
fn targets(end: &str, c: &mut Cursor) -> Result<Targets> {
    if c.is_next(end) || c.is_next("TO") {
        return Ok(Targets::Cluster);
    }
    if c.keywords("DATABASE") {
        return Ok(Targets::Databases(c.comma_list(Cursor::ident)?));
    }
    c.keywords("TABLE");
    let pattern = |c: &mut Cursor| {
        grant::table_pattern(c)
            .map(|(all, name)| if all { TablePattern::AllIn(name) } else { TablePattern::Table(name) })
    };
    Ok(Targets::Tables(c.comma_list(pattern)?))
}

/// `collection` or `chain IN collection`.
fn place(c: &mut Cursor) -> Result<(Option<Chain>, Texts)> {
    let first = c.texts()?;
    match first.0.as_slice() {
        [chain] if c.keywords("IN") => Ok((Some(Chain::of(chain.clone())), c.texts()?)),
        _ => Ok((None, first)),
    }
}

/// `chain IN collection`; a collection alone was enough before there were chains.
fn chain_in(c: &mut Cursor) -> Result<(Chain, Texts)> {
    let chain = Chain::of(c.text_value()?);
    c.expect("IN").map_err(|error| error.with_hint("write {LATEST | 'subdirectory'} IN 'collection'"))?;
    Ok((chain, c.texts()?))
}

/// `[AS OF SYSTEM TIME time]`
fn as_of(c: &mut Cursor) -> Result<Option<String>> {
    if c.keywords("AS OF SYSTEM TIME") { query::time(c).map(Some) } else { Ok(None) }
}

const OPTIONS: Options = Options {
    names: &["REVISION_HISTORY", "DETACHED", "RETAIN", "ENCRYPTION_PASSPHRASE", "KMS"],
    refused: &[
        "EXECUTION LOCALITY",
        "INCLUDE_ALL_VIRTUAL_CLUSTERS",
        "STRICT STORAGE LOCALITY",
        "UPDATES_CLUSTER_MONITORING_METRICS",
    ],
};

/// `[WITH options]`
fn backup_options(c: &mut Cursor) -> Result<BackupOptions> {
    let mut options = BackupOptions::default();
    OPTIONS.with(c, |given, c| {
        options.set(BackupOption::read(&given, options.encryption.clone(), c)?);
        Ok(())
    })?;
    Ok(options)
}

impl BackupOptions {
    /// Gives one option another value.
    pub fn set(&mut self, option: BackupOption) {
        match option {
            BackupOption::RevisionHistory(on) => self.revision_history = on,
            BackupOption::Detached(on) => self.detached = on,
            BackupOption::Retain(text) => self.retain = Some(text),
            BackupOption::Encryption(encryption) => self.encryption = encryption,
        }
    }
}

impl BackupOption {
    /// Reads `option`.
    pub(super) fn one(c: &mut Cursor) -> Result<BackupOption> {
        let mut read = None;
        OPTIONS.one(&mut Seen::default(), c, &mut |given, c| {
            read = Some(BackupOption::read(&given, Encryption::None, c)?);
            Ok(())
        })?;
        // An option that is refused may be set to false, which changes nothing.
        read.ok_or_else(|| c.error())
    }

    /// Reads the value of an option beside another that says how to encrypt.
    fn read(given: &Given, mut encryption: Encryption, c: &mut Cursor) -> Result<BackupOption> {
        Ok(match given.name {
            "REVISION_HISTORY" => BackupOption::RevisionHistory(option::flag(c)?),
            "DETACHED" => BackupOption::Detached(option::flag(c)?),
            "RETAIN" => BackupOption::Retain(option::text(c)?),
            key => {
                option::encryption(key, given.position, &mut encryption, c)?;
                BackupOption::Encryption(encryption)
            }
        })
    }
}

impl Chain {
    fn of(text: Text) -> Chain {
        match text {
            Text::Literal(text) if text.eq_ignore_ascii_case("latest") => Chain::Latest,
            text => Chain::Subdir(text),
        }
    }
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.chain.as_ref().map_or_else(String::new, |chain| format!("{chain} IN "));
        let as_of = print::optional(" AS OF SYSTEM TIME ", self.as_of.as_ref());
        write!(f, "BACKUP {}INTO {chain}{}{as_of}{}", self.targets, self.collection, self.options)
    }
}

/// With a space behind, unless it is the cluster.
impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Targets::Cluster => Ok(()),
            Targets::Databases(names) => write!(f, "DATABASE {} ", print::idents(names)),
            Targets::Tables(patterns) => write!(f, "TABLE {} ", print::list(patterns)),
        }
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TablePattern::Table(name) => name.fmt(f),
            TablePattern::AllIn(prefix) => write!(f, "{prefix}.*"),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chain::Latest => f.write_str("LATEST"),
            Chain::Subdir(subdir) => subdir.fmt(f),
        }
    }
}

impl fmt::Display for BackupOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupOption::RevisionHistory(on) => write!(f, "revision_history = {on}"),
            BackupOption::Detached(on) => write!(f, "detached = {on}"),
            BackupOption::Retain(text) => write!(f, "retain = {text}"),
            BackupOption::Encryption(Encryption::None) => Ok(()),
            BackupOption::Encryption(Encryption::Passphrase(text)) => write!(f, "encryption_passphrase = {text}"),
            BackupOption::Encryption(Encryption::Kms(uris)) => write!(f, "kms = {uris}"),
        }
    }
}

impl fmt::Display for BackupOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [(self.revision_history, "revision_history"), (self.detached, "detached")];
        f.write_str(&option::printed(&flags, &[("retain", &self.retain)], &self.encryption))
    }
}
