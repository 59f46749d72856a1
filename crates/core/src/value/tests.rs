use std::sync::Arc;

use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Decimal256Array, DurationSecondArray, Float64Array, Int64Array, IntervalMonthDayNanoArray,
    LargeStringArray, StringViewArray, StructArray, TimestampNanosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field};
use lakeport_base::SqlType;

use super::{ColumnBuilder, TextColumn, Zone, format_value};

fn ty(text: &str) -> SqlType {
    SqlType::parse(text).unwrap_or_else(|| panic!("{text} is no type"))
}

/// What a text becomes once it is a value.
fn through(name: &str, text: &str) -> Result<String, String> {
    let ty = ty(name);
    let mut builder = ColumnBuilder::new(&ty, 1);
    builder.append_text(text).map_err(|error| format!("{} {error}", error.code.code()))?;
    assert_eq!(builder.len(), 1);
    Ok(shown(&builder.finish(), &ty))
}

fn shown(array: &ArrayRef, ty: &SqlType) -> String {
    let mut out = String::new();
    format_value(array, 0, ty, &mut out).unwrap();
    out
}

#[track_caller]
fn reads(name: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(through(name, text).as_deref(), Ok(*expected), "{text:?} as {name}");
    }
}

#[track_caller]
fn refuses(name: &str, code: &str, texts: &[&str]) {
    for text in texts {
        let answer = through(name, text);
        assert!(answer.as_ref().is_err_and(|error| error.starts_with(code)), "{text:?} as {name}: {answer:?}");
    }
}

#[test]
fn booleans() {
    reads(
        "bool",
        &[("t", "t"), ("TRUE", "t"), (" yes ", "t"), ("on", "t"), ("1", "t"), ("f", "f"), ("of", "f"), ("0", "f")],
    );
    refuses("bool", "22P02", &["", "o", "2", "truer", "tüe"]);
}

#[test]
fn integers() {
    reads("int2", &[("-32768", "-32768"), (" +7 ", "7")]);
    reads("int8", &[("9223372036854775807", "9223372036854775807")]);
    refuses("int2", "22003", &["32768", "-40000"]);
    refuses("int4", "22003", &["2147483648"]);
    refuses("int8", "22P02", &["", "1.5", "b", "0x10"]);
    assert_eq!(through("int8", "b").unwrap_err(), "22P02 could not parse \"b\" as type int8");
}

#[test]
fn hundredths_are_printed_as_ryu_prints_them() {
    let numbers = (-30_000..30_000).map(|count| f64::from(count) / 100.0);
    let close = numbers.clone().flat_map(|number| [number.next_up(), number.next_down()]);
    let large = (0..2000).map(|step| 1e13 - f64::from(step) * 0.01);
    for number in numbers.chain(close).chain(large) {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![number]));
        let mut buffer = ryu::Buffer::new();
        let expected = buffer.format(number);
        if !expected.contains('e') {
            assert_eq!(shown(&array, &SqlType::Float8), expected.strip_suffix(".0").unwrap_or(expected));
        }
    }
}

#[test]
fn floats() {
    reads(
        "float8",
        &[("1", "1"), ("-0.5", "-0.5"), ("1e15", "1e+15"), ("123456789012345678", "1.2345678901234568e+17")],
    );
    reads(
        "float8",
        &[("0.00001", "1e-05"), ("1e300", "1e+300"), ("nan", "NaN"), ("-inf", "-Infinity"), ("0.1", "0.1")],
    );
    reads("float4", &[("0.1", "0.1"), ("1234567", "1.234567e+06"), ("123456", "123456"), ("Infinity", "Infinity")]);
    reads(
        "float8",
        &[
            ("-0", "-0"),
            ("0", "0"),
            ("17", "17"),
            ("-0.07", "-0.07"),
            ("0.1", "0.1"),
            ("99.90", "99.9"),
            ("1.005", "1.005"),
        ],
    );
    reads("float8", &[("9999999999999.99", "9999999999999.99"), ("90071992547409.93", "90071992547409.94")]);
    refuses("float8", "22003", &["1e400"]);
    refuses("float4", "22003", &["1e40"]);
    refuses("float8", "22P02", &["", "1,5", "e5"]);
}

