//! Whose credentials a target uses: those in its options, or the server's own.

use url::Url;

use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::kind::Access;
use crate::net;
use crate::option::{OptionSpec, OptionType};
use crate::target::Target;

/// The server's own credentials.
pub(crate) const IMPLICIT: &str = "implicit";
/// Those of the URI.
pub(crate) const SPECIFIED: &str = "specified";
/// None.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// How another word is refused.
const REFUSAL: &str = "unsupported value {} for AUTH";

/// Which of both.
pub(crate) const AUTH_OPTION: OptionSpec = OptionSpec::new(
    "AUTH",
    OptionType::Choice(&[SPECIFIED, IMPLICIT], REFUSAL),
    "specified: the keys of the URI; implicit: those of the server's environment.",
)
.public()
.default(SPECIFIED);

/// Which of these, of kinds whose files may be there for everybody.
pub(crate) const STORAGE_AUTH_OPTION: OptionSpec = OptionSpec {
    ty: OptionType::Choice(&[SPECIFIED, IMPLICIT, ANONYMOUS], REFUSAL),
    help: "specified: the keys of the URI; implicit: those of the server's environment; anonymous: none, for files that \
           everybody may read.",
    ..AUTH_OPTION
};

/// Which of these, of kinds for which this server has no keys of its own.
pub(crate) const KEYS_AUTH_OPTION: OptionSpec = OptionSpec {
    ty: OptionType::Choice(&[SPECIFIED, ANONYMOUS], REFUSAL),
    help: "specified: the keys of the URI; anonymous: none, for files that everybody may read.",
    ..AUTH_OPTION
};

/// Whose credentials a target of a cloud service uses: a server of somebody else is asked in this server's name.
pub(crate) fn access(target: &Target) -> Access {
    let explicit = !has_endpoint(target) && target.options().get("AUTH") != Some(IMPLICIT);
    if explicit { Access::Explicit } else { Access::Implicit }
}

/// Refuses to hand the server's own token to servers outside a domain: who gets it could use it elsewhere. Signatures
/// with keys need no such rule.
pub(crate) fn keep_own_token(target: &Target, endpoint: Option<&Url>, domain: &str) -> Result<()> {
    let Some(endpoint) = endpoint.filter(|_| target.options().get("AUTH") == Some(IMPLICIT)) else { return Ok(()) };
    let host = endpoint.host_str().unwrap_or_default();
    let is_inside = host.strip_suffix(domain).is_some_and(|name| name.ends_with('.'));
    if is_inside && endpoint.scheme() == "https" {
        return Ok(());
    }
    Err(Error::invalid(format!("AUTH=implicit is only for https endpoints below {domain}"))
        .with_hint("the server's own token goes nowhere else; write the credentials for that endpoint"))
}

/// Refuses what the operator of this server does not allow.
pub(crate) fn check_policy(target: &Target, cx: &OpenCx) -> Result<()> {
    net::check_switches(&cx.policy)?;
    let kind = target.spec().name;
    if cx.policy.http_disabled && has_endpoint(target) {
        let message = format!("custom endpoints disallowed for {kind} due to --external-io-disable-http flag");
        return Err(Error::forbidden(message));
    }
    if cx.policy.implicit_disabled && target.options().get("AUTH") == Some(IMPLICIT) {
        return Err(Error::forbidden(format!(
            "implicit credentials disallowed for {kind} due to --external-io-disable-implicit-credentials flag"
        )));
    }
    Ok(())
}

fn has_endpoint(target: &Target) -> bool {
    target.spec().endpoint.is_some_and(|option| target.options().get(option).is_some())
}
