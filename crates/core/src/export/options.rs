//! The options of EXPORT INTO.

use std::collections::HashSet;

use arrow_schema::Schema;
use lakeport_base::{Sqlstate, units};

use crate::charset::Charset;
use crate::error::{Error, Result};
use crate::stmt::options::{OptionRow, OptionTable, Values, separator};

const CSV: &str = "CSV";
const NDJSON: &str = "NDJSON";
const PARQUET: &str = "PARQUET";
const FORMATS: &[&str] = &[CSV, NDJSON, PARQUET];

/// Every option.
pub const OPTIONS: OptionTable = OptionTable {
    verb: "export",
    formats: FORMATS,
    rows: &[
        OptionRow::value("chunk_rows", FORMATS),
        OptionRow::value("chunk_size", FORMATS),
        OptionRow::value("compression", FORMATS),
        OptionRow::value("delimiter", &[CSV]),
        OptionRow::value("nullas", &[CSV]),
    ],
};

/// Rows of a full file.
const CHUNK_ROWS_DEFAULT: u64 = 100_000;
/// Size of a full file before compression, in bytes.
const CHUNK_BYTES_DEFAULT: u64 = 32 << 20;

/// How the files are to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportOptions {
    pub format: Format,
    pub compression: Compression,
    /// Text is UTF-8 without it.
    pub charset: Option<Charset>,
    pub chunk_rows: u64,
    /// Before compression.
    pub chunk_bytes: u64,
}

/// The format of the files.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    Csv(CsvForm),
    /// One JSON object a line.
    Ndjson,
    Parquet,
}

impl Format {
    /// # Errors
    /// 42701 for two columns of one name in files that tell columns by their names.
    pub(super) fn require_names(&self, schema: &Schema) -> Result<()> {
        let mut seen = HashSet::new();
        match schema.fields().iter().find(|field| !seen.insert(field.name())) {
            Some(twice) if !matches!(self, Format::Csv(_)) => {
                let message = format!("column name {:?} appears more than once", twice.name());
                Err(Error::new(Sqlstate::DUPLICATE_COLUMN, message)
                    .with_hint("the files tell columns by their names: give each its own with AS"))
            }
            _ => Ok(()),
        }
    }
}

/// How fields and lines of text are written.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvForm {
    pub delimiter: u8,
    /// What stands for NULL; without it NULL is an error.
    pub null_text: Option<String>,
    pub quoting: Quoting,
    /// Ends each line.
    pub line_end: String,
    /// Whether a file begins with the names of the columns.
    pub has_header: bool,
    /// What the names of files end with.
    pub extension: &'static str,
}

/// What is done about values that would read as something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Quotes around them.
    WhereNeeded { quote: u8, escape: Option<u8> },
    /// Quotes around every text, whether it needs them or not.
    AroundText { quote: u8, escape: Option<u8> },
    /// A backslash before what is special; the text of NULL begins with one.
    Backslash,
}

impl CsvForm {
    /// RFC 4180 with this delimiter and line feeds.
    pub fn new(delimiter: u8, null_text: Option<String>) -> CsvForm {
        CsvForm {
            delimiter,
            null_text,
            quoting: Quoting::WhereNeeded { quote: b'"', escape: None },
            line_end: "\n".to_string(),
            has_header: false,
            extension: "csv",
        }
    }
}

/// How the files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    /// Of text, its frames.
    Snappy,
}

impl ExportOptions {
    /// Options with their values as text.
    ///
    /// # Errors
    /// An unknown format, an option of another format, or a wrong value, in CockroachDB's words.
    pub fn parse(format: &str, values: &Values) -> Result<ExportOptions> {
        OPTIONS.check(format, values)?;
        let delimiter = |text| separator(text, Error::invalid("invalid delimiter value"));
        let parsed = match format {
            NDJSON => Format::Ndjson,
            PARQUET => Format::Parquet,
            _ => Format::Csv(CsvForm::new(
                values.get("delimiter").map_or(Ok(b','), delimiter)?,
                values.get("nullas").map(str::to_string),
            )),
        };
        Ok(ExportOptions {
            format: parsed,
            compression: values.get("compression").map_or(Ok(Compression::None), |text| compression(format, text))?,
            charset: None,
            chunk_rows: values.get("chunk_rows").map_or(Ok(CHUNK_ROWS_DEFAULT), chunk_rows)?,
            chunk_bytes: values.get("chunk_size").map_or(Ok(CHUNK_BYTES_DEFAULT), chunk_bytes)?,
        })
    }

    /// What file names end with.
    pub fn extension(&self) -> String {
        let format = match &self.format {
            Format::Csv(form) => form.extension,
            Format::Ndjson => "ndjson",
            Format::Parquet => "parquet",
        };
        let codec = match self.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::Snappy => ".snappy",
        };
        format!("{format}{codec}")
    }
}

fn compression(format: &str, text: &str) -> Result<Compression> {
    match (text.to_ascii_lowercase().as_str(), format) {
        ("none", _) => Ok(Compression::None),
        ("gzip", _) => Ok(Compression::Gzip),
        ("zstd", _) => Ok(Compression::Zstd),
        ("snappy", PARQUET) => Ok(Compression::Snappy),
        _ => {
            let codecs = if format == PARQUET { "none, gzip, snappy, zstd" } else { "none, gzip, zstd" };
            Err(Error::invalid(format!("unsupported compression codec {text} for {format} file format"))
                .with_hint(format!("the codecs are {codecs}")))
        }
    }
}

fn chunk_rows(text: &str) -> Result<u64> {
    let rows = text.trim().parse().ok().filter(|rows| *rows > 0);
    rows.ok_or_else(|| Error::invalid(format!("invalid chunk_rows value {text:?}")).with_hint("a whole number above 0"))
}

fn chunk_bytes(text: &str) -> Result<u64> {
    let bytes = units::parse_bytes(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| Error::invalid(format!("invalid chunk_size value {text:?}")).with_hint("a size such as 32MB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_are_refused_in_the_documented_words() {
        for (format, option, value, expected) in [
            ("JSON", "nullas", "", "unsupported export format: \"json\""),
            ("CSV", "compression", "bzip", "unsupported compression codec bzip for CSV file format"),
            ("CSV", "compression", "snappy", "unsupported compression codec snappy for CSV file format"),
            ("PARQUET", "nullas", "", "invalid option \"nullas\" specified for PARQUET export format"),
            ("CSV", "chunk_rows", "0", "invalid chunk_rows value \"0\""),
            ("CSV", "chunk_size", "big", "invalid chunk_size value \"big\""),
        ] {
            let error = ExportOptions::parse(format, &Values(vec![(option.into(), Some(value.into()))])).unwrap_err();
            assert_eq!(error.message(), expected);
        }
    }
}