#[test]
fn decimals() {
    reads(
        "decimal(5,2)",
        &[("1", "1.00"), ("-1.005", "-1.01"), ("999.994", "999.99"), (".5", "0.50"), ("1e2", "100.00")],
    );
    reads(
        "decimal(5,2)",
        &[("0.004", "0.00"), ("12345e-2", "123.45"), ("-0.001", "0.00"), ("0e99", "0.00"), ("1e-99", "0.00")],
    );
    reads("decimal(38,0)", &[("99999999999999999999999999999999999999", "99999999999999999999999999999999999999")]);
    reads("decimal(38,0)", &[("12345678901234567890123456789012345678.9", "12345678901234567890123456789012345679")]);
    reads("decimal(38,10)", &[("1234567890123456789012345678.01234567895", "1234567890123456789012345678.012345679")]);
    refuses("decimal(5,2)", "22003", &["1000", "999.995", "1e30", "1e99"]);
    refuses("decimal(38,0)", "22003", &["100000000000000000000000000000000000000"]);
    refuses("decimal(5,2)", "22P02", &["", ".", "-", "1.2.3", "NaN", "1e", "é"]);
}

#[test]
fn strings() {
    reads("text", &[("", ""), (" a\tb ", " a\tb "), ("żółw", "żółw")]);
    reads("varchar(3)", &[("abc", "abc"), ("żół", "żół")]);
    refuses("varchar(3)", "22001", &["abcd", "żółw"]);
}

#[test]
fn byte_strings() {
    reads(
        "bytes",
        &[("\\x00fF", "\\x00ff"), ("abc", "\\x616263"), ("a\\\\\\001", "\\x615c01"), ("", "\\x"), ("\\x", "\\x")],
    );
    refuses("bytes", "22P02", &["\\x0", "\\xzz", "\\9", "a\\", "\\x0é0"]);
}

#[test]
fn dates() {
    reads(
        "date",
        &[
            ("2024-02-29", "2024-02-29"),
            ("1969-12-31", "1969-12-31"),
            ("epoch", "1970-01-01"),
            ("20240102", "2024-01-02"),
        ],
    );
    reads("date", &[("1/2/2024", "2024-01-02"), ("2024/1/2", "2024-01-02"), ("Jan 2, 2024", "2024-01-02")]);
    reads("date", &[("2 January 2024", "2024-01-02"), ("02-Jan-2024", "2024-01-02"), ("2024-Jan-02", "2024-01-02")]);
    reads(
        "date",
        &[("0044-03-15 BC", "0044-03-15 BC"), ("0001-01-01", "0001-01-01"), ("2024-01-02 23:59:59", "2024-01-02")],
    );
    reads("date", &[("5881580-07-11", "5881580-07-11"), ("5877642-06-23 BC", "5877642-06-23 BC")]);
    refuses("date", "22008", &["2023-02-29", "2024-13-01", "2024-01-32", "2024-00-01", "5881580-07-12"]);
    refuses("timestamp", "22008", &["294248-01-01"]);
    refuses("date", "22007", &["", "x", "2024", "2024-01", "2024-01-02x", "123456789-01-01", "é"]);
    refuses("date", "0A000", &["infinity", "-Infinity"]);
}

