//! The function behind labels, by which planning tells expressions apart.

use arrow_schema::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Name of the function.
pub(crate) const LABELLED: &str = " labelled";

/// The function: a value and its label, which it ignores.
pub(super) fn function() -> ScalarUDF {
    ScalarUDF::new_from_impl(Labelled { signature: Signature::any(2, Volatility::Immutable) })
}

pub(super) fn is_label(function: &ScalarUDF) -> bool {
    function.name() == LABELLED
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Labelled {
    signature: Signature,
}

impl ScalarUDFImpl for Labelled {
    fn name(&self) -> &str {
        LABELLED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(FieldRef::clone(&arguments.arg_fields[0]))
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(arguments.args.swap_remove(0))
    }
}
