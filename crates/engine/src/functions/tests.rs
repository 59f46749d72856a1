//! The functions through DataFusion's parser, planner and optimiser.

use async_trait::async_trait;
use datafusion::config::Dialect;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use lakeport_base::QualifiedName;
use lakeport_core::engine::{Relation, Relations};
use lakeport_core::rows::sql_type;
use lakeport_core::value::TextColumn;

use super::*;

struct NoRelations;

#[async_trait]
impl Relations for NoRelations {
    async fn find(&self, _: &QualifiedName) -> lakeport_core::Result<Option<Relation>> {
        Ok(None)
    }
}

/// 2024-05-06 22:30:00.123456 UTC, the next day in Berlin.
const NOW: i64 = 1_715_034_600_123_456;

fn zone() -> Zone {
    Zone::parse("Europe/Berlin").unwrap()
}

fn session() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let builder = SessionStateBuilder::new_with_default_features().with_config(config);
    let mut state = builder.with_type_planner(Arc::new(crate::types::SqlTypes)).build();
    let cx = QueryContext {
        relations: Arc::new(NoRelations),
        user: "maria".to_string(),
        role: "analysts".to_string(),
        session_user: "root".to_string(),
        database: "movr".to_string(),
        schema: "public".to_string(),
        zone: zone(),
        now: NOW,
        as_of: None,
        transaction: None,
        cancel: Default::default(),
    };
    state.add_analyzer_rule(Arc::new(crate::casts::PostgresCasts { zone: cx.zone }));
    register(&mut state, lakeport_base::Env::system()).unwrap();
    register_zoned(&mut state, cx.zone).unwrap();
    for (name, function) in of_statement(&Moment { zone: cx.zone, now: cx.now }, Some(&cx)) {
        if name == function.name() {
            state.register_udf(function).unwrap();
        }
    }
    SessionContext::new_with_state(state)
}

/// The rows of a query, columns parted by `|`, NULL as `NULL`.
async fn rows(sql: &str) -> Result<Vec<String>> {
    let batches = session().sql(sql).await?.collect().await?;
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let values = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
                let mut text = String::new();
                let column = TextColumn::in_zone(column, &sql_type(field), zone());
                column.write(row, &mut text).unwrap();
                if column.is_null(row) { "NULL".to_string() } else { text }
            });
            rows.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    Ok(rows)
}

async fn answers(expression: &str, expected: &str) {
    match rows(&format!("SELECT {expression}")).await {
        Ok(rows) => assert_eq!(rows, [expected], "{expression}"),
        Err(error) => panic!("{expression}: {error}"),
    }
    let rows = rows(&format!("SELECT {expression} FROM (VALUES (1), (2)) AS t(x)")).await.unwrap();
    assert_eq!(rows, [expected, expected], "{expression} of a table");
}

async fn fails(expression: &str, code: &str) {
    let error = rows(&format!("SELECT {expression}")).await.unwrap_err();
    let error = crate::error::from_datafusion(error);
    assert_eq!(error.code().code(), code, "{expression}: {}", error.message());
}

#[tokio::test]
async fn tells_of_the_session() {
    for (name, answer) in
        [("current_user", "maria"), ("user", "maria"), ("current_role()", "analysts"), ("session_user", "root")]
    {
        answers(name, answer).await;
    }
    answers("current_database()", "movr").await;
    answers("current_catalog", "movr").await;
    answers("current_schema()", "public").await;
    answers("current_schemas(false)", "{public}").await;
    answers("current_schemas(true)", "{pg_catalog,public}").await;
    answers("version()", &format!("PostgreSQL 15.0 (Lakeport {})", env!("CARGO_PKG_VERSION"))).await;
}

#[tokio::test]
async fn tells_the_time_of_the_statement() {
    for name in ["now()", "current_timestamp", "transaction_timestamp()", "follower_read_timestamp()"] {
        answers(name, "2024-05-07 00:30:00.123456+02").await;
    }
    answers("localtimestamp", "2024-05-07 00:30:00.123456").await;
    answers("current_time", "00:30:00.123456").await;
    answers("age('2024-01-31'::timestamp)", "3 mons 7 days").await;
    answers("current_date", "2024-05-07").await;
    answers("cluster_logical_timestamp()", "1715034600123456000.0000000000").await;
    answers("pg_typeof(now())", "timestamp with time zone").await;
    answers("clock_timestamp() > now()", "t").await;
}

#[tokio::test]
async fn names_types() {
    let types = [
        ("1", "bigint"),
        ("1::int4", "integer"),
        ("'x'::text", "text"),
        ("'x'::varchar(3)", "character varying"),
        ("true", "boolean"),
        ("1.5::float8", "double precision"),
        ("1.5::decimal(4,2)", "numeric"),
        ("ARRAY[1,2]", "bigint[]"),
        ("'{}'::jsonb->'a'", "jsonb"),
        ("gen_random_uuid()", "uuid"),
        ("'2020-01-01'::date", "date"),
    ];
    for (value, ty) in types {
        answers(&format!("pg_typeof({value})"), ty).await;
    }
}

#[tokio::test]
async fn draws_an_id_for_every_row() {
    let ids = rows("SELECT gen_random_uuid() FROM (VALUES (1), (2)) AS t(x)").await.unwrap();
    assert_ne!(ids[0], ids[1]);
    assert_eq!((ids[0].len(), &ids[0][14..15]), (36, "4"));
}

