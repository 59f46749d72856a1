use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use lakeport_base::SqlType;
use lakeport_core::rows::schema_of;

use super::*;

fn options(format: CopyFormat) -> CopyOptions {
    let csv = format == CopyFormat::Csv;
    let null = if csv { String::new() } else { "\\N".to_string() };
    let delimiter = if csv { b',' } else { b'\t' };
    CopyOptions { format, delimiter, null, header: false, quote: b'"', escape: b'"', size: None }
}

/// Reads the data in pieces of each size; all must give the same rows.
fn rows(options: &CopyOptions, data: &[u8]) -> Result<Vec<(Option<i64>, Option<String>)>> {
    let mut answers = [1, 3, data.len().max(1)].map(|size| rows_in_pieces(options, data, size)).into_iter();
    let first = answers.next().expect("three sizes");
    for other in answers {
        assert_eq!(format!("{first:?}"), format!("{other:?}"));
    }
    first
}

fn rows_in_pieces(options: &CopyOptions, data: &[u8], size: usize) -> Result<Vec<(Option<i64>, Option<String>)>> {
    let schema = schema_of(&[("id", SqlType::Int8), ("name", SqlType::Text)]);
    let mut decoder = CopyDecoder::new(schema, options.clone(), Zone::UTC);
    let mut rows = Vec::new();
    for piece in data.chunks(size).map(Some).chain([None]) {
        match piece {
            Some(piece) => decoder.feed(piece),
            None => decoder.end(),
        }
        while let Some(batch) = decoder.next_batch()? {
            let (ids, names) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
            rows.extend((0..batch.num_rows()).map(|row| {
                let id = ids.is_valid(row).then(|| ids.value(row));
                (id, names.is_valid(row).then(|| names.value(row).to_string()))
            }));
        }
    }
    Ok(rows)
}

fn row(id: i64, name: &str) -> (Option<i64>, Option<String>) {
    (Some(id), Some(name.to_string()))
}

#[track_caller]
fn refused(options: &CopyOptions, data: &[u8], code: &str, detail: &str) {
    let error = rows(options, data).expect_err("refused");
    assert_eq!((error.code().code(), error.detail()), (code, Some(detail)), "{error}");
}

#[test]
fn text_lines() {
    let text = options(CopyFormat::Text);
    let read = rows(&text, b"1\ta\\tb\\\\\\x41\\101\r\n\\N\t\\N\n2\t\n3\tlast").unwrap();
    assert_eq!(read, [row(1, "a\tb\\AA"), (None, None), row(2, ""), row(3, "last")]);
    assert_eq!(rows(&text, b"1\ta\\\nb\n\\.\nrubbish").unwrap(), [row(1, "a\nb")]);
    assert_eq!(rows(&CopyOptions { header: true, ..text }, b"x\ty\tz\n1\ta\n").unwrap(), [row(1, "a")]);
}

#[test]
fn csv_records() {
    let csv = options(CopyFormat::Csv);
    let read = rows(&csv, b"1,\"a \"\"b\"\",\nc\"\n,\n2,\"\"\n3,x\"y,\"z\n").unwrap();
    assert_eq!(read, [row(1, "a \"b\",\nc"), (None, None), row(2, ""), row(3, "xy,z")]);
    let escape = CopyOptions { escape: b'\\', delimiter: b';', ..csv };
    assert_eq!(rows(&escape, b"1;\"a\\\"\\\\;\"\n").unwrap(), [row(1, "a\"\\;")]);
}

#[test]
fn binary_rows() {
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02xx".to_vec();
    data.extend(b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x07\0\0\0\x02ab");
    data.extend(b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    let binary = options(CopyFormat::Binary);
    assert_eq!(rows(&binary, &data).unwrap(), [row(7, "ab"), (None, None)]);
    refused(&binary, &data[..data.len() - 4], "22P04", "COPY, line 1");
    refused(&binary, b"PGCOPX", "22P04", "COPY, line 0");
    data[23..25].copy_from_slice(b"\0\x03");
    refused(&binary, &data, "22P04", "COPY, line 0");
}

#[test]
fn bad_lines_are_named() {
    let text = options(CopyFormat::Text);
    refused(&text, b"1\ta\nx\tb\n", "22P02", "COPY, line 2, column \"id\"");
    refused(&text, b"1\n", "22P04", "COPY, line 1");
    refused(&text, b"1\ta\tb\n", "22P04", "COPY, line 1");
    refused(&text, b"1\t\xff\n", "22021", "COPY, line 1");
    refused(&text, b"1\t\\xff\n", "22021", "COPY, line 1, column \"name\"");
    refused(&options(CopyFormat::Csv), b"1,\"a\n2,b\n", "22P04", "COPY, line 0");
}

#[test]
fn batches_are_cut_by_bytes() {
    let name = "x".repeat(BATCH_BYTES_MAX / 2);
    let schema = schema_of(&[("id", SqlType::Int8), ("name", SqlType::Text)]);
    let mut decoder = CopyDecoder::new(schema, options(CopyFormat::Text), Zone::UTC);
    decoder.feed(format!("1\t{name}\n2\t{name}\n3\t{name}\n").as_bytes());
    assert_eq!(decoder.next_batch().unwrap().map(|batch| batch.num_rows()), Some(2));
    decoder.end();
    assert_eq!(decoder.next_batch().unwrap().map(|batch| batch.num_rows()), Some(1));
    assert!(decoder.next_batch().unwrap().is_none());
}

#[test]
fn rows_that_are_too_long_are_refused_before_they_have_come() {
    let mut row = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02".to_vec();
    row.extend(8_i32.to_be_bytes());
    row.extend([0; 8]);
    row.extend((IMPORT_ROW_BYTES_MAX as i32 - 7).to_be_bytes());
    refused(&options(CopyFormat::Binary), &row, "22P04", "COPY, line 0");
}
