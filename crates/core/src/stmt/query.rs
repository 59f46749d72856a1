//! SELECT and its kin.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use futures::{StreamExt, TryStreamExt};
use lakeport_base::limits::COLUMNS_MAX;
use lakeport_base::name::quote_literal;
use lakeport_base::{SqlType, Sqlstate, units};
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::query::Query;

use super::Cx;
use crate::engine::{Description, QueryContext, Relation};
use crate::error::{Error, Result};
use crate::in_place;
use crate::outcome::Outcome;
use crate::rows::RowStream;
use crate::setting;

pub(crate) async fn query(cx: &Cx<'_>, statement: &Query) -> Result<Outcome> {
    let tag = if statement.text.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("EXPLAIN")) {
        "EXPLAIN"
    } else {
        "SELECT"
    };
    Ok(Outcome::Rows { tag, rows: rows(cx, statement).await? })
}

/// The rows of a query.
pub(crate) async fn rows(cx: &Cx<'_>, statement: &Query) -> Result<RowStream> {
    let context = context(cx, statement, true).await?;
    let rows = cx.server.config.engine.query(&context, &statement.text, cx.params).await;
    let RowStream { schema, batches } = rows.map_err(|error| located(statement, error))?;
    check_width(schema.fields().len())?;
    if statement.files.is_empty() {
        return Ok(RowStream { schema, batches });
    }
    let statement = statement.clone();
    let batches = batches.map_err(move |error| located(&statement, error)).boxed();
    Ok(RowStream { schema, batches })
}

/// Errors of values that do not fit.
const MISFITS: [Sqlstate; 4] = [
    Sqlstate::INVALID_TEXT_REPRESENTATION,
    Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
    Sqlstate::INVALID_DATETIME_FORMAT,
    Sqlstate::DATETIME_FIELD_OVERFLOW,
];

/// An error of a statement. What computes on rows of files does not know where they lie: the hint tells how to find them.
pub(crate) fn located(statement: &Query, error: Error) -> Error {
    if statement.files.is_empty() || error.hint().is_some() || !MISFITS.contains(&error.code()) {
        return error;
    }
    let is_of_decimals = error.message().contains("DECIMAL has");
    error.with_hint(match is_of_decimals {
        true => "$1:name reads numbers of any size, as JSON",
        false => "TRY_CAST gives NULL where CAST fails; metadata$filename and metadata$file_row_number tell where such a row is",
    })
}

pub(crate) async fn describe(cx: &Cx<'_>, statement: &Query, declared: &[Option<SqlType>]) -> Result<Description> {
    refuse_parameters(statement, declared.len())?;
    let context = context(cx, statement, false).await?;
    let description = cx.server.config.engine.describe(&context, &statement.text, declared).await?;
    check_width(description.columns.as_ref().map_or(0, |columns| columns.fields().len()))?;
    Ok(description)
}

/// # Errors
/// 42P02 for parameters of a query of files, where `$1` is a column.
pub(crate) fn refuse_parameters(statement: &Query, count: usize) -> Result<()> {
    if statement.files.is_empty() || count == 0 {
        return Ok(());
    }
    let message = "a statement that reads files takes no parameters: $1 is a column of the files";
    Err(Error::new(Sqlstate::UNDEFINED_PARAMETER, message).with_hint("write the value as a literal"))
}

/// 54011 for a result of more columns than a statement may list; `*` may stand for many.
fn check_width(columns: usize) -> Result<()> {
    if columns <= COLUMNS_MAX {
        return Ok(());
    }
    let message = format!("the result has {columns} columns, more than {COLUMNS_MAX}");
    Err(Error::new(Sqlstate::TOO_MANY_COLUMNS, message))
}

/// The context of a query. Without `run`, sources such as `[SHOW ...]` stand there empty.
pub(crate) async fn context(cx: &Cx<'_>, statement: &Query, run: bool) -> Result<QueryContext> {
    let as_of = statement.as_of.as_deref().map(|text| as_of_query(cx, text)).transpose()?;
    let mut own = HashMap::new();
    for (name, source) in &statement.shows {
        let rows = if run {
            let parsed_rows = Box::pin(super::run_nested(cx, source)).await?;
            collect(parsed_rows).await?
        } else {
            let columns = super::columns(source).ok_or_else(|| no_rows(name))?;
            RecordBatch::new_empty(columns)
        };
        own.insert(name.clone(), Relation::Rows(rows));
    }
    for (name, source) in &statement.files {
        own.insert(name.clone(), in_place::relation(cx, source, run).await?);
    }
    Ok(cx.query_context(as_of, own))
}

