//! Which columns the names in a MERGE mean. Clauses and RETURNING see the columns of the table and of the source side by
//! side, as columns of one relation of pairs; a clause for rows without a partner sees one side only.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Column;
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::query::Pairs;
use sqlparser::ast::{
    AccessExpr, Expr, Ident, Query, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, VisitMut, VisitorMut,
};

use crate::sql::{column_name, part, quoted};

/// The relation of the pairs.
pub(super) const PAIR: &str = "__lakeport_pair";
/// Its column with the word of the action, in RETURNING.
pub(super) const ACTION: &str = "action";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Target,
    Source,
}

/// A column of a pair.
pub(super) struct PairColumn {
    pub side: Side,
    /// The column as the join of table and source knows it.
    pub joined: String,
    /// Its name in the relation of the pairs.
    pub stored: String,
    /// The name of its table, and its own.
    qualifier: String,
    name: String,
}

/// The columns of a pair, those of the table first.
pub(super) struct Scope(Vec<PairColumn>);

impl Scope {
    /// `target` is the name under which the statement knows the table.
    ///
    /// # Errors
    /// 42712 when the source has that name too.
    pub fn new(target: &str, columns: &[Column], source: Vec<(Option<TableReference>, String)>) -> Result<Scope> {
        if source.iter().any(|(table, _)| table.as_ref().is_some_and(|table| table.table() == target)) {
            let message = format!("name {target:?} specified more than once");
            return Err(Error::new(Sqlstate::DUPLICATE_ALIAS, message)
                .with_detail("The name is used both as MERGE target table and data source."));
        }
        let of_target = columns.iter().enumerate().map(|(index, column)| PairColumn {
            side: Side::Target,
            joined: format!("{}.{}", quoted(target), quoted(&column.name)),
            stored: format!("o{index}"),
            qualifier: target.to_string(),
            name: column.name.clone(),
        });
        let of_source = source.into_iter().enumerate().map(|(index, (table, name))| PairColumn {
            side: Side::Source,
            joined: qualified(table.as_ref(), &name),
            stored: format!("s{index}"),
            qualifier: table.map(|table| table.table().to_string()).unwrap_or_default(),
            name,
        });
        Ok(Scope(of_target.chain(of_source).collect()))
    }

    pub fn columns(&self) -> &[PairColumn] {
        &self.0
    }

    /// An expression of a clause over the relation of the pairs.
    pub fn expression(&self, text: &str, pairs: Pairs) -> Result<String> {
        let mut expr = part(text, |parser| parser.parse_expr())?;
        self.resolve(&mut expr, Some(pairs))?;
        Ok(expr.to_string())
    }

    /// The select list of RETURNING over the relation of the pairs.
    pub fn select_list(&self, text: &str) -> Result<String> {
        let items = part(text, |parser| parser.parse_projection())?;
        let items = items.into_iter().map(|item| self.select_item(item)).collect::<Result<Vec<_>>>()?;
        Ok(items.join(", "))
    }

    fn select_item(&self, item: SelectItem) -> Result<String> {
        let (mut expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = quoted(&column_name(&expr));
                (expr, name)
            }
            SelectItem::ExprWithAlias { expr, alias } => (expr, alias.to_string()),
            SelectItem::Wildcard(_) => {
                let side = |side| self.0.iter().filter(move |column| column.side == side);
                return Ok(named(side(Side::Source).chain(side(Side::Target))));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                let table = table.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
                return match self.0.iter().any(|column| column.qualifier == table) {
                    true => Ok(named(self.0.iter().filter(|column| column.qualifier == table))),
                    false => Err(no_entry(&table)),
                };
            }
            other => return Err(Error::unsupported(format!("{other} in RETURNING of MERGE is not supported"))),
        };
        self.resolve(&mut expr, None)?;
        Ok(format!("{expr} AS {name}"))
    }

    fn resolve(&self, expr: &mut Expr, pairs: Option<Pairs>) -> Result<()> {
        let mut names = Names { scope: self, pairs, inner: HashSet::new(), depth: 0 };
        match VisitMut::visit(expr, &mut names) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }
}

