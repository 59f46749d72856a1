//! Functions that the server answers from its catalog and the session. Only those that a statement calls are made for it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::common::cast::{as_boolean_array, as_int64_array, as_string_array};
use lakeport_core::engine::Relations;
use lakeport_core::show::function::{self, CatalogFunction};
use lakeport_core::show::rows::{self, Cell};

use super::scalar::{Call, Scalar, failed};

/// The function of a name.
pub(super) fn of_name(name: &str, relations: &Arc<dyn Relations>) -> Option<Scalar> {
    function::find(name).map(|function| scalar(function, Arc::clone(relations)))
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
