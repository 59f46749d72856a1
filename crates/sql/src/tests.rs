//! What holds for every statement.

use lakeport_base::QualifiedName;
use lakeport_base::name::{quote_ident, quote_literal};

use crate::stmt::Text;
use crate::stmt::table::{Comment, CommentTarget};
use crate::{Statement, SyntaxErrorKind, fuzzing, parse, parse_one};

/// One statement of every form, each with the text it prints as.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "create external connection Foo as 's3://b/p?AWS_SECRET_ACCESS_KEY=a''b'",
        "CREATE EXTERNAL CONNECTION 'foo' AS 's3://b/p?AWS_SECRET_ACCESS_KEY=a''b'",
    ),
    (
        "CREATE EXTERNAL CONNECTION IF NOT EXISTS \"Drop-Me\" AS $1 WITH (VALIDATE = false)",
        "CREATE EXTERNAL CONNECTION IF NOT EXISTS 'Drop-Me' AS $1 WITH (VALIDATE = false)",
    ),
    ("ALTER EXTERNAL CONNECTION IF EXISTS foo AS 'x'", "ALTER EXTERNAL CONNECTION IF EXISTS 'foo' AS 'x'"),
    ("DROP EXTERNAL CONNECTION foo CASCADE", "DROP EXTERNAL CONNECTION 'foo' CASCADE"),
    ("SHOW EXTERNAL CONNECTIONS", "SHOW EXTERNAL CONNECTIONS"),
    ("SHOW EXTERNAL CONNECTION foo", "SHOW EXTERNAL CONNECTION 'foo'"),
    ("SHOW CREATE ALL EXTERNAL CONNECTIONS", "SHOW CREATE ALL EXTERNAL CONNECTIONS"),
    ("SHOW CREATE EXTERNAL CONNECTION 'a b'", "SHOW CREATE EXTERNAL CONNECTION 'a b'"),
    (
        "CHECK EXTERNAL CONNECTION 'external://a' WITH OPTIONS (TRANSFER = '1MiB', concurrently = 4, time='5s')",
        "CHECK EXTERNAL CONNECTION 'external://a' WITH transfer = '1MiB', concurrently = '4', time = '5s'",
    ),
    (
        "GRANT SYSTEM EXTERNALCONNECTION, backup TO bob, \"Al\" WITH GRANT OPTION",
        "GRANT SYSTEM EXTERNALCONNECTION, BACKUP TO bob, \"Al\" WITH GRANT OPTION",
    ),
    ("GRANT ALL PRIVILEGES ON EXTERNAL CONNECTION a, \"B\" TO u", "GRANT ALL ON EXTERNAL CONNECTION a, \"B\" TO u"),
    ("GRANT select, insert ON t, d.s.u TO u", "GRANT SELECT, INSERT ON TABLE t, d.s.u TO u"),
    ("GRANT SELECT ON TABLE d.* TO u", "GRANT SELECT ON ALL TABLES IN SCHEMA d TO u"),
    ("GRANT CREATE ON DATABASE d TO u", "GRANT CREATE ON DATABASE d TO u"),
    ("GRANT USAGE ON SCHEMA d.s TO u", "GRANT USAGE ON SCHEMA d.s TO u"),
    (
        "REVOKE GRANT OPTION FOR USAGE ON EXTERNAL CONNECTION c FROM u",
        "REVOKE GRANT OPTION FOR USAGE ON EXTERNAL CONNECTION c FROM u",
    ),
    ("REVOKE SYSTEM ALL FROM u", "REVOKE SYSTEM ALL FROM u"),
    ("GRANT admin, x TO u WITH ADMIN OPTION", "GRANT admin, x TO u WITH ADMIN OPTION"),
    ("REVOKE ADMIN OPTION FOR admin FROM u", "REVOKE ADMIN OPTION FOR admin FROM u"),
    ("SHOW GRANTS", "SHOW GRANTS"),
    ("SHOW GRANTS ON EXTERNAL CONNECTION a, b FOR u, v", "SHOW GRANTS ON EXTERNAL CONNECTION a, b FOR u, v"),
    ("SHOW SYSTEM GRANTS FOR u", "SHOW SYSTEM GRANTS FOR u"),
    (
        "CREATE USER IF NOT EXISTS bob WITH PASSWORD 'x' NOCREATEDB VALID UNTIL NULL",
        "CREATE USER IF NOT EXISTS bob WITH PASSWORD 'x' NOCREATEDB VALID UNTIL NULL",
    ),
    ("CREATE ROLE r LOGIN", "CREATE ROLE r WITH LOGIN"),
    ("CREATE ROLE r", "CREATE ROLE r"),
    ("ALTER USER IF EXISTS bob PASSWORD NULL", "ALTER ROLE IF EXISTS bob WITH PASSWORD NULL"),
    ("ALTER ROLE ALL IN DATABASE d SET search_path = a, b", "ALTER ROLE ALL IN DATABASE d SET search_path = 'a, b'"),
    ("ALTER ROLE bob RESET ALL", "ALTER ROLE bob RESET ALL"),
    ("ALTER ROLE bob RESET timezone", "ALTER ROLE bob RESET timezone"),
    ("DROP USER IF EXISTS a, b", "DROP ROLE IF EXISTS a, b"),
    ("SHOW USERS", "SHOW ROLES"),
    ("SHOW JOBS", "SHOW JOBS"),
    ("SHOW AUTOMATIC JOBS", "SHOW JOBS"),
    ("SHOW JOBS WHEN COMPLETE SELECT id FROM j", "SHOW JOBS WHEN COMPLETE SELECT id FROM j"),
    ("SHOW JOB 12", "SHOW JOB '12'"),
    ("SHOW JOB WHEN COMPLETE $1", "SHOW JOB WHEN COMPLETE $1"),
    ("PAUSE JOB 12 WITH REASON = 'tea'", "PAUSE JOBS '12' WITH REASON = 'tea'"),
    (
        "RESUME JOBS (SELECT job_id FROM [SHOW JOBS] WHERE a IN (1, 2))",
        "RESUME JOBS (SELECT job_id FROM [SHOW JOBS] WHERE a IN (1, 2))",
    ),
    ("CANCEL JOBS SELECT 1 WITH REASON = 'x'", "CANCEL JOBS SELECT 1 WITH REASON = 'x'"),
    ("CANCEL ALL import JOBS", "CANCEL ALL IMPORT JOBS"),
    (
        "IMPORT INTO d.t (a, B) csv DATA 'a', 'b' WITH skip = '1', nullif = '', detached",
        "IMPORT INTO d.t (a, b) CSV DATA ('a', 'b') WITH skip = '1', nullif = '', detached",
    ),
    ("IMPORT INTO t PARQUET DATA ($1)", "IMPORT INTO t PARQUET DATA ($1)"),
    (
        "EXPORT INTO csv 'external://x' WITH delimiter = '|' FROM TABLE d.\"T\"",
        "EXPORT INTO CSV 'external://x' WITH delimiter = '|' FROM SELECT * FROM d.\"T\"",
    ),
    (
        "CREATE DATABASE IF NOT EXISTS d WITH LOCATION = 'external://lake/d'",
        "CREATE DATABASE IF NOT EXISTS d WITH LOCATION = 'external://lake/d'",
    ),
    ("DROP DATABASE IF EXISTS d RESTRICT", "DROP DATABASE IF EXISTS d RESTRICT"),
    ("ALTER DATABASE d RENAME TO e", "ALTER DATABASE d RENAME TO e"),
    ("CREATE SCHEMA IF NOT EXISTS d.s", "CREATE SCHEMA IF NOT EXISTS d.s"),
    ("DROP SCHEMA IF EXISTS s CASCADE", "DROP SCHEMA IF EXISTS s CASCADE"),
    ("SHOW DATABASES", "SHOW DATABASES"),
    ("SHOW SCHEMAS FROM d", "SHOW SCHEMAS FROM d"),
    (
        "CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, n DECIMAL(10, 2) DEFAULT 1 + 2 NOT NULL, ts timestamp with time zone, tags TEXT[], d double precision NULL, FAMILY f (id, n), family (ts), v character varying(5))",
        "CREATE TABLE IF NOT EXISTS t (id INT8 NOT NULL, n DECIMAL(10,2) NOT NULL DEFAULT 1 + 2, ts TIMESTAMPTZ, tags STRING[], d FLOAT8, v VARCHAR(5), PRIMARY KEY (id))",
    ),
    (
        "CREATE TABLE t (a INT, b INT, CONSTRAINT pk PRIMARY KEY (a, b ASC))",
        "CREATE TABLE t (a INT8 NOT NULL, b INT8 NOT NULL, PRIMARY KEY (a, b))",
    ),
    ("CREATE TABLE t ()", "CREATE TABLE t ()"),
    ("CREATE TABLE t (a, b) AS SELECT 1, 2", "CREATE TABLE t (a, b) AS SELECT 1, 2"),
    ("CREATE TABLE t AS TABLE u", "CREATE TABLE t AS SELECT * FROM u"),
    ("DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE IF EXISTS a, b.c"),
    (
        "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS a INT DEFAULT 1, DROP b, RENAME c TO d, RENAME TO u",
        "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS a INT8 DEFAULT 1, DROP COLUMN b, RENAME COLUMN c TO d, RENAME TO u",
    ),
    (
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT now(), ALTER a DROP DEFAULT, ALTER a SET NOT NULL, ALTER a DROP NOT NULL, OWNER TO bob",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT now(), ALTER COLUMN a DROP DEFAULT, ALTER COLUMN a SET NOT NULL, ALTER COLUMN a DROP NOT NULL, OWNER TO bob",
    ),
    ("TRUNCATE a, b RESTRICT", "TRUNCATE TABLE a, b"),
    ("COMMENT ON DATABASE d IS 'x'", "COMMENT ON DATABASE d IS 'x'"),
    ("COMMENT ON TABLE d.t IS NULL", "COMMENT ON TABLE d.t IS NULL"),
    ("COMMENT ON COLUMN d.s.t.c IS 'x'", "COMMENT ON COLUMN d.s.t.c IS 'x'"),
    ("SHOW TABLES FROM d.s", "SHOW TABLES FROM d.s"),
    ("SHOW COLUMNS FROM t", "SHOW COLUMNS FROM t"),
    ("SHOW CREATE t", "SHOW CREATE TABLE t"),
    ("INSERT INTO t VALUES (1, DEFAULT), (-2, 'a''''b')", "INSERT INTO t VALUES (1, DEFAULT), (-2, 'a''''b')"),
    (
        "INSERT INTO T (A, \"B\") SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = excluded.b, c = DEFAULT WHERE t.b > 1 RETURNING a, b AS c",
        "INSERT INTO t (a, \"B\") SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = excluded.b, c = DEFAULT WHERE t.b > 1 RETURNING a, b AS c",
    ),
    ("INSERT INTO t DEFAULT VALUES RETURNING *", "INSERT INTO t DEFAULT VALUES RETURNING *"),
    ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING"),
    ("UPSERT INTO t (a) VALUES ($1)", "UPSERT INTO t (a) VALUES ($1)"),
    ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x"),
    (
        "UPDATE d.t AS x SET a = 1, (b, c) = (2, DEFAULT) FROM u WHERE x.a = u.a RETURNING x.a",
        "UPDATE d.t AS x SET a = 1, b = 2, c = DEFAULT FROM u WHERE x.a = u.a RETURNING x.a",
    ),
    (
        "DELETE FROM t x USING u, v WHERE x.a = u.a RETURNING *",
        "DELETE FROM t AS x USING u, v WHERE x.a = u.a RETURNING *",
    ),
    (
        "SELECT E'a\\'b\\n', $$x'y$$, \"A\"\"b\" FROM t AS OF SYSTEM TIME '-10s' WHERE a = 1 ORDER BY b LIMIT 1",
        "SELECT E'a\\'b\\n', $$x'y$$, \"A\"\"b\" FROM t WHERE a = 1 ORDER BY b LIMIT 1 AS OF SYSTEM TIME '-10s'",
    ),
    (
        "SELECT * FROM t AS OF SYSTEM TIME with_max_staleness('10s')",
        "SELECT * FROM t AS OF SYSTEM TIME with_max_staleness('10s')",
    ),
    (
        "SELECT * FROM [SHOW EXTERNAL CONNECTIONS] AS x JOIN [SHOW JOBS] ON true",
        "SELECT * FROM [SHOW EXTERNAL CONNECTIONS] AS x JOIN [SHOW JOBS] ON true",
    ),
    ("SELECT a[1], ARRAY[1, 2] FROM t", "SELECT a[1], ARRAY[1, 2] FROM t"),
    ("VALUES (1), (2)", "VALUES (1), (2)"),
    ("TABLE \"T\"", "SELECT * FROM \"T\""),
    ("(SELECT 1) UNION ALL (SELECT 2)", "(SELECT 1) UNION ALL (SELECT 2)"),
    ("EXPLAIN (ANALYZE, VERBOSE off) SELECT 1", "EXPLAIN ANALYZE SELECT 1"),
    ("EXPLAIN VERBOSE TABLE t", "EXPLAIN SELECT * FROM t"),
    ("EXPLAIN (COSTS OFF, FORMAT TEXT) SELECT 1", "EXPLAIN SELECT 1"),
    (
        "EXPLAIN UPDATE t AS x SET a = b + 1 FROM u WHERE x.k = u.k",
        "EXPLAIN SELECT b + 1 FROM t AS x, u WHERE x.k = u.k",
    ),
    (
        "MERGE INTO d.t a USING s ON a.k = s.k WHEN MATCHED AND s.n = 0 THEN DELETE
         WHEN MATCHED THEN UPDATE SET n = DEFAULT, (x, y) = (1, $2) WHEN NOT MATCHED THEN DO NOTHING",
        "MERGE INTO d.t AS a USING s ON a.k = s.k WHEN MATCHED AND s.n = 0 THEN DELETE \
         WHEN MATCHED THEN UPDATE SET n = DEFAULT, x = 1, y = $2 WHEN NOT MATCHED THEN DO NOTHING",
    ),
    (
        "MERGE INTO t USING (VALUES (1, 'it''s')) AS s (k, v) ON t.k = s.k AND CASE WHEN true THEN true END
         WHEN NOT MATCHED BY TARGET AND k > 1 THEN INSERT (k, \"V\") VALUES (s.k, v || 'x')
         WHEN NOT MATCHED THEN INSERT DEFAULT VALUES
         WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), t.*",
        "MERGE INTO t USING (VALUES (1, 'it''s')) AS s (k, v) ON t.k = s.k AND CASE WHEN true THEN true END \
         WHEN NOT MATCHED AND k > 1 THEN INSERT (k, \"V\") VALUES (s.k, v || 'x') \
         WHEN NOT MATCHED THEN INSERT DEFAULT VALUES \
         WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), t.*",
    ),
    (
        "WITH x AS (SELECT 1 AS k) MERGE INTO t USING x JOIN u ON x.k = u.k ON t.k = x.k WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING ((SELECT 1 AS k) x JOIN u ON x.k = u.k) ON t.k = x.k WHEN MATCHED THEN DELETE",
    ),
    (
        "EXPLAIN MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "EXPLAIN SELECT 1 FROM t RIGHT JOIN s ON t.k = s.k",
    ),
    ("EXPLAIN DELETE FROM t WHERE a > 1", "EXPLAIN SELECT 1 FROM t WHERE a > 1"),
    ("EXPLAIN INSERT INTO t SELECT a FROM u", "EXPLAIN SELECT a FROM u"),
    (
        "WITH x (k) AS (SELECT 1), y AS (SELECT k FROM x) DELETE FROM t WHERE k IN (SELECT k FROM y)",
        "DELETE FROM t WHERE k IN (SELECT k FROM (SELECT k FROM (SELECT 1) x (k)) y)",
    ),
    (
        "COPY t (a,b) FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ',', NULL '')",
        "COPY t (a, b) FROM STDIN WITH (FORMAT csv, DELIMITER ',', NULL '', HEADER true, QUOTE '\"', ESCAPE '\"')",
    ),
    (
        "COPY t FROM STDIN CSV HEADER",
        "COPY t FROM STDIN WITH (FORMAT csv, DELIMITER ',', NULL '', HEADER true, QUOTE '\"', ESCAPE '\"')",
    ),
    ("COPY t FROM STDIN", "COPY t FROM STDIN WITH (FORMAT text, DELIMITER '\t', NULL '\\N', HEADER false)"),
    ("copy userfile 'a/b' from stdin binary", "COPY USERFILE 'a/b' FROM STDIN WITH (FORMAT binary)"),
    ("COPY USERFILE 'a' TO STDOUT WITH (FORMAT binary)", "COPY USERFILE 'a' TO STDOUT WITH (FORMAT binary)"),
    ("show userfiles", "SHOW USERFILES"),
    ("DROP USERFILE IF EXISTS 'a'", "DROP USERFILE IF EXISTS 'a'"),
    ("COPY (SELECT 1) TO STDOUT BINARY", "COPY (SELECT 1) TO STDOUT WITH (FORMAT binary)"),
    (
        "COPY t (a) TO STDOUT WITH DELIMITER AS '|' NULL 'x'",
        "COPY (SELECT a FROM t) TO STDOUT WITH (FORMAT text, DELIMITER '|', NULL 'x', HEADER false)",
    ),
    ("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "BEGIN READ ONLY"),
    ("START TRANSACTION", "BEGIN"),
    ("END", "COMMIT"),
    ("ABORT", "ROLLBACK"),
    ("SAVEPOINT a", "SAVEPOINT a"),
    ("RELEASE a", "RELEASE SAVEPOINT a"),
    ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT a"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
    ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
    ("SET a.B TO on", "SET a.b = 'on'"),
    ("SET LOCAL search_path = x, 'Y'", "SET LOCAL search_path = 'x, Y'"),
    ("SET extra_float_digits = -3", "SET extra_float_digits = '-3'"),
    ("SET TIME ZONE 'UTC'", "SET timezone = 'UTC'"),
    ("SET TIME ZONE -3", "SET timezone = '-3'"),
    ("SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE", "SET timezone = '+02:00'"),
    ("SET NAMES 'utf8'", "SET client_encoding = 'utf8'"),
    ("SET x = DEFAULT", "SET x = DEFAULT"),
    ("USE movr", "SET database = 'movr'"),
    ("SHOW Server_Version", "SHOW server_version"),
    ("SHOW ALL", "SHOW ALL"),
    ("SHOW TIME ZONE", "SHOW timezone"),
    ("SHOW TRANSACTION ISOLATION LEVEL", "SHOW transaction_isolation"),
    ("RESET ALL", "RESET ALL"),
    ("RESET search_path", "RESET search_path"),
    ("SET CLUSTER SETTING connection.check_timeout = '1s'", "SET CLUSTER SETTING connection.check_timeout = '1s'"),
    ("RESET CLUSTER SETTING a.b", "SET CLUSTER SETTING a.b = DEFAULT"),
    ("SHOW CLUSTER SETTING a.b", "SHOW CLUSTER SETTING a.b"),
    ("SHOW ALL CLUSTER SETTINGS", "SHOW CLUSTER SETTINGS"),
    ("DISCARD ALL", "DISCARD ALL"),
    ("PREPARE p (int, text) AS SELECT $1, $2", "PREPARE p (INT8, STRING) AS SELECT $1, $2"),
    ("EXECUTE p (1 + 2, 'a')", "EXECUTE p (1 + 2, 'a')"),
    ("EXECUTE p", "EXECUTE p"),
    ("DEALLOCATE PREPARE ALL", "DEALLOCATE ALL"),
    ("DEALLOCATE p", "DEALLOCATE p"),
    ("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"),
    ("DECLARE \"C\" CURSOR FOR VALUES (1)", "DECLARE \"C\" CURSOR FOR VALUES (1)"),
    ("FETCH c", "FETCH 1 FROM c"),
    ("FETCH FORWARD 10 IN c", "FETCH 10 FROM c"),
    ("FETCH NEXT FROM c", "FETCH 1 FROM c"),
    ("MOVE ALL FROM c", "MOVE ALL FROM c"),
    ("CLOSE c", "CLOSE c"),
    ("CLOSE ALL", "CLOSE ALL"),
    ("LISTEN x", "LISTEN"),
    ("VACUUM FULL t", "VACUUM"),
];

