//! Transaction blocks and savepoints.

use std::fmt;

use lakeport_base::name::quote_ident;
use sqlparser::tokenizer::Token;

use super::Statement;
use crate::cursor::{Cursor, Result};

/// Transaction control.
#[derive(Clone, Debug, PartialEq)]
pub enum Transaction {
    Begin {
        /// READ ONLY or READ WRITE, if it says so.
        read_only: Option<bool>,
    },
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `SET TRANSACTION ...`, for the block, or `SET SESSION CHARACTERISTICS ...`, for the blocks to come.
    Characteristics {
        of_session: bool,
        read_only: Option<bool>,
    },
}

/// After `BEGIN` or `START TRANSACTION`.
pub(super) fn begin(c: &mut Cursor) -> Result<Statement> {
    c.one_of(&["TRANSACTION", "WORK"]);
    let read_only = modes(c)?;
    Ok(Statement::Transaction(Transaction::Begin { read_only }))
}

/// After `COMMIT` or `END`.
pub(super) fn commit(c: &mut Cursor) -> Result<Statement> {
    c.one_of(&["TRANSACTION", "WORK"]);
    c.keywords("AND NO CHAIN");
    Ok(Statement::Transaction(Transaction::Commit))
}

/// After `ROLLBACK` or `ABORT`.
pub(super) fn rollback(c: &mut Cursor) -> Result<Statement> {
    c.one_of(&["TRANSACTION", "WORK"]);
    if c.keywords("TO") {
        c.keywords("SAVEPOINT");
        return Ok(Statement::Transaction(Transaction::RollbackTo(c.ident()?)));
    }
    c.keywords("AND NO CHAIN");
    Ok(Statement::Transaction(Transaction::Rollback))
}

/// After `SAVEPOINT`.
pub(super) fn savepoint(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::Transaction(Transaction::Savepoint(c.ident()?)))
}

/// After `RELEASE`.
pub(super) fn release(c: &mut Cursor) -> Result<Statement> {
    c.keywords("SAVEPOINT");
    Ok(Statement::Transaction(Transaction::Release(c.ident()?)))
}

/// After `SET TRANSACTION`.
pub(super) fn of_block(c: &mut Cursor) -> Result<Statement> {
    characteristics(c, false)
}

/// After `SET SESSION CHARACTERISTICS AS TRANSACTION`.
pub(super) fn of_session(c: &mut Cursor) -> Result<Statement> {
    characteristics(c, true)
}

fn characteristics(c: &mut Cursor, of_session: bool) -> Result<Statement> {
    if c.is_at_end() {
        return Err(c.expected("a transaction mode"));
    }
    Ok(Statement::Transaction(Transaction::Characteristics { of_session, read_only: modes(c)? }))
}

/// Transaction modes up to the end; the last word on `READ ONLY`. Every isolation level is met by the one there is.
fn modes(c: &mut Cursor) -> Result<Option<bool>> {
    const LEVELS: &[&str] = &["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "READ UNCOMMITTED", "SNAPSHOT"];
    let mut read_only = None;
    while !c.is_at_end() {
        match c.one_of(&["READ ONLY", "READ WRITE", "ISOLATION LEVEL", "PRIORITY", "NOT DEFERRABLE", "DEFERRABLE"]) {
            Some("READ ONLY") => read_only = Some(true),
            Some("READ WRITE") => read_only = Some(false),
            Some("ISOLATION LEVEL") => drop(c.one_of(LEVELS).ok_or_else(|| c.error())?),
            Some("PRIORITY") => drop(c.one_of(&["LOW", "NORMAL", "HIGH"]).ok_or_else(|| c.error())?),
            Some(_) => {}
            None => return Err(c.error()),
        }
        if c.symbol(&Token::Comma) && c.is_at_end() {
            return Err(c.error());
        }
    }
    Ok(read_only)
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the mode there is nothing left to say but what holds anyway.
        let mode = |read_only: Option<bool>| match read_only {
            Some(true) => "READ ONLY",
            Some(false) => "READ WRITE",
            None => "ISOLATION LEVEL REPEATABLE READ",
        };
        match self {
            Transaction::Begin { read_only: None } => f.write_str("BEGIN"),
            Transaction::Begin { read_only } => write!(f, "BEGIN {}", mode(*read_only)),
            Transaction::Commit => f.write_str("COMMIT"),
            Transaction::Rollback => f.write_str("ROLLBACK"),
            Transaction::Savepoint(name) => write!(f, "SAVEPOINT {}", quote_ident(name)),
            Transaction::Release(name) => write!(f, "RELEASE SAVEPOINT {}", quote_ident(name)),
            Transaction::RollbackTo(name) => write!(f, "ROLLBACK TO SAVEPOINT {}", quote_ident(name)),
            Transaction::Characteristics { of_session: false, read_only } => {
                write!(f, "SET TRANSACTION {}", mode(*read_only))
            }
            Transaction::Characteristics { of_session: true, read_only } => {
                write!(f, "SET SESSION CHARACTERISTICS AS TRANSACTION {}", mode(*read_only))
            }
        }
    }
}