/// The columns under their own names.
fn named<'a>(columns: impl Iterator<Item = &'a PairColumn>) -> String {
    let item = |column: &PairColumn| format!("{PAIR}.{} AS {}", column.stored, quoted(&column.name));
    columns.map(item).collect::<Vec<_>>().join(", ")
}

fn qualified(table: Option<&TableReference>, name: &str) -> String {
    let parts = table.map(|table| [table.catalog(), table.schema(), Some(table.table())]);
    let parts = parts.into_iter().flatten().flatten().chain([name]);
    parts.map(quoted).collect::<Vec<_>>().join(".")
}

/// The name of an identifier whose doubled quotes stand as written.
fn folded(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.replace("\"\"", "\""),
        None => name.value.to_lowercase(),
    }
}

fn no_entry(table: &str) -> Error {
    Error::new(Sqlstate::UNDEFINED_TABLE, format!("missing FROM-clause entry for table {table:?}"))
}

/// Puts the columns of the pairs in the place of names. Names of neither side are left to planning.
struct Names<'a> {
    scope: &'a Scope,
    /// The pairs of the clause; none for RETURNING, which sees both sides.
    pairs: Option<Pairs>,
    /// Tables of subqueries, whose names hide those outside.
    inner: HashSet<String>,
    /// Subqueries around: a name without qualifier in them is theirs.
    depth: usize,
}

impl Names<'_> {
    fn sees(&self, column: &PairColumn) -> bool {
        match self.pairs {
            None | Some(Pairs::Matched) => true,
            Some(Pairs::NotMatchedByTarget) => column.side == Side::Source,
            Some(Pairs::NotMatchedBySource) => column.side == Side::Target,
        }
    }

    fn bare(&self, name: &str) -> Result<Option<Expr>> {
        let known: Vec<&PairColumn> = self.scope.0.iter().filter(|column| column.name == name).collect();
        let seen: Vec<&PairColumn> = known.iter().copied().filter(|column| self.sees(column)).collect();
        match (seen.as_slice(), known.first()) {
            ([column], _) => Ok(Some(column.expression())),
            ([], None) => Ok(None),
            ([], Some(hidden)) => {
                let detail = format!(
                    "There is a column named {name:?} in table {:?}, but it cannot be referenced from this part of the query.",
                    hidden.qualifier
                );
                Err(Error::new(Sqlstate::UNDEFINED_COLUMN, format!("column {name:?} does not exist"))
                    .with_detail(detail))
            }
            _ => Err(Error::new(Sqlstate::AMBIGUOUS_COLUMN, format!("column reference {name:?} is ambiguous"))),
        }
    }

    fn qualified(&self, table: &str, name: &str) -> Result<Option<Expr>> {
        let mut known = self.scope.0.iter().filter(|column| column.qualifier == table).peekable();
        let Some(first) = known.peek().filter(|_| !self.inner.contains(table)) else { return Ok(None) };
        if !self.sees(first) {
            let message = format!("invalid reference to FROM-clause entry for table {table:?}");
            let detail = format!(
                "There is an entry for table {table:?}, but it cannot be referenced from this part of the query."
            );
            return Err(Error::new(Sqlstate::UNDEFINED_TABLE, message).with_detail(detail));
        }
        match known.find(|column| column.name == name) {
            Some(column) => Ok(Some(column.expression())),
            None => Err(Error::new(Sqlstate::UNDEFINED_COLUMN, format!("column {table}.{name} does not exist"))),
        }
    }

    fn action(&self) -> Result<Option<Expr>> {
        if self.pairs.is_some() {
            let message = "MERGE_ACTION() can only be used in the RETURNING list of a MERGE command";
            return Err(Error::new(Sqlstate::SYNTAX_ERROR, message));
        }
        Ok(Some(pair_column(ACTION)))
    }
}

impl PairColumn {
    fn expression(&self) -> Expr {
        pair_column(&self.stored)
    }
}

fn pair_column(name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::new(PAIR), Ident::new(name)])
}

