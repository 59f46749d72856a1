//! `RESTORE`.

use std::fmt;

use super::option::{self, Given, Options};
use super::{Chain, Encryption, Targets, as_of, chain_in, targets};
use crate::cursor::{Cursor, Result};
use crate::print;
use crate::stmt::{Statement, Text, Texts};

/// `RESTORE [targets | SYSTEM USERS] FROM chain IN collection [AS OF SYSTEM TIME time] [WITH options]`
#[derive(Clone, Debug, PartialEq)]
pub struct Restore {
    pub what: Restored,
    pub chain: Chain,
    pub collection: Texts,
    /// The expression's text.
    pub as_of: Option<String>,
    pub options: RestoreOptions,
}

/// What is restored.
#[derive(Clone, Debug, PartialEq)]
pub enum Restored {
    Objects(Targets),
    /// Roles and their memberships, of a backup of the cluster.
    SystemUsers,
}

/// What follows WITH in a RESTORE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoreOptions {
    pub into_db: Option<Text>,
    pub new_db_name: Option<Text>,
    pub detached: bool,
    pub schema_only: bool,
    pub verify_backup_table_data: bool,
    pub grants: bool,
    pub encryption: Encryption,
}

/// What these would leave out is in no backup of ours.
const IDLE: &[&str] = &[
    "SKIP_MISSING_FOREIGN_KEYS",
    "SKIP_MISSING_SEQUENCES",
    "SKIP_MISSING_SEQUENCE_OWNERS",
    "SKIP_MISSING_VIEWS",
    "SKIP_MISSING_UDFS",
    "SKIP_LOCALITIES_CHECK",
    "REMOVE_REGIONS",
];

/// After `RESTORE`.
pub(in crate::stmt) fn restore(c: &mut Cursor) -> Result<Statement> {
    let what = if c.keywords("SYSTEM USERS") { Restored::SystemUsers } else { Restored::Objects(targets("FROM", c)?) };
    c.expect("FROM")?;
    let (chain, collection) = chain_in(c)?;
    let as_of = as_of(c)?;
    Ok(Statement::Restore(Restore { what, chain, collection, as_of, options: options(c)? }))
}

fn options(c: &mut Cursor) -> Result<RestoreOptions> {
    const NAMES: &[&str] = &[
        "INTO_DB",
        "NEW_DB_NAME",
        "DETACHED",
        "SCHEMA_ONLY",
        "VERIFY_BACKUP_TABLE_DATA",
        "GRANTS",
        "ENCRYPTION_PASSPHRASE",
        "KMS",
    ];
    const REFUSED: &[&str] = &[
        "EXECUTION LOCALITY",
        "EXPERIMENTAL COPY",
        "EXPERIMENTAL DEFERRED COPY",
        "INCLUDE_ALL_VIRTUAL_CLUSTERS",
        "UNSAFE_RESTORE_INCOMPATIBLE_VERSION",
        "VIRTUAL_CLUSTER_NAME",
        "VIRTUAL_CLUSTER",
    ];
    let names: Vec<_> = NAMES.iter().chain(IDLE).copied().collect();
    let mut options = RestoreOptions::default();
    Options { names: &names, refused: REFUSED }.with(c, |Given { name, position }, c| {
        match name {
            "INTO_DB" => options.into_db = Some(option::text(c)?),
            "NEW_DB_NAME" => options.new_db_name = Some(option::text(c)?),
            "DETACHED" => options.detached = option::flag(c)?,
            "SCHEMA_ONLY" => options.schema_only = option::flag(c)?,
            "VERIFY_BACKUP_TABLE_DATA" => options.verify_backup_table_data = option::flag(c)?,
            "GRANTS" => options.grants = option::flag(c)?,
            idle if IDLE.contains(&idle) => drop(option::flag(c)?),
            key => option::encryption(key, position, &mut options.encryption, c)?,
        }
        Ok(())
    })?;
    Ok(options)
}

impl fmt::Display for Restore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let as_of = print::optional(" AS OF SYSTEM TIME ", self.as_of.as_ref());
        write!(f, "RESTORE {}FROM {} IN {}{as_of}{}", self.what, self.chain, self.collection, self.options)
    }
}

/// With a space behind, unless it is the cluster.
impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Restored::Objects(targets) => targets.fmt(f),
            Restored::SystemUsers => f.write_str("SYSTEM USERS "),
        }
    }
}

impl fmt::Display for RestoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.detached, "detached"),
            (self.schema_only, "schema_only"),
            (self.verify_backup_table_data, "verify_backup_table_data"),
            (self.grants, "grants"),
        ];
        let texts = [("into_db", &self.into_db), ("new_db_name", &self.new_db_name)];
        f.write_str(&option::printed(&flags, &texts, &self.encryption))
    }
}
