//! IMPORT against a server with an engine that keeps rows in memory.

mod avro;
mod bad_files;
mod compression;
mod delimited;
mod resume;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray};
use parquet::arrow::ArrowWriter;

use crate::engine_stub::{Client, StubServer};

async fn server_with(columns: &str) -> (StubServer, Client) {
    let stub = StubServer::start().await;
    let root = stub.session("root").await;
    root.ok(&format!("CREATE TABLE t ({columns})")).await;
    (stub, root)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_pattern_are_imported_and_counted() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("in/a1.csv", "1,one\n2,\"t\"\"wo\"\n");
    stub.write("in/a2.csv", "\u{FEFF}3,three");
    stub.write("in/b.csv", "bad");
    let rows = root.ok("IMPORT INTO t CSV DATA ('nodelocal://1/in/a*.csv')").await;
    assert_eq!(rows[0][1..5], ["succeeded", "1", "3", "0"]);
    assert_eq!(stub.engine.rows(), [["1", "one"], ["2", "t\"wo"], ["3", "three"]]);
    let job = root.ok(&format!("SHOW JOB {}", rows[0][0])).await;
    assert_eq!(
        job[0][1..5],
        [
            "IMPORT",
            "IMPORT INTO defaultdb.public.t(id, name) CSV DATA ('nodelocal://1/in/a*.csv')",
            "root",
            "succeeded"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_named_and_nothing_stays() {
    let (stub, root) = server_with("a INT8, b INT8, c TEXT").await;
    for (content, code, message) in [
        ("1,2,3,4\n", "22P04", "error parsing row 1: expected 3 fields, got 4 (row: 1,2,3,4)"),
        ("1,2,x\n1,b,x\n", "22P02", "error parsing row 2: parse \"b\" as INT8: could not parse \"b\" as type int8"),
        ("1,2,\"x\n", "22P04", "error parsing row 1: unterminated quoted field"),
    ] {
        stub.write("f.csv", content);
        let found = root.error("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv')").await;
        assert_eq!(found, (code.to_string(), format!("nodelocal://1/f.csv: {message}")));
    }
    stub.write("f.csv", b"1,2,ok\n1,2,\xFF\n");
    let (code, message) = root.error("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv')").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("22021", "nodelocal://1/f.csv: error parsing row 2: invalid UTF-8 at byte 5 of the row")
    );
    assert!(stub.engine.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_null_depends_on_quotes_types_and_options() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("f.csv", ",\n1,\"\"\nNA,NA\n2,\"NA\"\n");
    for (options, expected) in [
        ("nullif = 'NA', row_limit = '3'", None),
        ("nullif = '', skip = '1', row_limit = '1'", Some(vec![["1", ""]])),
        ("nullif = '', allow_quoted_null, skip = '1', row_limit = '1'", Some(vec![["1", "NULL"]])),
        ("nullif = 'NA', skip = '2'", Some(vec![["2", "NA"], ["NULL", "NULL"]])),
        ("row_limit = '2'", Some(vec![["1", ""], ["NULL", ""]])),
    ] {
        stub.engine.appended.lock().unwrap().clear();
        let outcome = root.run(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv') WITH {options}")).await;
        match expected {
            Some(expected) => {
                outcome.unwrap();
                assert_eq!(stub.engine.rows(), expected, "{options}");
            }
            None => assert_eq!(outcome.unwrap_err().code().code(), "22P02", "{options}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_are_matched_by_name() {
    let (stub, root) = server_with("id INT8, price DECIMAL(30,10), tags TEXT[], extra JSONB").await;
    stub.write("f.json", "{\"extra\": {\"k\": [1]}, \"id\": 1, \"price\": 12345678901234567890.12, \"x\": 1}\n\n{\"tags\":[\"a b\",null],\"id\":\"2\"}");
    root.ok("IMPORT INTO t NDJSON DATA ('nodelocal://1/f.json')").await;
    assert_eq!(
        stub.engine.rows(),
        [["1", "12345678901234567890.1200000000", "NULL", "{\"k\": [1]}"], ["2", "NULL", "{\"a b\",NULL}", "NULL"]]
    );
    let (code, message) = root.error("IMPORT INTO t NDJSON DATA ('nodelocal://1/f.json') WITH strict_validation").await;
    assert_eq!(code, "42703");
    assert_eq!(message, "nodelocal://1/f.json: error parsing row 1: field \"x\" is no column of the table");
}

fn parquet_file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    for row in 0..batch.num_rows() {
        writer.write(&batch.slice(row, 1)).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_columns_are_matched_by_name_and_cast() {
    let (stub, root) = server_with("id INT8, at TIMESTAMPTZ, name VARCHAR(3), missing INT8").await;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("NAME", Arc::new(StringArray::from(vec![Some("abc"), None]))),
        ("other", Arc::new(Int32Array::from(vec![0, 0]))),
        ("id", Arc::new(Int32Array::from(vec![1, 2]))),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![1_000_000_000, 2_000_000_000]))),
    ];
    stub.write("f.parquet", parquet_file(columns));
    root.ok("IMPORT INTO t PARQUET DATA ('nodelocal://1/f.parquet')").await;
    assert_eq!(
        stub.engine.rows(),
        [["1", "1970-01-01 00:00:01+00", "abc", "NULL"], ["2", "1970-01-01 00:00:02+00", "NULL", "NULL"]]
    );
    let (code, message) =
        root.error("IMPORT INTO t PARQUET DATA ('nodelocal://1/f.parquet') WITH strict_validation").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("42703", "nodelocal://1/f.parquet: column \"missing\" is not in the file")
    );
    stub.write("g.parquet", parquet_file(vec![("name", Arc::new(StringArray::from(vec!["long"])))]));
    let (code, message) = root.error("IMPORT INTO t PARQUET DATA ('nodelocal://1/g.parquet')").await;
    assert_eq!(code, "22001");
    assert!(message.starts_with("nodelocal://1/g.parquet: column \"name\" as VARCHAR(3): "), "{message}");
    stub.write("h.parquet", "id\n1\nthis is not what it says");
    let (code, message) = root.error("IMPORT INTO t PARQUET DATA ('nodelocal://1/h.parquet')").await;
    assert_eq!(code, "22P04");
    assert!(message.starts_with("nodelocal://1/h.parquet: not a Parquet file"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_refused_before_a_job_is_made() {
    let (stub, root) = server_with("id INT8").await;
    root.ok("CREATE USER u").await;
    let u = stub.session("u").await;
    let import = "IMPORT INTO t CSV DATA ('nodelocal://1/f.csv')";
    let (code, message) = u.error(import).await;
    assert_eq!(code, "42501");
    assert!(message.contains("EXTERNALIOIMPLICITACCESS"), "{message}");
    let (_, message) = u.error("IMPORT INTO nope CSV DATA ('external://c/f.csv')").await;
    assert_eq!(message, "user u does not have USAGE privilege on external_connection c");
    for (sql, code, message) in [
        ("IMPORT INTO nope CSV DATA ('nodelocal://1/f')", "42P01", "relation \"nope\" does not exist"),
        ("IMPORT INTO t XML DATA ('nodelocal://1/f')", "0A000", "unsupported import format: \"xml\""),
        ("IMPORT INTO t CSV DATA ('nodelocal://1/f') WITH xyz", "22023", "invalid option \"xyz\""),
        ("IMPORT INTO t CSV DATA ('nodelocal://1/f') WITH skip", "22023", "option \"skip\" requires a value"),
        (
            "IMPORT INTO t (id, x) CSV DATA ('nodelocal://1/f')",
            "42703",
            "column \"x\" of relation \"t\" does not exist",
        ),
        ("IMPORT INTO t CSV DATA ('nodelocal://1/f')", "58P01", "nodelocal://1/f: "),
        (
            "IMPORT INTO t CSV DATA ('nodelocal://1/dir/*.csv')",
            "58P01",
            "no files matched \"*.csv\" in prefix \"/dir/\" in uri provided: \"nodelocal://1/dir/*.csv\"",
        ),
    ] {
        let found = root.error(sql).await;
        assert_eq!(found.0, code, "{sql}: {}", found.1);
        assert!(found.1.starts_with(message), "{sql}: {}", found.1);
    }
    root.ok("BEGIN").await;
    let (_, message) = root.error(import).await;
    assert_eq!(message, "IMPORT cannot be used inside a multi-statement transaction without DETACHED option");
    root.ok("ROLLBACK").await;
    assert_eq!(root.ok("SHOW JOBS").await.len(), 2, "the two that looked for files");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_stay_out_of_the_job_row() {
    let stub = StubServer::without_jobs().await;
    let root = stub.session("root").await;
    root.ok("CREATE TABLE t (id INT8)").await;
    let uri = "s3://b/f.csv?AWS_ACCESS_KEY_ID=AKIA&AWS_SECRET_ACCESS_KEY=hunter22";
    let id = &root.ok(&format!("IMPORT INTO t CSV DATA ('{uri}') WITH detached, skip = '1'")).await[0][0];
    let shown = &root.ok(&format!("SHOW JOB {id}")).await[0][2];
    assert_eq!(
        shown,
        "IMPORT INTO defaultdb.public.t(id) CSV DATA ('s3://b/f.csv?AWS_ACCESS_KEY_ID=AKIA&AWS_SECRET_ACCESS_KEY=redacted') WITH OPTIONS (detached, skip = '1')"
    );
    let mut tx = stub.server.config.catalog.read().await.unwrap();
    let job = tx.jobs().await.unwrap().remove(0);
    assert!(!format!("{job:?}").contains("hunter22"));
    for file in ["catalog.db", "catalog.db-wal"] {
        let bytes = std::fs::read(stub.folder.path().join(file)).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"hunter22"), "{file}");
    }
}

/// Waits until a column of SHOW JOB has a value.
async fn shows(client: &Client, id: &str, column: usize, wanted: &str) {
    for _ in 0..500 {
        if client.ok(&format!("SHOW JOB {id}")).await[0][column] == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("job {id} never shows {wanted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_delegate_and_confine() {
    let (stub, root) = server_with("id INT8").await;
    stub.write("in/sub/a.csv", "1\n");
    stub.write("other/a.csv", "9\n");
    root.ok("CREATE EXTERNAL CONNECTION lake AS 'nodelocal://1/in'").await;
    root.ok("CREATE USER u; GRANT INSERT, DROP ON TABLE t TO u; GRANT USAGE ON EXTERNAL CONNECTION lake TO u").await;
    let u = stub.session("u").await;
    u.ok("IMPORT INTO t CSV DATA ('external://lake/sub/*.csv', 'external://lake/x/../sub/a.csv')").await;
    assert_eq!(stub.engine.rows(), [["1"], ["1"]]);
    let (_, message) = u.error("IMPORT INTO t CSV DATA ('external://lake/../other/a.csv')").await;
    assert!(message.contains("escapes"), "{message}");

    stub.engine.held.send_replace(true);
    let id = u.ok("IMPORT INTO t CSV DATA ('external://lake/sub/a.csv') WITH detached").await.remove(0).remove(0);
    shows(&root, &id, 5, "reading 1 files").await;
    let (code, _) = root.error("DROP EXTERNAL CONNECTION lake").await;
    assert_eq!(code, "2BP01");
    root.ok("REVOKE USAGE ON EXTERNAL CONNECTION lake FROM u").await;
    root.ok(&format!("PAUSE JOB {id}")).await;
    shows(&root, &id, 4, "paused").await;
    root.ok(&format!("RESUME JOB {id}; SHOW JOB WHEN COMPLETE {id}")).await;
    let job = root.ok(&format!("SHOW JOB {id}")).await.remove(0);
    assert_eq!(job[4], "failed");
    assert_eq!(job[10], "user u does not have USAGE privilege on external_connection lake");
}
