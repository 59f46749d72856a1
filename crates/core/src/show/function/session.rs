//! Variables of the session, and who and where it is.

use lakeport_base::SqlType;

use super::{CatalogFunction, text};
use crate::error::{Error, Result};
use crate::show::Viewer;
use crate::show::rows::Cell;
use crate::variable::Variable;

const TEXT: SqlType = SqlType::Text;

pub(super) const FUNCTIONS: &[CatalogFunction] = &[
    CatalogFunction::new("current_setting", &[1, 2], TEXT, current_setting),
    CatalogFunction::new("set_config", &[3], TEXT, set_config).lenient().acting(),
    CatalogFunction::new("pg_backend_pid", &[0], SqlType::Int4, |viewer, _| {
        Ok(i64::from(viewer.session.number()).into())
    }),
    CatalogFunction::new("inet_client_addr", &[0], TEXT, |viewer, _| {
        Ok(viewer.session.client_addr.ip().to_string().into())
    }),
    CatalogFunction::new("inet_client_port", &[0], SqlType::Int4, |viewer, _| {
        Ok(i64::from(viewer.session.client_addr.port()).into())
    }),
    CatalogFunction::new("txid_current", &[0], SqlType::Int8, transaction_number),
    CatalogFunction::new("pg_current_xact_id", &[0], SqlType::Int8, transaction_number),
    CatalogFunction::new("txid_current_if_assigned", &[0], SqlType::Int8, |viewer, _| {
        Ok(viewer.session.open_block().map(|block| block.now).into())
    }),
];

/// `current_setting(name [, missing_ok])`
fn current_setting(viewer: Viewer<'_>, of: &[Cell]) -> Result<Cell> {
    match Variable::find(&text(of, 0)) {
        Ok(variable) => Ok(viewer.session.variable(variable.name).into()),
        Err(_) if of.get(1) == Some(&Cell::Bool(true)) => Ok(Cell::Null),
        Err(error) => Err(error),
    }
}

/// `set_config(name, value, is_local)`: sets the variable and answers its value; NULL as value is the default.
fn set_config(viewer: Viewer<'_>, of: &[Cell]) -> Result<Cell> {
    if of[0] == Cell::Null {
        return Err(Error::invalid("set_config needs the name of a parameter"));
    }
    let variable = Variable::find(&text(of, 0))?;
    let value = (of[1] != Cell::Null).then(|| text(of, 1));
    let local = of[2] == Cell::Bool(true);
    Ok(viewer.session.assign(viewer.directory, variable, value.as_deref(), local)?.into())
}

/// A number that grows from block to block: the block's moment, in microseconds.
fn transaction_number(viewer: Viewer<'_>, _: &[Cell]) -> Result<Cell> {
    let now = || viewer.server.config.env.now_micros();
    Ok(viewer.session.open_block().map_or_else(now, |block| block.now).into())
}
