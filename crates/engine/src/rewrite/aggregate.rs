//! Aggregates of JSON over `array_agg`.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident};

use super::{call, last_name};
use crate::functions::ARRAY_OF_DOCUMENTS;

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
