//! Files that are not what their format says: the documented error, and no row.

use crate::engine_stub::{Client, StubServer};

use super::{parquet_file, server_with};

async fn refuses(stub: &StubServer, root: &Client, statement: &str, code: &str, message: &str) {
    let found = root.error(statement).await;
    assert_eq!((found.0.as_str(), found.1.as_str()), (code, message), "{statement}");
    assert!(stub.engine.rows().is_empty() && stub.engine.staged.lock().unwrap().is_empty(), "{statement}");
}

/// Long enough for several ranges, each with rows that fit.
fn long_file(broken: &str, at: usize) -> String {
    let mut lines: Vec<String> = (0..100).map(|number| format!("{number},name {number}")).collect();
    lines[at - 1] = broken.to_string();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_numbered_wherever_it_stands() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    for at in [1, 2, 50, 99, 100] {
        for (row, code, message) in [
            ("1,2,3", "22P04", "expected 2 fields, got 3 (row: 1,2,3)"),
            ("1", "22P04", "expected 2 fields, got 1 (row: 1)"),
            ("x,y", "22P02", "parse \"id\" as INT8: could not parse \"x\" as type int8"),
            (
                "99999999999999999999,y",
                "22003",
                "parse \"id\" as INT8: value \"99999999999999999999\" is out of range for type int8",
            ),
            ("7,\"open", "22P04", "unterminated quoted field"),
        ] {
            stub.write("f.csv", long_file(row, at));
            let statement = "IMPORT INTO t CSV DATA ('nodelocal://1/f.csv')";
            refuses(&stub, &root, statement, code, &format!("nodelocal://1/f.csv: error parsing row {at}: {message}"))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_breaks_in_quotes_do_not_part_rows() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    let name = "first\n2,second\n\"\"third\"\"\n4,";
    let file: String = (0..200).map(|number| format!("{number},\"{name}\"\n")).collect();
    stub.write("f.csv", file);
    root.ok("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv')").await;
    let rows = stub.engine.rows();
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().all(|row| row[1] == name.replace("\"\"", "\"")));
    assert!(stub.engine.staged.lock().unwrap().is_empty(), "what was read from wrong starts is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_rows_may_reach_over_several_parts() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("f.csv", long_file("0,first", 1));
    for skip in [1, 2, 45, 90] {
        stub.engine.appended.lock().unwrap().clear();
        root.ok(&format!("IMPORT INTO t CSV DATA ('nodelocal://1/f.csv') WITH skip = '{skip}'")).await;
        assert_eq!(stub.engine.rows().len(), 100 - skip);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf8_is_refused_in_every_format() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    for (format, row) in [("CSV", &b"1,\xFF\n"[..]), ("NDJSON", b"{\"name\":\"\xC3\"}\n"), ("DELIMITED", b"1\t\xE9\n")]
    {
        stub.write("f", row);
        let (code, message) = root.error(&format!("IMPORT INTO t {format} DATA ('nodelocal://1/f')")).await;
        assert_eq!(code, "22021", "{format}");
        assert!(message.starts_with("nodelocal://1/f: error parsing row 1: invalid UTF-8 at byte "), "{message}");
    }
    assert!(stub.engine.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_parquet_is_refused() {
    let (stub, root) = server_with("id INT8").await;
    let whole = parquet_file(vec![("id", std::sync::Arc::new(arrow_array::Int64Array::from(vec![1, 2, 3])))]);
    let mut broken = whole.clone();
    let footer = broken.len() - 8;
    broken[footer..footer + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    for content in [&b""[..], b"PAR1", b"PAR1PAR1", b"hello, world", &whole[..whole.len() / 2], &broken] {
        stub.write("f.parquet", content);
        let (code, message) = root.error("IMPORT INTO t PARQUET DATA ('nodelocal://1/f.parquet')").await;
        assert_eq!(code, "22P04", "{message}");
        assert!(message.starts_with("nodelocal://1/f.parquet: not a Parquet file"), "{message}");
    }
    assert!(stub.engine.rows().is_empty());
}

/// Bytes changed at random never take the server down.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_parquet_is_an_error_or_other_values() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    let ids: arrow_array::ArrayRef = std::sync::Arc::new((0..50).map(Some).collect::<arrow_array::Int64Array>());
    let names: arrow_array::ArrayRef = std::sync::Arc::new(arrow_array::StringArray::from(vec!["name"; 50]));
    let whole = parquet_file(vec![("id", ids), ("name", names)]);
    let mut seed = 0x9E37_79B9_u64;
    for _ in 0..60 {
        let mut damaged = whole.clone();
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 33) as usize % damaged.len();
            damaged[at] ^= (seed >> 24) as u8;
        }
        stub.write("f.parquet", damaged);
        root.run("IMPORT INTO t PARQUET DATA ('nodelocal://1/f.parquet')").await.ok();
    }
    root.ok("SHOW JOBS").await;
}