#[test]
fn prints_and_parses_back() {
    for (source, printed) in STATEMENTS {
        let parsed = parse_one(source).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        assert_eq!(parsed.statement.to_string(), *printed, "{source}");
        let again = parse_one(printed).unwrap_or_else(|e| panic!("{printed}: {e:?}"));
        assert_eq!(again.statement, parsed.statement, "{source}");
    }
}

/// The error of a text, which must have one.
fn error(text: &str) -> crate::SyntaxError {
    parse(text).map(|parsed| format!("{parsed:?}")).expect_err(text)
}

#[test]
fn errors_say_where_and_what() {
    for (text, message, position) in [
        ("CREATE EXTERNAL CONNECTION a FORM 'x'", "at or near \"FORM\": syntax error: expected AS", 30),
        ("SELECT 1; CREATE EXTERNAL CONNECTION a", "at or near \"EOF\": syntax error: expected AS", 39),
        ("SELECT * FORM t", "at or near \"t\": syntax error", 15),
        ("SELECT 'é', * FROM", "at or near \"EOF\": syntax error: expected identifier", 19),
        ("SELECT ('b'. 3)", "at or near \"3\": syntax error", 14),
        ("SELECT 'abc", "lexical error: unterminated string literal", 8),
        ("DROP EXTERNAL CONNECTION IF EXISTS a", "at or near \"IF\": syntax error: expected a string", 26),
        ("ALTER EXTERNAL CONNECTION IF NOT EXISTS a AS 'x'", "at or near \"NOT\": syntax error: expected AS", 30),
        ("CREATE EXTERNAL CONNECTION a 's3://b?KEY=secret'", "at or near \"'...'\": syntax error: expected AS", 30),
        ("SELECT U&'\\0000'", "string literal must not hold NUL characters", 8),
        ("SELECT $0", "at or near \"$0\": syntax error: expected $1 to $65535", 8),
        ("SELECT '\0'", "statement text must not hold NUL characters", 9),
        ("\"\"", "at or near \"\": syntax error", 1),
    ] {
        let found = error(text);
        assert_eq!((found.message.as_str(), found.position), (message, position), "{text}");
        assert_eq!(found.kind, SyntaxErrorKind::Syntax, "{text}");
    }
    let found = error("CREATE TABLE t (a INT, b WIDGET)");
    assert_eq!((found.message.as_str(), found.position), ("type \"widget\" does not exist", 26));
    assert_eq!(found.kind, SyntaxErrorKind::Type);
}

