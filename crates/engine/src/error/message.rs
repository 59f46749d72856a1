//! DataFusion's messages in PostgreSQL's words. Their kind is in the text only; the text stays behind for the log.

use arrow_schema::{DataType, Field};
use lakeport_base::Sqlstate;
use lakeport_base::nearest::nearest;
use lakeport_core::Error;
use lakeport_core::rows::sql_type;
use lakeport_core::show::information_schema::standard_name;

/// The end of PostgreSQL's hint at types that nothing takes.
pub(crate) const CASTS_MAY_HELP: &str = "explicit type casts may help";

/// The error of planning.
pub(super) fn of_planning(message: &str) -> Error {
    let message = &without_columns(message);
    let known = unknown_function(message)
        .or_else(|| function_of_types(message))
        .or_else(|| unknown_field(message))
        .or_else(|| operator_of_types(message))
        .or_else(|| ungrouped_column(message))
        .or_else(|| no_condition(message));
    known.unwrap_or_else(|| other_planning(message)).with_source(message.to_string())
}

/// The error of something that DataFusion does not do.
pub(super) fn of_unsupported(message: &str) -> Error {
    let text = tidy(&without_columns(message));
    if let Some(name) = text.strip_prefix("unsupported SQL type ") {
        return Error::new(Sqlstate::UNDEFINED_OBJECT, format!("type {name:?} does not exist"));
    }
    if let Some(error) = of_cast(&text) {
        return error;
    }
    let error = if text.contains("OuterReferenceColumn") {
        Error::unsupported("the subquery refers to the outer query in a way that is not supported")
            .with_hint("write it as a join")
    } else if let Some(operator) = text.strip_prefix("unsupported binary operator: ") {
        let written = operator.split('"').nth(1).map(|written| format!("operator {written}"));
        Error::unsupported(format!("{} is not supported", written.as_deref().unwrap_or("the operator")))
    } else {
        Error::unsupported(plain(&text).unwrap_or_else(|| "the query uses a form that is not supported".to_string()))
    };
    error.with_source(message.to_string())
}

/// `Unsupported CAST from Int64 to Date32`, `Casting from Int64 to Date32 not supported`
pub(super) fn of_cast(message: &str) -> Option<Error> {
    let message = without_columns(message);
    let (_, types) = message.split_once("CAST from ").or_else(|| message.split_once("asting from "))?;
    let (from, to) = types.split_once(" to ")?;
    let to = to.split(" not supported").next()?;
    let (from, to) = (shown_type(from)?, shown_type(to)?);
    Some(Error::new(Sqlstate::CANNOT_COERCE, format!("cannot cast type {from} to {to}")))
}

/// The error of what DataFusion does not expect; `None` if no statement should cause it.
pub(super) fn of_internal(message: &str) -> Option<Error> {
    let message = without_columns(message);
    let (_, ty) = message.split_once("Cannot run range queries on datatype: ")?;
    let ty = shown_type(&tidy(ty))?;
    let text = format!("could not identify an ordering operator for type {ty} in a window");
    let hint = "cast the values first, such as to STRING";
    Some(Error::new(Sqlstate::UNDEFINED_FUNCTION, text).with_hint(hint).with_source(message))
}

/// `Field x not found in struct`
fn unknown_field(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("Field ")?;
    let (name, _) = rest.split_once(" not found in struct")?;
    let text = format!("column {name:?} not found in data type record");
    Some(Error::new(Sqlstate::UNDEFINED_COLUMN, text))
}

/// `Invalid function 'x'. Did you mean 'y'?`
fn unknown_function(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("Invalid function '")?;
    let (name, hint) = rest.split_once('\'').unwrap_or((rest, ""));
    let near = nearest(name, hint.split('\'').nth(1)).map(|near| format!("did you mean {near}()?"));
    Some(Error::new(Sqlstate::UNDEFINED_FUNCTION, format!("unknown function: {name}()")).with_hint_opt(near))
}

/// `... No function matches the given name and argument types 'x(Int64)'. ...`
fn function_of_types(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("given name and argument types '")?;
    let (call, _) = rest.split_once(")'")?;
    let (name, types) = call.split_once('(')?;
    let types = parts(types).map(shown_type).collect::<Option<Vec<_>>>()?.join(", ");
    let error = Error::new(Sqlstate::UNDEFINED_FUNCTION, format!("function {name}({types}) does not exist"));
    Some(error.with_hint(format!("no function matches the given name and argument types; {CASTS_MAY_HELP}")))
}

