//! Functions that the server answers from its catalog and the session. Only those that a statement calls are made for it.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::common::cast::{as_boolean_array, as_int64_array, as_string_array};
use datafusion::sql::parser::Statement;
use lakeport_core::engine::Relations;
use lakeport_core::show::function::{self, CatalogFunction};
use lakeport_core::show::rows::{self, Cell};
use sqlparser::ast::{self, Expr, ObjectNamePart};

use super::scalar::{Call, Scalar, failed};

/// The functions of this sort that a statement calls.
pub(super) fn functions(statement: &Statement, relations: &Arc<dyn Relations>) -> Vec<Scalar> {
    called(statement).into_iter().map(|function| scalar(function, Arc::clone(relations))).collect()
}

fn called(statement: &Statement) -> Vec<&'static CatalogFunction> {
    let mut called: Vec<&'static CatalogFunction> = Vec::new();
    let statement = match statement {
        Statement::Statement(statement) => statement,
        Statement::Explain(explain) => return self::called(&explain.statement),
        _ => return called,
    };
    let _ = ast::visit_expressions(statement.as_ref(), |expr| {
        if let Expr::Function(call) = expr
            && let Some(ObjectNamePart::Identifier(name)) = call.name.0.last()
            && let Some(function) = function::find(&name.value.to_ascii_lowercase())
            && called.iter().all(|known| known.name != function.name)
        {
            called.push(function);
        }
        ControlFlow::<()>::Continue(())
    });
    called
}

fn scalar(function: &'static CatalogFunction, relations: Arc<dyn Relations>) -> Scalar {
    let body = move |call: &Call<'_>| {
        let columns = call.columns().iter().map(cells).collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(call.rows);
        for row in 0..call.rows {
            let arguments: Vec<Cell> = columns.iter().map(|column| column[row].clone()).collect();
            answers.push(relations.answer(function, &arguments).map_err(failed)?);
        }
        rows::column(&function.returns, answers.iter()).map_err(failed)
    };
    let scalar = Scalar::of_any(function.name, function.arities, function.returns.clone(), body);
    if function.acts { scalar.volatile() } else { scalar }
}

/// The values of an argument.
fn cells(column: &ArrayRef) -> Result<Vec<Cell>> {
    match column.data_type() {
        DataType::Boolean => Ok(as_boolean_array(column)?.iter().map(Cell::from).collect()),
        ty if ty.is_integer() => Ok(as_int64_array(&cast(column, &DataType::Int64)?)?.iter().map(Cell::from).collect()),
        _ => Ok(as_string_array(&cast(column, &DataType::Utf8)?)?.iter().map(Cell::from).collect()),
    }
}
