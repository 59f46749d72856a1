//! What is known of a query beside its text.

use crate::stmt::query::{OnConflict, Query};
use crate::{Statement, parse_one};

fn query(text: &str) -> Query {
    match parse_one(text).expect(text).statement {
        Statement::Query(query) => query,
        other => panic!("{other} is no query"),
    }
}

fn refusal(text: &str) -> String {
    parse_one(text).expect_err(text).message
}

#[test]
fn nothing_inside_a_query_writes() {
    assert_eq!(refusal("SELECT * INTO u FROM t"), "SELECT INTO is not supported");
    assert_eq!(
        refusal("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x"),
        "a statement that writes inside a query is not supported"
    );
    assert_eq!(
        refusal("UPDATE t SET a = (WITH x AS (DELETE FROM u RETURNING a) SELECT a FROM x)"),
        "a statement that writes inside a query is not supported"
    );
    assert_eq!(
        refusal("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = (SELECT 1)"),
        "a subquery in ON CONFLICT or RETURNING is not supported"
    );
}

#[test]
fn values_by_themselves_hold_no_subquery() {
    for (text, place) in [
        ("CREATE TABLE t (a INT DEFAULT (SELECT max(a) FROM u))", "DEFAULT expression"),
        ("ALTER TABLE t ADD COLUMN a INT DEFAULT 1 + (SELECT 1)", "DEFAULT expression"),
        ("ALTER TABLE t ALTER COLUMN a SET DEFAULT ARRAY(SELECT a FROM u)", "DEFAULT expression"),
        ("EXECUTE p (1, (SELECT max(a) FROM u))", "EXECUTE parameter"),
        ("EXECUTE p (EXISTS (SELECT * FROM u))", "EXECUTE parameter"),
        ("EXECUTE p (1 IN (SELECT a FROM u))", "EXECUTE parameter"),
    ] {
        assert_eq!(refusal(text), format!("cannot use subquery in {place}"), "{text}");
    }
}

#[test]
fn only_queries_and_dml_are_prepared() {
    for text in ["EXECUTE p", "PREPARE q AS SELECT 1", "DROP TABLE t", "SHOW JOBS", "COMMIT"] {
        let message = refusal(&format!("PREPARE p AS {text}"));
        assert_eq!(message, "only queries and INSERT, UPSERT, UPDATE, DELETE and MERGE can be prepared", "{text}");
    }
    assert!(parse_one("PREPARE p AS EXPLAIN SELECT 1").is_ok());
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
    assert_eq!(found.text, "SELECT 'show_1' FROM show1_1 a, show1_2 AS b");
    assert_eq!(found.shows[1].1.to_string(), "SHOW EXTERNAL CONNECTIONS");
    assert_eq!(found.to_string(), "SELECT 'show_1' FROM [SHOW JOBS] a, [SHOW EXTERNAL CONNECTIONS] AS b");
}

#[test]
fn signs_in_a_row_stay_apart() {
    for (text, printed) in [
        ("SELECT - -1, - - -a", "SELECT -(-1), -(-(-a))"),
        ("SELECT ~ -1, - +1, ~ ~1", "SELECT ~(-1), -(+1), ~(~1)"),
        ("SELECT 77 % 3,@ -7 % 3", "SELECT 77 % 3, @(-7 % 3)"),
        ("SELECT |/ -1::int, 1 - -1, -a, NOT NOT b", "SELECT |/(-1::INT), 1 - -1, -a, NOT NOT b"),
        ("SELECT a FROM t WHERE a = - -'5\n1 OR true --'", "SELECT a FROM t WHERE a = -(-'5\n1 OR true --')"),
    ] {
        assert_eq!(query(text).text, printed);
        crate::fuzzing::statements(text);
    }
}

#[test]
fn a_show_that_is_no_table_is_refused() {
    for text in ["SELECT rows- FROM [IMPORT INTO t CSV DATA ('x')]", "SELECT 1, [SHOW JOBS]"] {
        assert_eq!(refusal(text), "a statement in brackets stands where no table can stand", "{text}");
    }
}

#[test]
fn many_shows_in_a_long_text_are_named_in_a_moment() {
    let sources = vec!["[SHOW JOBS]"; 250].join(", ");
    let text = format!("SELECT '{}', '{}' FROM {sources}", "show_".repeat(100_000), "_".repeat(1_000_000));
    let found = query(&text);
    assert_eq!((found.shows.len(), found.shows[249].0.as_str()), (250, "show1_250"));
    let many = vec!["[SHOW JOBS]"; 100_000].join(", ");
    assert!(refusal(&format!("SELECT 'show{}' FROM {many}", "_".repeat(1_000_000))).contains("relations"));
}

#[test]
fn dml_is_taken_apart() {
    let Statement::Insert(insert) = parse_one("UPSERT INTO d.t (\"A\", B) TABLE u").expect("parses").statement else {
        panic!("no INSERT");
    };
    assert_eq!((insert.columns, insert.on_conflict), (vec!["A".into(), "b".into()], OnConflict::Replace));
    let update = "UPDATE t SET a = (SELECT 1 FROM u), b = $2 FROM v WHERE t.a = v.a AND EXISTS (SELECT 1 FROM t)";
    let Statement::Update(update) = parse_one(update).expect("parses").statement else { panic!("no UPDATE") };
    assert_eq!(update.from.as_deref(), Some("v"));
    assert_eq!(update.filter.as_deref(), Some("t.a = v.a AND EXISTS (SELECT 1 FROM t)"));
    assert_eq!(update.placeholder_count, 2);
}

