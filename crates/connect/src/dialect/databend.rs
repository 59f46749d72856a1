//! Databend's parameters: which there are, in whose words they are refused, and how they are shown.

use lakeport_base::Dialect;
use lakeport_base::nearest::nearest;

use super::{KEY_OPTION, implied_host, mask, spelled, written_params};
use crate::auth::{AUTH_OPTION, SPECIFIED};
use crate::error::{Error, Result};
use crate::kind::{Host, KindSpec, Rule};
use crate::option::{OptionSpec, OptionType, parse_bool};
use crate::target::Target;

/// The parameter that names a connection where one is used.
const CONNECTION_NAME: &str = "connection_name";

/// Pairs with their names in lower case. Of several with one name the last counts.
pub(super) fn last_of_each(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let mut last: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs {
        let name = name.to_ascii_lowercase();
        match last.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1.clone_from(value),
            None => last.push((name, value.clone())),
        }
    }
    last
}

/// The parameters of a URI that mean the same. An empty value is none.
///
/// # Errors
/// A parameter that is missing, then one that is unknown, then a value that does not fit.
pub(super) fn params(spec: &KindSpec, pairs: &[(String, String)]) -> Result<Vec<(String, String)>> {
    let given = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if given(CONNECTION_NAME).is_some() {
        return Err(Error::invalid("can not use connection_name when create connection"));
    }
    let is_set = |row: &OptionSpec| spellings(row).any(|name| given(name).is_some_and(|value| !value.is_empty()));
    if let Some(missing) = spec.options.iter().find(|row| row.databend_required && !is_set(row)) {
        return Err(required(spec, missing));
    }
    let mut params = Vec::new();
    let mut unknown = Vec::new();
    for (name, value) in pairs {
        match spec.options.iter().find(|row| is_read(row, name, |name| given(name).is_some())) {
            Some(row) if value.is_empty() || row.databend_after.contains(&name.as_str()) => {}
            Some(row) => {
                params.push((row.name.to_string(), spelled(row, Dialect::Databend, checked(row, name, value)?)))
            }
            None if value.is_empty() && refusal(spec, name).is_some() => {}
            None => unknown.push(name.as_str()),
        }
    }
    if let Some((name, why)) = unknown.iter().find_map(|name| Some((name, refusal(spec, name)?))) {
        let storage = spec.databend_type.unwrap_or(spec.name);
        return Err(Error::unsupported(format!("{name} is not supported for storage {storage}")).with_hint(why));
    }
    if !unknown.is_empty() {
        return Err(unexpected(spec, unknown));
    }
    if let Some(missing) = missing_key(spec, &params) {
        return Err(required(spec, missing));
    }
    for row in spec.options {
        if let Some(keyword) = row.databend_after.iter().find(|keyword| given(keyword).is_some()) {
            append(row, keyword, given(keyword).unwrap_or_default(), &mut params)?;
        }
    }
    Ok(params)
}

/// What is missing beside some of somebody's keys. Without any of them files are those that everybody may read.
fn missing_key(spec: &KindSpec, params: &[(String, String)]) -> Option<&'static OptionSpec> {
    let is_given = |row: &OptionSpec| params.iter().any(|(name, _)| name == row.name);
    if !spec.options.iter().any(|row| row.authenticates && is_given(row)) {
        return None;
    }
    let row_of = |needs: &str| spec.options.iter().find(|row| row.name == needs);
    let missing = spec.rules.iter().filter_map(|rule| match rule {
        Rule::Needs { option, value, needs, .. } if *option == AUTH_OPTION.name && *value == SPECIFIED => row_of(needs),
        _ => None,
    });
    missing.into_iter().find(|row| !is_given(row))
}

/// An error with Databend's names of options in the place of CockroachDB's.
pub(super) fn in_its_words(spec: &KindSpec, error: Error) -> Error {
    let keyword = |word: &str| spec.options.iter().find(|row| row.name == word).and_then(|row| row.databend);
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    error.reworded(|text| {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out.push_str(keyword(word).unwrap_or(word));
            let next = after.find(is_part).unwrap_or(after.len());
            out.push_str(&after[..next]);
            rest = &after[next..];
        }
        out
    })
}

/// Why a parameter that Databend has is refused.
fn refusal(spec: &KindSpec, name: &str) -> Option<&'static str> {
    spec.rules.iter().find_map(|rule| match rule {
        Rule::NoDatabend { keyword, why } if *keyword == name => Some(*why),
        _ => None,
    })
}

/// The names of an option's value, the one that counts first.
fn spellings(row: &OptionSpec) -> impl Iterator<Item = &'static str> {
    row.databend.into_iter().chain(row.databend_aliases.iter().copied())
}

