//! Definitions of connections: read in their dialect, and checked before anything is stored.

use lakeport_base::{Dialect, Secret, Uri};
use lakeport_catalog::model::Check;
use lakeport_connect::dialect::{from_options, render};
use lakeport_connect::{ExternalRef, Target, kind_of_scheme, scheme_hint};
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::connection::Definition;

use super::words;
use crate::databend;
use crate::error::{Error, Result};
use crate::setting;
use crate::stmt::Cx;

/// What a connection is to be.
pub(super) struct Defined {
    pub target: Target,
    pub dialect: Dialect,
    /// As it is stored.
    pub text: Secret<String>,
    /// None when there was none.
    pub check: Option<Check>,
}

impl Defined {
    /// Reads a definition and, unless `validate` is off, runs the check of its kind.
    ///
    /// # Errors
    /// What the dialect says of a wrong definition or a failed check.
    pub async fn read(cx: &Cx<'_>, definition: &Definition, validate: bool) -> Result<Defined> {
        match definition {
            Definition::Uri(uri) => Defined::of_uri(cx, uri, validate).await,
            Definition::Options { storage_type, options } => {
                let pair = |(name, value): &(String, Text)| Ok((name.clone(), cx.string(value)?));
                let pairs = options.iter().map(pair).collect::<Result<Vec<_>>>()?;
                let target = from_options(Dialect::Databend, &cx.string(storage_type)?, &pairs);
                let target = target.map_err(databend::invalid_parameter)?;
                let text = render(&target, Dialect::Databend).map_err(databend::invalid_parameter)?;
                Defined::checked(cx, Dialect::Databend, target, text, validate).await
            }
        }
    }

    /// As [`Defined::read`].
    pub async fn of_uri(cx: &Cx<'_>, uri: &Text, validate: bool) -> Result<Defined> {
        let text = cx.string(uri)?;
        let target = parse_uri(&text)?;
        Defined::checked(cx, Dialect::Cockroach, target, text, validate).await
    }

    async fn checked(cx: &Cx<'_>, dialect: Dialect, target: Target, text: String, validate: bool) -> Result<Defined> {
        let text = Secret::new(text);
        // Without a bucket there is no place to look at.
        if !validate || target.lacks_bucket() {
            return Ok(Defined { target, dialect, text, check: None });
        }
        let limit = setting::CHECK_TIMEOUT.duration(&cx.directory);
        let checked = cx.server.probe(cx.owner(), &target, limit).await;
        checked.map_err(|error| words::failed_check(dialect, target.spec(), error))?;
        let check = Some(Check { at: cx.server.config.env.now_micros(), error: None });
        Ok(Defined { target, dialect, text, check })
    }
}

/// The target of a definition, with CockroachDB's prefixes on what is wrong with it.
fn parse_uri(uri: &str) -> Result<Target> {
    let parsed = Uri::parse(uri).map_err(|error| {
        Error::invalid(format!(
            "failed to log and sanitize External Connection: parse {:?}: {error}",
            lakeport_connect::redact(uri)
        ))
        .with_hint("write scheme://host/path?PARAMETER=value; escape special characters as %XX")
    })?;
    let Some(kind) = kind_of_scheme(&parsed.scheme).filter(|_| parsed.scheme != ExternalRef::SCHEME) else {
        return Err(Error::invalid(format!(
            "{}: no parseAndValidateFn found for external connection provider {}",
            words::REFUSED,
            parsed.scheme
        ))
        .with_detail(format!("{}:// is not supported", parsed.scheme))
        .with_hint(scheme_hint(&parsed.scheme)));
    };
    let prefix = words::refusal_prefix(kind.spec());
    Target::parse(uri).map_err(|error| Error::from(error).prefixed(&prefix))
}
