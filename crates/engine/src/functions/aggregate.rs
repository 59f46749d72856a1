//! Sums that do not overflow, and averages made of them.

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::{DataType, FieldRef};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, ReversedUDAF, ScalarUDF, Signature,
    Volatility, WindowFunctionDefinition,
};

use super::numeric::ratio;

/// `sum`, which adds up INT8 as NUMERIC.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WideSum {
    signature: Signature,
    sum: Sum,
}

impl WideSum {
    pub fn new() -> WideSum {
        WideSum { signature: Signature::user_defined(Volatility::Immutable), sum: Sum::new() }
    }
}

impl AggregateUDFImpl for WideSum {
    fn name(&self) -> &str {
        self.sum.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [argument] = arguments else {
            return Err(DataFusionError::Plan("function sum() takes one argument".to_string()));
        };
        Ok(vec![match argument {
            DataType::Null => DataType::Int64,
            float if float.is_floating() => DataType::Float64,
            exact if exact.is_integer() || exact.is_decimal() => exact.clone(),
            DataType::Duration(_) | DataType::Interval(_) => argument.clone(),
            other => return Err(DataFusionError::Plan(format!("function sum({other}) does not exist"))),
        }])
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.sum.return_type(&[summed_type(&arguments[0])])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let summed = summed_type(args.expr_fields[0].data_type());
        Ok(Box::new(Widened { summed, inner: self.sum.accumulator(args)? }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.sum.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.sum.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let summed = summed_type(args.expr_fields[0].data_type());
        Ok(Box::new(Widened { summed, inner: self.sum.create_groups_accumulator(args)? }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let summed = summed_type(args.expr_fields[0].data_type());
        Ok(Box::new(Widened { summed, inner: self.sum.create_sliding_accumulator(args)? }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.sum.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.sum.order_sensitivity()
    }
}

/// The type that values are added up in.
fn summed_type(ty: &DataType) -> DataType {
    match ty {
        DataType::Int64 | DataType::UInt64 | DataType::UInt32 => DataType::Decimal128(20, 0),
        narrow if narrow.is_integer() => DataType::Int64,
        other => other.clone(),
    }
}

/// An accumulator that takes values of a narrower type than it adds up.
struct Widened<A: ?Sized> {
    summed: DataType,
    inner: Box<A>,
}

impl<A: ?Sized> fmt::Debug for Widened<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Widened").field("summed", &self.summed).finish_non_exhaustive()
    }
}

impl<A: ?Sized> Widened<A> {
    fn widen(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let widen = |values: &ArrayRef| match values.data_type() {
            same if *same == self.summed => Ok(Arc::clone(values)),
            DataType::Int64 => {
                let wide = values.as_primitive::<Int64Type>().unary::<_, Decimal128Type>(i128::from);
                Ok(Arc::new(wide.with_data_type(self.summed.clone())) as ArrayRef)
            }
            _ => Ok(arrow_cast::cast(values, &self.summed)?),
        };
        values.iter().map(widen).collect()
    }
}

impl Accumulator for Widened<dyn Accumulator> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.widen(values)?;
        self.inner.update_batch(&values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = self.widen(values)?;
        self.inner.retract_batch(&values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

impl GroupsAccumulator for Widened<dyn GroupsAccumulator> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let values = self.widen(values)?;
        self.inner.update_batch(&values, groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(states, groups, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.inner.evaluate(emit_to)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.widen(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// Plans `avg(x)` as the ratio of `sum(x)` and `count(x)`, which is exact for exact numbers.
#[derive(Debug)]
pub(super) struct Averages {
    sum: Arc<AggregateUDF>,
    ratio: Arc<ScalarUDF>,
}

impl Averages {
    pub fn new(sum: Arc<AggregateUDF>) -> Averages {
        Averages { sum, ratio: Arc::new(ratio().into()) }
    }

    fn ratio(&self, of: impl Fn(Arc<AggregateUDF>) -> Expr) -> Expr {
        let arguments = vec![of(Arc::clone(&self.sum)), of(count_udaf())];
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.ratio), arguments))
    }
}

const AVG: &str = "avg";

/// An argument with its casts in its name: without, `sum(x)` and `sum(x::FLOAT)` would be one column.
fn named(argument: Expr) -> Expr {
    let casts = argument.exists(|part| Ok(matches!(part, Expr::Cast(_)))).unwrap_or(false);
    let name = argument.to_string();
    if casts { argument.alias(name) } else { argument }
}

impl ExprPlanner for Averages {
    fn plan_aggregate(&self, expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        let expr = RawAggregateExpr { args: expr.args.into_iter().map(named).collect(), ..expr };
        if expr.func.name() != AVG || expr.args.len() != 1 {
            return Ok(PlannerResult::Original(expr));
        }
        let RawAggregateExpr { args, distinct, filter, order_by, null_treatment, .. } = expr;
        Ok(PlannerResult::Planned(self.ratio(|function| {
            let (args, filter, order_by) = (args.clone(), filter.clone(), order_by.clone());
            let call = AggregateFunction::new_udf(function, args, distinct, filter, order_by, null_treatment);
            Expr::AggregateFunction(call)
        })))
    }

    fn plan_window(&self, expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        if expr.func_def.name() != AVG || expr.args.len() != 1 {
            return Ok(PlannerResult::Original(expr));
        }
        let RawWindowExpr { args, partition_by, order_by, window_frame, filter, null_treatment, distinct, .. } = expr;
        let params =
            WindowFunctionParams { args, partition_by, order_by, window_frame, filter, null_treatment, distinct };
        Ok(PlannerResult::Planned(self.ratio(|function| {
            let fun = WindowFunctionDefinition::AggregateUDF(function);
            Expr::from(WindowFunction { fun, params: params.clone() })
        })))
    }
}
