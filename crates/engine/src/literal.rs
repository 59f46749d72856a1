//! PostgreSQL's readings of a syntax tree that DataFusion would read otherwise.

use std::ops::ControlFlow;

use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::sql_type;
use lakeport_core::value::{ColumnBuilder, Span, Zone, decimal_of_text, format_value};
use lakeport_core::{Error, Result};
use sqlparser::ast::{
    self, BinaryOperator, Expr, Ident, Statement, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::params::{is_free_numeric, placeholder};
use crate::types::column_type;

/// Applies the readings to a whole statement.
///
/// # Errors
/// 22P02 and its kin for a literal that is no value of the type it is cast to.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Readings) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Readings;

impl VisitorMut for Readings {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Some(number) = free_number(expr) {
            return finish(number.map(Some), expr);
        }
        if let Expr::Interval(interval) = expr
            && interval.leading_field.is_none()
            && let Expr::Value(value) = interval.value.as_mut()
            && let Value::SingleQuotedString(text) = &mut value.value
        {
            return match Span::parse(text) {
                Ok(span) => {
                    *text = span.plain_text();
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(error.into()),
            };
        }
        let (literal, data_type) = match expr {
            Expr::Cast { expr: inner, data_type, .. } => (inner, data_type.clone()),
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
                return finish(number(&digits.replace('_', "")), expr);
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand } if is_least_integer(operand) => {
                let least = Value::Number(i64::MIN.to_string(), false);
                return finish(Ok(Some(Expr::Value(least.with_empty_span()))), expr);
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand } if is_power(operand) => {
                let mut power = std::mem::replace(operand.as_mut(), Expr::Value(Value::Null.into()));
                negate_base(&mut power);
                *expr = power;
                return ControlFlow::Continue(());
            }
            Expr::TypedString(typed) => {
                let Some(text) = literal_text(&typed.value) else { return ControlFlow::Continue(()) };
                return finish(cast_literal(&text, &typed.data_type.clone()), expr);
            }
            _ => return ControlFlow::Continue(()),
        };
        let Expr::Value(value) = literal.as_ref() else { return ControlFlow::Continue(()) };
        let Some(text) = literal_text(value) else { return ControlFlow::Continue(()) };
        finish(cast_literal(&text, &data_type), expr)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Cast { expr: operand, data_type, .. } = expr
            && is_free_numeric(data_type)
            && !matches!(operand.as_ref(), Expr::Value(_))
            && placeholder(operand).is_none()
        {
            return finish(parsed(&format!("\"numeric\"({operand})")).map(Some), expr);
        }
        // An empty array has no length in PostgreSQL.
        if let Expr::Function(function) = expr
            && function.name.to_string().eq_ignore_ascii_case("array_length")
        {
            return finish(parsed(&format!("nullif(CAST({function} AS BIGINT), 0)")).map(Some), expr);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::Table { name, alias, args: Some(_), .. } = factor
            && let Some(function) = name.0.last().and_then(|part| part.as_ident())
        {
            name_function_column(function.clone(), alias);
        }
        ControlFlow::Continue(())
    }
}

fn finish(rewritten: Result<Option<Expr>>, expr: &mut Expr) -> ControlFlow<Error> {
    match rewritten {
        Ok(Some(new)) => *expr = new,
        Ok(None) => {}
        Err(error) => return ControlFlow::Break(error),
    }
    ControlFlow::Continue(())
}

fn literal_text(value: &ValueWithSpan) -> Option<String> {
    match &value.value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
        Value::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}

/// A literal cast to NUMERIC without precision, which keeps its digits.
fn free_number(expr: &Expr) -> Option<Result<Expr>> {
    let Expr::Cast { expr: inner, data_type, .. } = expr else { return None };
    let Expr::Value(value) = inner.as_ref() else { return None };
    let text = match &value.value {
        Value::Number(digits, _) => digits.clone(),
        _ => literal_text(value)?,
    };
    let ty = is_free_numeric(data_type).then(|| decimal_of_text(&text))??;
    Some(typed_literal(&text, &ty, Zone::UTC))
}

/// A literal cast to a type: our reading of its text, in a form that DataFusion's own cast takes. What the session's zone
/// decides is left to the cast itself.
fn cast_literal(text: &str, data_type: &ast::DataType) -> Result<Option<Expr>> {
    let Some(ty) = column_type(data_type) else { return Ok(None) };
    if let Some(moment) = moment_named(text, &ty) {
        return parsed(&moment).map(Some);
    }
    match ty {
        SqlType::Text | SqlType::Varchar(_) | SqlType::Bytes | SqlType::TimestampTz => Ok(None),
        SqlType::Array(element) if *element == SqlType::TimestampTz => Ok(None),
        ty => typed_literal(text, &ty, Zone::UTC).map(Some),
    }
}

/// What `now`, `today` and their kin stand for as times of a type.
fn moment_named(text: &str, ty: &SqlType) -> Option<String> {
    let moment = match text.trim().to_ascii_lowercase().as_str() {
        "now" => "now()",
        "today" => "current_date",
        "tomorrow" => "current_date + 1",
        "yesterday" => "current_date - 1",
        _ => return None,
    };
    matches!(ty, SqlType::Date | SqlType::Timestamp | SqlType::TimestampTz).then(|| format!("CAST({moment} AS {ty})"))
}

/// The digits of 9223372036854775808, which is an INT8 only after a minus.
fn is_least_integer(expr: &Expr) -> bool {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            digits.parse() == Ok(i64::MIN.unsigned_abs())
        }
        _ => false,
    }
}

