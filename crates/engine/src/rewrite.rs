//! PostgreSQL's forms that DataFusion plans only when they are written in another way.

mod aggregate;
mod catalog;
mod correlation;
mod json_set;
mod labels;
mod sets;
mod spelling;
mod subquery;
mod time;
mod values;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use lakeport_core::value::Zone;
use sqlparser::ast::{
    self, AccessExpr, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart,
    Select, SelectItem, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

pub(crate) use self::spelling::respell;
pub(crate) use self::values::align;
use crate::params::placeholder;

/// Makes calls of the functions that SQL writes without parentheses and the parser takes for columns.
pub(crate) fn call_keywords(statement: &mut ast::Statement) {
    let _ = ast::visit_expressions_mut(statement, |expr| {
        if let Expr::Identifier(name) = expr
            && let Some(call) = keyword(name)
        {
            *expr = call;
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Rewrites a statement whose select lists have their names already.
pub(crate) fn rewrite(statement: &mut ast::Statement) {
    if let ast::Statement::Query(query) = statement {
        catalog::show_names(&mut query.body);
    }
    let _ = VisitMut::visit(statement, &mut catalog::TableOids::default());
    let _ = VisitMut::visit(statement, &mut Forms);
}

struct Forms;

impl VisitorMut for Forms {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                && let Some(rows) = time::rows_of_series(expr)
            {
                *expr = rows;
            }
            let _ = VisitMut::visit(item, &mut Values { depth: 0 });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        labels::tell_apart(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(source) = sets::source(factor).or_else(|| unnest(factor)) {
            *factor = source;
        }
        if let TableFactor::UNNEST { alias: Some(alias), .. } = factor
            && alias.columns.is_empty()
        {
            alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let Some(field) = sets::field_of_call(root, access_chain)
        {
            *expr = field;
        }
        subquery::compared_rows(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replacement = match expr {
            Expr::Function(function) => subquery::array(function)
                .or_else(|| sets::call(function))
                .or_else(|| aggregate::json(function))
                .or_else(|| aggregate::percentile(function))
                .or_else(|| aggregate::sorted_texts(function))
                .or_else(|| json_set::unnested(function)),
            Expr::Extract { .. } | Expr::AtTimeZone { .. } => time::call(expr),
            Expr::Cast { expr, data_type, .. } => catalog::cast(expr, data_type),
            Expr::Subquery(query) => subquery::of_nothing(query)
                .or_else(|| subquery::single_value(query))
                .or_else(|| subquery::of_aggregate(query)),
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(escape) = escape_char.take() {
                    **pattern = parse(&format!("like_escape({pattern}, {escape})")).unwrap_or_else(|| *pattern.clone());
                }
                None
            }
            Expr::CompoundFieldAccess { root, access_chain } => field(root, access_chain),
            Expr::AllOp { right, .. } => {
                if let Some(items) = array_items(right) {
                    **right = items;
                }
                None
            }
            Expr::AnyOp { left, compare_op, right, .. } => {
                if let Some(items) = array_items(right) {
                    **right = items;
                }
                // What a condition compares by = is found by keys and IN lists.
                let is_list = !matches!(right.as_ref(), Expr::Subquery(_)) && *compare_op != BinaryOperator::Eq;
                is_list.then(|| subquery::any_by_all(left, compare_op, &right.to_string())).flatten()
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => negated_any(expr),
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// Makes scalar subqueries of EXISTS and IN in a select list.
struct Values {
    /// Subqueries around the expression; theirs are none of this list's.
    depth: usize,
}

impl VisitorMut for Values {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let replacement = match expr {
            Expr::Exists { subquery, negated } if self.depth == 0 => subquery::exists(subquery, *negated),
            _ if self.depth == 0 => subquery::compared_list(expr),
            _ => None,
        };
        if let Some(replacement) = replacement {
            *expr = replacement;
        }
        ControlFlow::Continue(())
    }
}

/// `NOT x = ANY (list)` by ALL.
fn negated_any(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Nested(inner) => negated_any(inner),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. }
            if !matches!(right.as_ref(), Expr::Subquery(_)) =>
        {
            parse(&format!("({left}) <> ALL({right})"))
        }
        _ => None,
    }
}

fn keyword(name: &Ident) -> Option<Expr> {
    const KEYWORDS: &[&str] = &["current_role", "current_schema"];
    let plain = name.quote_style.is_none();
    let known = KEYWORDS.iter().find(|keyword| plain && name.value.eq_ignore_ascii_case(keyword))?;
    parse(&format!("{known}()"))
}

/// `unnest(...)` in FROM, which the parser knows without a schema before it only, and what is made of lists: series of
/// times or with computed bounds, and sets of JSON.
fn unnest(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } = factor else { return None };
    let values = args.args.iter().map(unnamed).collect::<Option<Vec<_>>>()?;
    let mut alias = alias.clone();
    let array_exprs = match last_name(&name.0)?.to_ascii_lowercase().as_str() {
        "unnest" => values.into_iter().cloned().collect(),
        "regexp_matches" => vec![parse(&sets::matches(&values))?],
        "generate_series" => match time::series(&values) {
            Some(series) => vec![series],
            None if values.iter().any(|value| is_computed(value)) => vec![parse(&call_text(name, &values))?],
            None => return None,
        },
        other => {
            let (lists, columns) = json_set::lists(other, &values)?;
            name_columns(&mut alias, &columns);
            lists
        }
    };
    Some(TableFactor::UNNEST {
        alias,
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: *with_ordinality,
    })
}

/// Names columns that have no names of their own, which is to say the alias'.
fn name_columns(alias: &mut Option<TableAlias>, names: &[&str]) {
    let Some(alias) = alias else { return };
    if alias.columns.is_empty() || matches!(alias.columns.as_slice(), [only] if only.name == alias.name) {
        let column = |name: &&str| TableAliasColumnDef { name: Ident::new(*name), data_type: None };
        alias.columns = names.iter().map(column).collect();
    }
}

fn call_text(name: &ast::ObjectName, arguments: &[&Expr]) -> String {
    format!("{name}({})", arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

/// Whether an expression is more than a literal that the planner can read.
fn is_computed(expr: &Expr) -> bool {
    let computed = |expr: &Expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) => ControlFlow::Break(()),
        expr if placeholder(expr).is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    ast::visit_expressions(expr, computed).is_break()
}

/// The array that a literal such as `'{a,b}'` stands for after ANY or ALL.
fn array_items(expr: &Expr) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let ast::Value::SingleQuotedString(text) = &value.value else { return None };
    let ty = lakeport_base::SqlType::Array(Box::new(lakeport_base::SqlType::Text));
    crate::literal::typed_literal(text, &ty, Zone::UTC).ok()
}

/// A call of one of our functions.
fn call(name: &str, arguments: Vec<Expr>) -> Option<Expr> {
    let mut call = parse(&format!("{name}()"))?;
    let Expr::Function(function) = &mut call else { return None };
    let FunctionArguments::List(list) = &mut function.args else { return None };
    list.args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Some(call)
}

/// `(value).field`
fn field(value: &Expr, access: &[AccessExpr]) -> Option<Expr> {
    let Expr::Nested(_) = value else { return None };
    let mut path = value.to_string();
    for step in access {
        let AccessExpr::Dot(Expr::Identifier(name)) = step else { return None };
        path = format!("get_field({path}, {})", lakeport_base::name::quote_literal(&name.value));
    }
    parse(&path)
}

/// The expression of a text that we wrote.
fn parse(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

/// The digits of a number.
fn number(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(digits, _), .. }) => Some(digits),
        _ => None,
    }
}

fn last_name(parts: &[ObjectNamePart]) -> Option<&str> {
    match parts.last()? {
        ObjectNamePart::Identifier(name) => Some(&name.value),
        ObjectNamePart::Function(_) => None,
    }
}

fn unnamed(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The arguments of a call, if they are plain expressions.
pub(crate) fn arguments(function: &ast::Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::List(list) => list.args.iter().map(unnamed).collect(),
        _ => None,
    }
}
