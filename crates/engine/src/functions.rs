//! SQL functions under PostgreSQL's names: those that DataFusion lacks and those that it defines differently.

mod aggregate;
mod answered;
mod arithmetic;
mod array_literals;
mod calendar;
mod catalog;
mod date_part;
mod date_trunc;
mod format;
mod json;
mod json_build;
mod json_edit;
mod json_lists;
mod json_operators;
mod json_order;
mod label;
mod length;
mod numeric;
mod regexp;
mod rounding;
mod row_id;
mod scalar;
mod session;
mod single_value;
mod sleep;
mod text;
mod time;
mod time_arithmetic;
mod time_series;
mod timezone;
mod to_char;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion_pg_catalog::pg_catalog::{array_bounds_udf, quote_ident_udf};
use lakeport_base::Env;
use lakeport_core::engine::{QueryContext, Relations};
use lakeport_core::value::Zone;

pub(crate) use self::json::{plain_text, text_for};
pub(crate) use self::json_build::ARRAY_OF_DOCUMENTS;
pub(crate) use self::json_edit::CONCAT as JSON_CONCAT;
pub(crate) use self::json_lists::JSON_SETS;
pub(crate) use self::json_order::{json_key, json_normal, number_key};
pub(crate) use self::label::LABELLED;
pub(crate) use self::numeric::PERCENTILE_PLACE;
pub(crate) use self::regexp::MATCH_LIST;
use self::scalar::Scalar;
pub(crate) use self::scalar::{failed, takes_json};
pub(crate) use self::single_value::SINGLE_VALUE;
pub(crate) use self::time_series::TIME_SERIES;
use crate::scope::Moment;

/// Adds the functions that answer the same in every session.
pub(crate) fn register(state: &mut SessionState, env: Env) -> Result<()> {
    let own = [
        catalog::functions(),
        json::functions(),
        json_edit::functions(),
        json_lists::functions(),
        numeric::functions(),
        rounding::functions(),
        length::functions(),
        text::functions(),
    ];
    add(state, own.into_iter().flatten().chain([regexp::function(), row_id::function(env)]))?;
    state.register_udf(Arc::new(sleep::function()))?;
    state.register_udf(Arc::new(label::function()))?;
    for function in [array_bounds_udf::create_array_upper_udf(), array_bounds_udf::create_array_lower_udf()] {
        state.register_udf(Arc::new(function))?;
    }
    state.register_udf(Arc::new(quote_ident_udf::create_parse_ident_udf()))?;
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(single_value::SingleValue::new())))?;
    let sum = Arc::new(AggregateUDF::new_from_impl(aggregate::WideSum::new()));
    state.register_udaf(Arc::clone(&sum))?;
    state.register_expr_planner(Arc::new(aggregate::Averages::new(sum)))?;
    state.register_expr_planner(Arc::new(numeric::NumericDivision::new()))?;
    state.register_expr_planner(Arc::new(json_operators::JsonOperators::new()))?;
    // After the coercion of types.
    state.add_analyzer_rule(Arc::new(arithmetic::CheckedArithmetic));
    Ok(())
}

/// Adds the functions whose answers depend on where clocks are read.
pub(crate) fn register_zoned(state: &mut SessionState, zone: Zone) -> Result<()> {
    add(state, json_build::functions(zone).into_iter().chain(date_part::functions(zone)))?;
    add(state, [format::function(zone), text::array_to_string(zone), timezone::function(zone)])?;
    add(state, [date_trunc::function(zone), to_char::function(zone), time_series::function(zone)])?;
    state.register_expr_planner(Arc::new(array_literals::ArrayLiterals { zone }))?;
    state.register_expr_planner(Arc::new(time_arithmetic::TimeArithmetic::new(zone)))
}

/// The functions that tell of a statement's moment and of its session, by all their names.
pub(crate) fn of_statement(moment: &Moment, session: Option<&QueryContext>) -> HashMap<String, Arc<ScalarUDF>> {
    let functions = time::functions(moment).into_iter().chain(session.map(session::functions).unwrap_or_default());
    let mut named = HashMap::new();
    for function in functions.map(|function| Arc::new(ScalarUDF::new_from_impl(function))) {
        for alias in function.aliases() {
            named.insert(alias.clone(), Arc::clone(&function));
        }
        named.insert(function.name().to_string(), function);
    }
    named
}

/// The function of a name that the server answers.
pub(crate) fn answered(name: &str, relations: &Arc<dyn Relations>) -> Option<Arc<ScalarUDF>> {
    answered::of_name(name, relations).map(Arc::new)
}

fn add(state: &mut SessionState, functions: impl IntoIterator<Item = Scalar>) -> Result<()> {
    for function in functions {
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(function)))?;
    }
    Ok(())
}
