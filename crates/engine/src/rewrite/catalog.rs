//! PostgreSQL's oids in SQL: casts to types such as `regclass`, and the column `tableoid`.

use std::ops::ControlFlow;

use lakeport_base::name::quote_literal;
use lakeport_core::show::function::name::{FUNCTION_OID, NAMESPACE_NAME, RELATION_NAME, ROLE_NAME};
use sqlparser::ast::{
    self, CastKind, Expr, Function, Ident, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, Value,
    ValueWithSpan, VisitorMut,
};

use super::{last_name, parse};

/// Types whose values are oids and whose text is a name: the type, which is also the function from names to oids, and
/// the function from oids to names.
const OID_TYPES: &[(&str, &str)] = &[
    ("regclass", RELATION_NAME),
    ("regnamespace", NAMESPACE_NAME),
    ("regrole", ROLE_NAME),
    ("regtype", "format_type"),
];

/// Types whose values the system tables hold as names.
const NAME_TYPES: &[&str] = &["regproc", "regprocedure", "regoper", "regoperator", "regconfig", "regdictionary"];

/// Casts to oid types: a name becomes its oid, and an oid becomes the name that PostgreSQL shows for it.
pub(super) fn cast(operand: &Expr, data_type: &ast::DataType) -> Option<Expr> {
    let ty = type_name(data_type);
    let ty = ty.as_str();
    match ty {
        "text" => return named(operand),
        "oid" => return is_call(operand, "regproc").then(|| parse(&format!("\"{FUNCTION_OID}\"({operand})")))?,
        _ if NAME_TYPES.contains(&ty) => return parse(&format!("regproc({operand})")),
        _ => {}
    }
    let (ty, name) = OID_TYPES.iter().find(|(known, _)| *known == ty)?;
    if let Some(oid) = digits(operand) {
        return parse(oid);
    }
    match text(operand) {
        Some(name) => parse(&format!("{ty}({})", quote_literal(name))),
        None if is_text(operand) => parse(&format!("{ty}({operand})")),
        None => parse(&format!("\"{name}\"({operand})")),
    }
}

/// Makes names of the oids that the client would see: the casts to oid types among the columns of the result.
pub(super) fn show_names(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => select.projection.iter_mut().for_each(show_name),
        SetExpr::Query(query) => show_names(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            show_names(left);
            show_names(right);
        }
        _ => {}
    }
}

fn show_name(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
        && let Expr::Cast { expr: operand, data_type, .. } = expr
        && let Some((_, name)) = OID_TYPES.iter().find(|(known, _)| *known == type_name(data_type))
    {
        let named = digits(operand).and_then(|oid| parse(&format!("\"{name}\"({oid})")));
        let (inner, data_type) = (Box::new(expr.clone()), ast::DataType::Text);
        let cast = Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None };
        *expr = named.unwrap_or(cast);
    }
}

/// A type's name in lower case, without its schema.
fn type_name(data_type: &ast::DataType) -> String {
    let written = data_type.to_string().to_ascii_lowercase();
    written.strip_prefix("pg_catalog.").map(str::to_string).unwrap_or(written)
}

/// The text of an oid that comes from a name: the name as it is shown.
fn named(operand: &Expr) -> Option<Expr> {
    let (_, shown) = OID_TYPES.iter().find(|(ty, _)| is_call(operand, ty))?;
    parse(&format!("\"{shown}\"({operand})"))
}

fn is_call(expr: &Expr, function: &str) -> bool {
    matches!(expr, Expr::Function(Function { name, .. }) if last_name(&name.0) == Some(function))
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}

/// The text of an oid.
fn digits(expr: &Expr) -> Option<&str> {
    text(expr).filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether an expression that is no literal gives a name rather than an oid. Columns are taken for oids.
fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::Function(_) | Expr::BinaryOp { .. } => true,
        Expr::Cast { data_type, .. } => crate::types::column_type(data_type) == Some(lakeport_base::SqlType::Text),
        Expr::Nested(inner) => is_text(inner),
        _ => false,
    }
}

/// Makes the oid of its table of each column `tableoid`, which every table of PostgreSQL has unseen.
#[derive(Default)]
pub(super) struct TableOids {
    /// For each SELECT around, the tables of its FROM: the name in the query and the relation.
    scopes: Vec<Vec<(String, String)>>,
}

impl VisitorMut for TableOids {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut tables = Vec::new();
        select.from.iter().for_each(|source| collect(source, &mut tables));
        self.scopes.push(tables);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let relation = match expr {
            Expr::Identifier(column) if is_table_oid(column) => self.scopes.last().and_then(|tables| tables.first()),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] if is_table_oid(column) => {
                    let mut tables = self.scopes.iter().rev().flatten();
                    tables.find(|(name, _)| name.eq_ignore_ascii_case(&table.value))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(oid) = relation.and_then(|(_, name)| parse(&format!("regclass({})", quote_literal(name)))) {
            *expr = oid;
        }
        ControlFlow::Continue(())
    }
}

fn is_table_oid(column: &Ident) -> bool {
    column.value.eq_ignore_ascii_case("tableoid")
}

fn collect(source: &TableWithJoins, tables: &mut Vec<(String, String)>) {
    for factor in std::iter::once(&source.relation).chain(source.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let known_as = alias.as_ref().map(|alias| alias.name.value.as_str()).or_else(|| last_name(&name.0));
                tables.extend(known_as.map(|known_as| (known_as.to_string(), name.to_string())));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => collect(table_with_joins, tables),
            _ => {}
        }
    }
}
