//! WITH before UPDATE, DELETE and MERGE: each mention of a query's name becomes the query.

use std::ops::ControlFlow;

use sqlparser::ast::{self, TableAlias, TableFactor, VisitMut, VisitorMut};

use crate::cursor::Result;
use crate::error::SyntaxError;

/// The queries of a WITH, those mentioned in later ones put into them.
pub(super) struct Queries(Vec<(ast::Ident, TableAlias, ast::Query)>);

impl Queries {
    /// # Errors
    /// `WITH RECURSIVE`, and queries that write.
    pub fn of(with: Option<ast::With>, start: usize) -> Result<Queries> {
        let mut queries = Queries(Vec::new());
        let Some(with) = with else { return Ok(queries) };
        if with.recursive {
            return Err(SyntaxError::unsupported("WITH RECURSIVE before a change is not supported", start));
        }
        for mut table in with.cte_tables {
            if !matches!(table.query.body.as_ref(), ast::SetExpr::Select(_) | ast::SetExpr::Values(_)) {
                return Err(SyntaxError::unsupported("this WITH before a change is not supported", start));
            }
            queries.put_into(&mut table.query);
            queries.0.push((table.alias.name.clone(), table.alias, *table.query));
        }
        Ok(queries)
    }

    /// Puts the queries into a part of the statement.
    pub fn put_into(&self, part: &mut impl VisitMut) {
        let _ = part.visit(&mut Mentions(self));
    }

    fn find(&self, name: &ast::ObjectName) -> Option<&(ast::Ident, TableAlias, ast::Query)> {
        let [part] = name.0.as_slice() else { return None };
        let name = folded(part.as_ident()?);
        self.0.iter().rev().find(|(known, ..)| folded(known) == name)
    }
}

fn folded(name: &ast::Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

struct Mentions<'a>(&'a Queries);

impl VisitorMut for Mentions<'_> {
    type Break = ();

    /// After the visit of its parts, so that a query that mentions a table of its own name is not put into itself.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && let Some((_, own, query)) = self.0.find(name)
        {
            let mut named = alias.clone().unwrap_or_else(|| own.clone());
            if named.columns.is_empty() {
                named.columns.clone_from(&own.columns);
            }
            let subquery = Box::new(query.clone());
            *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(named), sample: None };
        }
        ControlFlow::Continue(())
    }
}
