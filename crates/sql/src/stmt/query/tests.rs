//! What is known of a query beside its text.

use crate::stmt::query::{OnConflict, Query};
use crate::{Statement, parse_one};

fn query(text: &str) -> Query {
    match parse_one(text).expect(text).statement {
        Statement::Query(query) => query,
        other => panic!("{other} is no query"),
    }
}

fn reads(text: &str) -> Vec<String> {
    query(text).reads.iter().map(ToString::to_string).collect()
}

#[test]
fn relations_fold_and_count_once() {
    assert_eq!(reads("SELECT * FROM T, d.S.t JOIN \"T\" ON true, t"), ["t", "d.s.t", "\"T\""]);
    assert_eq!(reads("SELECT (SELECT max(a) FROM u) FROM t WHERE a IN (SELECT a FROM v)"), ["u", "t", "v"]);
    assert_eq!(reads("SELECT * FROM pg_catalog.pg_class"), ["pg_catalog.pg_class"]);
    assert_eq!(reads("SELECT * FROM generate_series(1, 3), unnest(ARRAY[1]) AS x"), [""; 0]);
    assert_eq!(reads("TABLE a UNION ALL TABLE b"), ["a", "b"]);
    assert_eq!(reads("EXPLAIN SELECT * FROM t"), ["t"]);
    assert_eq!(reads("SELECT * FROM [SHOW JOBS], t"), ["t"]);
}

#[test]
fn a_cte_hides_a_table_only_where_it_is_in_scope() {
    assert_eq!(reads("WITH x AS (SELECT * FROM t) SELECT * FROM x, \"X\""), ["t", "\"X\""]);
    assert_eq!(reads("WITH t AS (SELECT * FROM t) SELECT * FROM t"), ["t"]);
    assert_eq!(reads("WITH RECURSIVE t AS (SELECT * FROM t) SELECT * FROM t"), [""; 0]);
    assert_eq!(reads("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a, b"), ["b"]);
    assert_eq!(reads("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y, x"), ["x"]);
    assert_eq!(reads("WITH x AS (SELECT 1) SELECT * FROM d.x"), ["d.x"]);
}

#[test]
fn time_travel_is_cut_out() {
    for (text, as_of) in [
        ("SELECT * FROM t AS OF SYSTEM TIME '-10s' WHERE a = 1", "'-10s'"),
        ("SELECT * FROM t AS OF SYSTEM TIME -10 LIMIT 1", "-10"),
        ("SELECT * FROM t AS OF SYSTEM TIME 1700000000.0000000001", "1700000000.0000000001"),
        ("SELECT * FROM t AS OF SYSTEM TIME - INTERVAL '1s'", "- INTERVAL '1s'"),
        ("SELECT * FROM t AS OF SYSTEM TIME $1 ORDER BY a", "$1"),
        ("SELECT * FROM t AS OF SYSTEM TIME '-1s'::INTERVAL", "'-1s'::INTERVAL"),
        ("SELECT * FROM t AS OF SYSTEM TIME follower_read_timestamp() ORDER BY a", "follower_read_timestamp()"),
    ] {
        let query = query(text);
        assert_eq!(query.as_of.as_deref(), Some(as_of), "{text}");
        assert!(!query.text.contains("SYSTEM"), "{text}");
    }
}

#[test]
fn shows_get_names_that_are_nowhere_else() {
    let found = query("SELECT 'show_1' FROM [SHOW JOBS] a, [SHOW EXTERNAL CONNECTIONS] AS b");
    assert_eq!(found.text, "SELECT 'show_1' FROM show__1 a, show__2 AS b");
    assert_eq!(found.shows[1].1.to_string(), "SHOW EXTERNAL CONNECTIONS");
    assert_eq!(found.to_string(), "SELECT 'show_1' FROM [SHOW JOBS] a, [SHOW EXTERNAL CONNECTIONS] AS b");
}

#[test]
fn dml_is_taken_apart() {
    let Statement::Insert(insert) = parse_one("UPSERT INTO d.t (\"A\", B) TABLE u").expect("parses").statement else {
        panic!("no INSERT");
    };
    assert_eq!((insert.columns, insert.on_conflict), (vec!["A".into(), "b".into()], OnConflict::Replace));
    let update = "UPDATE t SET a = (SELECT 1 FROM u), b = $2 FROM v WHERE t.a = v.a AND EXISTS (SELECT 1 FROM t)";
    let Statement::Update(update) = parse_one(update).expect("parses").statement else { panic!("no UPDATE") };
    assert_eq!(update.reads.iter().map(ToString::to_string).collect::<Vec<_>>(), ["v", "u", "t"]);
    assert_eq!(update.filter.as_deref(), Some("t.a = v.a AND EXISTS (SELECT 1 FROM t)"));
    assert_eq!(update.placeholder_count, 2);
}
