//! `IMPORT INTO`.

use lakeport_base::QualifiedName;

use super::{KvOption, Text};

/// `IMPORT INTO table [(columns)] format DATA (uris) [WITH options]`
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    pub table: QualifiedName,
    pub columns: Vec<String>,
    /// Upper case: `CSV`, `PARQUET`, `NDJSON`, ...
    pub format: String,
    pub uris: Vec<Text>,
    pub options: Vec<KvOption>,
}