/// `Cannot coerce arithmetic expression Utf8 + Int64 to valid types` and its like.
fn operator_of_types(message: &str) -> Option<Error> {
    const STARTS: &[&str] = &[
        "Cannot coerce arithmetic expression ",
        "Cannot infer common argument type for comparison operation ",
        "Cannot infer common argument type for logical boolean operation ",
        "Cannot infer common string type for bitwise operation ",
        "Cannot infer common string type for string concat operation ",
        "Cannot infer common string type for regex operation ",
        "Cannot get result type for arithmetic operation ",
        "Cannot get result type for temporal operation ",
        "Cannot get result type for decimal operation ",
    ];
    let rest = STARTS.iter().find_map(|start| message.split_once(start)).map(|(_, rest)| rest)?;
    let operation = rest.split(" to valid types").next()?.split(": ").next()?.trim_end_matches('.');
    let words: Vec<&str> = operation.split(' ').collect();
    let shown = (1..words.len().saturating_sub(1)).find_map(|at| {
        let (left, right) = (words[..at].join(" "), words[at + 1..].join(" "));
        Some(format!("{} {} {}", shown_type(&left)?, words[at], shown_type(&right)?))
    });
    let error = Error::new(Sqlstate::UNDEFINED_FUNCTION, format!("operator does not exist: {}", shown?));
    Some(error.with_hint(format!("no operator matches the given name and argument types; {CASTS_MAY_HELP}")))
}

fn ungrouped_column(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("While expanding wildcard, column \"")?;
    let (name, _) = rest.split_once('"')?;
    let text = format!("column {name:?} must appear in the GROUP BY clause or be used in an aggregate function");
    Some(Error::new(Sqlstate::GROUPING_ERROR, text))
}

fn no_condition(message: &str) -> Option<Error> {
    let (_, rest) = message.split_once("non-boolean predicate")?;
    let (_, found) = rest.rsplit_once(" returning ")?;
    let found = shown_type(found)?;
    Some(Error::new(Sqlstate::DATATYPE_MISMATCH, format!("a condition must be of type boolean, not {found}")))
}

fn other_planning(message: &str) -> Error {
    let text = tidy(message);
    let lower = text.to_ascii_lowercase();
    let code = if lower.contains("does not support zero arguments") || lower.contains("function signature") {
        Sqlstate::UNDEFINED_FUNCTION
    } else if lower.contains("table") && lower.contains("not found") {
        Sqlstate::UNDEFINED_TABLE
    } else if lower.contains("placeholder") {
        Sqlstate::UNDEFINED_PARAMETER
    } else if lower.contains("group by") || lower.contains("aggregate") {
        Sqlstate::GROUPING_ERROR
    } else if ["coerc", "type", "cast", "convert", "cannot infer common", "boolean expression"]
        .iter()
        .any(|word| lower.contains(word))
    {
        Sqlstate::DATATYPE_MISMATCH
    } else {
        Sqlstate::SYNTAX_ERROR
    };
    match plain(&text) {
        Some(text) => Error::new(code, text),
        None => Error::new(code, "the query cannot be planned").with_hint("write it in another way"),
    }
}

/// The SQL name of a type as Arrow prints it.
fn shown_type(arrow: &str) -> Option<String> {
    let arrow = arrow.trim();
    if arrow == RECORD {
        return Some(RECORD.to_string());
    }
    let item =
        arrow.strip_prefix("List(").and_then(|rest| rest.strip_suffix(')')).filter(|item| item.ends_with(RECORD));
    match item {
        Some(item) => Some(format!("{}[]", shown_type(item)?)),
        None => Some(type_name(&arrow.parse().ok()?)),
    }
}

/// A type of many columns.
const RECORD: &str = "record";

/// The SQL name of a type.
pub(crate) fn type_name(ty: &DataType) -> String {
    match ty {
        DataType::Null => "unknown".to_string(),
        DataType::Struct(_) | DataType::Map(..) => RECORD.to_string(),
        DataType::List(item) if item.data_type().is_nested() => format!("{}[]", type_name(item.data_type())),
        DataType::List(item) => format!("{}[]", standard_name(&sql_type(item))),
        other => standard_name(&sql_type(&Field::new("", other.clone(), true))).to_string(),
    }
}

/// Where the parenthesis that a text opens first is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, char)| {
        depth = match char {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        (char == ')' && depth == 0).then_some(at + 1)
    })
}

