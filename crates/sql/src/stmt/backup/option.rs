//! The WITH lists of BACKUP and its kin.

use sqlparser::tokenizer::Token;

use super::Encryption;
use crate::cursor::{Cursor, Result, Seen};
use crate::error::SyntaxError;
use crate::print;
use crate::stmt::Text;

/// An option's name as it was written.
pub(in crate::stmt) struct Given {
    pub name: &'static str,
    pub position: usize,
}

/// The options of one list. Those `refused` are for servers of many nodes; they may be set to false.
pub(in crate::stmt) struct Options<'a> {
    pub names: &'a [&'static str],
    pub refused: &'a [&'static str],
}

impl Options<'_> {
    /// Reads `[WITH option, ... | WITH OPTIONS (option, ...)]`.
    pub fn with(&self, c: &mut Cursor, mut read: impl FnMut(Given, &mut Cursor) -> Result<()>) -> Result<()> {
        let mut seen = Seen::default();
        c.with_list(|c| self.one(&mut seen, c, &mut read)).map(drop)
    }

    /// Reads `option, ...`
    pub fn list(&self, c: &mut Cursor, mut read: impl FnMut(Given, &mut Cursor) -> Result<()>) -> Result<()> {
        let mut seen = Seen::default();
        c.comma_list(|c| self.one(&mut seen, c, &mut read)).map(drop)
    }

    /// Reads one option, which has not been `seen` before.
    pub fn one(
        &self,
        seen: &mut Seen,
        c: &mut Cursor,
        read: &mut impl FnMut(Given, &mut Cursor) -> Result<()>,
    ) -> Result<()> {
        let position = c.position();
        let known = c.one_of(self.names).or_else(|| c.one_of(self.refused));
        let Some(name) = known else { return Err(unknown(self.names, c)) };
        seen.once(name, position)?;
        if self.refused.contains(&name) { refuse(name, position, c) } else { read(Given { name, position }, c) }
    }
}

fn unknown(names: &[&'static str], c: &mut Cursor) -> SyntaxError {
    if c.is_next("INCREMENTAL_LOCATION") {
        return c
            .unsupported("option incremental_location is not supported")
            .with_hint("leave it out: incremental backups lie in the collection of their full backup");
    }
    c.expected_option(names)
}

fn refuse(name: &str, position: usize, c: &mut Cursor) -> Result<()> {
    if c.symbol(&Token::Eq) && c.keywords("FALSE") {
        return Ok(());
    }
    let message = format!("option {} is not supported", name.to_ascii_lowercase());
    Err(SyntaxError::unsupported(message, position).with_hint("leave it out: one server does all of the work"))
}

/// `[= true | = false]`; without a value it is true.
pub(in crate::stmt) fn flag(c: &mut Cursor) -> Result<bool> {
    if !c.symbol(&Token::Eq) {
        return Ok(true);
    }
    c.one_of(&["TRUE", "FALSE"]).map(|word| word == "TRUE").ok_or_else(|| c.error())
}

/// `= text`
pub(in crate::stmt) fn text(c: &mut Cursor) -> Result<Text> {
    c.expect_symbol(&Token::Eq)?;
    c.text_value()
}

/// Reads the value of `KMS` or `ENCRYPTION_PASSPHRASE`.
pub(super) fn encryption(name: &str, position: usize, encryption: &mut Encryption, c: &mut Cursor) -> Result<()> {
    if *encryption != Encryption::None {
        return Err(SyntaxError::syntax("cannot have both encryption_passphrase and kms option set", position));
    }
    c.expect_symbol(&Token::Eq)?;
    *encryption = match name {
        "KMS" => Encryption::Kms(c.texts()?),
        // A bare word would be in lower case, which nobody expects of a passphrase.
        _ => Encryption::Passphrase(c.quoted_text()?),
    };
    Ok(())
}

/// ` WITH flag, name = text, kms = (..)`, or nothing.
pub(super) fn printed(flags: &[(bool, &str)], texts: &[(&str, &Option<Text>)], encryption: &Encryption) -> String {
    let mut items: Vec<String> = flags.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_string()).collect();
    items.extend(texts.iter().filter_map(|(name, text)| Some(format!("{name} = {}", text.as_ref()?))));
    match encryption {
        Encryption::None => {}
        Encryption::Passphrase(passphrase) => items.push(format!("encryption_passphrase = {passphrase}")),
        Encryption::Kms(uris) => items.push(format!("kms = {uris}")),
    }
    print::options(&items)
}
