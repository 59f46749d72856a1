//! COPY INTO a table against a server with an engine that keeps rows in memory. Small parts: see `import::part`.

use std::fmt::Write;

use crate::engine_stub::{Client, StubServer};

async fn server_with(columns: &str) -> (StubServer, Client) {
    let stub = StubServer::start().await;
    let root = stub.session("root").await;
    root.ok(&format!("CREATE TABLE t ({columns})")).await;
    (stub, root)
}

fn copy(path: &str, options: &str) -> String {
    format!("COPY INTO t FROM 'nodelocal://1/{path}' FILE_FORMAT = (TYPE = CSV COMPRESSION = AUTO) {options}")
}

/// Long enough for several ranges, with these lines in place of those of their numbers.
fn long_file(others: &[(usize, &str)]) -> String {
    let mut lines: Vec<String> = (1..=100).map(|number| format!("{number},name {number}")).collect();
    for (at, line) in others {
        lines[at - 1] = line.to_string();
    }
    lines.join("\n") + "\n"
}

/// What was staged beside a part that failed is deleted in the background.
async fn nothing_stays_staged(stub: &StubServer) {
    for _ in 0..1_000_000 {
        if stub.engine.staged.lock().unwrap().is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("staged rows stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_numbered_wherever_it_stands() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    for at in [1, 2, 50, 99, 100] {
        stub.write("f.csv", long_file(&[(at, "1,2,3")]));
        let many = "Number of columns in file (3) does not match that of the corresponding table (2)";
        let (code, message) = root.error(&copy("f.csv", "")).await;
        assert_eq!((code.as_str(), message), ("22P04", format!("[1046] {many}\nat file 'f.csv', line {at}")));
        assert!(stub.engine.rows().is_empty(), "row {at}");
        nothing_stays_staged(&stub).await;
        let rows = root.ok(&copy("f.csv", "ON_ERROR = CONTINUE")).await;
        assert_eq!(rows, [["f.csv", "99", "1", many, &at.to_string()]]);
        assert_eq!(stub.engine.rows().len(), 99);
        stub.engine.appended.lock().unwrap().clear();
        stub.engine.marks.lock().unwrap().clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_all_ranges_and_files_are_counted_together() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("d/a.csv", long_file(&[(7, "x,y"), (93, "x,y")]));
    stub.write("d/b.csv", "1,one\n2\n");
    let (_, message) = root.error(&copy("d/", "ON_ERROR = ABORT_3")).await;
    assert!(message.starts_with("[1046] abort after 3 errors! the last error: Number of columns"), "{message}");
    assert!(message.ends_with("\nat file 'b.csv', line 2"), "{message}");
    let rows = root.ok(&copy("d/", "ON_ERROR = SKIP_FILE_2")).await;
    assert_eq!([&rows[0][..3], &rows[1][..3]], [["a.csv", "0", "2"], ["b.csv", "1", "1"]]);
    assert_eq!(rows[0][4], "7");
    assert_eq!(stub.engine.rows(), [["1", "one"]]);
    nothing_stays_staged(&stub).await;
    // It was not loaded, the other was.
    let rows = root.ok(&copy("d/", "ON_ERROR = ABORT_3")).await;
    assert_eq!(rows[0][..3], ["a.csv", "98", "2"]);
    assert_eq!((rows.len(), stub.engine.rows().len()), (1, 99));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_loaded_once() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("d/a.csv", "1,one\n");
    root.ok("CREATE STAGE s URL='fs:///d/'").await;
    root.ok("CREATE EXTERNAL CONNECTION c AS 'nodelocal://1/d'").await;
    assert_eq!(root.ok(&copy("d/", "")).await.len(), 1);
    for from in ["@s", "'nodelocal://self/d/a.csv'", "'external://c/'", "'nodelocal://1/d/a'"] {
        let again = format!("COPY INTO t FROM {from} FILE_FORMAT = (TYPE = CSV)");
        assert!(root.ok(&again).await.is_empty(), "{from}");
    }
    stub.write("d/a.csv", "22,two\n");
    assert_eq!(root.ok(&copy("d/", "")).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_left_out_whole() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("d/a.csv", "1,one\n");
    stub.write("d/b.csv", "2,two\n3,\"open\n");
    stub.write("d/c.csv.gz", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x33]);
    stub.write("d/z.csv", long_file(&[(50, "1,\"open")]));
    let rows = root.ok(&copy("d/", "ON_ERROR = CONTINUE")).await;
    let shown: Vec<_> = rows.iter().map(|row| [row[0].as_str(), &row[1], &row[2]]).collect();
    assert_eq!(shown, [["a.csv", "1", "0"], ["b.csv", "0", "1"], ["c.csv.gz", "0", "1"], ["z.csv", "0", "1"]]);
    assert!(rows[1][3].contains("unterminated quoted field") && rows[2][3].contains("cannot decompress"), "{rows:?}");
    assert_eq!(stub.engine.rows(), [["1", "one"]]);
    assert!(root.error(&copy("d/", "")).await.1.starts_with("[1046] "));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_are_refused_in_bounds() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    let mut wide = String::new();
    (0..10_000).for_each(|number| write!(wide, "{number},").unwrap());
    for (content, expected) in [
        (wide.clone() + "\n", "Number of columns in file (10001) does not match"),
        (wide.replace(',', "\n"), "Number of columns in file (1) does not match"),
        ("\n\n\0\n".to_string(), "Number of columns in file (1) does not match"),
        (
            "\u{FEFF}1,one\n99999999999999999999,x\n".to_string(),
            "is out of range for type int8\nat file 'f.csv', line 2",
        ),
    ] {
        stub.write("f.csv", content);
        let (_, message) = root.error(&copy("f.csv", "")).await;
        assert!(message.contains(expected), "{message}");
    }
    let parquet = "COPY INTO t FROM 'nodelocal://1/f.csv'";
    let (code, message) = root.error(parquet).await;
    assert_eq!(code, "22P04", "{message}");
    for options in ["FILES = ('../f.csv')", "FILES = ('none')", "PATTERN = '('"] {
        assert!(root.error(&copy("", options)).await.1.starts_with('['), "{options}");
    }
    assert!(stub.engine.rows().is_empty());
}
