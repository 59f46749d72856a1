//! File formats as the readers of IMPORT take them.

use super::format::{
    ALLOW_QUOTED_NULLS, COMPRESSION, EMPTY_FIELD_AS, ESCAPE, FIELD_DELIMITER, FileFormat, NULL_DISPLAY, QUOTE,
    RECORD_DELIMITER, SKIP_HEADER,
};
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

/// # Errors
/// 1002 for a delimiter of several bytes.
pub(crate) fn csv(format: &FileFormat) -> Result<CsvOptions> {
    let delimiter = FIELD_DELIMITER.text(format);
    let [delimiter] = *delimiter.as_bytes() else {
        let message = format!("FIELD_DELIMITER {delimiter:?} of several bytes cannot be read");
        return Err(Error::databend(Number::UNIMPLEMENTED, message));
    };
    let syntax = Syntax {
        delimiter,
        quote: first_byte(QUOTE.text(format)).unwrap_or(b'"'),
        escape: first_byte(ESCAPE.text(format)),
        record_end: record_end(format),
        ..Syntax::default()
    };
    Ok(CsvOptions {
        syntax,
        nullif: Some(NULL_DISPLAY.text(format).to_string()),
        empty: empty(format),
        allow_quoted_null: ALLOW_QUOTED_NULLS.is_on(format),
        skip: SKIP_HEADER.count(format) as u64,
    })
}

pub(crate) fn delimited(format: &FileFormat) -> DelimitedOptions {
    let row_end = record_end(format);
    DelimitedOptions {
        row_end,
        cuts_return: RECORD_DELIMITER.text(format) == "\r\n",
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