#[test]
fn a_merge_says_what_is_wrong_with_its_clauses() {
    let merge = |clauses: &str| refusal(&format!("MERGE INTO t USING s ON t.k = s.k {clauses}"));
    for (clauses, message) in [
        ("", "at or near \"EOF\": syntax error: expected WHEN"),
        ("WHEN MATCHED THEN INSERT VALUES (1)", "at or near \"INSERT\": syntax error: expected UPDATE"),
        ("WHEN NOT MATCHED THEN DELETE", "at or near \"DELETE\": syntax error: expected INSERT"),
        (
            "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED AND s.a = 1 THEN DO NOTHING",
            "unreachable WHEN clause specified after unconditional WHEN clause",
        ),
        ("WHEN MATCHED THEN DELETE RETURNING (SELECT 1)", "a subquery in RETURNING of MERGE is not supported"),
        (&"WHEN MATCHED AND a THEN DELETE ".repeat(65), "MERGE of more than 64 WHEN clauses"),
    ] {
        assert_eq!(merge(clauses), message, "{clauses}");
    }
    assert_eq!(refusal("MERGE t USING s ON true"), "at or near \"t\": syntax error: expected INTO");
}

#[test]
fn files_stand_in_from() {
    for (text, expected) in [
        ("SELECT * FROM @s/a/b.parquet LIMIT 1", "SELECT * FROM show_1 LIMIT 1"),
        ("SELECT a FROM 'nodelocal://1/x.parquet' AS t WHERE a = 'b', 'c'", ""),
        (
            "SELECT t.a FROM 's3://b/p/' (PATTERN => '.*' FILE_FORMAT => 'parquet') t, u JOIN '@s' x ON true",
            "SELECT t.a FROM show_1 t, u JOIN show_2 x ON true",
        ),
        (
            "SELECT extract(year FROM '2026-01-01'::DATE), 'a', (SELECT count(*) FROM @s) FROM t WHERE a IS DISTINCT FROM 'b'",
            "SELECT EXTRACT(YEAR FROM '2026-01-01'::DATE), 'a', (SELECT count(*) FROM show_1) FROM t WHERE a IS DISTINCT FROM 'b'",
        ),
        (
            "SELECT $2, t.$1:a.b[0]::INT FROM @s (FILE_FORMAT => 'csv') t WHERE $3 = 'x'",
            "SELECT \"$2\", (t.\"$1\" -> 'a' -> 'b' -> 0)::INT FROM show_1 t WHERE \"$3\" = 'x'",
        ),
        ("SELECT * FROM infer_schema(LOCATION => '@s/p', MAX_FILE_COUNT => 3) AS c", "SELECT * FROM show_1 AS c"),
        ("SELECT name FROM LIST_STAGE(PATTERN => 'a.*', LOCATION => '@s/')", "SELECT name FROM show_1"),
    ] {
        if expected.is_empty() {
            assert!(parse_one(text).is_err(), "{text}");
            continue;
        }
        let found = query(text);
        assert_eq!(found.text, expected);
        assert_eq!(found.placeholder_count, 0);
        crate::fuzzing::statements(text);
    }
    let found = query("SELECT $2, $1, $2 FROM @s (FILE_FORMAT => 'csv', FILES => ('a', 'b''c'))");
    assert_eq!((found.files[0].1.positions.as_slice(), found.files[0].1.files.len()), ([1, 2].as_slice(), 2));
    assert_eq!(found.files[0].1.to_string(), "'@s' (FILE_FORMAT => 'csv', FILES => ('a', 'b''c'))");
}

#[test]
fn files_with_wrong_options_are_refused() {
    for (text, message) in [
        ("SELECT * FROM @s (FORMAT => 'csv')", "at or near \"format\": syntax error: expected FILE_FORMAT, PATTERN"),
        ("SELECT * FROM @s (FILE_FORMAT => csv)", "at or near \"csv\": syntax error: expected a string"),
        ("SELECT * FROM LIST_STAGE(PATTERN => 'x')", "list_stage must specify location"),
        ("SELECT * FROM LIST_STAGE(LOCATION => '@s', K => 'x')", "unknown param k for list_stage"),
        (
            "SELECT * FROM INFER_SCHEMA(LOCATION => '@s', MAX_RECORDS_PRE_FILE => 1)",
            "unknown param max_records_pre_file",
        ),
        ("UPDATE t SET a = (SELECT max($1) FROM @s)", "files in place are read by queries and INSERT only"),
    ] {
        let found = refusal(text);
        assert!(found.to_lowercase().starts_with(&message.to_lowercase()), "{text}: {found}");
    }
}

#[test]
fn positions_are_those_of_the_files_in_reach() {
    for (text, expected) in [
        ("SELECT a, u.$2 FROM @s t JOIN @s u ON t.a = u.$1:x", vec![vec![], vec![1, 2]]),
        ("SELECT a, (SELECT max($1) FROM @u) FROM @s ORDER BY a", vec![vec![1], vec![]]),
        ("SELECT $1 FROM @s UNION SELECT a FROM @u", vec![vec![1], vec![]]),
        ("SELECT a FROM @s ORDER BY $3", vec![vec![3]]),
        ("SELECT $2, $1 FROM @s, @u", vec![vec![1, 2], vec![1, 2]]),
        ("SELECT t.a FROM t, LATERAL (SELECT s.$1 FROM @u) x, @s s", vec![vec![], vec![1]]),
    ] {
        let found: Vec<_> = query(text).files.into_iter().map(|(_, source)| source.positions).collect();
        assert_eq!(found, expected, "{text}");
    }
}