fn is_power(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::PGExp, .. })
}

/// A minus binds tighter than `^`: it is that of the first of its operands.
fn negate_base(power: &mut Expr) {
    let mut base = power;
    while let Expr::BinaryOp { left, op: BinaryOperator::PGExp, .. } = base {
        base = left;
    }
    let operand = Box::new(std::mem::replace(base, Expr::Value(Value::Null.into())));
    *base = Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand };
}

/// A number with an exponent or beyond INT8: a NUMERIC with all its digits, or a float where those are too many.
fn number(digits: &str) -> Result<Option<Expr>> {
    if !digits.contains(['e', 'E']) && (digits.contains('.') || digits.parse::<i64>().is_ok()) {
        return Ok(None);
    }
    let ty = decimal_of_text(digits).unwrap_or(SqlType::Float8);
    typed_literal(digits, &ty, Zone::UTC).map(Some)
}

/// The literal as a value of a type; `zone` is that of a TIMESTAMPTZ whose text names none.
///
/// # Errors
/// The text is no value of the type.
pub(crate) fn typed_literal(text: &str, ty: &SqlType, zone: Zone) -> Result<Expr> {
    let mut builder = ColumnBuilder::in_zone(ty, 1, zone);
    builder.append_text(text)?;
    let value = builder.finish();
    let sql = if let SqlType::Array(element) = ty {
        let list = arrow_array::cast::AsArray::as_list::<i32>(&value).value(0);
        let mut items = Vec::with_capacity(list.len());
        for row in 0..list.len() {
            items.push(if list.is_null(row) { "NULL".to_string() } else { quoted_value(&list, row, element)? });
        }
        format!("CAST(ARRAY[{}] AS {ty})", items.join(", "))
    } else {
        format!("CAST({} AS {ty})", quoted_value(&value, 0, ty)?)
    };
    parsed(&sql)
}

fn quoted_value(values: &arrow_array::ArrayRef, row: usize, ty: &SqlType) -> Result<String> {
    let mut text = String::new();
    format_value(values, row, ty, &mut text).map_err(Error::internal)?;
    Ok(lakeport_base::name::quote_literal(&text))
}

/// The expression of a text of ours.
pub(crate) fn parsed(sql: &str) -> Result<Expr> {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_expr());
    parsed.map_err(|error| Error::new(Sqlstate::SYNTAX_ERROR, error.to_string()))
}

/// The one column of a function in FROM has the function's name, or its alias'.
fn name_function_column(function: Ident, alias: &mut Option<TableAlias>) {
    let alias =
        alias.get_or_insert_with(|| TableAlias { explicit: true, name: function, columns: Vec::new(), at: None });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// The type of an Arrow value, for messages.
pub(crate) fn shown_type(data_type: &arrow_schema::DataType) -> SqlType {
    sql_type(&arrow_schema::Field::new("", data_type.clone(), true))
}
