//! How many relations a query reads once every WITH is written out, as plans have it: in a chain of CTEs that each read
//! the last one twice the number doubles at every link.

use std::ops::ControlFlow;

use lakeport_base::limits::RELATIONS_MAX;
use sqlparser::ast::{self, ObjectName, Visit, Visitor};

use super::qualified;
use crate::cursor::Result;
use crate::error::{SyntaxError, SyntaxErrorKind};

/// # Errors
/// 54001 for a part that reads more than [`RELATIONS_MAX`].
pub(super) fn check<T: Visit>(part: &T, start: usize) -> Result<()> {
    if part.visit(&mut Relations::default()).is_continue() {
        return Ok(());
    }
    let message = format!("query of more than {RELATIONS_MAX} relations, counting each use of a WITH");
    Err(SyntaxError { kind: SyntaxErrorKind::TooComplex, ..SyntaxError::syntax(message, start) })
}

/// The CTEs of one query.
struct Scope {
    /// Each CTE's query, by address, with its name; in the order written, in which they are visited.
    definitions: Vec<(*const ast::Query, String)>,
    /// Names that may be used at this moment, with the relations that each stands for: the first of `definitions`.
    visible: Vec<(String, usize)>,
    /// Relations counted before this query.
    counted_before: usize,
}

#[derive(Default)]
struct Relations {
    scopes: Vec<Scope>,
    count: usize,
}

impl Relations {
    fn add(&mut self, relations: usize) -> ControlFlow<()> {
        self.count = self.count.saturating_add(relations);
        if self.count > RELATIONS_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        let definitions = ctes.map(|cte| (&raw const *cte.query, cte.alias.name.value.to_lowercase())).collect();
        self.scopes.push(Scope { definitions, visible: Vec::new(), counted_before: self.count });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let counted_before = self.scopes.pop().map_or(0, |scope| scope.counted_before);
        if let Some(scope) = self.scopes.last_mut()
            && let Some((cte, name)) = scope.definitions.get(scope.visible.len())
            && std::ptr::eq(*cte, query)
        {
            scope.visible.push((name.clone(), self.count - counted_before));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, _: &ast::TableFactor) -> ControlFlow<()> {
        self.add(1)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = qualified(relation);
        let [name] = name.parts.as_slice() else { return ControlFlow::Continue(()) };
        // Names that differ in case only count as the larger one.
        let visible = self.scopes.iter().flat_map(|scope| &scope.visible);
        let ctes = visible.filter(|(cte, _)| cte.eq_ignore_ascii_case(name)).map(|(_, relations)| *relations);
        // The reference itself is counted already.
        self.add(ctes.max().unwrap_or(1).saturating_sub(1))
    }
}
