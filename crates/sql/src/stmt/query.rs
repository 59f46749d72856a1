//! SELECT and DML: text for the engine, with what the rest of the server must know of it.

use lakeport_base::QualifiedName;

use super::Statement;

/// `SELECT`, `VALUES`, `WITH`, `TABLE`, `EXPLAIN [ANALYZE]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The text for the engine: `AS OF SYSTEM TIME` removed, each `[SHOW ...]` replaced by the name in `shows`.
    pub text: String,
    /// Relations read, each once; CTE names and `shows` left out.
    pub reads: Vec<QualifiedName>,
    /// `AS OF SYSTEM TIME expr`: the expression's text.
    pub as_of: Option<String>,
    /// `[SHOW ...]` sources by the table name that stands for each.
    pub shows: Vec<(String, Statement)>,
    /// Highest `$n`.
    pub placeholder_count: usize,
}

/// What an INSERT does about a row whose key exists.
#[derive(Clone, Debug, PartialEq)]
pub enum OnConflict {
    /// Error 23505.
    Fail,
    /// `ON CONFLICT [(columns)] DO NOTHING`
    Nothing { columns: Vec<String> },
    /// `ON CONFLICT (columns) DO UPDATE SET assignments [WHERE filter]`
    Update { columns: Vec<String>, assignments: Vec<Assignment>, filter: Option<String> },
    /// `UPSERT`: the new row replaces the old.
    Replace,
}

/// `column = expression`
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    pub column: String,
    /// SQL text; `DEFAULT` as written.
    pub value: String,
}

/// `{INSERT | UPSERT} INTO table [(columns)] {query | DEFAULT VALUES} [ON CONFLICT ..] [RETURNING ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub table: QualifiedName,
    pub columns: Vec<String>,
    /// `None` is `DEFAULT VALUES`. In a VALUES list the word `DEFAULT` stands for a column's default.
    pub source: Option<Query>,
    pub on_conflict: OnConflict,
    /// SQL text of the select list after RETURNING.
    pub returning: Option<String>,
}

/// `UPDATE table [AS alias] SET assignments [FROM ..] [WHERE ..] [RETURNING ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub table: QualifiedName,
    pub alias: Option<String>,
    pub assignments: Vec<Assignment>,
    /// SQL text of the FROM list.
    pub from: Option<String>,
    pub filter: Option<String>,
    pub returning: Option<String>,
    /// Relations read by FROM and subqueries.
    pub reads: Vec<QualifiedName>,
    pub placeholder_count: usize,
}

/// `DELETE FROM table [AS alias] [USING ..] [WHERE ..] [RETURNING ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub table: QualifiedName,
    pub alias: Option<String>,
    pub using: Option<String>,
    pub filter: Option<String>,
    pub returning: Option<String>,
    pub reads: Vec<QualifiedName>,
    pub placeholder_count: usize,
}