impl VisitorMut for Names<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        let _ = VisitMut::visit(&mut query.body, &mut Tables(&mut self.inner));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    /// `s.list[1]`, which the parser takes for a field of `s`.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let (Expr::Identifier(table), Some(AccessExpr::Dot(Expr::Identifier(name)))) =
                (root.as_ref(), access_chain.first())
            && self.scope.0.iter().any(|column| column.qualifier == folded(table))
        {
            **root = Expr::CompoundIdentifier(vec![table.clone(), name.clone()]);
            access_chain.remove(0);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let found = match &*expr {
            Expr::Identifier(name) if self.depth == 0 => self.bare(&folded(name)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, name] => self.qualified(&folded(table), &folded(name)),
                _ => Ok(None),
            },
            Expr::Function(call) if call.to_string().eq_ignore_ascii_case("merge_action()") => self.action(),
            _ => Ok(None),
        };
        match found {
            Ok(Some(column)) => *expr = column,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// The names of the tables in a part of a query.
struct Tables<'a>(&'a mut HashSet<String>);

impl VisitorMut for Tables<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let name = match factor {
            TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
                Some(folded(&alias.name))
            }
            TableFactor::Table { name, .. } => name.0.last().and_then(|part| part.as_ident()).map(folded),
            _ => None,
        };
        self.0.extend(name);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use lakeport_base::SqlType;

    use super::*;

    fn scope() -> Scope {
        let column = |name: &str| Column {
            name: name.to_string(),
            stored_name: name.to_string(),
            ty: SqlType::Int8,
            nullable: true,
            default: None,
            comment: None,
        };
        let of_source = ["k", "List"].map(|name| (Some(TableReference::bare("s")), name.to_string()));
        Scope::new("t", &[column("k"), column("n")], of_source.to_vec()).expect("names differ")
    }

    #[test]
    fn names_mean_what_their_clause_sees() {
        let scope = scope();
        for (text, pairs, expected) in [
            ("t.k + S.K * n", Pairs::Matched, "P.o0 + P.s0 * P.o1"),
            ("k || 'it''s'", Pairs::NotMatchedByTarget, "P.s0 || 'it''s'"),
            ("k = 1 AND t.n > 0", Pairs::NotMatchedBySource, "P.o0 = 1 AND P.o1 > 0"),
            ("s.\"List\"[1]", Pairs::Matched, "P.s1[1]"),
            ("EXISTS (SELECT k FROM u WHERE u.k = s.k)", Pairs::Matched, "EXISTS (SELECT k FROM u WHERE u.k = P.s0)"),
            ("(SELECT max(s.k) FROM v AS s)", Pairs::Matched, "(SELECT max(s.k) FROM v AS s)"),
            ("nothing + $1", Pairs::Matched, "nothing + $1"),
        ] {
            let found = scope.expression(text, pairs).expect(text);
            assert_eq!(found.replace(PAIR, "P"), expected, "{text}");
        }
    }

    #[test]
    fn names_out_of_sight_are_refused() {
        let scope = scope();
        for (text, pairs, code) in [
            ("k", Pairs::Matched, "42702"),
            ("n", Pairs::NotMatchedByTarget, "42703"),
            ("t.k", Pairs::NotMatchedByTarget, "42P01"),
            ("s.k", Pairs::NotMatchedBySource, "42P01"),
            ("s.z", Pairs::Matched, "42703"),
            ("merge_action()", Pairs::Matched, "42601"),
        ] {
            assert_eq!(scope.expression(text, pairs).expect_err(text).code().code(), code, "{text}");
        }
    }

    #[test]
    fn returning_shows_the_source_first() {
        let list = scope().select_list("*, t.*, merge_action(), n + 1, s.k AS \"X\"").expect("a list");
        let expected = "P.s0 AS \"k\", P.s1 AS \"List\", P.o0 AS \"k\", P.o1 AS \"n\", P.o0 AS \"k\", P.o1 AS \"n\", \
                        P.action AS \"merge_action\", P.o1 + 1 AS \"?column?\", P.s0 AS \"X\"";
        assert_eq!(list.replace(PAIR, "P"), expected);
        assert_eq!(scope().select_list("z.*").expect_err("no z").code().code(), "42P01");
    }
}
