//! SELECT and DML: text for the engine, with what the rest of the server must know of it.

mod breadth;
mod bridge;
mod distinct;
mod dml;
mod explain;
pub mod file_source;
mod merge;
mod position;
mod print;
mod refuse;
mod rewrite;
pub mod selected;
mod signs;
mod with;

#[cfg(test)]
mod tests;

use lakeport_base::QualifiedName;
use sqlparser::ast;
use sqlparser::tokenizer::Token;

pub(super) use self::bridge::expression;
pub(super) use self::explain::explain;
use self::file_source::FileSource;
use self::rewrite::Rewritten;
pub(super) use self::rewrite::time;
use self::with::Queries;
use super::Statement;
use crate::cursor::{Cursor, Result, folded};
use crate::error::SyntaxError;

/// `SELECT`, `VALUES`, `WITH`, `TABLE`, `EXPLAIN [ANALYZE]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The text for the engine: `AS OF SYSTEM TIME` removed, each `[SHOW ...]` replaced by the name in `shows`, and files
    /// by that in `files`.
    pub text: String,
    /// `AS OF SYSTEM TIME expr`: the expression's text.
    pub as_of: Option<String>,
    /// `[SHOW ...]` sources by the table name that stands for each.
    pub shows: Vec<(String, Statement)>,
    /// Files that are read, by the table name that stands for each.
    pub files: Vec<(String, FileSource)>,
    /// Highest `$n`; 0 where that is a column.
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
    pub placeholder_count: usize,
}

/// `MERGE INTO table [AS alias] USING source ON condition WHEN .. THEN .. [RETURNING ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    pub table: QualifiedName,
    pub alias: Option<String>,
    /// SQL text of a table, a query in parentheses or a join in parentheses.
    pub source: String,
    pub condition: String,
    pub clauses: Vec<MergeClause>,
    pub returning: Option<String>,
    pub placeholder_count: usize,
}

/// `WHEN pairs [AND condition] THEN action`
#[derive(Clone, Debug, PartialEq)]
pub struct MergeClause {
    pub pairs: Pairs,
    pub condition: Option<String>,
    pub action: MergeAction,
}

/// Which pairs of a row of the table and a row of the source a clause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// `MATCHED`
    Matched,
    /// `NOT MATCHED [BY TARGET]`: a row of the source alone.
    NotMatchedByTarget,
    /// `NOT MATCHED BY SOURCE`: a row of the table alone.
    NotMatchedBySource,
}

/// What a clause does with its pairs.
#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    Update(Vec<Assignment>),
    Delete,
    /// No values are `DEFAULT VALUES`.
    Insert {
        columns: Vec<String>,
        values: Option<Vec<String>>,
    },
    Nothing,
}

impl Merge {
    /// The join of table and source that has the pairs of all clauses.
    pub fn join(&self) -> &'static str {
        let is_for = |pairs| self.clauses.iter().any(|clause| clause.pairs == pairs);
        match (is_for(Pairs::NotMatchedBySource), is_for(Pairs::NotMatchedByTarget)) {
            (false, false) => "JOIN",
            (false, true) => "RIGHT JOIN",
            (true, false) => "LEFT JOIN",
            (true, true) => "FULL JOIN",
        }
    }
}

/// Words that begin a statement for sqlparser's grammar.
pub(super) const LEADING: &[&str] =
    &["SELECT", "VALUES", "WITH", "TABLE", "INSERT", "UPSERT", "UPDATE", "DELETE", "MERGE"];

/// A query or DML statement up to the end.
pub(super) fn statement(c: &mut Cursor) -> Result<Statement> {
    let is_upsert = c.is_next("UPSERT");
    let is_merge = c.is_next("MERGE") || (c.is_next("WITH") && has_merge(c));
    let start = c.position();
    let rewritten = rewrite::rewrite(c)?;
    c.advance(c.rest().len());
    if is_merge {
        return merge::statement(bridge::merge(c, &rewritten.lexemes)?, &rewritten, start);
    }
    match bridge::statement(c, &rewritten.lexemes)? {
        ast::Statement::Query(query) => classify_query(*query, rewritten, start),
        ast::Statement::Insert(insert) => dml::insert(insert, is_upsert, rewritten, start),
        ast::Statement::Update(update) => dml::update(update, &rewritten, start),
        ast::Statement::Delete(delete) => dml::delete(delete, &rewritten, start),
        _ => Err(SyntaxError::unsupported("this statement is not supported", start)),
    }
}

/// Whether `MERGE INTO` stands outside all brackets.
fn has_merge(c: &Cursor) -> bool {
    let mut ahead = c.slice(0..c.at() + c.rest().len());
    skip_to(&mut ahead, c.at(), "MERGE INTO");
    !ahead.is_at_end()
}

