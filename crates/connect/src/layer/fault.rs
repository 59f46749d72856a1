//! Points at which tests make a request fail: `<kind>.<operation>`, such as `s3.put`.

use lakeport_base::Env;
use object_store::{Error, Result};

/// Fails when the environment says so.
pub(super) fn reach(env: &Env, kind: &'static str, operation: &'static str) -> Result<()> {
    env.fault(&format!("{kind}.{operation}")).map_err(|text| Error::Generic { store: kind, source: text.into() })
}