async fn collect(outcome: Outcome) -> Result<RecordBatch> {
    let Outcome::Rows { rows, .. } = outcome else { return Err(no_rows("[...]")) };
    let schema = rows.schema.clone();
    let batches: Vec<RecordBatch> = rows.batches.try_collect().await?;
    concat_batches(&schema, &batches).map_err(Error::internal)
}

fn no_rows(name: &str) -> Error {
    Error::new(Sqlstate::SYNTAX_ERROR, format!("the statement in brackets for {name} gives no rows"))
        .with_hint("only statements with rows, such as SHOW, can stand in FROM [...]")
}

/// As [`as_of`]; 0A000 for a parameter, since the columns of a query must be known before its value is.
fn as_of_query(cx: &Cx<'_>, text: &str) -> Result<i64> {
    if placeholder(text).is_some() {
        return Err(Error::unsupported("AS OF SYSTEM TIME of a query takes no parameter")
            .with_hint("write the moment into the statement"));
    }
    as_of(cx, text)
}

/// The moment of `AS OF SYSTEM TIME`, microseconds since the epoch.
///
/// # Errors
/// 22023 for what is no time, lies in the future, or further back than `gc.ttl`.
pub(crate) fn as_of(cx: &Cx<'_>, text: &str) -> Result<i64> {
    let moment = past(cx, text)?;
    let now = cx.server.config.env.now_micros();
    let ttl = setting::GC_TTL.duration(&cx.directory);
    if i128::from(now) - i128::from(moment) > ttl.as_micros() as i128 {
        return Err(Error::invalid(format!("AS OF SYSTEM TIME: {text} is further back than gc.ttl"))
            .with_hint(format!("gc.ttl is {}", setting::GC_TTL.value(&cx.directory))));
    }
    Ok(moment)
}

/// The moment of `AS OF SYSTEM TIME`, however long ago.
///
/// # Errors
/// 22023 for what is no time, or lies in the future.
pub(crate) fn past(cx: &Cx<'_>, text: &str) -> Result<i64> {
    let moment = moment(cx, text.trim()).ok_or_else(|| {
        Error::invalid(format!("AS OF SYSTEM TIME: value {text} is neither timestamp, decimal, nor interval"))
            .with_hint("such as '-10s', '2026-01-31 12:00:00' or a number of nanoseconds since the epoch")
    })?;
    match moment > cx.server.config.env.now_micros() {
        true => Err(Error::invalid("AS OF SYSTEM TIME: cannot specify timestamp in the future")),
        false => Ok(moment),
    }
}

/// The text of a moment, with the value of a parameter in its place.
///
/// # Errors
/// 42P02 for a parameter not given, 22023 for NULL.
pub(crate) fn moment_text(cx: &Cx<'_>, text: &str) -> Result<String> {
    match placeholder(text) {
        Some(number) => Ok(quote_literal(&cx.string(&Text::Placeholder(number))?)),
        None => Ok(text.to_string()),
    }
}

/// The number of a `$n`, whatever it is cast to.
fn placeholder(text: &str) -> Option<usize> {
    text.split("::").next()?.trim().strip_prefix('$')?.parse().ok()
}

/// Staleness that `follower_read_timestamp()` stands for.
const FOLLOWER_READ_LAG_MICROS: i64 = 4_800_000;

fn moment(cx: &Cx<'_>, text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    if lower.trim_end_matches([')', '(', ' ']) == "follower_read_timestamp" {
        return Some(cx.now - FOLLOWER_READ_LAG_MICROS);
    }
    let literal = text.trim_matches('\'').trim();
    if let Some(ago) = literal.strip_prefix('-') {
        let ago = ago.trim_start();
        let interval = units::parse_duration(ago).or_else(|| clock_interval(ago))?;
        return cx.now.checked_sub(i64::try_from(interval.as_micros()).ok()?);
    }
    if let Some(nanos) = literal.split('.').next().and_then(|whole| whole.parse::<i64>().ok()) {
        return Some(nanos / 1000);
    }
    timestamp(literal)
}

/// `HH:MM[:SS]`
fn clock_interval(text: &str) -> Option<std::time::Duration> {
    let mut seconds = 0u64;
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for (part, unit) in parts.iter().zip([3600, 60, 1]) {
        seconds = seconds.checked_add(part.trim().parse::<u64>().ok()?.checked_mul(unit)?)?;
    }
    Some(std::time::Duration::from_secs(seconds))
}

/// A point in time as a literal of type TIMESTAMPTZ has it.
pub(super) fn timestamp(literal: &str) -> Option<i64> {
    use crate::value::ColumnBuilder;
    let mut builder = ColumnBuilder::new(&SqlType::TimestampTz, 1);
    builder.append_text(literal).ok()?;
    let array = builder.finish();
    let array = array.as_any().downcast_ref::<arrow_array::TimestampMicrosecondArray>()?;
    Some(array.value(0))
}
