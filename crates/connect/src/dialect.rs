//! One option table in three spellings: a URI, Databend's key/value list, Materialize's typed options.

pub mod databend;
pub mod place;
mod tokens;

use lakeport_base::name::quote_literal;
use lakeport_base::nearest::nearest;
use lakeport_base::{Dialect, Uri};

use self::tokens::Tokens;
use crate::auth::{ANONYMOUS, AUTH_OPTION, IMPLICIT, SPECIFIED};
use crate::error::{Error, Result};
use crate::kind::{Host, KINDS, Kind, KindSpec, Role};
use crate::option::{OptionSpec, OptionType, parse_bool};
use crate::role::ASSUME_ROLE;
use crate::target::Target;

/// The option of the other two dialects that names a key: what is the path of a URI.
pub const KEY_OPTION: &str = "key";

/// Longest value of which a mask shows nothing, in characters.
const MASKED_WHOLE_MAX: usize = 4;
/// Characters that a mask leaves at each end.
const MASK_ENDS: usize = 2;

/// Writes a target in a dialect, secrets in clear. Reading it back gives the same options.
///
/// # Errors
/// The dialect does not know the kind, or an option that is set.
pub fn render(target: &Target, dialect: Dialect) -> Result<String> {
    match dialect {
        Dialect::Cockroach => Ok(target.to_text()),
        _ => written(target, dialect, |_, value| value.to_string()),
    }
}

/// Writes a target in a dialect, secrets replaced.
///
/// # Errors
/// As [`render`].
pub fn render_redacted(target: &Target, dialect: Dialect) -> Result<String> {
    match dialect {
        Dialect::Cockroach => Ok(target.redacted()),
        _ => written(target, dialect, OptionSpec::shown),
    }
}

fn written(target: &Target, dialect: Dialect, value: impl Fn(&OptionSpec, &str) -> String) -> Result<String> {
    let type_name = type_in(target.spec(), dialect)?;
    let pairs = pairs_in(target, dialect, value)?;
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name} = {}", quote_literal(value))).collect();
    Ok(match dialect {
        Dialect::Databend => {
            let list: String = pairs.iter().map(|pair| format!(" {pair}")).collect();
            format!("STORAGE_TYPE = {}{list}", quote_literal(type_name))
        }
        _ => format!("TO {type_name} ({})", pairs.join(", ")),
    })
}

/// Reads a definition as it was written in its dialect: a URI, `STORAGE_TYPE = 's3' KEY = 'value' ...`, or
/// `TO TYPE (OPTION NAME = 'value', ...)`.
///
/// # Errors
/// A syntax error, or what [`Target::parse`] or [`from_options`] refuses.
pub fn parse(dialect: Dialect, definition: &str) -> Result<Target> {
    match dialect {
        Dialect::Cockroach => Target::parse(definition),
        Dialect::Databend => parse_databend(definition),
        Dialect::Materialize => parse_materialize(definition),
    }
}

fn parse_databend(text: &str) -> Result<Target> {
    let mut tokens = Tokens::new(text)?;
    let mut pairs = Vec::new();
    while !tokens.is_empty() {
        let name = tokens.words()?;
        tokens.symbol('=')?;
        pairs.push((name, tokens.value()?));
        tokens.skip(',');
    }
    let at = pairs.iter().position(|(name, _)| name.eq_ignore_ascii_case("storage_type"));
    let at = at.ok_or_else(|| Error::invalid("STORAGE_TYPE is required"))?;
    let (_, storage_type) = pairs.remove(at);
    from_options(Dialect::Databend, &storage_type, &pairs)
}

fn parse_materialize(text: &str) -> Result<Target> {
    let mut tokens = Tokens::new(text)?;
    let words = tokens.words()?;
    let connection_type = words.strip_prefix("TO ").or_else(|| words.strip_prefix("to "));
    let connection_type = connection_type.ok_or_else(|| Error::invalid("TO and a connection type are expected"))?;
    tokens.symbol('(')?;
    let mut pairs = Vec::new();
    while !tokens.skip(')') {
        let name = tokens.words()?;
        tokens.skip('=');
        pairs.push((name, tokens.value()?));
        tokens.skip(',');
    }
    from_options(Dialect::Materialize, connection_type, &pairs)
}

/// Makes a target of named options. It has no bucket: each use of the connection brings one. A key is an option.
///
/// # Errors
/// A type or an option the dialect does not know, or a value the kind refuses.
pub fn from_options(dialect: Dialect, type_name: &str, pairs: &[(String, String)]) -> Result<Target> {
    let kind = kind_in(dialect, type_name)?;
    let spec = kind.spec();
    let pairs = if dialect == Dialect::Databend { databend::last_of_each(pairs) } else { pairs.to_vec() };
    let is_key = |(name, _): &(String, String)| spec.host == Host::Nothing && name.eq_ignore_ascii_case(KEY_OPTION);
    let (keys, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(is_key);
    let path = match &keys[..] {
        [] => String::new(),
        [(_, key)] => format!("/{}", key.trim_start_matches('/')),
        _ => return Err(Error::invalid(format!("option {KEY_OPTION} is given more than once"))),
    };
    let mut params = match dialect {
        Dialect::Databend => databend::params(spec, &pairs)?,
        _ => pairs.iter().map(|(name, value)| to_param(spec, dialect, name, value)).collect::<Result<_>>()?,
    };
    if let Some(auth) = implied_auth(spec, &params).filter(|_| dialect == Dialect::Databend) {
        params.push((AUTH_OPTION.name.to_string(), auth.to_string()));
    }
    let (scheme, host) = (spec.schemes[0].to_string(), implied_host(spec).to_string());
    let target = Target::without_bucket(Uri { scheme, user: None, password: None, host, path, params });
    match dialect {
        Dialect::Databend => target.map_err(|error| databend::in_its_words(spec, error)),
        _ => target,
    }
}

/// What stands for the host in the dialects that have no word for it.
fn implied_host(spec: &KindSpec) -> &'static str {
    if spec.host == Host::Node { "self" } else { "" }
}

