//! What a COPY INTO a table makes of files: `SELECT list FROM files [alias]`, and nothing else.

use std::fmt;

use sqlparser::ast;

use super::file_source::{FileSource, Wanted};
use super::{Query, refuse, tree_up_to};
use crate::cursor::{Cursor, Result};
use crate::error::SyntaxError;
use crate::print::list;

/// Values computed from each row of files.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// SQL text of the select list.
    pub list: String,
    /// The name that stands for the files, with their alias.
    pub relation: String,
    /// The name that stands for the files.
    pub name: String,
    /// Without options: those of the statement apply.
    pub source: FileSource,
}

/// Up to the parenthesis that closes, which stays.
pub(in crate::stmt) fn selected(c: &mut Cursor) -> Result<Selected> {
    let (close, start) = (c.closing(c.at() - 1), c.position());
    let (tree, rewritten) = tree_up_to(c, close)?;
    let parts = parts(&tree).filter(|_| rewritten.as_of.is_none() && !refuse::has_window(&tree));
    let query = Query::new(&tree, rewritten, start)?;
    let mut files = query.files.into_iter();
    let (Some((list, relation)), Some((name, source))) = (parts, files.next()) else {
        return Err(SyntaxError::unsupported("COPY INTO a table takes SELECT list FROM location [alias] only", start)
            .with_hint("INSERT INTO table SELECT ... FROM @stage/path takes any query"));
    };
    if source.wanted != Wanted::Rows || source != FileSource::of(source.location.clone(), source.positions.clone()) {
        return Err(SyntaxError::syntax("options of the files stand behind the query", start)
            .with_hint("COPY INTO table FROM (SELECT ... FROM @stage/path) FILE_FORMAT = (...) PATTERN = '...'"));
    }
    Ok(Selected { list, relation, name, source })
}

/// The list and the relation of a query that has nothing but these.
fn parts(query: &ast::Query) -> Option<(String, String)> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [from] = select.from.as_slice() else { return None };
    let ast::TableFactor::Table { .. } = &from.relation else { return None };
    let (items, relation) = (list(&select.projection), from.relation.to_string());
    let has_subquery = select.projection.iter().any(refuse::has_subquery);
    (!has_subquery && query.to_string() == format!("SELECT {items} FROM {relation}")).then_some((items, relation))
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = self.relation.replace(&self.name, &self.source.to_string());
        write!(f, "SELECT {} FROM {relation}", self.list)
    }
}