/// Whether an option takes its value, or the end of it, from this name. One that comes after another is not read.
fn is_read(row: &OptionSpec, name: &str, is_given: impl Fn(&str) -> bool) -> bool {
    let first = |names: &[&'static str]| names.iter().copied().find(|name| is_given(name));
    let value = spellings(row).find(|spelling| is_given(spelling));
    value == Some(name) || first(row.databend_after) == Some(name)
}

fn checked<'a>(row: &OptionSpec, name: &str, value: &'a str) -> Result<&'a str> {
    if row.ty == OptionType::Bool && parse_bool(value).is_none() {
        let refused = Error::invalid(format!("value for {name} is invalid: {value:?}"));
        return Err(refused.with_hint("write TRUE or FALSE"));
    }
    Ok(value)
}

/// Adds what stands after the mark of an option's value.
fn append(row: &OptionSpec, keyword: &str, value: &str, params: &mut [(String, String)]) -> Result<()> {
    let Some(mark) = row.secret_after.filter(|_| !value.is_empty()) else { return Ok(()) };
    if value.contains(',') {
        return Err(Error::invalid(format!("value for {keyword} is invalid: it must not hold a comma")));
    }
    let Some((_, before)) = params.iter_mut().find(|(name, _)| name == row.name) else {
        let name = row.databend.unwrap_or(row.name);
        return Err(Error::invalid(format!("{keyword} is given without {name}")));
    };
    before.push_str(mark);
    before.push_str(value);
    Ok(())
}

/// The value of an option before its mark, and the keyword of what stands after it, unless it has several parts.
pub(super) fn after_mark<'a>(row: &OptionSpec, value: &'a str) -> Option<(&'a str, &'static str, &'a str)> {
    let (keyword, mark) = row.databend_after.first().zip(row.secret_after)?;
    let (before, after) = value.split_once(mark).filter(|_| !value.contains(','))?;
    Some((before, *keyword, after))
}

fn required(spec: &KindSpec, row: &OptionSpec) -> Error {
    let (name, storage) = (row.databend.unwrap_or(row.name), spec.databend_type.unwrap_or(spec.name));
    Error::invalid(format!("{name} is required for storage {storage}")).with_hint(row.help)
}

fn unexpected(spec: &KindSpec, mut unknown: Vec<&str>) -> Error {
    let key = (spec.host == Host::Nothing).then_some(KEY_OPTION);
    let names = |row: &'static OptionSpec| row.databend.into_iter().chain(row.databend_after.first().copied());
    let mut known: Vec<&str> = spec.options.iter().flat_map(names).chain(key).collect();
    known.sort_unstable();
    unknown.sort_unstable();
    let (expected, got) = (known.join(", "), unknown.join(", "));
    let error = Error::invalid(format!("connection params invalid: expected [{expected}], got [{got}]"));
    match nearest(unknown[0], known) {
        Some(name) => error.with_hint(format!("did you mean {name}?")),
        None => error,
    }
}

/// The parameters of any target as `name=value`, sorted, every value behind a mask. What Databend has no word for goes
/// by the name that it has in a URI.
pub fn masked_parameters(target: &Target) -> String {
    let mut pairs: Vec<(String, String)> = place(target).into_iter().collect();
    for (key, value) in written_params(target, Dialect::Databend) {
        match target.spec().options.iter().find(|row| row.name == key) {
            Some(row) => pairs.extend(named(row, value)),
            // A parameter that is sent on may be a secret, its name too.
            None => pairs.push(("redacted".to_string(), String::new())),
        }
    }
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={}", mask(value))).collect::<Vec<_>>().join(" ")
}

/// Where a target lies, unless each use says so.
fn place(target: &Target) -> Option<(String, String)> {
    let uri = target.uri();
    if target.spec().host == Host::Nothing {
        return Some((KEY_OPTION.to_string(), uri.path.trim_start_matches('/').to_string()));
    }
    let is_somewhere = uri.host != implied_host(target.spec()) || !uri.path.is_empty();
    is_somewhere.then(|| ("url".to_string(), format!("{}://{}{}", uri.scheme, uri.host, uri.path)))
}

fn named(row: &OptionSpec, value: &str) -> Vec<(String, String)> {
    let name = row.databend.map_or_else(|| row.name.to_ascii_lowercase(), str::to_string);
    let value = spelled(row, Dialect::Databend, value);
    match after_mark(row, &value) {
        Some((before, keyword, after)) => vec![(name, before.to_string()), (keyword.to_string(), after.to_string())],
        None => vec![(name, value)],
    }
}