/// What AUTH is in Databend's dialect unless it is its default: without keys those of the server are used only for
/// assuming a role, so that nobody reaches what the server may see by writing nothing.
fn implied_auth(spec: &KindSpec, params: &[(String, String)]) -> Option<&'static str> {
    let row_of = |name: &str| spec.options.iter().find(|row| row.name == name);
    let takes = |word| {
        row_of(AUTH_OPTION.name)
            .is_some_and(|row| matches!(row.ty, OptionType::Choice(words, _) if words.contains(&word)))
    };
    let has_keys = params.iter().any(|(name, _)| row_of(name).is_some_and(|row| row.authenticates));
    let has_role = params.iter().any(|(name, _)| name == ASSUME_ROLE);
    let word = if has_role { IMPLICIT } else { ANONYMOUS };
    Some(word).filter(|word| spec.role == Role::Storage && !has_keys && takes(*word))
}

fn kind_in(dialect: Dialect, type_name: &str) -> Result<&'static dyn Kind> {
    let known = |kind: &&'static dyn Kind| type_in(kind.spec(), dialect).ok();
    let kind = KINDS.iter().copied().find(|kind| known(kind).is_some_and(|name| name.eq_ignore_ascii_case(type_name)));
    kind.ok_or_else(|| {
        let error = match dialect {
            Dialect::Databend => Error::invalid(format!("protocol {type_name} is not supported yet.")),
            _ => Error::unsupported(format!("connection type {type_name:?} is not supported")),
        };
        match nearest(type_name, KINDS.iter().filter_map(known)) {
            Some(name) => error.with_hint(format!("did you mean {name}?")),
            None => error,
        }
    })
}

fn type_in(spec: &KindSpec, dialect: Dialect) -> Result<&'static str> {
    let name = match dialect {
        Dialect::Cockroach => Some(spec.schemes[0]),
        Dialect::Databend => spec.databend_type,
        Dialect::Materialize => spec.materialize_type,
    };
    name.ok_or_else(|| Error::unsupported(format!("a {} connection cannot be written in this dialect", spec.name)))
}

fn pairs_in(
    target: &Target,
    dialect: Dialect,
    shown: impl Fn(&OptionSpec, &str) -> String,
) -> Result<Vec<(&'static str, String)>> {
    let spec = target.spec();
    let mut pairs = Vec::new();
    if spec.host == Host::Nothing {
        pairs.push((KEY_OPTION, target.uri().path.trim_start_matches('/').to_string()));
    }
    for (key, value) in written_params(target, dialect) {
        let row = spec.options.iter().find(|row| row.name == key);
        let name = row.and_then(|row| Some((row, row.name_in(dialect)?)));
        let (row, name) =
            name.ok_or_else(|| Error::unsupported(format!("option {key} has no name in this dialect")))?;
        let value = spelled(row, dialect, &shown(row, value));
        match databend::after_mark(row, &value).filter(|_| dialect == Dialect::Databend) {
            Some((before, keyword, after)) => pairs.extend([(name, before.to_string()), (keyword, after.to_string())]),
            None => pairs.push((name, value)),
        }
    }
    Ok(pairs)
}

/// The parameters of a target without an AUTH that goes without saying.
fn written_params(target: &Target, dialect: Dialect) -> impl Iterator<Item = &(String, String)> {
    let params = &target.uri().params;
    let others: Vec<_> = params.iter().filter(|(key, _)| key != AUTH_OPTION.name).cloned().collect();
    let implied = implied_auth(target.spec(), &others).unwrap_or(SPECIFIED);
    params
        .iter()
        .filter(move |(key, value)| !(dialect == Dialect::Databend && key == AUTH_OPTION.name && value == implied))
}

fn to_param(spec: &KindSpec, dialect: Dialect, name: &str, value: &str) -> Result<(String, String)> {
    let key = (spec.host == Host::Nothing).then_some(KEY_OPTION);
    let names = || spec.options.iter().filter_map(|row| row.name_in(dialect)).chain(key);
    let row =
        spec.options.iter().find(|row| row.name_in(dialect).is_some_and(|known| known.eq_ignore_ascii_case(name)));
    match row {
        Some(row) => Ok((row.name.to_string(), value.to_string())),
        None => {
            let error = Error::invalid(format!("unknown option {name:?} for a {} connection", spec.name));
            Err(match nearest(name, names()) {
                Some(known) => error.with_hint(format!("did you mean {known}?")),
                None => error.with_hint(format!("known options: {}", names().collect::<Vec<_>>().join(", "))),
            })
        }
    }
}

/// The value as the dialect writes it; the same function leads back.
fn spelled(row: &OptionSpec, dialect: Dialect, value: &str) -> String {
    match parse_bool(value) {
        Some(flag) if dialect == Dialect::Databend && row.databend_negated => (!flag).to_string(),
        _ => value.to_string(),
    }
}

/// A value of which two characters at each end are shown, or nothing of a short one.
pub fn mask(value: &str) -> String {
    let count = value.chars().count();
    if count <= MASKED_WHOLE_MAX {
        return "***".to_string();
    }
    let start: String = value.chars().take(MASK_ENDS).collect();
    let end: String = value.chars().skip(count - MASK_ENDS).collect();
    format!("{start}***{end}")
}

#[cfg(test)]
mod tests;
