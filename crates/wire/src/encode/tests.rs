use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, IntervalMonthDayNanoArray, UInt64Array};
use bytes::BytesMut;
use lakeport_base::SqlType;
use lakeport_core::value::{ColumnBuilder, TextColumn};

use super::BinaryColumn;

/// Reads the text, writes it in binary, reads that: both must print the same.
#[track_caller]
fn round_trip(name: &str, texts: &[&str]) {
    let ty = SqlType::parse(name).unwrap();
    let mut from_text = ColumnBuilder::new(&ty, texts.len());
    texts.iter().for_each(|text| from_text.append_text(text).unwrap());
    from_text.append_null();
    let array = from_text.finish();

    let binary = BinaryColumn::new(&array, &ty).unwrap();
    let mut from_binary = ColumnBuilder::new(&ty, texts.len());
    for row in 0..texts.len() {
        from_binary.append_binary(&body(&binary, row)).unwrap();
    }
    let again = TextColumn::new(&from_binary.finish(), &ty);
    let printed = TextColumn::new(&array, &ty);
    for (row, text) in texts.iter().enumerate() {
        let (mut first, mut second) = (String::new(), String::new());
        printed.write(row, &mut first).unwrap();
        again.write(row, &mut second).unwrap();
        assert_eq!(first, second, "{text:?} as {name}");
    }
    let mut null = BytesMut::new();
    binary.write(texts.len(), &mut null).unwrap();
    assert_eq!(&null[..], [255; 4], "NULL as {name}");
}

/// The bytes of a value without the length before them.
fn body(column: &BinaryColumn, row: usize) -> BytesMut {
    let mut out = BytesMut::new();
    column.write(row, &mut out).unwrap();
    out.split_off(4)
}

#[test]
fn every_type_reads_back() {
    round_trip("bool", &["t", "f"]);
    round_trip("int2", &["-32768", "7"]);
    round_trip("int4", &["-2147483648", "7"]);
    round_trip("int8", &["-9223372036854775808", "7"]);
    round_trip("float4", &["1.5", "NaN", "-Infinity"]);
    round_trip("float8", &["0.1", "1e300"]);
    round_trip("decimal(10,2)", &["0", "0.01", "-12345678.90", "10000", "99999999.99"]);
    round_trip("decimal(38,10)", &["1234567890123456789012345678.0123456789", "-0.0000000001", "10000.0001"]);
    round_trip("decimal(38,0)", &["99999999999999999999999999999999999999", "100000000"]);
    round_trip("text", &["", "żółw"]);
    round_trip("varchar(3)", &["abc"]);
    round_trip("bytes", &["\\x00ff"]);
    round_trip("date", &["1999-12-31", "2000-01-01", "0044-03-15 BC"]);
    round_trip("timestamp", &["2024-01-02 03:04:05.123456", "1969-12-31 23:59:59"]);
    round_trip("timestamptz", &["2024-01-02 03:04:05+02"]);
    round_trip("uuid", &["0e8e7f2c-4a6d-4b1e-9c3f-2a7d5b8e1f60", "00000000-0000-0000-0000-000000000001"]);
    round_trip("interval", &["14 months -3 days 04:05:06.5", "-1:30", "0", "P1Y", "-2 mons 106751991 days ago"]);
    round_trip("interval[]", &["{1 day,NULL,\"1 mon 2 days\"}"]);
    round_trip("jsonb", &["{\"a\":[1,null]}"]);
    round_trip("int8[]", &["{}", "{1,NULL,3}"]);
    round_trip("text[]", &["{a,\"b c\",NULL}"]);
}

#[test]
fn numeric_bytes() {
    let ty = SqlType::Decimal(10, 2);
    let mut builder = ColumnBuilder::new(&ty, 1);
    builder.append_text("-12345.67").unwrap();
    let column = BinaryColumn::new(&builder.finish(), &ty).unwrap();
    let expected: [u16; 7] = [3, 1, 0x4000, 2, 1, 2345, 6700];
    let expected: Vec<u8> = expected.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(body(&column, 0), expected);
}

#[test]
fn other_arrow_types() {
    let interval = arrow_array::types::IntervalMonthDayNanoType::make_value(0, 1, 0);
    let interval: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![interval]));
    assert_eq!(body(&BinaryColumn::new(&interval, &SqlType::Text).unwrap(), 0), "1 day");
    let bytes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(body(&BinaryColumn::new(&interval, &SqlType::Interval).unwrap(), 0), &bytes[..]);
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert!(BinaryColumn::new(&unsigned, &SqlType::Decimal(20, 0)).is_ok());
    let wide: ArrayRef = Arc::new(Int32Array::from(vec![70_000]));
    assert_eq!(BinaryColumn::new(&wide, &SqlType::Int2).err().map(|error| error.code().code()), Some("22003"));
}
