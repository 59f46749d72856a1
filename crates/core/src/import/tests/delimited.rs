//! Delimited text, and rows that are left out.

use super::server_with;

#[tokio::test(flavor = "multi_thread")]
async fn characters_are_enclosed_and_escaped() {
    for (options, file, expected) in [
        (
            "",
            "1\tone\n2\t\"t\tw\"\"o\"\n3\tNULL\n4\t\"NULL\"\n",
            vec![["1", "one"], ["2", "t\tw\"o"], ["3", "NULL"], ["4", "NULL"]],
        ),
        (
            "fields_escaped_by = e'\\\\'",
            "1\ta\\tb\\\\c\n2\t\\N\n3\tline\\\nbreak\n4\t\"x\\\"y\"\n5\t\"\\N\"",
            vec![["1", "a\tb\\c"], ["2", "NULL"], ["3", "line\nbreak"], ["4", "x\"y"], ["5", "N"]],
        ),
        (
            "fields_terminated_by = ',', rows_terminated_by = '|', fields_enclosed_by = '', nullif = '-'",
            "1,\"a|2,-|3,NULL|",
            vec![["1", "\"a"], ["2", "NULL"], ["3", "NULL"]],
        ),
        ("fields_terminated_by = ',', skip = '1'", "id,name\n1,\"lone \" quote\"", vec![["1", "lone \" quote"]]),
    ] {
        let (stub, root) = server_with("id INT8, name TEXT").await;
        stub.write("f.txt", file);
        let with = if options.is_empty() { String::new() } else { format!(" WITH {options}") };
        root.ok(&format!("IMPORT INTO t DELIMITED DATA ('nodelocal://1/f.txt'){with}")).await;
        assert_eq!(stub.engine.rows(), expected, "{options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_a_word_that_stands_alone() {
    let (stub, root) = server_with("id INT8, name TEXT NOT NULL").await;
    stub.write("f.txt", "NULL\t\"NULL\"\n");
    root.ok("IMPORT INTO t DELIMITED DATA ('nodelocal://1/f.txt')").await;
    let batches = stub.engine.appended.lock().unwrap();
    assert!(batches[0].column(0).is_null(0) && batches[0].column(1).is_valid(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_delimited_text_is_refused() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    for (file, code, message) in [
        ("1\t\"open\n", "22P04", "error parsing row 1: unterminated quoted field"),
        ("1\ta\n\n", "22P04", "error parsing row 2: expected 2 fields, got 1 (row: )"),
        ("1\ta\n2\tb\tc\n", "22P04", "error parsing row 2: expected 2 fields, got 3 (row: 2\tb\tc)"),
    ] {
        stub.write("f.txt", file);
        let found = root.error("IMPORT INTO t DELIMITED DATA ('nodelocal://1/f.txt')").await;
        assert_eq!(found, (code.to_string(), format!("nodelocal://1/f.txt: {message}")));
    }
    assert!(stub.engine.rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_go_to_a_file() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    stub.write("in/a.csv", b"1,one\nx,two\n3,three,3\n4,\xFF\n5,five");
    stub.write("in/b.csv", "6,six\n");
    let import = "IMPORT INTO t CSV DATA ('nodelocal://1/in/*') WITH experimental_save_rejected";
    assert_eq!(root.ok(import).await[0][3], "3");
    assert_eq!(stub.engine.rows(), [["1", "one"], ["5", "five"], ["6", "six"]]);
    assert_eq!(stub.files("in"), ["a.csv", "a.csv.rejected", "b.csv"]);
    assert_eq!(stub.read("in/a.csv.rejected"), b"x,two\n3,three,3\n4,\xFF\n");
    assert_eq!(root.ok(import).await[0][3], "3", "the rejected are no source");

    stub.write("bad.csv", "x,y\n".repeat(1001));
    let (code, message) =
        root.error("IMPORT INTO t CSV DATA ('nodelocal://1/bad.csv') WITH experimental_save_rejected").await;
    assert_eq!((code.as_str(), message.as_str()), ("54000", "nodelocal://1/bad.csv: too many parsing errors (1001)"));
    let (code, message) =
        root.error("IMPORT INTO t CSV DATA ('http://127.0.0.1:9/f.csv') WITH experimental_save_rejected").await;
    assert_eq!((code.as_str(), message.as_str()), ("0A000", "files cannot be written to http URIs"));
}