#[tokio::test]
async fn answers_what_clients_ask_of_catalogs() {
    answers("pg_encoding_to_char(6)", "UTF8").await;
    answers("pg_get_expr('a + 1', 7)", "a + 1").await;
    answers("array_upper(ARRAY[1,2], 1)", "2").await;
    for (size, pretty) in [("10239", "10239 bytes"), ("10240", "10 kB"), ("1073741824", "1024 MB"), ("-5", "-5 bytes")]
    {
        answers(&format!("pg_size_pretty({size})"), pretty).await;
    }
}

#[tokio::test]
async fn makes_texts() {
    answers("quote_ident('a b')", "\"a b\"").await;
    answers("quote_literal('it''s')", "'it''s'").await;
    answers("quote_nullable(NULL)", "NULL").await;
    answers("array_to_string(ARRAY['a', NULL, 'b'], ',')", "a,b").await;
    answers("array_to_string(ARRAY['a', NULL, 'b'], ',', '*')", "a,*,b").await;
    answers("array_to_string(NULL, ',')", "NULL").await;
    answers("format('%s %I=%L %2$s %%', 1, 'a b', NULL)", "1 \"a b\"=NULL a b %").await;
    fails("format('%s')", "22023").await;
    fails("format('%x', 1)", "22023").await;
    answers("array_to_string(ARRAY[1, 2], '-')", "1-2").await;
    answers("similar_to_escape('a%_\\%.[b_]')", "^(?:a.*.\\%\\.[b_])$").await;
}

#[tokio::test]
async fn reads_documents() {
    const DOCUMENT: &str = r#"'{"a": {"b": [10, "x", null]}, "s": "it", "n": null}'"#;
    let readings = [
        ("->'a'", r#"{"b": [10, "x", null]}"#),
        ("->'a'->'b'->0", "10"),
        ("->'a'->'b'->> -2", "x"),
        ("->'s'", "\"it\""),
        ("->>'s'", "it"),
        ("->>'n'", "NULL"),
        ("->'n'", "null"),
        ("->'none'", "NULL"),
        ("#>'{a,b,1}'", "\"x\""),
        ("#>>ARRAY['a','b','1']", "x"),
        ("@>'{\"a\":{\"b\":[\"x\"]}}'", "t"),
        ("@>'{\"a\":1}'", "f"),
        ("?'s'", "t"),
    ];
    for (operation, expected) in readings {
        answers(&format!("{DOCUMENT}::jsonb{operation}"), expected).await;
    }
    answers(&format!("jsonb_extract_path_text({DOCUMENT}, 'a', 'b', '0')"), "10").await;
    answers("jsonb_typeof('[1]')", "array").await;
    answers("jsonb_array_length('[1,2]')", "2").await;
    answers("jsonb_strip_nulls('{\"a\":null,\"b\":1}')", "{\"b\": 1}").await;
    answers("'[1,2]'::jsonb <@ '[3,2,1]'::jsonb", "t").await;
    answers("NULL::jsonb->'a'", "NULL").await;
    fails("jsonb_array_length('{}')", "22023").await;
    fails("jsonb_typeof('{')", "22P02").await;
}

#[tokio::test]
async fn builds_documents() {
    answers("to_jsonb('a\"b')", r#""a\"b""#).await;
    answers("to_jsonb(1.50::decimal(4,2))", "1.50").await;
    answers("to_jsonb(ARRAY[1, NULL])", "[1, null]").await;
    answers("jsonb_build_array(1, 'x', true, NULL)", r#"[1, "x", true, null]"#).await;
    answers("jsonb_build_object('a', 1, 'b', '[1]'::jsonb->0)", r#"{"a": 1, "b": 1}"#).await;
    answers("jsonb_build_array()", "[]").await;
    answers("to_jsonb('2020-01-02 03:04:05'::timestamp)", r#""2020-01-02T03:04:05""#).await;
    fails("jsonb_build_object('a')", "22023").await;
}

#[tokio::test]
async fn reads_clocks_in_the_zone() {
    answers("'2024-07-01 12:00'::timestamptz", "2024-07-01 12:00:00+02").await;
    answers("'2024-07-01 12:00'::timestamptz::text", "2024-07-01 12:00:00+02").await;
    answers("timezone('UTC', '2024-07-01 12:00'::timestamptz)", "2024-07-01 10:00:00").await;
    answers("to_jsonb('2024-07-01 12:00'::timestamptz)", "\"2024-07-01T12:00:00+02:00\"").await;
    fails("timezone('Mars', now())", "22023").await;
    fails("date_part('epoch', 1)", "42883").await;
}

#[tokio::test]
async fn adds_days_of_the_calendar() {
    let noon = "'2024-03-30 12:00'::timestamptz";
    answers(&format!("{noon} + interval '1 day'"), "2024-03-31 12:00:00+02").await;
    answers(&format!("{noon} + interval '24 hours'"), "2024-03-31 13:00:00+02").await;
    answers("'2024-01-31'::date + interval '1 month'", "2024-02-29 00:00:00").await;
    answers("'2024-01-31'::date - '2023-12-31'::date", "31").await;
    answers("interval '1 month' / 4", "7 days 12:00:00").await;
    fails("interval '1 day' / 0", "22012").await;
    fails("'2024-01-01'::timestamp + interval '9000000 months'", "22008").await;
}
