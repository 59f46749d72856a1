//! EXPLAIN and its options.

use lakeport_base::QualifiedName;
use lakeport_base::name::quote_ident;
use sqlparser::tokenizer::Token;

use super::{Query, rest};
use crate::cursor::{Cursor, Result};
use crate::stmt::Statement;
use crate::token::Lexeme;

/// What an EXPLAIN asks for.
#[derive(Default)]
struct Options {
    analyze: bool,
    verbose: bool,
}

/// After `EXPLAIN`.
pub(crate) fn explain(c: &mut Cursor) -> Result<Statement> {
    let mut options = Options::default();
    if c.is_open() && !c.rest().get(1).is_some_and(is_query_start) {
        c.parenthesised(|c| c.comma_list(|c| option(c, &mut options)))?;
    } else {
        options.analyze = c.keywords("ANALYZE");
        options.verbose = c.keywords("VERBOSE");
    }
    let writes = ["INSERT", "UPSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| c.is_next(word));
    if writes && options.analyze {
        return Err(c.unsupported("EXPLAIN ANALYZE of a statement that writes is not supported"));
    }
    let query = if writes { rows_of(c)? } else { rest(c)? };
    // Without ANALYZE, VERBOSE would add every step of the optimiser.
    let prefix = match options {
        Options { analyze: true, verbose: true } => "EXPLAIN ANALYZE VERBOSE",
        Options { analyze: true, verbose: false } => "EXPLAIN ANALYZE",
        Options { analyze: false, .. } => "EXPLAIN",
    };
    Ok(Statement::Query(Query { text: format!("{prefix} {}", query.text), ..query }))
}

fn is_query_start(lexeme: &Lexeme) -> bool {
    lexeme.token == Token::LParen || ["SELECT", "VALUES", "WITH", "TABLE"].iter().any(|word| lexeme.is_word(word))
}

/// PostgreSQL's options. Those about what a plan shows have no effect, since it shows what there is.
fn option(c: &mut Cursor, options: &mut Options) -> Result<()> {
    const NAMES: &[&str] =
        &["ANALYZE", "VERBOSE", "FORMAT", "COSTS", "BUFFERS", "TIMING", "SUMMARY", "SETTINGS", "WAL"];
    let name = c.one_of(NAMES).ok_or_else(|| c.error())?;
    if name == "FORMAT" {
        return match c.keywords("TEXT") {
            true => Ok(()),
            false => Err(c.unsupported("EXPLAIN in a format other than TEXT is not supported")),
        };
    }
    let on = c.one_of(&["TRUE", "FALSE", "ON", "OFF"]).is_none_or(|word| matches!(word, "TRUE" | "ON"));
    match name {
        "ANALYZE" => options.analyze = on,
        "VERBOSE" => options.verbose = on,
        _ => {}
    }
    Ok(())
}

/// The query that finds the rows of a statement that writes.
fn rows_of(c: &mut Cursor) -> Result<Query> {
    match super::statement(c)? {
        Statement::Insert(insert) => insert.source.ok_or_else(|| c.unsupported("DEFAULT VALUES has no plan")),
        Statement::Update(update) => {
            let values =
                update.assignments.iter().filter(|assignment| !assignment.value.eq_ignore_ascii_case("default"));
            let values = values.map(|assignment| assignment.value.as_str()).collect::<Vec<_>>().join(", ");
            let table = (&update.table, update.alias.as_deref());
            Ok(selecting(&values, table, &listed(update.from), update.filter, update.placeholder_count))
        }
        Statement::Delete(delete) => {
            let table = (&delete.table, delete.alias.as_deref());
            Ok(selecting("", table, &listed(delete.using), delete.filter, delete.placeholder_count))
        }
        Statement::Merge(merge) => {
            let joined = format!(" {} {} ON {}", merge.join(), merge.source, merge.condition);
            let table = (&merge.table, merge.alias.as_deref());
            Ok(selecting("", table, &joined, None, merge.placeholder_count))
        }
        _ => Err(c.unsupported("EXPLAIN of this statement is not supported")),
    }
}

/// More relations of a FROM list.
fn listed(more: Option<String>) -> String {
    more.map(|more| format!(", {more}")).unwrap_or_default()
}

/// `more` follows the table in FROM.
fn selecting(
    values: &str,
    (table, alias): (&QualifiedName, Option<&str>),
    more: &str,
    filter: Option<String>,
    placeholder_count: usize,
) -> Query {
    let alias = alias.map(|alias| format!(" AS {}", quote_ident(alias))).unwrap_or_default();
    let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
    let values = if values.is_empty() { "1" } else { values };
    let text = format!("SELECT {values} FROM {table}{alias}{more}{filter}");
    Query { text, placeholder_count, ..Query::default() }
}
