//! Fault points of requests.

use lakeport_base::{Env, Point};
use object_store::{Error, Result};

/// Fails when the environment says so.
pub(super) fn reach(env: &Env, kind: &'static str, point: Point) -> Result<()> {
    env.fault(point).map_err(|error| Error::Generic { store: kind, source: Box::new(error) })
}
