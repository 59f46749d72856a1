//! Pieces that many statements print.

use std::fmt::{self, Display};

use lakeport_base::name::{quote_ident, quote_literal};

use crate::stmt::{KvOption, Text, Texts};

/// Items with commas between.
pub(crate) fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Identifiers with commas between.
pub(crate) fn idents(names: &[String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// ` (a, b)`, or nothing for no names.
pub(crate) fn columns(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", idents(names)) }
}

/// ` WITH a = 'b', c`, or nothing for no options.
pub(crate) fn options<T: Display>(options: &[T]) -> String {
    if options.is_empty() { String::new() } else { format!(" WITH {}", list(options)) }
}

/// The phrase when the flag is set, for optional words.
pub(crate) fn when(flag: bool, phrase: &'static str) -> &'static str {
    if flag { phrase } else { "" }
}

/// `prefix` and the value, or nothing.
pub(crate) fn optional<T: Display>(prefix: &str, value: Option<&T>) -> String {
    value.map_or_else(String::new, |value| format!("{prefix}{value}"))
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Literal(text) => f.write_str(&quote_literal(text)),
            Text::Placeholder(n) => write!(f, "${n}"),
        }
    }
}

impl Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            several => write!(f, "({})", list(several)),
        }
    }
}

impl Display for KvOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", quote_ident(&self.name), optional(" = ", self.value.as_ref()))
    }
}
