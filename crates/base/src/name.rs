//! Names of SQL objects and how they are quoted.

use std::borrow::Cow;
use std::fmt;

use crate::limits::NAME_BYTES_MAX;

/// A possibly qualified name. Two parts are `database.name` or `schema.name`; the catalog
/// decides which, as CockroachDB does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QualifiedName {
    /// One to three parts, outermost first, already case-folded.
    pub parts: Vec<String>,
}

impl QualifiedName {
    /// A name of one part.
    pub fn bare(name: impl Into<String>) -> Self {
        Self { parts: vec![name.into()] }
    }

    /// The object's own name, without qualifiers.
    pub fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// The parts before the object's own name.
    pub fn qualifiers(&self) -> &[String] {
        &self.parts[..self.parts.len().saturating_sub(1)]
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(&quote_ident(part))?;
        }
        Ok(())
    }
}

/// What keeps a text from being the name of an object, if anything does.
pub fn fault_of(name: &str) -> Option<String> {
    match name {
        "" => Some("name must not be empty".to_string()),
        name if name.len() > NAME_BYTES_MAX => Some(format!("name is longer than {NAME_BYTES_MAX} bytes")),
        name if name.contains('\0') => Some("name must not hold NUL".to_string()),
        _ => None,
    }
}

/// Words that a client's parser takes for syntax, so an identifier spelled like one is quoted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Whether a lower-case word must be quoted to be a name.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// The identifier as SQL source, quoted only where it must be.
pub fn quote_ident(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !is_reserved(name);
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The text as a SQL string literal.
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name for messages, with escapes in the place of characters that would do something to a terminal.
pub fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(name.chars().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_escapes() {
        assert_eq!(printable("it's \\n \u{1b}[0m\n\u{9b}ü"), "it's \\n \\u{1b}[0m\\n\\u{9b}ü");
    }

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(quote_ident("rides"), "rides");
        assert_eq!(quote_ident("Rides"), "\"Rides\"");
        assert_eq!(quote_ident("user"), "\"user\"");
        assert_eq!(quote_ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        let name = QualifiedName { parts: vec!["movr".into(), "Ride".into()] };
        assert_eq!(name.to_string(), "movr.\"Ride\"");
    }
}
