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