#[test]
fn hints_name_the_nearest_word() {
    for (text, hint) in [
        ("SELECT * FORM t", "did you mean FROM?"),
        ("SELCT 1", "did you mean SELECT?"),
        ("CREATE EXTRENAL CONNECTION a AS 'x'", "did you mean EXTERNAL?"),
        ("SHOW EXTERNL CONNECTIONS", "did you mean EXTERNAL?"),
        ("CREATE ROLE a LOGN", "did you mean LOGIN?"),
    ] {
        assert_eq!(error(text).hint.as_deref(), Some(hint), "{text}");
    }
}

#[test]
fn what_is_not_supported_says_so() {
    for (text, message) in [
        ("BACKUP INTO 'x'", "this statement is not supported: BACKUP"),
        ("CREATE CHANGEFEED FOR t", "this statement is not supported: CREATE CHANGEFEED"),
        ("CREATE TABLE t (a INT UNIQUE)", "UNIQUE constraints are not supported"),
        ("CREATE TABLE t (a INT REFERENCES u)", "foreign keys are not supported"),
        ("CREATE TABLE t (a INT, CHECK (a > 0))", "CHECK constraints are not supported"),
        (
            "CREATE TABLE t (a INT GENERATED ALWAYS AS IDENTITY)",
            "identity columns that take no values of their own are not supported",
        ),
        (
            "CREATE TABLE t (a INT GENERATED BY DEFAULT AS IDENTITY (START 5))",
            "options of an identity column are not supported",
        ),
        (
            "CREATE TABLE t (a INT2 GENERATED BY DEFAULT AS IDENTITY)",
            "an identity column of type INT2 is not supported",
        ),
        ("CREATE TEMP TABLE t (a INT)", "this statement is not supported: CREATE TEMP"),
        ("COPY t FROM '/etc/passwd'", "COPY with a file of the server is not supported"),
        ("SELECT * INTO u FROM t", "SELECT INTO is not supported"),
        (
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            "a statement that writes inside a query is not supported",
        ),
        ("WITH RECURSIVE x AS (SELECT 1) DELETE FROM t", "WITH RECURSIVE before a change is not supported"),
        ("INSERT OVERWRITE t SELECT 1", "this form of INSERT is not supported"),
        (
            "INSERT INTO t VALUES (1) RETURNING (SELECT a FROM u)",
            "a subquery in ON CONFLICT or RETURNING is not supported",
        ),
        (
            "SELECT * FROM (SELECT * FROM t AS OF SYSTEM TIME '-1s') x",
            "AS OF SYSTEM TIME must be provided on a top-level statement",
        ),
    ] {
        let found = error(text);
        assert_eq!((found.message.as_str(), found.kind), (message, SyntaxErrorKind::Unsupported), "{text}");
    }
}

