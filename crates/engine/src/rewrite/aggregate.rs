//! Aggregates over `array_agg`: of JSON, the item at a place of a sorted list, and sorted texts.

use sqlparser::ast::{
    self, DuplicateTreatment, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident,
};

use super::{arguments, call, last_name, parse};
use crate::functions::{ARRAY_OF_DOCUMENTS, PERCENTILE_PLACE};

/// `json_agg(value ORDER BY ...)`, with its FILTER and OVER, as an array of documents.
pub(super) fn json(function: &ast::Function) -> Option<Expr> {
    let name = last_name(&function.name.0)?;
    if !["json_agg", "jsonb_agg"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return None;
    }
    let mut collected = function.clone();
    collected.name = ast::ObjectName::from(vec![Ident::new("array_agg")]);
    let FunctionArguments::List(list) = &mut collected.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_mut_slice() else { return None };
    *value = call("to_jsonb", vec![value.clone()])?;
    call(ARRAY_OF_DOCUMENTS, vec![Expr::Function(collected)])
}

/// `percentile_disc(fraction) WITHIN GROUP (ORDER BY value)`, with its FILTER.
pub(super) fn percentile(function: &ast::Function) -> Option<Expr> {
    let arguments = arguments(function)?;
    let ([key], [fraction]) = (function.within_group.as_slice(), arguments.as_slice()) else { return None };
    if !last_name(&function.name.0)?.eq_ignore_ascii_case("percentile_disc") {
        return None;
    }
    let value = &key.expr;
    let filter = function.filter.as_ref().map(|filter| format!(" AND ({filter})")).unwrap_or_default();
    let filter = format!("FILTER (WHERE ({value}) IS NOT NULL{filter})");
    let place = format!("{PERCENTILE_PLACE}(CAST({fraction} AS FLOAT), count(*) {filter})");
    parse(&format!("array_element(array_agg({value} ORDER BY {key}) {filter}, {place})"))
}

/// `string_agg(text, separator ORDER BY ...)`, with its FILTER: `array_agg` sorts for itself, so that each aggregate of a
/// query may have its own order.
pub(super) fn sorted_texts(function: &ast::Function) -> Option<Expr> {
    if !last_name(&function.name.0)?.eq_ignore_ascii_case("string_agg") || function.over.is_some() {
        return None;
    }
    let mut collected = function.clone();
    collected.name = ast::ObjectName::from(vec![Ident::new("array_agg")]);
    let FunctionArguments::List(list) = &mut collected.args else { return None };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(separator @ Expr::Value(_)))) = list.args.pop() else {
        return None;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_mut_slice() else { return None };
    let text = parse(&format!("CAST(({value}) AS TEXT)"))?;
    let value = std::mem::replace(value, text.clone());
    let keys = list.clauses.iter_mut().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => Some(keys),
        _ => None,
    })?;
    // With DISTINCT, what is sorted by must be what is collected.
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
        keys.iter_mut().filter(|key| key.expr == value).for_each(|key| key.expr = text.clone());
    }
    let filter = function.filter.as_ref().map(|filter| format!(" AND ({filter})")).unwrap_or_default();
    collected.filter = Some(Box::new(parse(&format!("({text}) IS NOT NULL{filter}"))?));
    call("array_to_string", vec![Expr::Function(collected), separator])
}
