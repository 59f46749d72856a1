//! Avro container files, whole and broken.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Date32Array, Float32Array, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_avro::compression::CompressionCodec;
use arrow_avro::writer::format::AvroOcfFormat;
use arrow_avro::writer::{Writer, WriterBuilder};

use super::server_with;

fn container(batches: &[RecordBatch], codec: Option<CompressionCodec>) -> Vec<u8> {
    let schema = batches[0].schema().as_ref().clone();
    let mut writer: Writer<_, AvroOcfFormat> =
        WriterBuilder::new(schema).with_compression(codec).build(Vec::new()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    writer.into_inner()
}

fn numbers(from: i32, to: i32) -> RecordBatch {
    let ids: ArrayRef = Arc::new((from..to).map(Some).collect::<Int32Array>());
    let names: ArrayRef = Arc::new((from..to).map(|id| Some(format!("name {id}"))).collect::<StringArray>());
    RecordBatch::try_from_iter_with_nullable([("ID", ids, false), ("name", names, true)]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_is_read() {
    for codec in [
        None,
        Some(CompressionCodec::Deflate),
        Some(CompressionCodec::Snappy),
        Some(CompressionCodec::ZStandard),
        Some(CompressionCodec::Bzip2),
    ] {
        let (stub, root) = server_with("id INT8, name VARCHAR(20), missing INT8").await;
        stub.write("f.avro", container(&[numbers(0, 9000), numbers(9000, 9001)], codec));
        let rows = root.ok("IMPORT INTO t AVRO DATA ('nodelocal://1/f.avro')").await;
        assert_eq!(rows[0][3], "9001", "{codec:?}");
        let rows = stub.engine.rows();
        assert!(rows.iter().all(|row| row[1] == format!("name {}", row[0]) && row[2] == "NULL"));
        let (code, message) =
            root.error("IMPORT INTO t AVRO DATA ('nodelocal://1/f.avro') WITH strict_validation").await;
        assert_eq!(code, "42703");
        assert_eq!(message, "nodelocal://1/f.avro: column \"missing\" is not in the file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_cast() {
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("d", Arc::new(Date32Array::from(vec![Some(1), None])), true),
        ("f", Arc::new(Float32Array::from(vec![1.5, -0.25])), false),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![1500, 0]).with_timezone("+00:00")), false),
        ("i", Arc::new(StringArray::from(vec!["7", "8"])), false),
    ];
    let (stub, root) = server_with("d DATE, f FLOAT8, at TIMESTAMPTZ, i INT8").await;
    stub.write("f.avro", container(&[RecordBatch::try_from_iter_with_nullable(columns).unwrap()], None));
    root.ok("IMPORT INTO t AVRO DATA ('nodelocal://1/f.avro')").await;
    assert_eq!(
        stub.engine.rows(),
        [["1970-01-02", "1.5", "1970-01-01 00:00:01.5+00", "7"], ["NULL", "-0.25", "1970-01-01 00:00:00+00", "8"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_refused() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    let whole = container(&[numbers(0, 100)], None);
    let mut wrong_mark = whole.clone();
    *wrong_mark.last_mut().unwrap() ^= 1;
    for (content, message) in [
        (&b""[..], "not an Avro file"),
        (b"PAR1", "not an Avro file"),
        (b"Obj\x01", "the file ends in the middle"),
        (b"Obj\x01\x00", "the file ends in the middle"),
        (b"Obj\x01\x000123456789abcdef", "not an Avro file: it has no schema"),
        (b"Obj\x01\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "a number is too long"),
        (&whole[..whole.len() - 20], "error parsing block 1: the file ends in the middle"),
        (&wrong_mark, "error parsing block 1: the mark after the block is wrong"),
    ] {
        stub.write("f.avro", content);
        let found = root.error("IMPORT INTO t AVRO DATA ('nodelocal://1/f.avro')").await;
        assert_eq!(found, ("22P04".to_string(), format!("nodelocal://1/f.avro: {message}")));
    }
    assert!(stub.engine.rows().is_empty());
}

/// A count of rows that is not the block's is found out, however it is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_holds_as_many_rows_as_it_says() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    let whole = container(&[numbers(0, 10)], None);
    let sync = &whole[whole.len() - 16..];
    let header = whole.windows(16).position(|window| window == sync).unwrap() + 16;
    assert_eq!(whole[header], 20, "ten rows");
    for count in [0, 2, 18, 22, 60] {
        let mut lying = whole.clone();
        lying[header] = count;
        stub.write("f.avro", lying);
        let outcome = root.run("IMPORT INTO t AVRO DATA ('nodelocal://1/f.avro')").await;
        assert_eq!(outcome.unwrap_err().code().code(), "22P04", "{count}");
    }
}

const SCHEMA: &str = r#"{"type": "record", "name": "Row", "namespace": "n", "fields": [
    {"name": "id", "type": "long"},
    {"name": "name", "type": ["null", "string"]},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "raw", "type": "bytes"},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "color", "type": ["null", {"type": "enum", "name": "Color", "symbols": ["RED", "BLUE"]}]}]}"#;

const COLUMNS: &str = "id INT8, name TEXT, at TIMESTAMPTZ, raw BYTES, tags TEXT[], color TEXT";

const JSON: &str = r#"{"id": 1, "name": {"string": "one"}, "at": 1500, "raw": "\u0000\u00ff", "tags": ["a", "b"], "color": {"n.Color": "BLUE"}}

{"id": 2, "name": null, "at": 0, "raw": "", "tags": []}
"#;

