//! From a statement's text to the syntax tree that DataFusion plans.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion_pg_catalog::sql::rules::{
    RewritePgCatalogOperator, SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};
use lakeport_base::Sqlstate;
use lakeport_core::{Error, Result};
use sqlparser::ast::{
    self, AccessExpr, Expr, Ident, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins,
    VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Tokenizer;

use crate::context::NESTING_DEPTH;
use crate::error::from_datafusion;
use crate::literal;
use crate::rewrite::{call_keywords, respell, rewrite};
use crate::types::column_type;

/// Marks a column name as made unique; what follows is not shown to clients.
const UNIQUE_MARK: char = '\u{1}';

/// Parses a SELECT (or VALUES, WITH, TABLE, EXPLAIN).
pub(crate) fn parse_query(text: &str) -> Result<Statement> {
    let statement = parse(text)?;
    if !reads_only(&statement) {
        return Err(Error::unsupported("only queries can be run here"));
    }
    Ok(statement)
}

fn parse(text: &str) -> Result<Statement> {
    let parsed = DFParserBuilder::new(text)
        .with_dialect(&PostgreSqlDialect {})
        .with_recursion_limit(NESTING_DEPTH)
        .build()
        .and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(from_datafusion)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => rewritten(statement),
        _ => Err(Error::new(Sqlstate::SYNTAX_ERROR, "expected one statement")),
    }
}

/// A part of a statement; its literals and quoted names keep doubled quotes, so that it prints as it was.
pub(crate) fn part<T>(text: &str, parse: impl FnOnce(&mut Parser) -> std::result::Result<T, ParserError>) -> Result<T> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).with_unescape(false).tokenize().map_err(ParserError::from);
    let parsed = tokens
        .and_then(|tokens| parse(&mut Parser::new(&dialect).with_recursion_limit(NESTING_DEPTH).with_tokens(tokens)));
    parsed.map_err(|error| Error::new(Sqlstate::SYNTAX_ERROR, error.to_string()))
}

fn reads_only(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(inner) => matches!(inner.as_ref(), ast::Statement::Query(query) if is_plain(query)),
        Statement::Explain(explain) => reads_only(&explain.statement),
        _ => false,
    }
}

/// Whether a query's outermost body is no INSERT, UPDATE or DELETE.
fn is_plain(query: &Query) -> bool {
    !matches!(query.body.as_ref(), SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
}

fn rewritten(statement: Statement) -> Result<Statement> {
    Ok(match statement {
        Statement::Statement(inner) => {
            let mut inner = RULES.iter().fold(*inner, |statement, rule| rule.rewrite(statement));
            call_keywords(&mut inner);
            let _ = VisitMut::visit(&mut inner, &mut ColumnNames);
            if let ast::Statement::Query(query) = &mut inner {
                name_beside_wildcard(query);
            }
            respell(&mut inner)?;
            literal::rewrite(&mut inner)?;
            rewrite(&mut inner);
            Statement::Statement(Box::new(inner))
        }
        Statement::Explain(mut explain) => {
            explain.statement = Box::new(rewritten(*explain.statement)?);
            Statement::Explain(explain)
        }
        other => other,
    })
}

/// PostgreSQL's spellings that DataFusion does not know.
static RULES: LazyLock<Vec<Arc<dyn SqlStatementRewriteRule>>> = LazyLock::new(|| {
    vec![Arc::new(StripCallableQualifier), Arc::new(StripCollate), Arc::new(RewritePgCatalogOperator)]
});

/// Names the columns of every select list as PostgreSQL does, each once.
struct ColumnNames;

impl VisitorMut for ColumnNames {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let (mut taken, relations) = (HashSet::new(), relations(&select.from));
        for item in &mut select.projection {
            name_field(item, &relations);
            name_item(item, &mut taken);
        }
        ControlFlow::Continue(())
    }
}

/// The names that stand for what a FROM list names.
fn relations(from: &[TableWithJoins]) -> HashSet<String> {
    let factors = from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let named = factors.flat_map(|factor| match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            HashSet::from([folded(&alias.name)])
        }
        TableFactor::Table { name, .. } => match name.0.last() {
            Some(ObjectNamePart::Identifier(name)) => HashSet::from([folded(name)]),
            _ => HashSet::new(),
        },
        TableFactor::NestedJoin { table_with_joins, .. } => relations(std::slice::from_ref(table_with_joins)),
        _ => HashSet::new(),
    });
    named.collect()
}