#[test]
fn timestamps() {
    reads(
        "timestamp",
        &[("2024-01-02 03:04:05.123", "2024-01-02 03:04:05.123"), ("2024-01-02", "2024-01-02 00:00:00")],
    );
    reads(
        "timestamp",
        &[("2024-01-02T03:04+05", "2024-01-02 03:04:00"), ("2024-01-02 11:04 pm", "2024-01-02 23:04:00")],
    );
    reads(
        "timestamp",
        &[("1969-12-31 23:59:59.9999996", "1970-01-01 00:00:00"), ("2024-01-01 24:00:00", "2024-01-02 00:00:00")],
    );
    reads(
        "timestamptz",
        &[("2024-01-02T03:04:05Z", "2024-01-02 03:04:05+00"), ("2024-01-02 03:04:05+05:30", "2024-01-01 21:34:05+00")],
    );
    reads(
        "timestamptz",
        &[("2024-01-02 03:04:05-08", "2024-01-02 11:04:05+00"), ("2024-01-02 03:04 UTC", "2024-01-02 03:04:00+00")],
    );
    reads("timestamptz", &[("2024-01-02 03:04:05.000001 +0530", "2024-01-01 21:34:05.000001+00")]);
    refuses(
        "timestamp",
        "22008",
        &["2024-01-02 25:00:00", "2024-01-02 24:00:01", "2024-01-02 10:60", "2024-01-02 13:00 pm"],
    );
    refuses("timestamptz", "22007", &["2024-01-02 03:04:05 Mars", "2024-01-02 3", "now-ish", "2024-01-02 03:04:05+"]);
}

#[test]
fn moments_in_a_zone() {
    let zone = Zone::parse("Europe/Berlin").unwrap();
    for (name, text, expected) in [
        ("timestamptz", "2024-07-01 12:00", "2024-07-01 12:00:00+02"),
        ("timestamptz", "2024-01-01 12:00", "2024-01-01 12:00:00+01"),
        ("timestamptz", "2024-07-01 12:00Z", "2024-07-01 14:00:00+02"),
        ("timestamptz", "2024-07-01 12:00 America/New_York", "2024-07-01 18:00:00+02"),
        ("timestamptz", "1890-01-01 00:00 BC", "1890-01-01 00:00:00+00:53:28 BC"),
        ("timestamptz[]", "{2024-07-01}", "{\"2024-07-01 00:00:00+02\"}"),
        ("timestamp", "2024-07-01 12:00Z", "2024-07-01 12:00:00"),
    ] {
        let ty = ty(name);
        let mut builder = ColumnBuilder::in_zone(&ty, 1, zone);
        builder.append_text(text).unwrap();
        let mut out = String::new();
        TextColumn::in_zone(&builder.finish(), &ty, zone).write(0, &mut out).unwrap();
        assert_eq!(out, expected, "{text} as {name}");
    }
    let kolkata = Zone::parse("+05:30").unwrap();
    let mut builder = ColumnBuilder::in_zone(&SqlType::TimestampTz, 1, kolkata);
    builder.append_text("2024-01-01").unwrap();
    assert_eq!(shown(&builder.finish(), &SqlType::TimestampTz), "2023-12-31 18:30:00+00");
}

#[test]
fn uuids() {
    let canonical = "0e8e7f2c-4a6d-4b1e-9c3f-2a7d5b8e1f60";
    for text in [
        "0E8E7F2C-4A6D-4B1E-9C3F-2A7D5B8E1F60",
        "{0e8e7f2c4a6d4b1e9c3f2a7d5b8e1f60}",
        " 0e8e-7f2c-4a6d-4b1e-9c3f-2a7d-5b8e-1f60 ",
    ] {
        assert_eq!(through("uuid", text).as_deref(), Ok(canonical));
    }
    refuses(
        "uuid",
        "22P02",
        &["", "0e8e7f2c", "0e8e7f2c-4a6d-4b1e-9c3f-2a7d5b8e1f6g", "0e8e7f2c4a6d4b1e9c3f2a7d5b8e1f601"],
    );
    refuses("uuid", "22P02", &["-0e8e7f2c4a6d4b1e9c3f2a7d5b8e1f60", "0e8e7f2c--4a6d-4b1e-9c3f-2a7d5b8e1f60"]);
}

