//! Why a text is no statement.

use lakeport_base::{Dialect, nearest};
use thiserror::Error;

/// Shortest word that is compared with keywords: shorter ones are close to all of them.
const MISSPELT_BYTES_MIN: usize = 3;

/// A syntax error with its place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct SyntaxError {
    /// Such as `at or near "FORM": syntax error: expected FROM`.
    pub message: String,
    /// Character offset into the whole text, from 1, as the wire protocol counts.
    pub position: usize,
    pub hint: Option<String>,
    pub kind: SyntaxErrorKind,
    /// The dialect of the statement, as far as its leading words tell.
    pub dialect: Dialect,
}

/// What sort of mistake it is; decides the SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    /// 42601
    Syntax,
    /// 0A000: understood, and not supported.
    Unsupported,
    /// 54001: too long or nested too deeply.
    TooComplex,
    /// 54011
    TooManyColumns,
    /// 42704: a type that does not exist.
    Type,
    /// 0LP01: a privilege that cannot be granted so.
    Grant,
    /// 22023: an argument that is missing, or that there is not.
    Argument,
    /// 42602 or 42622: a name that is empty, too long or holds NUL.
    Name,
}

impl SyntaxError {
    pub(crate) fn syntax(message: impl Into<String>, position: usize) -> Self {
        let (kind, dialect) = (SyntaxErrorKind::Syntax, Dialect::Cockroach);
        Self { message: message.into(), position, hint: None, kind, dialect }
    }

    pub(crate) fn unsupported(message: impl Into<String>, position: usize) -> Self {
        Self { kind: SyntaxErrorKind::Unsupported, ..Self::syntax(message, position) }
    }

    /// Hints at the candidate that a misspelt word is closest to.
    pub(crate) fn with_nearest<'a>(self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let is_word = found.len() >= MISSPELT_BYTES_MIN && found.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        match nearest::nearest(found, candidates) {
            Some(word) if is_word && !word.eq_ignore_ascii_case(found) => {
                self.with_hint(format!("did you mean {word}?"))
            }
            _ => self,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