/// A query, or a statement that writes after WITH. That of an INSERT goes to its query.
fn classify_query(mut query: ast::Query, rewritten: Rewritten, start: usize) -> Result<Statement> {
    let with = match query.body.as_ref() {
        ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) => {
            breadth::check(&query, start)?;
            query.with.take()
        }
        _ => return Ok(Statement::Query(Query::new(&query, rewritten, start)?)),
    };
    match *query.body {
        ast::SetExpr::Update(ast::Statement::Update(mut update)) => {
            let queries = Queries::of(with, start)?;
            queries.put_into(&mut update.from);
            queries.put_into(&mut update.assignments);
            queries.put_into(&mut update.selection);
            queries.put_into(&mut update.returning);
            dml::update(update, &rewritten, start)
        }
        ast::SetExpr::Delete(ast::Statement::Delete(mut delete)) => {
            let queries = Queries::of(with, start)?;
            queries.put_into(&mut delete.using);
            queries.put_into(&mut delete.selection);
            queries.put_into(&mut delete.returning);
            dml::delete(delete, &rewritten, start)
        }
        ast::SetExpr::Insert(ast::Statement::Insert(mut insert)) => {
            match insert.source.as_mut() {
                Some(source) if source.with.is_none() => source.with = with,
                _ => return Err(SyntaxError::unsupported("this WITH before INSERT is not supported", start)),
            }
            dml::insert(insert, false, rewritten, start)
        }
        _ => Err(SyntaxError::unsupported("WITH before a statement of this form is not supported", start)),
    }
}

/// The query that makes up all that is left.
pub(super) fn rest(c: &mut Cursor) -> Result<Query> {
    let end = c.at() + c.rest().len();
    up_to(c, end)
}

/// The query up to the parenthesis that closes, which stays.
pub(super) fn in_parentheses(c: &mut Cursor) -> Result<Query> {
    let close = c.closing(c.at() - 1);
    up_to(c, close)
}

/// The query up to the phrase outside all brackets, or to the end.
pub(super) fn until(c: &mut Cursor, phrase: &str) -> Result<Query> {
    let mut ahead = c.slice(0..c.at() + c.rest().len());
    skip_to(&mut ahead, c.at(), phrase);
    up_to(c, ahead.at())
}

/// Goes on from a lexeme to the phrase outside all brackets, or to the end.
fn skip_to(ahead: &mut Cursor, from: usize, phrase: &str) {
    ahead.rewind(from);
    while !ahead.is_at_end() && !ahead.is_next(phrase) {
        let past = (ahead.closing(ahead.at()) + 1).min(ahead.at() + ahead.rest().len());
        ahead.advance(past - ahead.at());
    }
}

fn up_to(c: &mut Cursor, end: usize) -> Result<Query> {
    let start = c.position();
    let (query, rewritten) = tree_up_to(c, end)?;
    Query::new(&query, rewritten, start)
}

/// The query as sqlparser has it, with what was taken out of it.
fn tree_up_to(c: &mut Cursor, end: usize) -> Result<(ast::Query, Rewritten)> {
    let part = c.slice(c.at()..end);
    if part.is_at_end() {
        return Err(c.expected("a query"));
    }
    let rewritten = rewrite::rewrite(&part)?;
    let query = bridge::query(&part, &rewritten.lexemes)?;
    c.advance(end - c.at());
    Ok((query, rewritten))
}

impl Query {
    /// The query as sqlparser prints it, with what was cut out of it.
    fn new(query: &ast::Query, rewritten: Rewritten, start: usize) -> Result<Self> {
        refuse::unfit(query, start)?;
        refuse::stray_sources(query, &rewritten, start)?;
        let Rewritten { as_of, shows, mut files, placeholder_count, .. } = rewritten;
        position::assign(query, &mut files);
        Ok(Query { text: query.to_string(), as_of, shows, files, placeholder_count })
    }
}

/// The name as ours, folded.
fn qualified(name: &ast::ObjectName) -> QualifiedName {
    let part = |part: &ast::ObjectNamePart| match part {
        ast::ObjectNamePart::Identifier(name) => ident(name),
        ast::ObjectNamePart::Function(function) => function.to_string(),
    };
    QualifiedName { parts: name.0.iter().map(part).collect() }
}

/// The identifier, folded.
fn ident(name: &ast::Ident) -> String {
    match Token::make_word(&name.value, name.quote_style) {
        Token::Word(word) => folded(&word),
        _ => name.value.clone(),
    }
}