#[test]
fn copy_options_tell_a_null_from_a_value() {
    for options in [
        "DELIMITER 'n'",
        "DELIMITER '.'",
        "DELIMITER 'N'",
        "NULL E'a\\nb'",
        "FORMAT csv, NULL 'a,b'",
        "FORMAT csv, NULL '\"'",
    ] {
        let message = error(&format!("COPY t FROM STDIN WITH ({options})")).message;
        assert!(message.starts_with("COPY ") || message.starts_with("CSV "), "{options}: {message}");
    }
    assert!(parse_one("COPY t FROM STDIN WITH (DELIMITER '|', NULL 'none')").is_ok());
}

#[test]
fn names_have_limits() {
    let long = "x".repeat(256);
    for text in [
        "CREATE EXTERNAL CONNECTION '' AS 'x'".to_string(),
        "SHOW COLUMNS FROM \"\"".to_string(),
        format!("CREATE EXTERNAL CONNECTION '{long}' AS 'x'"),
        format!("DROP TABLE {long}"),
    ] {
        assert_eq!(error(&text).kind, SyntaxErrorKind::Name, "{text}");
    }
}

#[test]
fn texts_are_cut_at_semicolons() {
    let parsed = parse("-- nothing\n ; SELECT 'a;b' ;; /* x */ SHOW  JOBS;").expect("parses");
    let found: Vec<_> = parsed.iter().map(|p| (p.text.as_str(), p.position)).collect();
    assert_eq!(found, [("SELECT 'a;b'", 15), ("SHOW  JOBS", 39)]);
    assert!(parse(" /* nothing */ ; ").expect("parses").is_empty());
    assert_eq!(parse_one("SELECT $2, $11").expect("parses").placeholder_count, 11);
    assert_eq!(parse_one("SELECT 1; SELECT 2").expect_err("two").position, 11);
}