/// The same two rows.
const BINARY: &[u8] = b"\x02\x02\x06one\xB8\x17\x04\x00\xFF\x04\x02a\x02b\x00\x02\x02\x04\x00\x00\x00\x00\x00";

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_container_are_read_by_a_schema() {
    let expected = [
        ["1", "one", "1970-01-01 00:00:01.5+00", "\\x00ff", "{a,b}", "BLUE"],
        ["2", "NULL", "1970-01-01 00:00:00+00", "\\x", "{}", "NULL"],
    ];
    let long: Vec<u8> = BINARY.iter().copied().cycle().take(BINARY.len() * 6000).collect();
    let ended = [&BINARY[..19], b";", &BINARY[19..], b";"].concat();
    for (content, options, times) in [
        (JSON.as_bytes(), format!("data_as_json_records, schema = '{SCHEMA}'"), 1),
        (JSON.as_bytes(), "data_as_json_records, schema_uri = 'nodelocal://1/row.avsc'".into(), 1),
        (BINARY, format!("data_as_binary_records, schema = '{SCHEMA}'"), 1),
        (&long, format!("data_as_binary_records, schema = '{SCHEMA}'"), 6000),
        (&ended, format!("data_as_binary_records, records_terminated_by = ';', schema = '{SCHEMA}'"), 1),
    ] {
        let (stub, root) = server_with(COLUMNS).await;
        stub.write("row.avsc", SCHEMA);
        stub.write("f", content);
        root.ok(&format!("IMPORT INTO t AVRO DATA ('nodelocal://1/f') WITH {options}")).await;
        let rows = stub.engine.rows();
        assert_eq!(rows.len(), 2 * times);
        assert_eq!([&rows[0], &rows[times]], [&expected[0], &expected[1]], "{options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_records_and_schemas_are_refused() {
    let (stub, root) = server_with(COLUMNS).await;
    for (form, content, message) in [
        ("binary", &BINARY[..BINARY.len() - 1], "error parsing row 2: the file ends in the middle"),
        ("binary", b"\x02\x08", "error parsing row 1: a union has no branch 4"),
        ("json", b"{\"id\": 1.5}", "error parsing row 1: field \"id\": 1.5 is not a whole number"),
        (
            "json",
            b"{\"id\": 1, \"name\": \"x\"}",
            "error parsing row 1: field \"name\": \"x\" is not null, or an object with the name of its type",
        ),
    ] {
        stub.write("f", content);
        let import =
            format!("IMPORT INTO t AVRO DATA ('nodelocal://1/f') WITH data_as_{form}_records, schema = '{SCHEMA}'");
        assert_eq!(root.error(&import).await, ("22P04".to_string(), format!("nodelocal://1/f: {message}")));
    }
    for (options, message) in [
        ("schema = 'x'", "option \"schema\" cannot be used for container files"),
        ("data_as_json_records", "schema or schema_uri must be set for records without a container"),
        (
            "data_as_json_records, data_as_binary_records",
            "only one of the data_as_json_records or data_as_binary_records can be set",
        ),
        ("data_as_json_records, schema = '\"long\"'", "invalid Avro schema: it must describe a record"),
        (
            "data_as_json_records, schema = '{\"type\": \"record\", \"name\": \"r\", \"fields\": [{\"name\": \"a\", \"type\": \"b\"}]}'",
            "invalid Avro schema: there is no type \"b\"",
        ),
    ] {
        let found = root.error(&format!("IMPORT INTO t AVRO DATA ('nodelocal://1/f') WITH {options}")).await;
        assert_eq!(found, ("22023".to_string(), message.to_string()));
    }
    let deep = format!("{}{}{}", "{\"type\": \"array\", \"items\": ".repeat(100), "\"int\"", "}".repeat(100));
    let import = format!("IMPORT INTO t AVRO DATA ('nodelocal://1/f') WITH data_as_json_records, schema = '{deep}'");
    assert_eq!(root.error(&import).await.0, "22023");
}

/// A URI's secrets are in no job.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_read_before_its_job_is_made() {
    let (stub, root) = server_with("id INT8").await;
    stub.write("f", "");
    let uri = "s3://b/row.avsc?AWS_ACCESS_KEY_ID=AKIA&AWS_SECRET_ACCESS_KEY=hunter22&AWS_ENDPOINT=http://127.0.0.1:9&AWS_REGION=r";
    let import = format!("IMPORT INTO t AVRO DATA ('nodelocal://1/f') WITH data_as_json_records, schema_uri = '{uri}'");
    let (code, message) = root.error(&import).await;
    assert!(code == "08001" && !message.contains("hunter22"), "{code} {message}");
    assert!(root.ok("SHOW JOBS").await.is_empty());
    root.ok("CREATE USER u; GRANT INSERT, DROP ON TABLE t TO u").await;
    let denied = stub.session("u").await;
    let import =
        "IMPORT INTO t AVRO DATA ('nodelocal://1/f') WITH data_as_json_records, schema_uri = 'nodelocal://1/f'";
    assert_eq!(denied.error(import).await.0, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_never_hang() {
    let (stub, root) = server_with("id INT8, name TEXT").await;
    let mut seed = 0x9E37_79B9_u64;
    for codec in [None, Some(CompressionCodec::Snappy), Some(CompressionCodec::Deflate)] {
        let whole = container(&[numbers(0, 50), numbers(50, 60)], codec);
        for _ in 0..40 {
            let mut damaged = whole.clone();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (seed >> 33) as usize % damaged.len();
                damaged[at] ^= (seed >> 24) as u8;
            }
            stub.write("f.avro", damaged);
            root.run("IMPORT INTO t AVRO DATA ('nodelocal://1/f.avro')").await.ok();
        }
    }
    root.ok("SHOW JOBS").await;
}
