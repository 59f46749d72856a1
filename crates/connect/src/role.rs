//! Roles that are assumed one after the other: the option, and what it says.

use crate::auth::ANONYMOUS;
use crate::error::{Error, Result};
use crate::option::{OptionSpec, OptionType};
use crate::target::Target;

/// The option that names roles to assume.
pub(crate) const ASSUME_ROLE: &str = "ASSUME_ROLE";

const EXTERNAL_ID: &str = ";external_id=";

/// A chain of roles.
pub(crate) const ROLE_OPTION: OptionSpec = OptionSpec::new(
    ASSUME_ROLE,
    OptionType::Ascii,
    "Roles to assume one after the other, separated by commas, each perhaps with ;external_id=<id>.",
)
.public_but_after(EXTERNAL_ID)
.databend("role_arn")
.databend_after(&["external_id"])
.materialize("ASSUME ROLE ARN");

/// One step of a chain: `arn[;external_id=id]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleStep {
    /// The role to become.
    pub arn: String,
    /// The secret word its owner agreed on.
    pub external_id: Option<String>,
}

/// Checks the roles of a target. `form` is how one is written.
///
/// # Errors
/// What [`roles`] refuses; roles without keys.
pub(crate) fn check(target: &Target, form: &str) -> Result<()> {
    let roles = roles(target)
        .map_err(|error| error.with_hint(format!("write each as {form}, or with {EXTERNAL_ID}<id> after it")))?;
    if !roles.is_empty() && target.options().get("AUTH") == Some(ANONYMOUS) {
        return Err(Error::invalid(format!("{ASSUME_ROLE} is set, but AUTH is set to 'anonymous'"))
            .with_hint("a role is assumed with keys, or with AUTH=implicit"));
    }
    Ok(())
}

/// The roles of a target, first step first.
///
/// # Errors
/// A step without a role, or with something other than an external id.
pub(crate) fn roles(target: &Target) -> Result<Vec<RoleStep>> {
    target.options().get(ASSUME_ROLE).map_or_else(|| Ok(Vec::new()), parse_roles)
}

fn parse_roles(text: &str) -> Result<Vec<RoleStep>> {
    text.split(',').map(parse_role).collect()
}

fn parse_role(text: &str) -> Result<RoleStep> {
    let (arn, rest) = text.find(';').map_or((text, None), |at| (&text[..at], Some(&text[at..])));
    if arn.is_empty() || arn.contains(char::is_whitespace) {
        return Err(Error::invalid(format!("{ASSUME_ROLE} must be a comma-separated list of roles")));
    }
    let external_id = match rest.map(|rest| rest.strip_prefix(EXTERNAL_ID)) {
        None => None,
        Some(Some(id)) if !id.is_empty() => Some(id.to_string()),
        Some(_) => return Err(Error::invalid(format!("role {arn} may be followed by {EXTERNAL_ID}<id> only"))),
    };
    Ok(RoleStep { arn: arn.to_string(), external_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_roles() {
        let roles = parse_roles("arn:aws:iam::1:role/A;external_id=x y,acs:ram::2:role/b").unwrap();
        assert_eq!(roles[0], RoleStep { arn: "arn:aws:iam::1:role/A".into(), external_id: Some("x y".into()) });
        assert_eq!(roles[1], RoleStep { arn: "acs:ram::2:role/b".into(), external_id: None });
        for wrong in ["", "arn:a,,arn:b", "arn:a;id=1", "arn:a;external_id=", "arn:a b"] {
            assert!(parse_roles(wrong).is_err(), "{wrong}");
        }
    }
}