#[test]
fn secrets_are_not_shown() {
    for text in [
        "CREATE EXTERNAL CONNECTION a AS 's3://b?K=hunter2'",
        "ALTER EXTERNAL CONNECTION a AS 's3://b?K=hunter2'",
        "CREATE USER u PASSWORD 'hunter2'",
        "ALTER USER u PASSWORD 'hunter2'",
        "IMPORT INTO t CSV DATA ('s3://b/x?K=hunter2')",
        "EXPORT INTO CSV 's3://u:hunter2@b/x' FROM TABLE t",
        "CHECK EXTERNAL CONNECTION 's3://b?K=hunter2'",
        "CREATE DATABASE d WITH LOCATION = 's3://b?K=hunter2'",
    ] {
        let parsed = parse_one(text).expect(text);
        assert!(parsed.statement.to_string().contains("hunter2"), "{text}");
        assert!(!format!("{parsed:?}").contains("hunter2"), "{text}");
    }
}

/// Runs on a stack as small as that of a server's thread.
fn on_small_stack(check: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(check).expect("spawns").join().expect("no overflow");
}

#[test]
fn deep_and_long_texts_are_refused() {
    on_small_stack(|| {
        for text in [
            format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("SELECT 1{}", "+1".repeat(100_000)),
            format!("SELECT {} true", "NOT ".repeat(100_000)),
            format!("SELECT {} 1", "- ".repeat(100_000)),
            format!("SELECT {} 1 {}", "CASE WHEN true THEN ".repeat(1_000), " END".repeat(1_000)),
            format!("SELECT 1{}", "::int".repeat(100_000)),
            format!("SELECT 1{}", " IS NULL".repeat(100_000)),
            format!("SELECT 1{}", " UNION SELECT 1, 2".repeat(10_000)),
            format!("SELECT * FROM {} t {}", "(SELECT * FROM ".repeat(1_000), ")".repeat(1_000)),
            format!("SELECT {}1{}", "ARRAY[".repeat(1_000), "]".repeat(1_000)),
            format!("CREATE TABLE t (a INT DEFAULT {}1{})", "(".repeat(1_000), ")".repeat(1_000)),
            format!("SELECT {}1{}", "f(".repeat(40), ")".repeat(40)),
            format!("SELECT {}1{}{}", "f(".repeat(12), ", 1".repeat(100_000), ")".repeat(12)),
            "x".repeat((16 << 20) + 1),
        ] {
            assert_eq!(error(&text).kind, SyntaxErrorKind::TooComplex, "{:.80}", text);
        }
    });
}

