//! What the rewriting makes of queries, and that DataFusion answers it.

use arrow_cast::pretty::pretty_format_batches;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{call_keywords, rewrite};

fn rewritten(sql: &str) -> ast::Statement {
    let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
    call_keywords(&mut statement);
    rewrite(&mut statement);
    statement
}

/// The rows of a query on two tables, `t (a)` of 1 and 2 and `u (k, v)`, columns parted by blanks.
async fn rows(sql: &str) -> Result<Vec<String>, String> {
    let mut state = SessionStateBuilder::new_with_default_features().build();
    crate::functions::register(&mut state, lakeport_base::Env::system()).unwrap();
    let tables = "WITH t(a) AS (VALUES (1), (2)), u(k, v) AS (VALUES (1, 'p'), (1, 'q'), (2, 'r'))";
    let statement = Statement::Statement(Box::new(rewritten(&format!("{tables} {sql}"))));
    let plan = state.statement_to_plan(statement).await.map_err(|error| error.to_string())?;
    let frame =
        SessionContext::new_with_state(state).execute_logical_plan(plan).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let lines = table.lines().skip(3).filter(|line| line.starts_with('|'));
    Ok(lines.map(|line| line.replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

async fn answers(sql: &str, expected: &[&str]) {
    match rows(sql).await {
        Ok(rows) => assert_eq!(rows, expected, "{sql}"),
        Err(error) => panic!("{sql}: {error}"),
    }
}

#[tokio::test]
async fn plans_subqueries_that_refer_outside() {
    answers("SELECT a, (SELECT v FROM u WHERE u.k = t.a AND v > 'p') AS x FROM t ORDER BY a", &["1 q", "2 r"]).await;
    answers(
        "SELECT a, (SELECT v FROM u WHERE u.k = t.a ORDER BY v DESC LIMIT 1) AS x FROM t ORDER BY a",
        &["1 q", "2 r"],
    )
    .await;
    answers("SELECT a, (SELECT v FROM u WHERE u.k = t.a AND t.a > 1) AS x FROM t ORDER BY a", &["1", "2 r"]).await;
    let error = rows("SELECT (SELECT v FROM u WHERE u.k = t.a) AS x FROM t").await.unwrap_err();
    assert!(error.contains("more than one row"), "{error}");
}

#[tokio::test]
async fn keeps_keys_of_one_name_apart() {
    let sql =
        "SELECT a, (SELECT max(x.v) FROM u x, u y WHERE x.k = t.a AND y.k = t.a AND x.v < y.v) AS m FROM t ORDER BY a";
    answers(sql, &["1 p", "2"]).await;
}

#[tokio::test]
async fn gathers_arrays() {
    let sql = "SELECT a, ARRAY(SELECT v FROM u WHERE u.k = t.a ORDER BY v DESC) AS x FROM t ORDER BY a";
    answers(sql, &["1 [q, p]", "2 [r]"]).await;
    answers("SELECT ARRAY(SELECT v FROM u WHERE k = 7) AS x", &["[]"]).await;
    let nested = "SELECT ARRAY(SELECT (SELECT max(y.v) FROM u y WHERE y.k = x.k) FROM u x WHERE x.k = t.a) AS m FROM t ORDER BY a";
    answers(nested, &["[q, q]", "[r]"]).await;
    answers("SELECT ARRAY(SELECT 'n' || x FROM unnest(ARRAY['a', 'b']) AS x) AS y", &["[na, nb]"]).await;
}

#[tokio::test]
async fn answers_conditions_as_values() {
    let sql = "SELECT a, EXISTS (SELECT 1 FROM u WHERE u.k = t.a AND v = 'p') AS e FROM t ORDER BY a";
    answers(sql, &["1 true", "2 false"]).await;
    answers("SELECT NOT EXISTS (SELECT 1 FROM u WHERE k = 9) AS e", &["true"]).await;
    answers("SELECT a, a IN (SELECT k FROM u WHERE v = 'r') AS i FROM t ORDER BY a", &["1 false", "2 true"]).await;
    answers("SELECT a, a NOT IN (SELECT k FROM u WHERE v = 'r') AS i FROM t ORDER BY a", &["1 true", "2 false"]).await;
}

#[tokio::test]
async fn reads_functions_in_from() {
    answers("SELECT x FROM unnest(ARRAY[1, 2]) AS x", &["1", "2"]).await;
    answers("SELECT y FROM pg_catalog.unnest(ARRAY[1, 2]) AS u(y)", &["1", "2"]).await;
}

fn text(sql: &str) -> String {
    rewritten(sql).to_string()
}

#[test]
fn casts_to_oid_types() {
    assert_eq!(text("SELECT 1 WHERE 't'::regclass = 1"), "SELECT 1 WHERE regclass('t') = 1");
    assert_eq!(text("SELECT 't'::regclass"), "SELECT \" relation name\"(regclass('t'))");
    assert_eq!(text("SELECT c.oid::regclass::text FROM c"), "SELECT \" relation name\"(c.oid)::TEXT FROM c");
    assert_eq!(text("SELECT 't'::regclass::text"), "SELECT \" relation name\"(regclass('t'))");
    assert_eq!(text("SELECT '26'::regtype"), "SELECT \"format_type\"(26)");
    assert_eq!(text("SELECT 1 WHERE '26'::regtype = 26"), "SELECT 1 WHERE 26 = 26");
    assert_eq!(text("SELECT t.typinput::regproc FROM t"), "SELECT regproc(t.typinput) FROM t");
}

#[test]
fn knows_the_table_of_a_row() {
    let sql =
        "SELECT d.tableoid FROM pg_catalog.pg_cast AS d WHERE EXISTS (SELECT 1 FROM pg_proc p WHERE p.x = d.tableoid)";
    let oid = "regclass('pg_catalog.pg_cast')";
    let expected =
        format!("SELECT {oid} FROM pg_catalog.pg_cast AS d WHERE EXISTS (SELECT 1 FROM pg_proc p WHERE p.x = {oid})");
    assert_eq!(text(sql), expected);
}

#[test]
fn calls_keywords() {
    assert_eq!(text("SELECT current_schema, \"current_role\""), "SELECT current_schema(), \"current_role\"");
}

#[tokio::test]
async fn makes_rows_of_arrays() {
    let sql = "SELECT generate_subscripts(x, 1) AS n, unnest(x) AS v FROM (SELECT ARRAY['a', 'b'] AS x) AS s";
    answers(sql, &["1 a", "2 b"]).await;
    let sql = "SELECT k.e FROM (SELECT (information_schema._pg_expandarray(ARRAY[7, 8])).n AS e) AS k";
    answers(sql, &["1", "2"]).await;
    answers("SELECT s FROM generate_subscripts(ARRAY[7, 8], 1) AS s", &["1", "2"]).await;
    answers("SELECT option_name FROM pg_options_to_table(ARRAY['a=b'])", &[]).await;
}
