//! `ALTER BACKUP`: which keys open a chain.

use std::fmt;

use sqlparser::tokenizer::Token;

use super::{Chain, place};
use crate::cursor::{Cursor, Result};
use crate::stmt::{Statement, Texts};

/// `ALTER BACKUP {chain IN collection | 'uri'} change ...`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterBackup {
    /// `None` when the URI is that of the chain itself.
    pub chain: Option<Chain>,
    pub collection: Texts,
    /// In the order written, at least one.
    pub changes: Vec<KeyChange>,
}

/// One clause of an ALTER BACKUP; all texts are URIs of KMS keys.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyChange {
    /// `ADD NEW_KMS = new WITH OLD_KMS = old`
    Add { new: Texts, old: Texts },
    /// `DROP KMS = keys [WITH OLD_KMS = old]`; our extension.
    Drop { keys: Texts, old: Option<Texts> },
}

/// After `ALTER BACKUP`.
pub(in crate::stmt) fn alter(c: &mut Cursor) -> Result<Statement> {
    let (chain, collection) = place(c)?;
    let mut changes = vec![change(c)?];
    while !c.is_at_end() {
        changes.push(change(c)?);
    }
    Ok(Statement::AlterBackup(AlterBackup { chain, collection, changes }))
}

fn change(c: &mut Cursor) -> Result<KeyChange> {
    if c.keywords("ADD NEW_KMS") {
        let new = keys(c)?;
        c.expect("WITH OLD_KMS")?;
        return Ok(KeyChange::Add { new, old: keys(c)? });
    }
    c.expect("DROP KMS")?;
    let dropped = keys(c)?;
    let old = if c.keywords("WITH OLD_KMS") { Some(keys(c)?) } else { None };
    Ok(KeyChange::Drop { keys: dropped, old })
}

/// `= key` or `= (key, ...)`
fn keys(c: &mut Cursor) -> Result<Texts> {
    c.expect_symbol(&Token::Eq)?;
    c.texts()
}

impl fmt::Display for AlterBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ALTER BACKUP ")?;
        if let Some(chain) = &self.chain {
            write!(f, "{chain} IN ")?;
        }
        self.collection.fmt(f)?;
        self.changes.iter().try_for_each(|change| write!(f, " {change}"))
    }
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyChange::Add { new, old } => write!(f, "ADD NEW_KMS = {new} WITH OLD_KMS = {old}"),
            KeyChange::Drop { keys, old: Some(old) } => write!(f, "DROP KMS = {keys} WITH OLD_KMS = {old}"),
            KeyChange::Drop { keys, old: None } => write!(f, "DROP KMS = {keys}"),
        }
    }
}