#[test]
fn wide_texts_are_refused() {
    let list = |count: usize| vec!["1"; count].join(", ");
    let ctes: String = (1..30).map(|n| format!(", t{n} AS (SELECT * FROM t{0} a, t{0} b)", n - 1)).collect();
    for (text, kind) in [
        (format!("SELECT {}", list(1665)), SyntaxErrorKind::TooManyColumns),
        (format!("SELECT 1 ORDER BY {}", list(1665)), SyntaxErrorKind::TooManyColumns),
        (format!("SELECT * FROM (SELECT {}) t", list(66_000)), SyntaxErrorKind::TooManyColumns),
        (format!("INSERT INTO t VALUES ({})", list(1665)), SyntaxErrorKind::TooManyColumns),
        (format!("SELECT 1 IN ({})", list(65_536)), SyntaxErrorKind::TooComplex),
        (format!("SELECT ARRAY[{}]", list(65_536)), SyntaxErrorKind::TooComplex),
        (format!("SELECT 1 GROUP BY CUBE ({})", list(13)), SyntaxErrorKind::TooComplex),
        (format!("SELECT 1 FROM {}", vec!["t"; 1000].join(", ")), SyntaxErrorKind::TooComplex),
        (format!("WITH t0 AS (SELECT 1){ctes} SELECT * FROM t29"), SyntaxErrorKind::TooComplex),
    ] {
        assert_eq!(error(&text).kind, kind, "{text:.80}");
    }
    for text in [
        format!("SELECT {}", list(1664)),
        format!("SELECT 1 IN ({}), 2", list(65_535)),
        format!("INSERT INTO t VALUES {}", vec!["(1, 2)"; 10_000].join(", ")),
        format!("IMPORT INTO t CSV DATA ({})", vec!["'nodelocal://1/a'"; 10_000].join(", ")),
        format!("WITH t0 AS (SELECT 1){} SELECT * FROM t5", &ctes[..ctes.find(", t6").expect("six")]),
    ] {
        assert!(parse(&text).is_ok(), "{text:.80}");
    }
}

