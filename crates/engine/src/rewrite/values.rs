//! VALUES lists whose columns have types that Arrow alone does not tell, or others than DataFusion would give them.

use std::ops::ControlFlow;

use arrow_schema::DataType;
use lakeport_base::SqlType;
use sqlparser::ast::{self, CastKind, Expr, Query, SetExpr, UnaryOperator, Value, VisitMut, VisitorMut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::comparison::common_type;
use crate::literal::shown_type;
use crate::types::{column_type, is_plain, plain_type};

/// Casts every value of a column to the type that one of them is cast to, as they cannot be planned otherwise, or to the
/// common one of all.
pub(crate) fn align(statement: &mut ast::Statement) {
    let _ = VisitMut::visit(statement, &mut Lists);
}

struct Lists;

impl VisitorMut for Lists {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            let width = values.rows.first().map_or(0, |row| row.content.len());
            (0..width).for_each(|column| align_column(values, column));
        }
        ControlFlow::Continue(())
    }
}

fn align_column(values: &mut ast::Values, column: usize) {
    let cells = || values.rows.iter().filter_map(|row| row.content.get(column));
    let Some(data_type) = cells().find_map(marked_cast).cloned().or_else(|| common_cast(cells())) else { return };
    for expr in values.rows.iter_mut().filter_map(|row| row.content.get_mut(column)) {
        if cast_type(expr) != Some(&data_type) {
            let inner = Box::new(digits(expr).unwrap_or_else(|| expr.clone()));
            let data_type = data_type.clone();
            *expr = Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None };
        }
    }
}

/// The common type of a column, as far as its values show their types.
fn common_cast<'a>(cells: impl Iterator<Item = &'a Expr>) -> Option<ast::DataType> {
    let types: Vec<DataType> = cells.filter_map(shown).collect();
    let common = shown_type(&common_type(types.iter())?).to_string();
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&common).ok()?.parse_data_type().ok()
}

fn shown(expr: &Expr) -> Option<DataType> {
    match expr {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => shown(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.contains('.') => Some(plain_type(&SqlType::DECIMAL)),
            _ => None,
        },
        expr => cast_type(expr).and_then(column_type).map(|ty| plain_type(&ty)),
    }
}

/// A number as a text, which a float takes to its last digit.
fn digits(expr: &Expr) -> Option<Expr> {
    let Expr::Value(value) = expr else { return None };
    let Value::Number(digits, _) = &value.value else { return None };
    Some(Expr::Value(Value::SingleQuotedString(digits.clone()).with_empty_span()))
}

/// The type of a cast to a type such as UUID, which travels as text.
fn marked_cast(expr: &Expr) -> Option<&ast::DataType> {
    cast_type(expr).filter(|data_type| column_type(data_type).is_some_and(|ty| !is_plain(&ty)))
}

fn cast_type(expr: &Expr) -> Option<&ast::DataType> {
    let Expr::Cast { data_type, .. } = expr else { return None };
    Some(data_type)
}
