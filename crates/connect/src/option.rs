//! The option table of a kind: one row per option carries its three spellings, its type and whether it is secret.

use lakeport_base::nearest::nearest;
use lakeport_base::{Dialect, Secret, units};

use crate::error::{Error, Result};

/// What an option's value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// Any text.
    Text,
    /// Printable ASCII, which the headers of requests can hold.
    Ascii,
    /// `true` or `false`, as Go's `strconv.ParseBool` reads them.
    Bool,
    /// A whole number.
    Int,
    /// A length of time such as `10s`.
    Duration,
    /// Standard base64 with padding.
    Base64,
    /// One of these words; the text says how to refuse another, `{}` standing for it.
    Choice(&'static [&'static str], &'static str),
}

/// Whether an option must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// May be left out.
    Optional,
    /// Must be written and not be empty.
    Required,
}

/// One row of an option table. Everything is secret unless its row says public.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The CockroachDB parameter.
    pub name: &'static str,
    /// The Databend keyword.
    pub databend: Option<&'static str>,
    /// Other Databend keywords of the same meaning.
    pub databend_aliases: &'static [&'static str],
    /// The Databend keyword means the opposite of `name`.
    pub databend_negated: bool,
    /// The Databend keywords of what stands after the mark of `secret_after`.
    pub databend_after: &'static [&'static str],
    /// Databend's dialect does not do without it.
    pub databend_required: bool,
    /// The Materialize option words.
    pub materialize: Option<&'static str>,
    /// What the value must look like.
    pub ty: OptionType,
    /// May be shown to anyone who may see the connection.
    pub public: bool,
    /// What follows this mark in a public value, up to a comma, is secret all the same.
    pub secret_after: Option<&'static str>,
    /// Somebody's keys: without any such option Databend's dialect means no keys at all.
    pub authenticates: bool,
    /// Whether it must be written.
    pub need: Need,
    /// The value when it is not written.
    pub default: Option<&'static str>,
    /// Says together with the path which thing is meant: what has another value is another thing.
    pub identifies: bool,
    /// ALTER may change it.
    pub alterable: bool,
    /// One sentence for the manual.
    pub help: &'static str,
}

impl OptionSpec {
    /// A secret, optional, alterable row without a default.
    pub const fn new(name: &'static str, ty: OptionType, help: &'static str) -> OptionSpec {
        OptionSpec {
            name,
            databend: None,
            databend_aliases: &[],
            databend_negated: false,
            databend_after: &[],
            databend_required: false,
            materialize: None,
            ty,
            public: false,
            secret_after: None,
            authenticates: false,
            need: Need::Optional,
            default: None,
            identifies: false,
            alterable: true,
            help,
        }
    }

    /// Allows the value to be shown.
    pub const fn public(mut self) -> OptionSpec {
        self.public = true;
        self
    }

    /// Allows the value to be shown but for what follows a mark.
    pub const fn public_but_after(mut self, mark: &'static str) -> OptionSpec {
        self.secret_after = Some(mark);
        self.public()
    }

    /// Says that the value is somebody's keys.
    pub const fn authenticates(mut self) -> OptionSpec {
        self.authenticates = true;
        self
    }

    /// Makes the value part of what names the thing.
    pub const fn identifying(mut self) -> OptionSpec {
        self.identifies = true;
        self
    }

    /// Sets the value used when none is written.
    pub const fn default(mut self, value: &'static str) -> OptionSpec {
        self.default = Some(value);
        self
    }

    /// Names the Databend keyword.
    pub const fn databend(mut self, keyword: &'static str) -> OptionSpec {
        self.databend = Some(keyword);
        self
    }

    /// Names other Databend keywords of the same meaning.
    pub const fn databend_aliases(mut self, keywords: &'static [&'static str]) -> OptionSpec {
        self.databend_aliases = keywords;
        self
    }

    /// Names the Databend keywords of what stands after the mark of the value.
    pub const fn databend_after(mut self, keywords: &'static [&'static str]) -> OptionSpec {
        self.databend_after = keywords;
        self
    }

    /// Asks for the option in Databend's dialect.
    pub const fn databend_required(mut self) -> OptionSpec {
        self.databend_required = true;
        self
    }

    /// Names a Databend keyword of the opposite meaning.
    pub const fn databend_not(mut self, keyword: &'static str) -> OptionSpec {
        self.databend = Some(keyword);
        self.databend_negated = true;
        self
    }

    /// Names the Materialize option.
    pub const fn materialize(mut self, words: &'static str) -> OptionSpec {
        self.materialize = Some(words);
        self
    }

    /// How the option is called in a dialect, if it is known there.
    pub fn name_in(&self, dialect: Dialect) -> Option<&'static str> {
        match dialect {
            Dialect::Cockroach => Some(self.name),
            Dialect::Databend => self.databend,
            Dialect::Materialize => self.materialize,
        }
    }

    /// The value as anyone may see it.
    pub fn shown(&self, value: &str) -> String {
        match self.secret_after {
            _ if !self.public => REDACTED.to_string(),
            None => value.to_string(),
            Some(mark) => value.split(',').map(|part| redact_after(part, mark)).collect::<Vec<_>>().join(","),
        }
    }

    fn check(&self, value: &str) -> Result<()> {
        if value.is_empty() {
            let refusal = || Error::invalid(format!("parameter {} must not be empty", self.name));
            let hint = "leave the parameter out to use its default";
            return Err(refusal().with_hint(hint));
        }
        match self.ty {
            OptionType::Choice(words, refusal) if !words.contains(&value) => {
                Err(Error::invalid(refusal.replace("{}", value)).with_hint(format!("use one of: {}", words.join(", "))))
            }
            OptionType::Bool if parse_bool(value).is_none() => {
                Err(Error::invalid(format!("cannot parse {} as bool: {value:?} is neither true nor false", self.name)))
            }
            OptionType::Int if value.parse::<i64>().is_err() => {
                Err(Error::invalid(format!("cannot parse {} as a whole number", self.name)))
            }
            OptionType::Duration if units::parse_duration(value).is_none() => {
                Err(Error::invalid(format!("cannot parse {} as a duration such as 10s", self.name)))
            }
            OptionType::Base64 => decode_base64(self.name, value).map(drop),
            OptionType::Ascii if !value.bytes().all(|b| matches!(b, b' '..=b'~')) => {
                Err(Error::invalid(format!("parameter {} may hold printable ASCII characters only", self.name)))
            }
            _ => Ok(()),
        }
    }
}