#[test]
fn long_texts_are_read_in_a_moment() {
    let shown = format!("at or near \"{}...\": syntax error", "x".repeat(80));
    assert_eq!(error(&format!("SELECT 1 a {}", "x".repeat(8 << 20))).message, shown);
    let ctes = (1..100_000).map(|n| format!(", c{n} AS (SELECT 1)")).collect::<String>();
    assert!(parse(&format!("WITH c AS (SELECT 1){ctes} SELECT * FROM c1")).is_ok());
}

#[test]
fn what_is_allowed_stays_on_the_stack() {
    on_small_stack(|| {
        for text in [
            format!("SELECT {}1{}", "(".repeat(60), ")".repeat(60)),
            format!("SELECT 1{}", "+1".repeat(2_000)),
            format!("SELECT 1{}", "::int".repeat(2_000)),
            format!("SELECT 1{}", " IS NULL".repeat(2_000)),
            format!("SELECT a FROM t WHERE a = 0{}", " OR a = 1".repeat(1_000)),
            format!("SELECT 1{}", " UNION SELECT 1, 2".repeat(256)),
            format!("SELECT * FROM t{}", " JOIN t ON true".repeat(250)),
            format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(60), ") x".repeat(60)),
            format!("SELECT {}1{}", "f(".repeat(12), ")".repeat(12)),
            format!("SELECT {} 1 {}", "CASE WHEN true THEN ".repeat(60), " END".repeat(60)),
            format!("SELECT a IN ({})", vec!["1"; 65_000].join(", ")),
            format!("INSERT INTO t VALUES {}", vec!["(1, -2, 'x')"; 20_000].join(", ")),
        ] {
            let parsed = parse_one(&text).unwrap_or_else(|e| panic!("{:.80}: {e:?}", text));
            let printed = parsed.statement.to_string();
            assert_eq!(parse_one(&printed).expect("parses back").statement, parsed.statement);
        }
        // Refused by sqlparser or not, it must come back.
        let _ = parse(&format!("SELECT * FROM {}t{}", "(".repeat(60), ")".repeat(60)));
        let _ = parse(&format!("SELECT * FROM t{}{}", " JOIN t".repeat(1_000), " ON true".repeat(1_000)));
    });
}