#[test]
fn json() {
    reads(
        "jsonb",
        &[
            ("{\"b\":1,\"a\":[1,\"b \\\" c\",null]}", "{\"a\": [1, \"b \\\" c\", null], \"b\": 1}"),
            (" 1 ", "1"),
            ("\"\\\\\" ", "\"\\\\\""),
        ],
    );
    refuses("jsonb", "22P02", &["", "{", "{a:1}", "1 2", &"[".repeat(100_000)]);
}

#[test]
fn arrays() {
    reads("int8[]", &[("{1, 2,NULL}", "{1,2,NULL}"), ("{}", "{}"), (" { } ", "{}")]);
    reads("text[]", &[("{a,\"b c\",\"NULL\",\"\\\"\",\"\"}", "{a,\"b c\",\"NULL\",\"\\\"\",\"\"}")]);
    reads("timestamptz[]", &[("{2024-01-02}", "{\"2024-01-02 00:00:00+00\"}")]);
    refuses("int8[]", "22P02", &["", "1", "{1", "{1,}", "{1}x", "{{1}}", "{b}", "{\"a", "{,1}"]);
}

#[test]
fn a_refused_value_leaves_the_column_alone() {
    let ty = ty("int8[]");
    let mut builder = ColumnBuilder::new(&ty, 2);
    assert!(builder.append_text("{1,2,x}").is_err());
    assert!(builder.is_empty());
    builder.append_null();
    builder.append_text("{7}").unwrap();
    let array = builder.finish();
    assert!(array.is_null(0));
    assert_eq!(shown(&array.slice(1, 1), &ty), "{7}");
    assert!(builder.is_empty());
}

#[test]
fn long_values_are_cut_in_messages() {
    let error = through("int8", &"ż".repeat(500)).unwrap_err();
    assert!(error.chars().count() < 140, "{error}");
}

#[test]
fn other_arrow_types() {
    let text = SqlType::Text;
    let mut words = StringDictionaryBuilder::<Int32Type>::new();
    words.append_value("word");
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(LargeStringArray::from(vec!["large"])), "large"),
        (Arc::new(StringViewArray::from(vec!["view"])), "view"),
        (Arc::new(words.finish()), "word"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), "18446744073709551615"),
        (Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000])), "1970-01-01 00:00:01.5"),
        (Arc::new(DurationSecondArray::from(vec![90_061])), "1 day 01:01:01"),
        (Arc::new(Decimal256Array::from(vec![Some(1234.into())]).with_precision_and_scale(60, 2).unwrap()), "12.34"),
    ];
    for (array, expected) in cases {
        assert_eq!(shown(&array, &text), expected);
    }
}

#[test]
fn intervals_structs_and_maps() {
    let interval = arrow_array::types::IntervalMonthDayNanoType::make_value(14, 3, 4_000_000_000);
    let array: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![interval]));
    assert_eq!(shown(&array, &SqlType::Text), "1 year 2 mons 3 days 00:00:04");
    let interval = arrow_array::types::IntervalMonthDayNanoType::make_value(-1, 1, 0);
    let array: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![interval]));
    assert_eq!(shown(&array, &SqlType::Text), "-1 mons +1 day");

    let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let name: ArrayRef = Arc::new(LargeStringArray::from(vec!["a\"b"]));
    let array: ArrayRef = Arc::new(StructArray::from(vec![
        (Arc::new(Field::new("id", DataType::Int64, true)), id),
        (Arc::new(Field::new("name", DataType::LargeUtf8, true)), name),
    ]));
    assert_eq!(shown(&array, &SqlType::Text), "{\"id\": 1, \"name\": \"a\\\"b\"}");

    let mut maps = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    maps.keys().append_value(7);
    maps.values().append_value("x");
    maps.keys().append_value(8);
    maps.values().append_null();
    maps.append(true).unwrap();
    let array: ArrayRef = Arc::new(maps.finish());
    assert_eq!(shown(&array, &SqlType::Text), "{\"7\": \"x\", \"8\": null}");
}
