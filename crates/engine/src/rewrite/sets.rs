//! Functions that answer several rows, in select lists and in FROM.

use std::collections::HashSet;
use std::sync::LazyLock;

use datafusion::functions::all_default_functions;
use datafusion::functions_nested::all_default_nested_functions;
use sqlparser::ast::{AccessExpr, Expr, Function, Ident, ObjectName, TableAlias, TableFactor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{arguments, call_text, last_name, parse, unnamed};
use crate::functions::MATCH_LIST;

/// A call in an expression: an array's numbers, its items with their numbers, or what a pattern matches, one row each.
pub(super) fn call(function: &Function) -> Option<Expr> {
    let arguments = arguments(function)?;
    match (last_name(&function.name.0)?.to_ascii_lowercase().as_str(), arguments.as_slice()) {
        ("generate_subscripts", [array, ..]) => parse(&format!("unnest({})", numbers(array))),
        ("regexp_matches", arguments) => parse(&format!("unnest({})", matches(arguments))),
        ("_pg_expandarray", [array]) => {
            parse(&format!("named_struct('x', unnest({array}), 'n', unnest({}))", numbers(array)))
        }
        _ => None,
    }
}

/// `(_pg_expandarray(a)).n` and `(...).x`, before the call itself is rewritten.
pub(super) fn field_of_call(root: &Expr, access: &[AccessExpr]) -> Option<Expr> {
    let Expr::Nested(inner) = root else { return None };
    let Expr::Function(function) = inner.as_ref() else { return None };
    let [AccessExpr::Dot(Expr::Identifier(field))] = access else { return None };
    if !last_name(&function.name.0)?.eq_ignore_ascii_case("_pg_expandarray") {
        return None;
    }
    let [array] = arguments(function)?[..] else { return None };
    match field.value.to_ascii_lowercase().as_str() {
        "n" => parse(&format!("unnest({})", numbers(array))),
        "x" => parse(&format!("unnest({array})")),
        _ => None,
    }
}

/// What a pattern matches: a list of arrays.
pub(super) fn matches(arguments: &[&Expr]) -> String {
    call_text(&ObjectName::from(vec![Ident::new(MATCH_LIST)]), arguments)
}

/// The numbers of an array's items, from 1.
fn numbers(array: &Expr) -> String {
    format!("generate_series(1, CAST(array_length({array}) AS BIGINT))")
}

/// A function in FROM whose rows are a system table, are known to be none, or are numbers of an array's items.
pub(super) fn source(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { name, alias, args: Some(args), .. } = factor else { return None };
    let function = last_name(&name.0)?.to_ascii_lowercase();
    let text = match (function.as_str(), args.args.as_slice()) {
        ("generate_subscripts", [array, ..]) => format!("unnest({})", numbers(unnamed(array)?)),
        ("pg_show_all_settings", []) => "pg_catalog.pg_settings".to_string(),
        ("pg_get_keywords" | "pg_timezone_names" | "pg_listening_channels", []) => format!("pg_catalog.{function}"),
        ("pg_options_to_table", [_]) => "(SELECT '' AS option_name, '' AS option_value WHERE false)".to_string(),
        ("pg_partition_tree", [_]) => {
            "(SELECT 0 AS relid, 0 AS parentrelid, true AS isleaf, 0 AS level WHERE false)".to_string()
        }
        _ if SCALARS.contains(function.as_str()) => {
            let value = call_text(name, &args.args.iter().map(unnamed).collect::<Option<Vec<_>>>()?);
            let column = alias.as_ref().map_or(function.clone(), |alias| alias.name.to_string());
            format!("(SELECT {value} AS {column})")
        }
        _ => return None,
    };
    let known_as = match alias {
        Some(alias) if is_named_for_itself(alias) => alias.name.to_string(),
        Some(alias) => alias.to_string().trim_start_matches("AS ").to_string(),
        None => function,
    };
    Parser::new(&PostgreSqlDialect {}).try_with_sql(&format!("{text} AS {known_as}")).ok()?.parse_table_factor().ok()
}

/// Functions of one value that DataFusion has and that no table function shares its name with.
static SCALARS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = [all_default_functions(), all_default_nested_functions()].concat();
    let names = functions.iter().map(|function| function.name().to_string());
    names.filter(|name| !["generate_series", "range", "unnest"].contains(&name.as_str())).collect()
});

/// Whether an alias' one column has its name, as a function's column has that is not named in the query.
fn is_named_for_itself(alias: &TableAlias) -> bool {
    matches!(alias.columns.as_slice(), [column] if column.name == alias.name)
}
