//! Which relations a syntax tree reads, with the scope of each WITH respected: a name that looks like a CTE where
//! none is in scope is a table, and must be authorised as one.

use std::ops::ControlFlow;

use lakeport_base::QualifiedName;
use sqlparser::ast::{self, ObjectName, ObjectNamePart, Visit, Visitor};
use sqlparser::tokenizer::Token;

use crate::cursor::{Result, folded};
use crate::error::SyntaxError;
use crate::stmt::Statement;

/// Relations a query reads.
///
/// # Errors
/// Something in it that writes.
pub(super) fn of_query(query: &ast::Query, shows: &[(String, Statement)], start: usize) -> Result<Vec<QualifiedName>> {
    of(&[query], shows, start)
}

/// Relations read by some parts of a statement, each once.
pub(super) fn of<T: Visit>(parts: &[&T], shows: &[(String, Statement)], start: usize) -> Result<Vec<QualifiedName>> {
    let mut reads = Reads::default();
    for part in parts {
        if let ControlFlow::Break(what) = part.visit(&mut reads) {
            return Err(SyntaxError::unsupported(format!("{what} is not supported"), start));
        }
    }
    let mut names = reads.names;
    names.retain(|name| !(name.parts.len() == 1 && shows.iter().any(|(show, _)| show == name.name())));
    Ok(names)
}

/// The CTEs of one query.
struct Scope {
    /// Each CTE's query, by address, with its name; in the order written.
    definitions: Vec<(*const ast::Query, String)>,
    /// Names that may be used at this moment.
    visible: Vec<String>,
}

#[derive(Default)]
struct Reads {
    names: Vec<QualifiedName>,
    scopes: Vec<Scope>,
    /// The next relation is a function's name.
    is_function: bool,
}

impl Visitor for Reads {
    /// What is not supported.
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Self::Break> {
        let with = query.with.as_ref();
        let definitions: Vec<_> = with
            .into_iter()
            .flat_map(|with| &with.cte_tables)
            .map(|cte| (&raw const *cte.query, ident(&cte.alias.name)))
            .collect();
        let recursive = with.is_some_and(|with| with.recursive);
        let visible = if recursive { definitions.iter().map(|(_, name)| name.clone()).collect() } else { Vec::new() };
        self.scopes.push(Scope { definitions, visible });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Self::Break> {
        self.scopes.pop();
        if let Some(scope) = self.scopes.last_mut()
            && let Some((_, name)) = scope.definitions.iter().find(|(cte, _)| std::ptr::eq(*cte, query))
        {
            scope.visible.push(name.clone());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Self::Break> {
        if select.into.is_some() { ControlFlow::Break("SELECT INTO") } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_statement(&mut self, _: &ast::Statement) -> ControlFlow<Self::Break> {
        ControlFlow::Break("a statement that writes inside a query")
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<Self::Break> {
        self.is_function = matches!(factor, ast::TableFactor::Table { args: Some(_), .. });
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        if std::mem::take(&mut self.is_function) {
            return ControlFlow::Continue(());
        }
        let name = qualified(relation);
        let is_cte = name.parts.len() == 1 && self.scopes.iter().any(|scope| scope.visible.contains(&name.parts[0]));
        if !is_cte && !self.names.contains(&name) {
            self.names.push(name);
        }
        ControlFlow::Continue(())
    }
}

/// The name as ours, folded.
pub(super) fn qualified(name: &ObjectName) -> QualifiedName {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(name) => ident(name),
        ObjectNamePart::Function(function) => function.to_string(),
    };
    QualifiedName { parts: name.0.iter().map(part).collect() }
}

/// The identifier, folded.
pub(super) fn ident(name: &ast::Ident) -> String {
    match Token::make_word(&name.value, name.quote_style) {
        Token::Word(word) => folded(&word),
        _ => name.value.clone(),
    }
}
