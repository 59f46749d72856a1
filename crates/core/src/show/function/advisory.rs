//! Advisory locks.

use lakeport_base::{SqlType, Sqlstate};

use super::{CatalogFunction, Pending, text};
use crate::advisory::{Key, Request};
use crate::error::{Error, Result};
use crate::outcome::Notice;
use crate::show::Viewer;
use crate::show::rows::Cell;

const BOOL: SqlType = SqlType::Bool;
/// What a function without a value answers: an empty text, as clients show it.
const VOID: SqlType = SqlType::Text;
/// One INT8, or two INT4.
const KEY: &[usize] = &[1, 2];

/// Names say what is wanted: `xact` is for the block, `shared` with others.
pub(super) const FUNCTIONS: &[CatalogFunction] = &[
    CatalogFunction::waiting("pg_advisory_lock", KEY, VOID, |viewer, of| lock(viewer, of, false, false)),
    CatalogFunction::waiting("pg_advisory_lock_shared", KEY, VOID, |viewer, of| lock(viewer, of, true, false)),
    CatalogFunction::waiting("pg_advisory_xact_lock", KEY, VOID, |viewer, of| lock(viewer, of, false, true)),
    CatalogFunction::waiting("pg_advisory_xact_lock_shared", KEY, VOID, |viewer, of| lock(viewer, of, true, true)),
    CatalogFunction::new("pg_try_advisory_lock", KEY, BOOL, |viewer, of| try_lock(viewer, of, false, false)).acting(),
    CatalogFunction::new("pg_try_advisory_lock_shared", KEY, BOOL, |viewer, of| try_lock(viewer, of, true, false))
        .acting(),
    CatalogFunction::new("pg_try_advisory_xact_lock", KEY, BOOL, |viewer, of| try_lock(viewer, of, false, true))
        .acting(),
    CatalogFunction::new("pg_try_advisory_xact_lock_shared", KEY, BOOL, |viewer, of| try_lock(viewer, of, true, true))
        .acting(),
    CatalogFunction::new("pg_advisory_unlock", KEY, BOOL, |viewer, of| unlock(viewer, of, false)).acting(),
    CatalogFunction::new("pg_advisory_unlock_shared", KEY, BOOL, |viewer, of| unlock(viewer, of, true)).acting(),
    CatalogFunction::new("pg_advisory_unlock_all", &[0], VOID, |viewer, _| {
        viewer.session.unlock_all();
        Ok("".into())
    })
    .acting(),
];

fn lock(viewer: Viewer<'_>, of: &[Cell], shared: bool, of_block: bool) -> Result<Pending> {
    let request = Request { key: key(of)?, shared, of_block };
    let session = viewer.session.shared();
    Ok(Box::pin(async move {
        session.lock(request).await?;
        Ok("".into())
    }))
}

fn try_lock(viewer: Viewer<'_>, of: &[Cell], shared: bool, of_block: bool) -> Result<Cell> {
    Ok(viewer.session.try_lock(Request { key: key(of)?, shared, of_block })?.into())
}

fn unlock(viewer: Viewer<'_>, of: &[Cell], shared: bool) -> Result<Cell> {
    let unlocked = viewer.session.unlock(key(of)?, shared);
    if !unlocked {
        let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
        viewer.session.notice(Notice::warning(Sqlstate::WARNING, format!("you don't own a lock of type {mode}")));
    }
    Ok(unlocked.into())
}

fn key(of: &[Cell]) -> Result<Key> {
    match of {
        [_] => Ok(Key::One(number(of, 0)?)),
        _ => Ok(Key::Two(half(of, 0)?, half(of, 1)?)),
    }
}

fn half(of: &[Cell], index: usize) -> Result<i32> {
    let out_of_range = |_| Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range");
    i32::try_from(number(of, index)?).map_err(out_of_range)
}

fn number(of: &[Cell], index: usize) -> Result<i64> {
    let text = text(of, index);
    text.trim().parse().map_err(|_| {
        let code = Sqlstate::INVALID_TEXT_REPRESENTATION;
        Error::new(code, format!("invalid input syntax for type bigint: {text:?}"))
    })
}