/// A small generator of pseudo-random numbers (xorshift), so that failures repeat.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Some words of two statements in a new order, with a piece of rubbish between.
fn mutated(numbers: &mut Numbers) -> String {
    const RUBBISH: &[&str] = &[
        "'",
        "\"",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        "$1",
        "$$",
        "--",
        "/*",
        "é",
        "E'\\",
        "AS OF SYSTEM TIME",
        "[SHOW",
        "0x",
        ".",
        "::",
    ];
    let mut words: Vec<&str> = Vec::new();
    for _ in 0..2 {
        words.extend(STATEMENTS[numbers.below(STATEMENTS.len())].0.split(' '));
    }
    for _ in 0..=numbers.below(4).min(words.len() - 1) {
        let (at, other) = (numbers.below(words.len()), numbers.below(words.len()));
        match numbers.below(4) {
            0 if words.len() > 1 => drop(words.remove(at)),
            1 => words.swap(at, other),
            2 => words.insert(at, RUBBISH[numbers.below(RUBBISH.len())]),
            _ => words.truncate(at.max(1)),
        }
    }
    words.join(" ")
}

#[test]
fn quoted_names_and_texts_read_back() {
    const CHARACTERS: [char; 20] =
        ['a', 'A', 'ß', 'İ', '_', '1', '"', '\'', '\\', '$', ';', '-', '/', '*', '.', '%', '&', ' ', '\n', '\u{1F40B}'];
    let mut numbers = Numbers(0xDA94_2042_E4DD_58B5);
    let made = |_| (0..=numbers.below(10)).map(|_| CHARACTERS[numbers.below(CHARACTERS.len())]).collect::<String>();
    let texts: Vec<String> = crate::keywords().map(|(word, _)| word).chain((0..5_000).map(made)).collect();
    for text in texts {
        let statement = format!("COMMENT ON COLUMN t.{} IS {}", quote_ident(&text), quote_literal(&text));
        let target = CommentTarget::Column { table: QualifiedName::bare("t"), column: text.clone() };
        let comment = Comment { target, comment: Some(Text::Literal(text)) };
        assert_eq!(parse_one(&statement).expect(&statement).statement, Statement::Comment(comment), "{statement}");
    }
}

#[test]
fn rubbish_never_panics_and_what_parses_prints_back() {
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for _ in 0..20_000 {
        let text = mutated(&mut numbers);
        fuzzing::statements(&text);
        let cut: String = text.chars().skip(numbers.below(text.len())).collect();
        fuzzing::statements(&cut);
    }
}
