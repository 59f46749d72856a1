//! SQL functions under PostgreSQL's names: those that DataFusion lacks and those that it defines differently.

mod array_literals;
mod catalog;
mod format;
mod json;
mod json_build;
mod json_operators;
mod scalar;
mod session;
mod single_value;
mod text;
mod time;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion_pg_catalog::pg_catalog::{array_bounds_udf, quote_ident_udf};
use lakeport_core::engine::QueryContext;

use self::scalar::Scalar;
pub(crate) use self::single_value::SINGLE_VALUE;

/// Adds the functions that answer the same in every session.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let own = [catalog::functions(), json::functions(), json_build::functions(), text::functions()];
    add(state, own.into_iter().flatten())?;
    add(state, [format::function()])?;
    for function in [array_bounds_udf::create_array_upper_udf(), array_bounds_udf::create_array_lower_udf()] {
        state.register_udf(Arc::new(function))?;
    }
    state.register_udf(Arc::new(quote_ident_udf::create_parse_ident_udf()))?;
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(single_value::SingleValue::new())))?;
    state.register_expr_planner(Arc::new(array_literals::ArrayLiterals))?;
    state.register_expr_planner(Arc::new(json_operators::JsonOperators::new()))
}

/// Adds the functions that tell of the session and the moment of a statement.
pub(crate) fn register_session(state: &mut SessionState, cx: &QueryContext) -> Result<()> {
    add(state, session::functions(cx).into_iter().chain(time::functions(cx)))
}

fn add(state: &mut SessionState, functions: impl IntoIterator<Item = Scalar>) -> Result<()> {
    for function in functions {
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(function)))?;
    }
    Ok(())
}
