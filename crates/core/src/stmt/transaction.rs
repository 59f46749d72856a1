//! Transaction blocks and savepoints.

use lakeport_base::Sqlstate;
use lakeport_sql::stmt::transaction::Transaction;

use super::Cx;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::session::{Block, OpenBlock};
use crate::variable::{ROLE, SECONDARY_ROLES, Variable};

pub(crate) async fn transaction(cx: &Cx<'_>, statement: &Transaction) -> Result<Outcome> {
    match statement {
        Transaction::Begin { read_only } => begin(cx, *read_only).await,
        Transaction::Commit => commit(cx).await,
        Transaction::Rollback => rollback(cx).await,
        Transaction::Characteristics { of_session: true, read_only } => {
            if let Some(read_only) = read_only {
                cx.session.set_variable(Variable::find("default_transaction_read_only")?, on_or_off(*read_only), false);
            }
            Ok(Outcome::done("SET SESSION CHARACTERISTICS"))
        }
        Transaction::Characteristics { of_session: false, read_only } => {
            if cx.session.open_block().is_none() {
                let code = Sqlstate::NO_ACTIVE_SQL_TRANSACTION;
                cx.session.notice(Notice::warning(code, "SET TRANSACTION can only be used in transaction blocks"));
            }
            read_only.map_or(Ok(()), |read_only| set_read_only(cx, read_only))?;
            Ok(Outcome::done("SET TRANSACTION"))
        }
        Transaction::Savepoint(name) => {
            let block = named_block(cx, "SAVEPOINT")?;
            cx.session.set_savepoint(block, name)?;
            Ok(Outcome::done("SAVEPOINT"))
        }
        Transaction::Release(name) => {
            named_block(cx, "RELEASE SAVEPOINT")?;
            cx.session.release_savepoint(name)?;
            Ok(Outcome::done("RELEASE"))
        }
        Transaction::RollbackTo(name) => {
            let block = named_block(cx, "ROLLBACK TO SAVEPOINT")?;
            cx.session.roll_back_to(block, name)?;
            Ok(Outcome::done("ROLLBACK"))
        }
    }
}

/// The block that the client has opened.
///
/// # Errors
/// 25P01 when there is none, naming the statement.
fn named_block(cx: &Cx<'_>, statement: &str) -> Result<OpenBlock> {
    let block = cx.session.open_block().filter(|block| !block.implicit);
    let message = || format!("{statement} can only be used in transaction blocks");
    block.ok_or_else(|| Error::new(Sqlstate::NO_ACTIVE_SQL_TRANSACTION, message()))
}

async fn begin(cx: &Cx<'_>, read_only: Option<bool>) -> Result<Outcome> {
    match cx.session.open_block() {
        Some(block) if block.implicit => cx.session.enter_block(OpenBlock { implicit: false, ..block }),
        Some(_) => {
            let code = Sqlstate::ACTIVE_SQL_TRANSACTION;
            cx.session.notice(Notice::warning(code, "there is already a transaction in progress"));
            return Ok(Outcome::done("BEGIN"));
        }
        None => cx.session.begin_block(false).await?,
    }
    let default = || cx.session.variable("default_transaction_read_only") == "on";
    set_read_only(cx, read_only.unwrap_or_else(default))?;
    Ok(Outcome::done("BEGIN"))
}

fn set_read_only(cx: &Cx<'_>, read_only: bool) -> Result<()> {
    cx.session.set_variable(Variable::find("transaction_read_only")?, on_or_off(read_only), true);
    Ok(())
}

fn on_or_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_string()
}

async fn commit(cx: &Cx<'_>) -> Result<Outcome> {
    let Some(block) = own_block(cx) else { return Ok(Outcome::done("COMMIT")) };
    if cx.session.block() == Block::Failed {
        return rollback(cx).await;
    }
    cx.session.end_block(block, &cx.cancel).await?;
    Ok(Outcome::done("COMMIT"))
}

async fn rollback(cx: &Cx<'_>) -> Result<Outcome> {
    let Some(block) = own_block(cx) else { return Ok(Outcome::done("ROLLBACK")) };
    cx.session.roll_back(block).await;
    Ok(Outcome::done("ROLLBACK"))
}

/// The open block, with a warning if the client has opened none.
fn own_block(cx: &Cx<'_>) -> Option<OpenBlock> {
    let block = cx.session.open_block();
    if block.is_none_or(|block| block.implicit) {
        let code = Sqlstate::NO_ACTIVE_SQL_TRANSACTION;
        cx.session.notice(Notice::warning(code, "there is no transaction in progress"));
    }
    block
}

/// Commits the open block ahead of a statement that changes the catalog, as CockroachDB's `autocommit_before_ddl` does.
///
/// # Errors
/// 25001 where a role ends with the block: the statement would run as another.
pub(crate) async fn commit_before_ddl(cx: &Cx<'_>) -> Result<()> {
    if [&ROLE, &SECONDARY_ROLES].into_iter().any(|variable| cx.session.is_local(variable)) {
        let message = "a statement that changes the catalog commits the transaction, and SET LOCAL ROLE ends with it";
        return Err(Error::new(Sqlstate::ACTIVE_SQL_TRANSACTION, message)
            .with_hint("SET ROLE lasts beyond the transaction; or run the statement before it or after"));
    }
    cx.session
        .notice(Notice::new("auto-committing transaction before processing DDL due to autocommit_before_ddl setting"));
    let Some(block) = cx.session.open_block() else { return Ok(()) };
    commit_first(cx, block).await
}

/// Ends a block ahead of a statement that is no part of it: commits it, or undoes it if it has failed. The statement may
/// still be cancelled afterwards.
pub(crate) async fn commit_first(cx: &Cx<'_>, block: OpenBlock) -> Result<()> {
    let _hold = cx.cancel.hold()?;
    cx.session.end_block(block, &Cancel::default()).await
}
