//! Functions that return the parts of a JSON document as a set, by way of lists.

use sqlparser::ast::{self, Expr};

use super::{arguments, call, last_name};
use crate::functions::JSON_SETS;

/// A set as columns of FROM: the lists to unnest, and the names of the columns.
pub(super) fn lists(name: &str, values: &[&Expr]) -> Option<(Vec<Expr>, Vec<&'static str>)> {
    let [document] = values else { return None };
    let lists = lists_behind(name)?.iter().map(|(list, _)| call(list, vec![(*document).clone()]));
    Some((lists.collect::<Option<_>>()?, lists_behind(name)?.iter().map(|(_, column)| *column).collect()))
}

/// A set of one column in a select list.
pub(super) fn unnested(function: &ast::Function) -> Option<Expr> {
    let [(list, _)] = lists_behind(last_name(&function.name.0)?)? else { return None };
    let document = arguments(function)?.into_iter().cloned().collect();
    call("unnest", vec![call(list, document)?])
}

fn lists_behind(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    let name = name.to_ascii_lowercase();
    let part = name.strip_prefix("jsonb_").or_else(|| name.strip_prefix("json_"))?;
    JSON_SETS.iter().find(|(known, _)| *known == part).map(|(_, lists)| *lists)
}
