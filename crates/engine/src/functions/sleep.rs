//! `pg_sleep(seconds)`.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, StringArray};
use arrow_schema::DataType;
use async_trait::async_trait;
use datafusion::common::Result;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use lakeport_core::Error;

use super::scalar::failed;

/// Longest wait, in seconds: some thirty years, which timers still take.
const SECONDS_MAX: f64 = 1e9;

/// The function. It waits without a thread, and a cancelled statement drops the wait with its rows.
pub(super) fn function() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Volatile);
    AsyncScalarUDF::new(Arc::new(Sleep { signature })).into_scalar_udf()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    signature: Signature,
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &str {
        "pg_sleep"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(failed(Error::unsupported("pg_sleep() cannot be called here")))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    /// Waits for each row in turn and answers empty texts, as PostgreSQL shows a function without a value.
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let seconds = args.args[0].to_array(args.number_rows)?;
        let seconds = seconds.as_primitive::<Float64Type>();
        for row in (0..seconds.len()).filter(|row| seconds.is_valid(*row)) {
            let wait = Duration::try_from_secs_f64(seconds.value(row).clamp(0.0, SECONDS_MAX)).unwrap_or_default();
            tokio::time::sleep(wait).await;
        }
        let empty = (0..seconds.len()).map(|row| seconds.is_valid(row).then_some(""));
        let answer = StringArray::from_iter(empty);
        Ok(ColumnarValue::Array(Arc::new(answer)))
    }
}
