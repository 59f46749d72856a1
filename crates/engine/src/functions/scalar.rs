//! A scalar function made of a signature and a closure.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::cast::as_string_array;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::rows::{arrow_field, arrow_type, sql_type};
use lakeport_core::value::Zone;

use super::label::is_label;
use crate::zoned::printed;

type Body = dyn Fn(&Call<'_>) -> Result<ArrayRef> + Send + Sync;
type TypeOf = dyn Fn(&ReturnFieldArgs<'_>) -> DataType + Send + Sync;

/// One scalar function.
pub(super) struct Scalar {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    returns: Returns,
    /// Tells a JSON value from its text.
    takes_json: bool,
    body: Arc<Body>,
}

/// The type of a function's values.
enum Returns {
    Always(SqlType),
    /// What the arguments decide.
    ByArguments(Arc<TypeOf>),
}

/// The evaluated arguments of one call; all columns are `rows` long.
pub(super) struct Call<'a> {
    pub rows: usize,
    pub fields: &'a [FieldRef],
    /// What the call is to answer.
    pub returns: &'a DataType,
    columns: Vec<ArrayRef>,
}

impl Scalar {
    /// A function of given argument types.
    pub fn new(
        name: &'static str,
        arguments: Vec<DataType>,
        returns: SqlType,
        body: impl Fn(&Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Scalar {
        let signature = match arguments.is_empty() {
            true => Signature::nullary(Volatility::Stable),
            false => Signature::exact(arguments, Volatility::Stable),
        };
        Scalar::of_signature(name, signature, returns, body)
    }

    fn of_signature(
        name: &'static str,
        signature: Signature,
        returns: SqlType,
        body: impl Fn(&Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Scalar {
        let (returns, body) = (Returns::Always(returns), Arc::new(body));
        Scalar { name, aliases: Vec::new(), signature, returns, takes_json: false, body }
    }

    /// A function of any argument types, as many as one of `counts`.
    pub fn of_any(
        name: &'static str,
        counts: &[usize],
        returns: SqlType,
        body: impl Fn(&Call<'_>) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> Scalar {
        let arity = |count: &usize| match count {
            0 => TypeSignature::Nullary,
            count => TypeSignature::Any(*count),
        };
        let signature = Signature::one_of(counts.iter().map(arity).collect(), Volatility::Stable);
        Scalar::of_signature(name, signature, returns, body)
    }

    /// A function that answers the same whatever its arguments.
    pub fn constant(name: &'static str, counts: &[usize], returns: SqlType, value: ScalarValue) -> Scalar {
        Scalar::of_any(name, counts, returns, move |call| value.to_array_of_size(call.rows))
    }

    /// A function from texts to text; NULL when an argument is.
    pub fn of_texts(
        name: &'static str,
        count: usize,
        returns: SqlType,
        body: impl Fn(&[&str]) -> Result<Option<String>> + Send + Sync + 'static,
    ) -> Scalar {
        Scalar::new(name, vec![DataType::Utf8; count], returns, move |call| {
            let columns = (0..count).map(|column| call.texts(column)).collect::<Result<Vec<_>>>()?;
            call.each_row(|row| match texts_of(&columns, row) {
                Some(texts) => body(&texts),
                None => Ok(None),
            })
        })
    }

    /// Other names of the function.
    pub fn with_aliases(mut self, aliases: &[&str]) -> Scalar {
        self.aliases = aliases.iter().map(|alias| alias.to_string()).collect();
        self
    }

    /// Takes JSON values of files as such, where others take their texts.
    pub fn taking_json(self) -> Scalar {
        Scalar { takes_json: true, ..self }
    }

    /// Takes any number of arguments of any type.
    pub fn variadic(mut self) -> Scalar {
        let arities = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        self.signature = Signature::one_of(arities, self.signature.volatility);
        self
    }

    /// Takes other argument types than those it was made with.
    pub fn with_signature(mut self, signature: TypeSignature) -> Scalar {
        self.signature = Signature::new(signature, self.signature.volatility);
        self
    }

    /// Answers a type that its arguments decide.
    pub fn returning(mut self, ty: impl Fn(&ReturnFieldArgs<'_>) -> DataType + Send + Sync + 'static) -> Scalar {
        self.returns = Returns::ByArguments(Arc::new(ty));
        self
    }

    /// Evaluated anew for every row.
    pub fn volatile(mut self) -> Scalar {
        self.signature.volatility = Volatility::Volatile;
        self
    }
}

impl Call<'_> {
    /// An argument.
    pub fn column(&self, index: usize) -> &ArrayRef {
        &self.columns[index]
    }

    /// All arguments.
    pub fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// An argument as texts.
    pub fn texts(&self, index: usize) -> Result<StringArray> {
        let column = arrow_cast::cast(self.column(index), &DataType::Utf8)?;
        Ok(as_string_array(&column)?.clone())
    }

    /// An argument as PostgreSQL prints it.
    pub fn printed(&self, index: usize, zone: Zone) -> Result<StringArray> {
        printed(self.column(index), &sql_type(&self.fields[index]), zone).map_err(failed)
    }

    /// The texts that `body` gives for each row.
    pub fn each_row(&self, mut body: impl FnMut(usize) -> Result<Option<String>>) -> Result<ArrayRef> {
        let texts = (0..self.rows).map(&mut body).collect::<Result<StringArray>>()?;
        Ok(Arc::new(texts))
    }
}

/// An argument as a column; a bare NULL counts as text.
fn column(argument: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    match argument.data_type() {
        DataType::Null => Ok(new_null_array(&DataType::Utf8, rows)),
        _ => argument.to_array(rows),
    }
}

/// The texts of a row, unless one is NULL.
fn texts_of(columns: &[StringArray], row: usize) -> Option<Vec<&str>> {
    columns.iter().map(|column| column.is_valid(row).then(|| column.value(row))).collect()
}

/// Whether a function tells a JSON value from its text.
pub(crate) fn takes_json(function: &ScalarUDF) -> bool {
    is_label(function) || function.inner().downcast_ref::<Scalar>().is_some_and(|scalar| scalar.takes_json)
}

/// An error with its SQLSTATE on its way through DataFusion.
pub(crate) fn failed(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The Arrow type of a result. Items of lists have no metadata: lists lose it on their way through scalars.
fn result_type(ty: &SqlType) -> DataType {
    match ty {
        SqlType::Array(element) => DataType::new_list(arrow_type(element), true),
        scalar => arrow_type(scalar),
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        match &self.returns {
            Returns::Always(ty) => Ok(result_type(ty)),
            Returns::ByArguments(_) => Err(failed(Error::internal("the type depends on the arguments"))),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(match &self.returns {
            Returns::Always(ty) => arrow_field(self.name, ty, true).with_data_type(result_type(ty)),
            Returns::ByArguments(ty) => Field::new(self.name, ty(&args), true),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let volatile = self.signature.volatility == Volatility::Volatile;
        let constant = !volatile && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args.args.iter().map(|arg| column(arg, rows)).collect::<Result<Vec<_>>>()?;
        let returns = args.return_field.data_type();
        let values = (self.body)(&Call { rows, fields: &args.arg_fields, returns, columns })?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?)),
            false => Ok(ColumnarValue::Array(values)),
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scalar").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.body, &other.body)
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