/// Names `structure.field` and `relation.structure.field`, which would be shown as they are planned.
fn name_field(item: &mut SelectItem, relations: &HashSet<String>) {
    let SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) = item else { return };
    let qualifiers = usize::from(relations.contains(&folded(&names[0])));
    if relations.is_empty() || names.len() != 2 + qualifiers {
        return;
    }
    let expr = Expr::CompoundIdentifier(std::mem::take(names));
    let alias = Ident::with_quote('"', column_name(&expr));
    *item = SelectItem::ExprWithAlias { expr, alias };
}

/// Keeps the columns that stand beside a `*` apart from its own, which may have the same names. Only the client sees
/// the names of an outermost select list, and it sees them without the marks.
fn name_beside_wildcard(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let is_wildcard = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    if !select.projection.iter().any(is_wildcard) {
        return;
    }
    for (number, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::UnnamedExpr(expr) = item {
            let name = format!("{}{UNIQUE_MARK}{number}", column_name(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
        }
    }
}

fn name_item(item: &mut SelectItem, taken: &mut HashSet<String>) {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => {
            let name = unique(folded(alias), taken);
            *alias = Ident::with_quote('"', name);
        }
        SelectItem::UnnamedExpr(expr) => {
            let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            let qualified = matches!(expr, Expr::CompoundIdentifier(_));
            let key = if qualified { expr.to_string() } else { column_name(expr) };
            let seen = taken.contains(&key);
            let name = unique(key, taken);
            if !plain || seen {
                let name = if qualified { format!("{}{UNIQUE_MARK}{name}", column_name(expr)) } else { name };
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
            }
        }
        _ => {}
    }
}

fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut number = 1;
    while !taken.insert(candidate.clone()) {
        number += 1;
        candidate = format!("{name}{UNIQUE_MARK}{number}");
    }
    candidate
}

/// A column's name as the client sees it.
pub(crate) fn shown_name(name: &str) -> &str {
    name.split(UNIQUE_MARK).next().unwrap_or(name)
}

/// The name that PostgreSQL gives to the column of an expression.
pub(crate) fn column_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(names) => names.last().map(folded).unwrap_or_default(),
        Expr::Function(function) => match function.name.0.last() {
            Some(ObjectNamePart::Identifier(name)) => folded(name),
            _ => "?column?".to_string(),
        },
        Expr::Cast { expr, data_type, .. } => match column_name(expr) {
            name if name == "?column?" => type_name(data_type),
            name => name,
        },
        Expr::Nested(expr) | Expr::Collate { expr, .. } => column_name(expr),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let mut fields = access_chain.iter().filter_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(name)) => Some(folded(name)),
                _ => None,
            });
            fields.next_back().unwrap_or_else(|| column_name(root))
        }
        Expr::Case { else_result: Some(last), .. } if column_name(last) != "?column?" => column_name(last),
        Expr::Case { .. } => "case".to_string(),
        Expr::Exists { negated: false, .. } => "exists".to_string(),
        Expr::Array(_) => "array".to_string(),
        Expr::Extract { .. } => "extract".to_string(),
        Expr::AtTimeZone { .. } => "timezone".to_string(),
        Expr::Substring { .. } => "substring".to_string(),
        Expr::Trim { .. } => "btrim".to_string(),
        Expr::Position { .. } => "position".to_string(),
        Expr::Ceil { .. } => "ceil".to_string(),
        Expr::Floor { .. } => "floor".to_string(),
        Expr::Subquery(query) => subquery_name(query),
        _ => "?column?".to_string(),
    }
}

fn subquery_name(query: &Query) -> String {
    let SetExpr::Select(select) = query.body.as_ref() else { return "?column?".to_string() };
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr)] => column_name(expr),
        [SelectItem::ExprWithAlias { alias, .. }] => folded(alias),
        _ => "?column?".to_string(),
    }
}

fn type_name(data_type: &ast::DataType) -> String {
    use lakeport_base::SqlType;
    let name = match column_type(data_type) {
        Some(SqlType::Text) => "text",
        Some(SqlType::Bytes) => "bytea",
        Some(SqlType::Decimal(..)) => "numeric",
        Some(SqlType::Varchar(_)) => "varchar",
        Some(SqlType::Array(_)) => "?column?",
        None => return oid_type_name(data_type),
        Some(other) => return other.to_string().to_ascii_lowercase(),
    };
    name.to_string()
}

/// The name of a type such as `regclass`.
fn oid_type_name(data_type: &ast::DataType) -> String {
    let written = data_type.to_string().to_ascii_lowercase();
    written.rsplit('.').next().map_or_else(String::new, str::to_string)
}

/// A name as the catalog has it.
pub(crate) fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

/// An identifier, always quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
