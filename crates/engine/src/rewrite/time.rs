//! Forms of times as calls of functions.

use sqlparser::ast::{self, Expr, Ident, Value, ValueWithSpan};

use super::{arguments, call as call_of, last_name, parse};
use crate::functions::TIME_SERIES;

/// `EXTRACT(unit FROM time)` and `time AT TIME ZONE zone`.
pub(super) fn call(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Extract { field, expr, .. } => {
            let unit = Value::SingleQuotedString(field.to_string()).with_empty_span();
            // Quoted, since the bare word is a form of its own.
            named("extract", vec![Expr::Value(unit), expr.as_ref().clone()])
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            named("timezone", vec![time_zone.as_ref().clone(), timestamp.as_ref().clone()])
        }
        _ => None,
    }
}

fn named(name: &str, arguments: Vec<Expr>) -> Option<Expr> {
    let mut call = call_of("f", arguments)?;
    if let Expr::Function(function) = &mut call {
        function.name = ast::ObjectName::from(vec![Ident::with_quote('"', name)]);
    }
    Some(call)
}

/// `generate_series(...)` in a select list, which gives a row for each value.
pub(super) fn rows_of_series(expr: &Expr) -> Option<Expr> {
    let Expr::Function(function) = expr else { return None };
    if !last_name(&function.name.0)?.eq_ignore_ascii_case("generate_series") {
        return None;
    }
    let list = series(&arguments(function)?).unwrap_or_else(|| expr.clone());
    call_of("unnest", vec![list])
}

/// The array of a series that steps by an interval.
pub(super) fn series(bounds: &[&Expr]) -> Option<Expr> {
    let [from, to, step] = bounds else { return None };
    let step = match step {
        Expr::Interval(_) => (*step).clone(),
        Expr::Cast { data_type: ast::DataType::Interval { .. }, .. } => (*step).clone(),
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(_), .. }) => {
            parse(&format!("CAST({step} AS INTERVAL)"))?
        }
        _ => return None,
    };
    call_of(TIME_SERIES, vec![(*from).clone(), (*to).clone(), step])
}