/// The parts of a list between its outermost commas.
fn parts(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let outer = move |char: char| {
        depth += i32::from(matches!(char, '(' | '{')) - i32::from(matches!(char, ')' | '}'));
        char == ',' && depth == 0
    };
    list.split(outer).filter(|part| !part.trim().is_empty())
}

/// A message with SQL's name in the place of each structure or map, of which Arrow prints all columns.
fn without_columns(message: &str) -> String {
    let mut out = String::new();
    let mut rest = message;
    while let Some(at) = ["Struct(", "Map("].iter().filter_map(|start| rest.find(start)).min() {
        let Some(end) = closing(&rest[at..]) else { break };
        out.push_str(&rest[..at]);
        out.push_str(RECORD);
        rest = &rest[at + end..];
    }
    out + rest
}

/// A message with SQL's names of types; `None` if it shows DataFusion's own structures.
fn plain(text: &str) -> Option<String> {
    const INNER: &[&str] = &["{", "Some(", "None", "::", "DataFusion", "Expr", "logical expression", "DataType"];
    if INNER.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let word = |word: &str| {
        let bare = word.trim_matches(|char: char| !char.is_alphanumeric());
        match shown_type(bare).filter(|_| bare.chars().next().is_some_and(char::is_uppercase)) {
            Some(name) => word.replace(bare, &name),
            None => word.to_string(),
        }
    };
    Some(text.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

/// DataFusion's message without its prefixes, its back trace and its full stop, starting in lower case.
pub(super) fn tidy(message: &str) -> String {
    const PREFIXES: &[&str] = &[
        "Error during planning: ",
        "Execution error: ",
        "Internal error: ",
        "Arrow error: ",
        "Cast error: ",
        "Parser error: ",
        "Compute error: ",
        "Invalid argument error: ",
        "This feature is not implemented: ",
        "Resources exhausted: ",
        "sql parser error: ",
    ];
    const ENDS: &[&str] = &["\n\nbacktrace:", "\nThis issue was likely caused by a bug"];
    let end = ENDS.iter().filter_map(|end| message.find(end)).min().unwrap_or(message.len());
    let mut text = message[..end].trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    let text = text.trim_end_matches(['.', '!']);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if chars.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().collect::<String>() + chars.as_str()
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_of_functions_and_operators_as_postgresql_does() {
        let missing = |name: &str, near: &str| {
            let error = of_planning(&format!("Invalid function '{name}'.\nDid you mean '{near}'?"));
            (error.message().to_string(), error.hint().map(str::to_string))
        };
        assert_eq!(missing("uper", "upper"), ("unknown function: uper()".into(), Some("did you mean upper()?".into())));
        assert_eq!(missing("json_agg", "jsonb_get").1, None);
        let cases = [
            (
                "x No function matches the given name and argument types 'abs(Utf8)'. y",
                "function abs(text) does not exist",
            ),
            (
                "x No function matches the given name and argument types 'f(Int64, Decimal128(10, 2))'. y",
                "function f(bigint, numeric) does not exist",
            ),
            (
                "Cannot coerce arithmetic expression Utf8 + Int64 to valid types",
                "operator does not exist: text + bigint",
            ),
            (
                "Cannot infer common argument type for comparison operation Timestamp(µs, \"UTC\") > Int64",
                "operator does not exist: timestamp with time zone > bigint",
            ),
        ];
        for (message, expected) in cases {
            let error = of_planning(message);
            assert_eq!((error.message(), error.code().code()), (expected, "42883"));
        }
    }

    #[test]
    fn shows_nothing_of_datafusion() {
        let outer = "Physical plan does not support logical expression OuterReferenceColumn(Field { name: \"id\" })";
        assert_eq!(of_unsupported(outer).hint(), Some("write it as a join"));
        assert_eq!(of_unsupported("Unsupported binary operator: PGOverlap").message(), "the operator is not supported");
        assert_eq!(of_unsupported("odd Field { name: 1 }").message(), "the query uses a form that is not supported");
        let record = of_planning(
            "Cannot coerce arithmetic expression Struct(\"a\": Int64, \"b\": List(Utf8)) + Int64 to valid types",
        );
        assert_eq!(record.message(), "operator does not exist: record + bigint");
        let cast = of_unsupported("Unsupported CAST from List(Struct(\"a\": Int64)) to Int64");
        assert_eq!((cast.message(), cast.code().code()), ("cannot cast type record[] to bigint", "42846"));
        let mixed = of_planning("Cannot automatically convert Int64 to Utf8");
        assert_eq!((mixed.message(), mixed.code().code()), ("cannot automatically convert bigint to text", "42804"));
    }
}