/// Stands for a secret in whatever is shown.
pub(crate) const REDACTED: &str = "redacted";

fn redact_after(text: &str, mark: &str) -> String {
    text.split_once(mark).map_or_else(|| text.to_string(), |(before, _)| format!("{before}{mark}{REDACTED}"))
}

/// The values of a target's options. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Options {
    values: Vec<(&'static OptionSpec, Secret<String>)>,
}

impl Options {
    /// Checks each pair against the table.
    ///
    /// # Errors
    /// An unknown, repeated, empty or badly typed parameter. `label` is how the documented text calls the kind.
    pub fn parse(label: &str, table: &'static [OptionSpec], params: &[(String, String)]) -> Result<Options> {
        let mut options = Options::default();
        let unknown: Vec<&str> = params
            .iter()
            .map(|(key, _)| key.as_str())
            .filter(|key| !table.iter().any(|row| row.name == *key))
            .collect();
        if !unknown.is_empty() {
            return Err(unknown_parameters(label, table, &unknown));
        }
        for (key, value) in params {
            let Some(spec) = table.iter().find(|row| row.name == key) else { continue };
            if options.get(spec.name).is_some() {
                return Err(Error::invalid(format!("parameter {key} is given more than once")));
            }
            spec.check(value)?;
            options.values.push((spec, Secret::new(value.clone())));
        }
        if let Some(missing) = table.iter().find(|row| row.need == Need::Required && options.get(row.name).is_none()) {
            return Err(Error::invalid(format!("parameter {} is required", missing.name)).with_hint(missing.help));
        }
        Ok(options.with_defaults(table))
    }

    fn with_defaults(mut self, table: &'static [OptionSpec]) -> Options {
        self.values.retain(|(_, value)| !value.expose().is_empty());
        for row in table {
            if let (Some(default), None) = (row.default, self.get(row.name)) {
                self.values.push((row, Secret::new(default.to_string())));
            }
        }
        self
    }

    /// The value of an option or its default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(spec, _)| spec.name == name).map(|(_, value)| value.expose().as_str())
    }

    /// The value of a Bool option; false when it is not set.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(parse_bool).unwrap_or(false)
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(spec, _)| spec.name)).finish()
    }
}

/// The spellings Go's `strconv.ParseBool` takes.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn decode_base64(name: &str, value: &str) -> Result<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(value)
        .map_err(|_| Error::invalid(format!("param {name} must be base 64 encoded")))
}

fn unknown_parameters(label: &str, table: &[OptionSpec], unknown: &[&str]) -> Error {
    let error = Error::invalid(format!("unknown {label} query parameters: {}", unknown.join(", ")));
    let known = nearest(unknown[0], table.iter().map(|row| row.name));
    match known {
        Some(name) => error.with_hint(format!("did you mean {name}? parameter names are case-sensitive")),
        None if table.is_empty() => error.with_hint("this kind takes no parameters"),
        None => error
            .with_hint(format!("known parameters: {}", table.iter().map(|r| r.name).collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[OptionSpec] = &[
        OptionSpec { need: Need::Required, ..OptionSpec::new("TOPIC", OptionType::Text, "The topic to write to.") },
        OptionSpec::new("RETRIES", OptionType::Int, "How often.").default("3"),
        OptionSpec::new("PAUSE", OptionType::Duration, "How long between."),
        OptionSpec::new("CA_CERT", OptionType::Base64, "Whom to trust."),
    ];

    fn parse(params: &[(&str, &str)]) -> Result<Options> {
        let params: Vec<_> = params.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Options::parse("test", TABLE, &params)
    }

    #[test]
    fn values_are_checked_by_type() {
        let options = parse(&[("TOPIC", "t"), ("CA_CERT", "AAEC")]).unwrap();
        assert_eq!((options.get("RETRIES"), options.get("PAUSE")), (Some("3"), None));
        for (params, message) in [
            (&[("RETRIES", "1")][..], "parameter TOPIC is required"),
            (&[("TOPIC", "t"), ("RETRIES", "many")], "cannot parse RETRIES as a whole number"),
            (&[("TOPIC", "t"), ("PAUSE", "soon")], "cannot parse PAUSE as a duration such as 10s"),
            (&[("TOPIC", "t"), ("CA_CERT", "-")], "param CA_CERT must be base 64 encoded"),
            (&[("TOPIC", "")], "parameter TOPIC must not be empty"),
            (&[("TOPIC", "t"), ("TOPIC", "t")], "parameter TOPIC is given more than once"),
            (&[("topic", "t"), ("X", "")], "unknown test query parameters: topic, X"),
        ] {
            assert_eq!(parse(params).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn debug_shows_names_only() {
        let shown = format!("{:?}", parse(&[("TOPIC", "hunter2")]).unwrap());
        assert_eq!(shown, r#"["TOPIC", "RETRIES"]"#);
    }
}
