//! Functions that the server answers from its catalog and the session. Only those that a statement calls are made for it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::DataType;
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::common::cast::{as_boolean_array, as_int64_array, as_string_array};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use lakeport_core::Error;
use lakeport_core::engine::Relations;
use lakeport_core::rows::arrow_type;
use lakeport_core::show::function::{self, CatalogFunction};
use lakeport_core::show::rows::{self, Cell};

use super::scalar::{Call, Scalar, failed};

/// The function of a name.
pub(super) fn of_name(name: &str, relations: &Arc<dyn Relations>) -> Option<ScalarUDF> {
    let function = function::find(name)?;
    let relations = Arc::clone(relations);
    Some(match function.waits() {
        true => AsyncScalarUDF::new(Arc::new(Waiting::new(function, relations))).into_scalar_udf(),
        false => ScalarUDF::new_from_impl(scalar(function, relations)),
    })
}

fn scalar(function: &'static CatalogFunction, relations: Arc<dyn Relations>) -> Scalar {
    let body = move |call: &Call<'_>| {
        let calls = calls(call.columns(), call.rows)?;
        let answers = calls.iter().map(|arguments| relations.answer(function, arguments));
        let answers = answers.collect::<lakeport_core::Result<Vec<_>>>().map_err(failed)?;
        rows::column(&function.returns, answers.iter()).map_err(failed)
    };
    let scalar = Scalar::of_any(function.name, function.arities, function.returns.clone(), body);
    if function.acts { scalar.volatile() } else { scalar }
}

/// The arguments of the call for each row.
fn calls(columns: &[ArrayRef], rows: usize) -> Result<Vec<Vec<Cell>>> {
    let columns = columns.iter().map(cells).collect::<Result<Vec<_>>>()?;
    Ok((0..rows).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect())
}

/// The values of an argument.
fn cells(column: &ArrayRef) -> Result<Vec<Cell>> {
    match column.data_type() {
        DataType::Boolean => Ok(as_boolean_array(column)?.iter().map(Cell::from).collect()),
        ty if ty.is_integer() => Ok(as_int64_array(&cast(column, &DataType::Int64)?)?.iter().map(Cell::from).collect()),
        _ => Ok(as_string_array(&cast(column, &DataType::Utf8)?)?.iter().map(Cell::from).collect()),
    }
}

/// A function that may have to wait. It does so without a thread, and a cancelled statement drops the wait with its rows.
struct Waiting {
    function: &'static CatalogFunction,
    relations: Arc<dyn Relations>,
    signature: Signature,
}

impl Waiting {
    fn new(function: &'static CatalogFunction, relations: Arc<dyn Relations>) -> Waiting {
        let arities = function.arities.iter().map(|count| TypeSignature::Any(*count)).collect();
        Waiting { function, relations, signature: Signature::one_of(arities, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Waiting {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(&self.function.returns))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(failed(Error::unsupported(format!("{}() cannot be called here", self.function.name))))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Waiting {
    /// Waits for each row in turn.
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns =
            args.args.iter().map(|argument| argument.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let mut answers = Vec::with_capacity(args.number_rows);
        for arguments in calls(&columns, args.number_rows)? {
            let answer = self.relations.answer_in_time(self.function, &arguments).map_err(failed)?;
            answers.push(answer.await.map_err(failed)?);
        }
        Ok(ColumnarValue::Array(rows::column(&self.function.returns, answers.iter()).map_err(failed)?))
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("name", &self.function.name).finish_non_exhaustive()
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.relations, &other.relations)
    }
}

impl Eq for Waiting {}

impl Hash for Waiting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}
