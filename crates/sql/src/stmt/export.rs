//! `EXPORT INTO`.

use super::query::Query;
use super::{KvOption, Text};

/// `EXPORT INTO format uri [WITH options] FROM {query | TABLE t}`
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Upper case.
    pub format: String,
    pub uri: Text,
    pub options: Vec<KvOption>,
    /// `TABLE t` is read as `SELECT * FROM t`.
    pub query: Box<Query>,
}
