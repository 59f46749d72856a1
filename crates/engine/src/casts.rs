//! Casts whose outcome PostgreSQL defines otherwise than Arrow, or by the session's zone: between texts and times, and
//! between TIMESTAMPTZ and clocks.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, IntervalMonthDayNanoArray, StringArray};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use lakeport_core::rows::sql_type;
use lakeport_core::value::Zone;

use crate::functions::{Span, failed};
use crate::literal::shown_type;
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
        plan.transform_up_with_subqueries(|plan| self.node(plan)).map(|plan| plan.data)
    }
}

impl PostgresCasts {
    fn node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let source = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
            schema.merge(&source);
        }
        let names = NamePreserver::new(&plan);
        let rewritten = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| Ok(self.cast(expr, &schema)))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })?;
        if rewritten.transformed { rewritten.map_data(LogicalPlan::recompute_schema) } else { Ok(rewritten) }
    }

    fn cast(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let Expr::Cast(Cast { expr: inner, field }) = &expr else { return Transformed::no(expr) };
        let to = field.data_type();
        match inner.get_type(schema) {
            Ok(from) if self.differs(&from, to) => {
                let function = ScalarUDF::new_from_impl(ZonedCast::new(to.clone(), self.zone));
                let call = ScalarFunction::new_udf(Arc::new(function), vec![inner.as_ref().clone()]);
                Transformed::yes(Expr::ScalarFunction(call))
            }
            _ => Transformed::no(expr),
        }
    }

    /// Whether Arrow's cast gives something else.
    fn differs(&self, from: &DataType, to: &DataType) -> bool {
        use DataType::{Date32, Duration, Float32, Float64, Interval, List, Struct, Time32, Time64, Timestamp};
        match (from, to) {
            (from, Timestamp(..) | Date32 | Interval(_) | List(_)) if is_text(from) => true,
            (Timestamp(..) | Interval(_) | Duration(_) | Float32 | Float64 | List(_) | Struct(_), to)
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

/// The intervals that texts stand for.
fn intervals(texts: &StringArray) -> lakeport_core::Result<ArrayRef> {
    let interval = |text: Option<&str>| text.map(|text| Span::parse(text)?.value()).transpose();
    let intervals = texts.iter().map(interval).collect::<lakeport_core::Result<IntervalMonthDayNanoArray>>();
    intervals.map(|intervals| Arc::new(intervals) as ArrayRef)
}

/// One such cast.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ZonedCast {
    to: DataType,
    zone: Zone,
    signature: Signature,
}

impl ZonedCast {
    fn new(to: DataType, zone: Zone) -> ZonedCast {
        ZonedCast { to, zone, signature: Signature::any(1, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for ZonedCast {
    fn name(&self) -> &str {
        "cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new("cast", self.to.clone(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = matches!(args.args[0], ColumnarValue::Scalar(_));
        let values = args.args[0].to_array(if constant { 1 } else { args.number_rows })?;
        let from = sql_type(&args.arg_fields[0]);
        let cast = match values.data_type() {
            source if is_text(source) => {
                let texts = exactly(&values, &DataType::Utf8).map_err(failed)?;
                match self.to {
                    DataType::Interval(_) => intervals(texts.as_string()),
                    _ => parsed(texts.as_string(), &shown_type(&self.to), self.zone),
                }
            }
            _ if is_text(&self.to) => printed(&values, &from, self.zone).map(|texts| Arc::new(texts) as _),
            DataType::Timestamp(_, Some(_)) => clocks(&values, self.zone),
            _ => moments(&values, self.zone),
        };
        let cast = cast.and_then(|values| exactly(&values, &self.to)).map_err(failed)?;
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&cast, 0)?)),
            false => Ok(ColumnarValue::Array(cast)),
        }
    }
}
