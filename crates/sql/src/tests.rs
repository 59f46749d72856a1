//! What holds for every statement.

mod backup;
mod statements;

use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{Dialect, QualifiedName};

use self::statements::STATEMENTS;
use crate::stmt::Text;
use crate::stmt::table::{Comment, CommentTarget};
use crate::{Statement, SyntaxErrorKind, fuzzing, parse, parse_one};

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
        ("EXECUTE m (15 .'')", "at or near \"'...'\": syntax error", 16),
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
    let found = error("SELECT $files");
    assert_eq!((found.message.as_str(), found.position), ("the variable $files can stand behind PATTERN only", 8));
    assert_eq!(found.kind, SyntaxErrorKind::Unsupported);
    let found = error("CREATE TABLE t (a INT, b WIDGET)");
    assert_eq!((found.message.as_str(), found.position), ("type \"widget\" does not exist", 26));
    assert_eq!(found.kind, SyntaxErrorKind::Type);
}

#[test]
fn databend_statements_are_refused_in_its_words() {
    for (text, message) in [
        ("CREATE CONNECTION c", "unexpected end of input: expected STORAGE_TYPE"),
        ("CREATE CONNECTION c ACCESS_KEY_ID='k'", "at or near \"ACCESS_KEY_ID\": syntax error: expected STORAGE_TYPE"),
        ("CREATE CONNECTION c STORAGE_TYPE='s3', REGION='r'", "at or near \",\": syntax error: expected a word"),
        ("CREATE CONNECTION c STORAGE_TYPE=s3", "at or near \"s3\": syntax error: expected a string"),
        ("CREATE CONNECTION c STORAGE_TYPE='s3' KEY=hunter2", "syntax error: expected a value in single quotes"),
        ("CREATE CONNECTION c STORAGE_TYPE='s3' REGION=", "unexpected end of input: expected a value"),
        (
            "CREATE OR REPLACE CONNECTION IF NOT EXISTS c STORAGE_TYPE='s3'",
            "at or near \"IF\": syntax error: expected a name",
        ),
        (
            "GRANT CREATE CONNECTION ON *.* TO u",
            "CREATE-like privileges cannot be granted directly to USER; please grant them to a role",
        ),
        ("REVOKE OWNERSHIP ON CONNECTION c FROM ROLE r", "OWNERSHIP cannot be revoked, only granted to another role"),
        (
            "COPY INTO t FROM @s ON_ERROR = ABORT_0",
            "OnError must one of {{ CONTINUE | SKIP_FILE | SKIP_FILE_<num> | ABORT | ABORT_<num> }}",
        ),
        ("COPY INTO t FROM @s SIZE = 1", "at or near \"SIZE\": syntax error"),
        ("COPY INTO t FROM (SELECT 1)", "COPY INTO a table takes SELECT list FROM location [alias] only"),
        ("COPY INTO t FROM (SELECT $1 FROM @s WHERE $1 = 'x')", "COPY INTO a table takes SELECT list FROM location"),
        ("COPY INTO t FROM (SELECT DISTINCT $1 FROM @s)", "COPY INTO a table takes SELECT list FROM location"),
        ("COPY INTO t FROM (SELECT $1 FROM @s, u)", "COPY INTO a table takes SELECT list FROM location"),
        ("COPY INTO t FROM (SELECT rank() OVER () FROM @s)", "COPY INTO a table takes SELECT list FROM location"),
        ("COPY INTO t FROM (SELECT (SELECT 1) FROM @s)", "COPY INTO a table takes SELECT list FROM location"),
        ("COPY INTO t FROM (SELECT $1 FROM @s (PATTERN => 'x'))", "options of the files stand behind the query"),
        ("COPY INTO t FROM @s SCHEMA_EVOLUTION = TRUE", "at or near \"TRUE\": syntax error: expected ("),
        ("COPY INTO t FROM @s SCHEMA_EVOLUTION = (SAMPLES = 1)", "at or near \"SAMPLES\": syntax error"),
        ("SHOW CONNECTIONS LIKE 'c%'", "at or near \"LIKE\": syntax error"),
    ] {
        let found = error(text);
        assert!(found.message.starts_with(message), "{text}: {}", found.message);
        assert_eq!(found.dialect, Dialect::Databend, "{text}");
    }
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
        ("SELECT a::geometry('Point') FROM t", "a type of this name with modifiers is not supported"),
        ("SELECT a::geometry('Point')[] FROM t", "a type of this name with modifiers is not supported"),
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
fn a_size_is_that_of_a_file_that_comes() {
    for text in ["COPY t FROM STDIN (SIZE 1)", "COPY @s/a TO STDOUT (FORMAT binary, SIZE 1)"] {
        assert!(error(text).message.starts_with("COPY SIZE is that of a file that comes"), "{text}");
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
        "BACKUP INTO LATEST IN ('s3://b?K=hunter2', 's3://c') WITH kms = 'aws:///k?K=hunter2'",
        "RESTORE FROM LATEST IN 's3://b' WITH encryption_passphrase = 'hunter2'",
        "SHOW BACKUP LATEST IN 's3://b?K=hunter2' WITH KMS = ('aws:///k?K=hunter2')",
        "ALTER BACKUP LATEST IN 's3://b' ADD NEW_KMS = 'aws:///k?K=hunter2' WITH OLD_KMS = 'aws:///l?K=hunter2'",
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
