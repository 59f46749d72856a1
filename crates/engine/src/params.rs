//! Types and values of `$n`.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use arrow_array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::{arrow_type, sql_type};
use lakeport_core::{Error, Result};
use sqlparser::ast::{self, CastKind, Expr, LimitClause, Query, Value, ValueWithSpan, VisitMut, VisitorMut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::error::from_datafusion;
use crate::rewrite::{align, arguments};
use crate::types::column_type;

/// Highest parameter number a statement may use; the protocol counts them in 16 bits.
const PARAMS_MAX: usize = 65_535;

/// The parameters of one statement by number, with the types known so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    types: BTreeMap<usize, Option<SqlType>>,
}

impl Params {
    /// Finds the placeholders of a statement. What the client declared counts most, then what the place says: a cast,
    /// LIMIT, or `expected` (a column that the value goes to). Every placeholder of known type becomes a cast to it.
    pub fn resolve(
        statement: &mut Statement,
        declared: &[Option<SqlType>],
        expected: &HashMap<usize, SqlType>,
    ) -> Result<Params> {
        let Some(query) = sql_statement(statement) else { return Ok(Params::default()) };
        let mut finder = Finder { found: BTreeMap::new(), beyond: false };
        let _ = VisitMut::visit(query, &mut finder);
        if finder.beyond {
            return Err(Error::new(
                Sqlstate::UNDEFINED_PARAMETER,
                format!("there is no parameter above ${PARAMS_MAX}"),
            ));
        }
        let count = finder.found.keys().max().copied().unwrap_or(0).max(declared.len());
        let mut params = Params::default();
        for number in 1..=count {
            let declared = declared.get(number - 1).cloned().flatten();
            let placed = expected.get(&number).cloned().or_else(|| finder.found.get(&number).cloned().flatten());
            params.types.insert(number, settled(declared, placed));
        }
        let _ = VisitMut::visit(query, &mut Typer { params: &params });
        align(query);
        Ok(params)
    }

    /// Takes what the planner inferred for the rest; text where nothing tells.
    pub fn infer(&mut self, plan: &LogicalPlan) -> Result<()> {
        let mut inferred = plan.get_parameter_fields().map_err(from_datafusion)?;
        for (number, ty) in &mut self.types {
            if ty.is_none() {
                let field = inferred.remove(&format!("${number}")).flatten();
                *ty = Some(field.map_or(SqlType::Text, |field| sql_type(&field)));
            }
        }
        Ok(())
    }

    /// The types in order.
    pub fn types(&self) -> Vec<SqlType> {
        self.types.values().map(|ty| ty.clone().unwrap_or(SqlType::Text)).collect()
    }

    /// The values for a plan; NULLs of the right type when only describing.
    pub fn values(&self, given: Option<&[ArrayRef]>) -> Result<Vec<ScalarValue>> {
        let types = self.types();
        let Some(given) = given else {
            let null = |ty: &SqlType| ScalarValue::try_from(&arrow_type(ty)).map_err(from_datafusion);
            return types.iter().map(null).collect();
        };
        if given.len() < types.len() {
            let missing = given.len() + 1;
            return Err(Error::new(Sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter ${missing}")));
        }
        types.iter().zip(given).map(|(ty, value)| scalar(ty, value)).collect()
    }
}

fn scalar(ty: &SqlType, value: &ArrayRef) -> Result<ScalarValue> {
    if value.is_empty() {
        return Err(Error::internal("a parameter holds no value"));
    }
    let value = ScalarValue::try_from_array(value, 0).map_err(from_datafusion)?;
    value.cast_to(&arrow_type(ty)).map_err(from_datafusion)
}

/// The client's word counts, save that NUMERIC leaves precision and scale open where the place has them.
fn settled(declared: Option<SqlType>, placed: Option<SqlType>) -> Option<SqlType> {
    match (&declared, &placed) {
        (Some(SqlType::Decimal(..)), Some(SqlType::Decimal(..))) if placed != Some(SqlType::DECIMAL) => placed,
        _ => declared.or(placed),
    }
}

/// The statement that holds placeholders, EXPLAIN removed.
fn sql_statement(statement: &mut Statement) -> Option<&mut ast::Statement> {
    match statement {
        Statement::Statement(inner) => Some(inner),
        Statement::Explain(explain) => sql_statement(&mut explain.statement),
        _ => None,
    }
}

/// The number of a placeholder.
pub(crate) fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) => name.strip_prefix('$')?.parse().ok(),
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

struct Finder {
    found: BTreeMap<usize, Option<SqlType>>,
    beyond: bool,
}

impl Finder {
    fn note(&mut self, number: usize, ty: Option<SqlType>) {
        self.beyond |= number == 0 || number > PARAMS_MAX;
        let known = self.found.entry(number).or_default();
        *known = known.take().or(ty);
    }

    fn note_count(&mut self, expr: &Expr) {
        if let Some(number) = placeholder(expr) {
            self.note(number, Some(SqlType::Int8));
        }
    }
}

impl VisitorMut for Finder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            limit.iter().for_each(|limit| self.note_count(limit));
            offset.iter().for_each(|offset| self.note_count(&offset.value));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { expr, data_type, .. } => {
                if let Some(number) = placeholder(expr) {
                    self.note(number, column_type(data_type));
                }
            }
            Expr::Function(call) if takes_integers(&call.name.to_string().to_ascii_lowercase()) => {
                arguments(call).into_iter().flatten().for_each(|bound| self.note_count(bound));
            }
            expr => {
                if let Some(number) = placeholder(expr) {
                    self.note(number, None);
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether a function of any argument types is one of integers.
fn takes_integers(function: &str) -> bool {
    function == "generate_series" || function.starts_with("pg_advisory_") || function.starts_with("pg_try_advisory_")
}

struct Typer<'a> {
    params: &'a Params,
}

impl VisitorMut for Typer<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(_) = expr
            && let Some(number) = placeholder(expr)
            && let Some(Some(ty)) = self.params.types.get(&number)
            && let Some(data_type) = written_type(ty)
        {
            let inner = Box::new(expr.clone());
            *expr = Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None };
        }
        // NUMERIC without precision keeps the digits of the parameter.
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && is_free_numeric(data_type)
            && let Expr::Cast { expr: parameter, data_type: own, .. } = inner.as_ref()
            && placeholder(parameter).is_some()
            && matches!(column_type(own), Some(SqlType::Decimal(..)))
        {
            *expr = inner.as_ref().clone();
        }
        ControlFlow::Continue(())
    }
}

/// Whether a type is NUMERIC without precision.
pub(crate) fn is_free_numeric(data_type: &ast::DataType) -> bool {
    use ast::{DataType, ExactNumberInfo};
    matches!(
        data_type,
        DataType::Numeric(ExactNumberInfo::None)
            | DataType::Decimal(ExactNumberInfo::None)
            | DataType::Dec(ExactNumberInfo::None)
    )
}

/// A column type as written in SQL.
pub(crate) fn written_type(ty: &SqlType) -> Option<ast::DataType> {
    let text = ty.to_string();
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_data_type().ok()
}
