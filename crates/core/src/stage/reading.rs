//! File formats as the readers of IMPORT take them.

use encoding_rs::{Encoding, UTF_8};

use super::format::FileFormat;
use super::format::options::{
    ALLOW_QUOTED_NULLS, COMPRESSION, EMPTY_FIELD_AS, ENCODING, ENCODING_ERROR_MODE, ESCAPE, FIELD_DELIMITER,
    NULL_DISPLAY, QUOTE, RECORD_DELIMITER, SKIP_HEADER, TRIM_SPACE,
};
use crate::charset::Charset;
use crate::databend::Number;
use crate::error::{Error, Result};
use crate::import::scan::Syntax;
use crate::import::{CsvOptions, Decompress, DelimitedOptions, EmptyField};

/// # Errors
/// 1002 for what cannot be read.
pub(crate) fn decompress(format: &FileFormat) -> Result<Decompress> {
    Ok(match COMPRESSION.text(format) {
        "NONE" | "" => Decompress::None,
        "AUTO" => Decompress::Auto,
        "GZIP" => Decompress::Gzip,
        "BZ2" => Decompress::Bzip2,
        "BROTLI" => Decompress::Brotli,
        "ZSTD" => Decompress::Zstd,
        "DEFLATE" => Decompress::Zlib,
        "RAW_DEFLATE" => Decompress::Deflate,
        "XZ" => Decompress::Xz,
        "SNAPPY" => Decompress::Snappy,
        "ZIP" => Decompress::Zip,
        other => {
            let message = format!("files of {other} compression cannot be read");
            return Err(Error::databend(Number::UNIMPLEMENTED, message));
        }
    })
}

fn first_byte(text: &str) -> Option<u8> {
    text.as_bytes().first().copied()
}

/// The byte that ends a record; a carriage return before a line feed belongs to it.
fn record_end(format: &FileFormat) -> u8 {
    RECORD_DELIMITER.text(format).as_bytes().last().copied().unwrap_or(b'\n')
}

/// What text is, where it is anything else than UTF-8.
pub(crate) fn charset(format: &FileFormat) -> Option<Charset> {
    let strict = ENCODING_ERROR_MODE.text(format) != "REPLACE";
    let encoding = Encoding::for_label(ENCODING.text(format).as_bytes())?;
    // Readers look at UTF-8 themselves, and tell the row.
    (encoding != UTF_8 || !strict).then_some(Charset { encoding, strict })
}

pub(crate) fn csv(format: &FileFormat) -> CsvOptions {
    let syntax = Syntax {
        delimiter: FIELD_DELIMITER.text(format).into(),
        quote: first_byte(QUOTE.text(format)).unwrap_or(b'"'),
        escape: first_byte(ESCAPE.text(format)),
        record_end: record_end(format),
        trim: TRIM_SPACE.is_on(format),
        ..Syntax::default()
    };
    CsvOptions {
        syntax,
        nullif: Some(NULL_DISPLAY.text(format).to_string()),
        empty: empty(format),
        allow_quoted_null: ALLOW_QUOTED_NULLS.is_on(format),
        skip: SKIP_HEADER.count(format) as u64,
    }
}

pub(crate) fn delimited(format: &FileFormat) -> DelimitedOptions {
    let row_end = record_end(format);
    DelimitedOptions {
        row_end,
        cuts_return: RECORD_DELIMITER.text(format) == "\r\n",
        trim: TRIM_SPACE.is_on(format),
        // Fields that end as rows do are whole rows.
        field_end: first_byte(FIELD_DELIMITER.text(format)).unwrap_or(row_end),
        enclosure: None,
        escape: first_byte(ESCAPE.text(format)),
        nullif: Some(NULL_DISPLAY.text(format).to_string()),
        empty: empty(format),
        skip: SKIP_HEADER.count(format) as u64,
    }
}

fn empty(format: &FileFormat) -> EmptyField {
    match EMPTY_FIELD_AS.text(format) {
        "STRING" => EmptyField::Text,
        "FIELD_DEFAULT" => EmptyField::Default,
        _ => EmptyField::Null,
    }
}
