use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use futures::StreamExt;
use lakeport_base::SqlType;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio_util::sync::CancellationToken;

use super::{ExportOptions, Place, start};
use crate::engine_stub::{Client, StubServer, texts};
use crate::error::Error;
use crate::rows::{RowStream, schema_of};
use crate::stmt::options::Values;
use crate::value::ColumnBuilder;

fn batch(ids: Vec<Option<i64>>, names: Vec<Option<&str>>) -> RecordBatch {
    let schema = schema_of(&[("id", SqlType::Int8), ("name", SqlType::Text)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), Arc::new(StringArray::from(names))];
    RecordBatch::try_new(schema, columns).unwrap()
}

fn numbered(rows: i64) -> RecordBatch {
    batch((0..rows).map(Some).collect(), (0..rows).map(|_| Some("x")).collect())
}

async fn server_answering(batches: Vec<RecordBatch>) -> (StubServer, Client) {
    let stub = StubServer::start().await;
    stub.engine.answer_with(batches);
    let root = stub.session("root").await;
    (stub, root)
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_quoted_only_where_it_must_be() {
    let names = vec![Some("plain"), Some("a,b"), Some("say \"hi\"\n"), Some("NULL"), None, Some("")];
    let (stub, root) = server_answering(vec![batch(vec![Some(1); 6], names)]).await;
    let rows = root.ok("EXPORT INTO CSV 'nodelocal://1/out' WITH nullas = 'NULL' FROM SELECT 1").await;
    let [name, count, bytes] = rows[0].as_slice() else { panic!("{rows:?}") };
    let content = String::from_utf8(stub.read(&format!("out/{name}"))).unwrap();
    assert_eq!(content, "1,plain\n1,\"a,b\"\n1,\"say \"\"hi\"\"\n\"\n1,\"NULL\"\n1,NULL\n1,\n");
    assert_eq!((count.as_str(), bytes.parse().unwrap()), ("6", content.len()));
    let (prefix, rest) = name.split_once('-').unwrap();
    assert_eq!((prefix.len(), rest), ("export".len() + 32, "n1.0.csv"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_full_at_the_first_limit() {
    for (option, expected) in
        [("chunk_rows = '4'", vec!["4", "4", "2"]), ("chunk_size = '12'", vec!["3", "3", "3", "1"])]
    {
        let (stub, root) = server_answering(vec![numbered(7), numbered(3)]).await;
        let rows = root.ok(&format!("EXPORT INTO CSV 'nodelocal://1/out' WITH {option} FROM SELECT 1")).await;
        let counts: Vec<_> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(counts, expected, "{option}");
        assert_eq!(stub.files("out").len(), expected.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_export_leaves_no_file() {
    let (stub, root) = server_answering(vec![numbered(7), batch(vec![Some(1)], vec![None])]).await;
    let (code, message) = root.error("EXPORT INTO CSV 'nodelocal://1/out' WITH chunk_rows = '2' FROM SELECT 1").await;
    assert_eq!(code, "22004");
    assert!(message.starts_with("NULL value encountered during EXPORT, use `WITH nullas`"), "{message}");
    assert!(stub.files("out").is_empty());

    stub.engine.answer_with(vec![numbered(3)]);
    stub.engine.answer.lock().unwrap().push(Err(Error::invalid("the query fails")));
    assert_eq!(
        root.error("EXPORT INTO PARQUET 'nodelocal://1/out' WITH chunk_rows = '2' FROM SELECT 1").await.1,
        "the query fails"
    );
    assert!(stub.files("out").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_and_compressed_csv_read_back() {
    let rows = batch(vec![Some(1), None], vec![Some("a"), None]);
    for (options, extension) in [
        ("", "parquet"),
        ("WITH compression = 'snappy'", "parquet.snappy"),
        ("WITH compression = gzip", "parquet.gz"),
        ("WITH compression = zstd", "parquet.zst"),
    ] {
        let (stub, root) = server_answering(vec![rows.clone()]).await;
        let exported = root.ok(&format!("EXPORT INTO PARQUET 'nodelocal://1/out' {options} FROM SELECT 1")).await;
        assert!(exported[0][0].ends_with(&format!("-n1.0.{extension}")), "{exported:?}");
        let content = bytes::Bytes::from(stub.read(&format!("out/{}", exported[0][0])));
        assert_eq!(exported[0][2], content.len().to_string());
        let found =
            ParquetRecordBatchReaderBuilder::try_new(content).unwrap().build().unwrap().next().unwrap().unwrap();
        assert_eq!(texts(&found), texts(&rows));
    }
    for (format, codec, extension) in
        [("CSV", "gzip", "csv.gz"), ("CSV", "zstd", "csv.zst"), ("NDJSON", "zstd", "ndjson.zst")]
    {
        let (stub, root) = server_answering(vec![numbered(2)]).await;
        let export = format!("EXPORT INTO {format} 'nodelocal://1/out' WITH compression = '{codec}' FROM SELECT 1");
        assert!(root.ok(&export).await[0][0].ends_with(&format!("-n1.0.{extension}")));
        root.ok("CREATE TABLE t (id INT8, name TEXT)").await;
        root.ok(&format!("IMPORT INTO t {format} DATA ('nodelocal://1/out/*.{extension}')")).await;
        assert_eq!(stub.engine.rows(), [["0", "x"], ["1", "x"]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_hold_each_value_in_its_own_form() {
    let types = [
        ("i", SqlType::Int8),
        ("f", SqlType::Float8),
        ("d", SqlType::Decimal(30, 2)),
        ("b", SqlType::Bool),
        ("t \"x\"", SqlType::Text),
        ("j", SqlType::Jsonb),
        ("a", SqlType::Array(Box::new(SqlType::Text))),
        ("at", SqlType::TimestampTz),
        ("raw", SqlType::Bytes),
    ];
    let mut builders: Vec<_> = types.iter().map(|(_, ty)| ColumnBuilder::new(ty, 2)).collect();
    let texts = [
        "9007199254740993",
        "NaN",
        "1234567890123456789012345.10",
        "t",
        "a\n\"b\"",
        r#"{"k": [1]}"#,
        r#"{one,NULL,"t,wo"}"#,
        "2026-01-02 03:04:05+00",
        "\\x00ff",
    ];
    builders.iter_mut().zip(texts).for_each(|(builder, text)| builder.append_text(text).unwrap());
    builders.iter_mut().for_each(ColumnBuilder::append_null);
    let rows =
        RecordBatch::try_new(schema_of(&types), builders.iter_mut().map(ColumnBuilder::finish).collect()).unwrap();
    let (stub, root) = server_answering(vec![rows]).await;
    let exported = root.ok("EXPORT INTO NDJSON 'nodelocal://1/out' FROM SELECT 1").await;
    let content = String::from_utf8(stub.read(&format!("out/{}", exported[0][0]))).unwrap();
    assert_eq!(
        content,
        concat!(
            r#"{"i":9007199254740993,"f":"NaN","d":1234567890123456789012345.10,"b":true,"t \"x\"":"a\n\"b\"","#,
            r#""j":{"k": [1]},"a":["one",null,"t,wo"],"at":"2026-01-02 03:04:05+00","raw":"\\x00ff"}"#,
            "\n",
            r#"{"i":null,"f":null,"d":null,"b":null,"t \"x\"":null,"j":null,"a":null,"at":null,"raw":null}"#,
            "\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rows_make_no_file_and_blocks_are_refused() {
    let (stub, root) = server_answering(vec![numbered(0)]).await;
    assert!(root.ok("EXPORT INTO CSV 'nodelocal://1/out' FROM SELECT 1").await.is_empty());
    assert!(stub.files("out").is_empty());
    root.ok("BEGIN").await;
    let (_, message) = root.error("EXPORT INTO CSV 'nodelocal://1/out' FROM SELECT 1").await;
    assert_eq!(message, "EXPORT cannot be used inside a multi-statement transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_export_leaves_no_file() {
    let (held, release) = tokio::sync::oneshot::channel::<()>();
    let first = RowStream::of(numbered(4));
    let endless = first.batches.chain(futures::stream::once(async move {
        release.await.ok();
        Ok(numbered(1))
    }));
    let store = Arc::new(object_store::memory::InMemory::new());
    let values = Values(vec![("chunk_rows".into(), Some("2".into()))]);
    let options = ExportOptions::parse("CSV", &values).unwrap();
    let place = Place {
        store: store.clone(),
        uri: "test".into(),
        name: Box::new(|_, index| Ok(format!("e.{index}"))),
        has_parts: false,
        is_chosen: false,
    };
    let stop = CancellationToken::new();
    let task = start(RowStream { schema: first.schema, batches: endless.boxed() }, options, place, stop.clone());
    while store.list(None).count().await < 2 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().code().code(), "57014");
    assert_eq!(store.list(None).count().await, 0);
    drop(held);
}
