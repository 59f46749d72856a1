//! What a statement asks of files with `*`, and columns that `*` does not show.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use lakeport_core::databend::Number;
use lakeport_core::in_place::FileSet;
use lakeport_core::stage::format::FormatType;
use lakeport_core::{Error, Result};
use sqlparser::ast::{
    self, ExcludeSelectItem, Expr, Ident, ObjectName, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor,
    TableWithJoins, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::columns::{FILE_ROW_NUMBER, FILENAME};
use crate::sql::folded;

/// What a statement mentions that concerns files.
#[derive(Default)]
pub(crate) struct Mentions {
    /// A column such as `metadata$filename`.
    pub metadata: bool,
    /// Names of relations whose columns stand in a select list as `*`.
    starred: HashSet<String>,
}

impl Mentions {
    pub fn of(statement: &Statement) -> Mentions {
        let mut found = Mentions::default();
        visit(&mut statement.clone(), &mut Finder(&mut found));
        found
    }

    /// # Errors
    /// 1065 for columns that files of the format do not have, or not beside each other.
    pub fn check(&self, name: &str, files: &FileSet) -> Result<()> {
        let starred = self.starred.contains(name);
        let (ty, positions) = (files.format.ty, files.positions.as_slice());
        let last = positions.last().copied().unwrap_or_default();
        let refused = match ty {
            FormatType::Csv | FormatType::Text if starred && positions.is_empty() => {
                format!("Query from {} file lacks column positions. Specify as $1, $2, etc.", ty.name())
            }
            // Their one column is what `*` shows.
            FormatType::Ndjson | FormatType::Avro if last <= 1 => return Ok(()),
            _ if starred && !positions.is_empty() => "select * from file only support Parquet format".to_string(),
            FormatType::Csv | FormatType::Text => return Ok(()),
            _ if last > 1 => {
                format!("Query from {} file only support $1 as column position", ty.name().to_lowercase())
            }
            _ => return Ok(()),
        };
        Err(Error::databend(Number::SEMANTIC, refused))
    }

    /// Takes the columns of metadata out of every `*` over files.
    pub fn hide_metadata(&self, statement: &mut Statement, is_files: impl Fn(&str) -> bool) {
        if self.metadata && self.starred.iter().any(|name| is_files(name)) {
            visit(statement, &mut Hider(is_files));
        }
    }
}

fn visit<V: VisitorMut<Break = ()>>(statement: &mut Statement, visitor: &mut V) {
    match statement {
        Statement::Statement(inner) => drop(VisitMut::visit(inner.as_mut(), visitor)),
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        _ => {}
    }
}

struct Finder<'a>(&'a mut Mentions);

impl VisitorMut for Finder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(name) => Some(folded(name)),
            Expr::CompoundIdentifier(names) => names.last().map(folded),
            _ => None,
        };
        self.0.metadata |= name.is_some_and(|name| name == FILENAME || name == FILE_ROW_NUMBER);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &select.projection {
            self.0.starred.extend(covered(item, &select.from));
        }
        ControlFlow::Continue(())
    }
}

/// Knows the names of files.
struct Hider<F>(F);

impl<F: Fn(&str) -> bool> VisitorMut for Hider<F> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let over_files = covered(item, &select.from).iter().any(|name| (self.0)(name));
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item
                && over_files
            {
                exclude(options);
            }
        }
        ControlFlow::Continue(())
    }
}

fn exclude(options: &mut WildcardAdditionalOptions) {
    let hidden = [FILENAME, FILE_ROW_NUMBER].map(|name| ObjectName::from(vec![Ident::with_quote('"', name)]));
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(hidden.to_vec()));
}

/// The relations of the FROM list that an item of the select list shows all columns of.
fn covered(item: &SelectItem, from: &[TableWithJoins]) -> Vec<String> {
    let relations = || from.iter().flat_map(relations);
    match item {
        SelectItem::Wildcard(_) => relations().map(|(name, _)| name).collect(),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(wanted), _) => {
            let Some(wanted) = wanted.0.last().and_then(|part| part.as_ident()).map(folded) else { return Vec::new() };
            relations()
                .filter(|(name, alias)| alias.as_ref().unwrap_or(name) == &wanted)
                .map(|(name, _)| name)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Names with aliases.
fn relations(from: &TableWithJoins) -> Vec<(String, Option<String>)> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    factors.flat_map(named).collect()
}

fn named(factor: &TableFactor) -> Vec<(String, Option<String>)> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let name = name.0.last().and_then(ast::ObjectNamePart::as_ident).map(folded);
            name.map(|name| (name, alias.as_ref().map(|alias| folded(&alias.name)))).into_iter().collect()
        }
        TableFactor::NestedJoin { table_with_joins, .. } => relations(table_with_joins),
        _ => Vec::new(),
    }
}
