//! Casts whose outcome PostgreSQL defines otherwise than Arrow, or by the session's zone: of texts, to texts, to numbers
//! with fewer digits, and between TIMESTAMPTZ and clocks.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::{DataType, Field, FieldRef};
use arrow_select::concat::concat;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TryCast, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use lakeport_base::SqlType;
use lakeport_core::rows::{arrow_field, arrow_type, sql_type};
use lakeport_core::value::Zone;

use crate::analysis::rewrite_expressions;
use crate::coerce::cast_to;
use crate::error::from_arrow;
use crate::functions::failed;
use crate::literal::shown_type;
use crate::types::plain_type;
use crate::zoned::{clocks, exactly, is_text, moments, parsed, printed};

/// Replaces such casts once all types are known, those that coercion added included.
#[derive(Debug)]
pub(crate) struct PostgresCasts {
    pub zone: Zone,
}

impl AnalyzerRule for PostgresCasts {
    fn name(&self) -> &str {
        "postgres_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewrite_expressions(plan, |expr, schema| expr.transform_up(|expr| Ok(self.cast(expr, schema))))
    }
}

impl PostgresCasts {
    fn cast(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let (inner, field, is_tried) = match &expr {
            Expr::Cast(Cast { expr: inner, field }) => (inner, field, false),
            Expr::TryCast(TryCast { expr: inner, field }) => (inner, field, true),
            _ => return Transformed::no(expr),
        };
        let to = field.data_type();
        let Ok(from) = inner.get_type(schema) else { return Transformed::no(expr) };
        let target = Some(sql_type(field)).filter(|target| plain_type(target) == *to);
        // A function that takes bytes has the text's own, not those that its notation stands for.
        let implicit =
            field.metadata().is_empty() && !matches!(inner.as_ref(), Expr::Literal(..) | Expr::Placeholder(_));
        let bytes_of_text = target == Some(SqlType::Bytes) && implicit;
        let differs = target.as_ref().is_some_and(|target| differs(&from, target)) && !bytes_of_text;
        if !differs && !self.differs(&from, to) {
            return Transformed::no(expr);
        }
        let word = if is_tried { "try_cast" } else { "cast" };
        let name = format!("{word}({})", inner.schema_name());
        let cast = PostgresCast { is_tried, ..PostgresCast::new(to.clone(), target, self.zone, name) };
        let function = ScalarUDF::new_from_impl(cast);
        let call = ScalarFunction::new_udf(Arc::new(function), vec![inner.as_ref().clone()]);
        Transformed::yes(Expr::ScalarFunction(call))
    }

    /// Whether Arrow's cast to or from a time gives something else.
    fn differs(&self, from: &DataType, to: &DataType) -> bool {
        use DataType::{Date32, Duration, Float32, Float64, Interval, List, Map, Struct, Time32, Time64, Timestamp};
        match (from, to) {
            (from, Timestamp(..) | Date32 | Interval(_) | List(_)) if is_text(from) => true,
            (Timestamp(..) | Interval(_) | Duration(_) | Float32 | Float64 | List(_) | Struct(_) | Map(..), to)
                if is_text(to) =>
            {
                true
            }
            (Timestamp(_, None) | Date32, Timestamp(_, Some(_)))
            | (Timestamp(_, Some(_)), Timestamp(_, None) | Date32 | Time32(_) | Time64(_)) => !self.zone.is_utc(),
            _ => false,
        }
    }
}

/// Whether Arrow's cast to one of our types gives something else, whatever the zone. Those that do not stay casts, which
/// scans can prune files by.
fn differs(from: &DataType, target: &SqlType) -> bool {
    use SqlType::{Array, Bool, Bytes, Decimal, Float4, Float8, Int2, Int4, Int8, Jsonb, Text, Uuid, Varchar};
    match target {
        _ if *from == DataType::Null => false,
        Varchar(_) => true,
        Text => !is_text(from) && *from != DataType::Boolean,
        Int2 | Int4 | Int8 => {
            is_text(from) || from.is_floating() || from.is_decimal() || (from.is_integer() && narrows(from, target))
        }
        Decimal(..) => is_text(from) || from.is_floating(),
        Bool | Float4 | Float8 | Bytes | Uuid | Jsonb => is_text(from),
        SqlType::Interval => is_text(from) || matches!(from, DataType::Duration(_)),
        Array(_) => is_text(from) || (matches!(from, DataType::List(_)) && *from != plain_type(target)),
        SqlType::Date | SqlType::Timestamp | SqlType::TimestampTz => false,
    }
}

fn narrows(from: &DataType, target: &SqlType) -> bool {
    from.primitive_width() > arrow_type(target).primitive_width() || from.is_unsigned_integer()
}

/// One such cast.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PostgresCast {
    to: DataType,
    /// The type of ours that is held so, if there is one.
    target: Option<SqlType>,
    zone: Zone,
    /// NULL is what a value becomes that cannot be cast.
    is_tried: bool,
    /// Another than its operand's, beside which it may stand as the key of a join; kept, since casts of casts would ask for
    /// it again and again.
    schema_name: String,
    signature: Signature,
}

impl PostgresCast {
    fn new(to: DataType, target: Option<SqlType>, zone: Zone, schema_name: String) -> PostgresCast {
        PostgresCast {
            to,
            target,
            zone,
            is_tried: false,
            schema_name,
            signature: Signature::any(1, Volatility::Stable),
        }
    }
}

impl ScalarUDFImpl for PostgresCast {
    fn name(&self) -> &str {
        "cast"
    }

    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.schema_name.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = self.is_tried || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(match &self.target {
            Some(target) => arrow_field("cast", target, nullable).with_data_type(self.to.clone()),
            None => Field::new("cast", self.to.clone(), nullable),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = matches!(args.args[0], ColumnarValue::Scalar(_));
        let values = args.args[0].to_array(if constant { 1 } else { args.number_rows })?;
        let from = sql_type(&args.arg_fields[0]);
        let cast = match self.cast(&values, &from) {
            Err(error) if self.is_tried && !error.is_internal() => self.cast_each(&values, &from),
            cast => cast,
        };
        let cast = cast.map_err(failed)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?)),
            false => Ok(ColumnarValue::Array(cast)),
        }
    }
}

impl PostgresCast {
    fn cast(&self, values: &ArrayRef, from: &SqlType) -> lakeport_core::Result<ArrayRef> {
        let cast = match (&self.target, values.data_type()) {
            (Some(target), _) => cast_to(values, from, target, self.zone),
            (None, source) if is_text(source) => {
                let texts = exactly(values, &DataType::Utf8)?;
                parsed(texts.as_string(), &shown_type(&self.to), self.zone)
            }
            _ if is_text(&self.to) => printed(values, from, self.zone).map(|texts| Arc::new(texts) as ArrayRef),
            (_, DataType::Timestamp(_, Some(_))) => clocks(values, self.zone),
            _ => moments(values, self.zone),
        };
        exactly(&cast?, &self.to)
    }

    /// Each value by itself, NULL for what cannot be cast.
    fn cast_each(&self, values: &ArrayRef, from: &SqlType) -> lakeport_core::Result<ArrayRef> {
        let cast = |row| self.cast(&values.slice(row, 1), from).unwrap_or_else(|_| new_null_array(&self.to, 1));
        let cast: Vec<ArrayRef> = (0..values.len()).map(cast).collect();
        concat(&cast.iter().map(AsRef::as_ref).collect::<Vec<_>>()).map_err(from_arrow)
    }
}
