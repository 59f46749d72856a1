//! One option table in three spellings: a URI, Databend's key/value list, Materialize's typed options.

use lakeport_base::name::quote_literal;
use lakeport_base::nearest::nearest;
use lakeport_base::{Dialect, Uri};

use crate::error::{Error, Result};
use crate::kind::{Host, KINDS, Kind, KindSpec};
use crate::option::{OptionSpec, parse_bool};
use crate::target::Target;

/// Writes a target in a dialect, secrets in clear. Reading it back gives the same options.
///
/// # Errors
/// The dialect does not know the kind, or an option that is set.
pub fn render(target: &Target, dialect: Dialect) -> Result<String> {
    match dialect {
        Dialect::Cockroach => Ok(target.to_text()),
        Dialect::Databend => {
            let pairs = pairs_in(target, dialect)?;
            let list: String =
                pairs.iter().map(|(name, value)| format!(" {name} = {}", quote_literal(value))).collect();
            Ok(format!("STORAGE_TYPE = {}{list}", quote_literal(type_in(target.spec(), dialect)?)))
        }
        Dialect::Materialize => {
            let pairs = pairs_in(target, dialect)?;
            let list: Vec<String> =
                pairs.iter().map(|(name, value)| format!("{name} = {}", quote_literal(value))).collect();
            Ok(format!("TO {} ({})", type_in(target.spec(), dialect)?, list.join(", ")))
        }
    }
}

/// Reads `STORAGE_TYPE = 's3' KEY = 'value' ...`.
///
/// # Errors
/// A syntax error, or what [`from_options`] refuses.
pub fn parse_databend(text: &str) -> Result<Target> {
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

/// Reads `TO TYPE (OPTION NAME = 'value', ...)`.
///
/// # Errors
/// A syntax error, or what [`from_options`] refuses.
pub fn parse_materialize(text: &str) -> Result<Target> {
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

/// The option of the other two dialects that names a key: what is the path of a URI.
pub const KEY_OPTION: &str = "key";

/// Makes a target of named options. It has no host: each use of the connection brings the bucket. A key is an option.
///
/// # Errors
/// A type or an option the dialect does not know, or a value the kind refuses.
pub fn from_options(dialect: Dialect, type_name: &str, pairs: &[(String, String)]) -> Result<Target> {
    let kind = kind_in(dialect, type_name)?;
    let spec = kind.spec();
    let is_key = |(name, _): &&(String, String)| spec.host == Host::Nothing && name.eq_ignore_ascii_case(KEY_OPTION);
    let key = match pairs.iter().filter(is_key).collect::<Vec<_>>()[..] {
        [] => String::new(),
        [(_, key)] => format!("/{}", key.trim_start_matches('/')),
        _ => return Err(Error::invalid(format!("option {KEY_OPTION} is given more than once"))),
    };
    let params = pairs.iter().filter(|pair| !is_key(pair));
    let params = params.map(|(name, value)| to_param(spec, dialect, name, value)).collect::<Result<_>>()?;
    Target::without_bucket(Uri {
        scheme: spec.schemes[0].to_string(),
        user: None,
        password: None,
        host: String::new(),
        path: key,
        params,
    })
}

fn kind_in(dialect: Dialect, type_name: &str) -> Result<&'static dyn Kind> {
    let known = |kind: &&'static dyn Kind| type_in(kind.spec(), dialect).ok();
    let kind = KINDS.iter().copied().find(|kind| known(kind).is_some_and(|name| name.eq_ignore_ascii_case(type_name)));
    kind.ok_or_else(|| {
        let error = Error::unsupported(format!("connection type {type_name:?} is not supported"));
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

fn pairs_in(target: &Target, dialect: Dialect) -> Result<Vec<(&'static str, String)>> {
    let spec = target.spec();
    let mut pairs = Vec::new();
    if spec.host == Host::Nothing {
        pairs.push((KEY_OPTION, target.uri().path.trim_start_matches('/').to_string()));
    }
    for (key, value) in &target.uri().params {
        let row = spec.options.iter().find(|row| row.name == key);
        let name = row.and_then(|row| Some((row, row.name_in(dialect)?)));
        let (row, name) =
            name.ok_or_else(|| Error::unsupported(format!("option {key} has no name in this dialect")))?;
        pairs.push((name, spelled(row, dialect, value)));
    }
    Ok(pairs)
}

fn to_param(spec: &KindSpec, dialect: Dialect, name: &str, value: &str) -> Result<(String, String)> {
    let key = (spec.host == Host::Nothing).then_some(KEY_OPTION);
    let names = || spec.options.iter().filter_map(|row| row.name_in(dialect)).chain(key);
    let row =
        spec.options.iter().find(|row| row.name_in(dialect).is_some_and(|known| known.eq_ignore_ascii_case(name)));
    match row {
        Some(row) => Ok((row.name.to_string(), spelled(row, dialect, value))),
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

/// Words, quoted texts and symbols of an option list.
struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(char),
}

impl Tokens {
    fn new(text: &str) -> Result<Tokens> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                c if c.is_whitespace() => {}
                '\'' => tokens.push(Token::Text(quoted(&mut chars)?)),
                '=' | ',' | '(' | ')' => tokens.push(Token::Symbol(c)),
                c => {
                    let mut word = String::from(c);
                    while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
                        word.push(c);
                    }
                    tokens.push(Token::Word(word));
                }
            }
        }
        Ok(Tokens { tokens: tokens.into_iter().peekable() })
    }

    fn is_empty(&mut self) -> bool {
        self.tokens.peek().is_none()
    }

    /// One or more words, joined by single spaces.
    fn words(&mut self) -> Result<String> {
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.tokens.next_if(|token| matches!(token, Token::Word(_))) {
            words.push(word);
        }
        if words.is_empty() { Err(Error::invalid("an option name is expected")) } else { Ok(words.join(" ")) }
    }

    fn value(&mut self) -> Result<String> {
        match self.tokens.next() {
            Some(Token::Text(text) | Token::Word(text)) => Ok(text),
            _ => Err(Error::invalid("an option value is expected")),
        }
    }

    fn symbol(&mut self, symbol: char) -> Result<()> {
        if self.skip(symbol) { Ok(()) } else { Err(Error::invalid(format!("{symbol:?} is expected"))) }
    }

    fn skip(&mut self, symbol: char) -> bool {
        self.tokens.next_if_eq(&Token::Symbol(symbol)).is_some()
    }
}

/// The rest of a quoted text; two quotes stand for one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String> {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.next_if_eq(&'\'').is_none() => return Ok(text),
            c => text.push(c),
        }
    }
    Err(Error::invalid("unterminated quoted value"))
}

#[cfg(test)]
mod tests;
