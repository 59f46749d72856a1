//! The options of IMPORT INTO.

use lakeport_base::Sqlstate;

use crate::error::{Error, Result};
use crate::stmt::options::{OptionRow, Takes, Values};

const CSV: &str = "CSV";
const NDJSON: &str = "NDJSON";
const PARQUET: &str = "PARQUET";
/// The formats that can be imported.
const FORMATS: &[&str] = &[CSV, NDJSON, PARQUET];

const fn row(name: &'static str, takes: Takes, formats: &'static [&'static str]) -> OptionRow {
    OptionRow { name, takes, formats }
}

/// Every option. Those without a format belong to formats of CockroachDB that are not read here.
pub const OPTIONS: &[OptionRow] = &[
    row("allow_quoted_null", Takes::Nothing, &[CSV]),
    row("comment", Takes::Value, &[CSV]),
    row("data_as_binary_records", Takes::Nothing, &[]),
    row("data_as_json_records", Takes::Nothing, &[]),
    row("decompress", Takes::Value, FORMATS),
    row("delimiter", Takes::Value, &[CSV]),
    row("detached", Takes::Nothing, FORMATS),
    row("disable_glob_matching", Takes::Nothing, FORMATS),
    row("fields_enclosed_by", Takes::Value, &[]),
    row("fields_escaped_by", Takes::Value, &[]),
    row("fields_terminated_by", Takes::Value, &[]),
    row("nullif", Takes::Value, &[CSV]),
    row("records_terminated_by", Takes::Value, &[]),
    row("row_limit", Takes::Value, FORMATS),
    row("rows_terminated_by", Takes::Value, &[]),
    row("schema", Takes::Value, &[]),
    row("schema_uri", Takes::Value, &[]),
    row("skip", Takes::Value, &[CSV]),
    row("strict_quotes", Takes::Nothing, &[CSV]),
    row("strict_validation", Takes::Nothing, &[NDJSON, PARQUET]),
];

/// How the files are to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    pub format: Format,
    pub decompress: Decompress,
    /// Rows to import in all.
    pub row_limit: Option<u64>,
    /// Whether `*`, `?` and `[` in paths are patterns.
    pub glob: bool,
}

/// The format of the files.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    Csv(CsvOptions),
    /// `strict`: a field that is no column is an error.
    Ndjson {
        strict: bool,
    },
    /// `strict`: the columns of the file must be the table's.
    Parquet {
        strict: bool,
    },
}

/// How CSV is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvOptions {
    pub delimiter: u8,
    /// Lines that start with it are left out.
    pub comment: Option<u8>,
    /// An unquoted field of this text is NULL. Without it, an empty unquoted field of a column that is no string is.
    pub nullif: Option<String>,
    /// Quoted fields may be NULL too.
    pub allow_quoted_null: bool,
    /// Records at the start of each file to leave out.
    pub skip: u64,
    /// A quote inside a field must be doubled, and its field quoted.
    pub strict_quotes: bool,
}

/// How the files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decompress {
    /// As the end of the file's name says.
    Auto,
    None,
    Gzip,
    Bzip2,
    Zstd,
}

impl ImportOptions {
    /// Options with their values as text.
    ///
    /// # Errors
    /// An unknown format, an option of another format, or a wrong value, in CockroachDB's words.
    pub fn parse(format: &str, values: &Values) -> Result<ImportOptions> {
        if !FORMATS.contains(&format) {
            let message = format!("unsupported import format: {:?}", format.to_ascii_lowercase());
            return Err(Error::unsupported(message).with_hint(format!("the formats are {}", FORMATS.join(", "))));
        }
        values.check_format(OPTIONS, format, "import")?;
        let strict = values.has("strict_validation");
        let parsed = match format {
            NDJSON => Format::Ndjson { strict },
            PARQUET => Format::Parquet { strict },
            _ => Format::Csv(CsvOptions::parse(values)?),
        };
        let decompress = values.get("decompress").map_or(Ok(Decompress::Auto), Decompress::parse)?;
        if format == PARQUET && !matches!(decompress, Decompress::Auto | Decompress::None) {
            return Err(Error::invalid(
                "option \"decompress\" cannot be used for PARQUET files: they hold compressed pages",
            ));
        }
        let row_limit = values.get("row_limit").map(row_limit).transpose()?;
        Ok(ImportOptions { format: parsed, decompress, row_limit, glob: !values.has("disable_glob_matching") })
    }
}

impl CsvOptions {
    fn parse(values: &Values) -> Result<CsvOptions> {
        let delimiter = values.get("delimiter").map_or(Ok(b','), |text| character(text, "invalid comma value"))?;
        let comment = values.get("comment").map(|text| character(text, "invalid comment value")).transpose()?;
        if comment == Some(delimiter) {
            return Err(syntax("invalid comment value").with_hint("comment and delimiter must differ"));
        }
        Ok(CsvOptions {
            delimiter,
            comment,
            nullif: values.get("nullif").map(str::to_string),
            allow_quoted_null: values.has("allow_quoted_null"),
            skip: values.get("skip").map_or(Ok(0), skip)?,
            strict_quotes: values.has("strict_quotes"),
        })
    }
}

impl Decompress {
    fn parse(text: &str) -> Result<Decompress> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Decompress::Auto),
            "none" => Ok(Decompress::None),
            "gzip" => Ok(Decompress::Gzip),
            "bzip" | "bzip2" => Ok(Decompress::Bzip2),
            "zstd" => Ok(Decompress::Zstd),
            _ => Err(Error::invalid(format!("unsupported compression value: {text:?} for option decompress"))
                .with_hint("the values are auto, none, gzip, bzip, zstd")),
        }
    }

    /// The compression of a file: [`Decompress::Auto`] is made out from its name.
    pub fn of_file(self, name: &str) -> Decompress {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match (self, extension.as_str()) {
            (Decompress::Auto, "gz") => Decompress::Gzip,
            (Decompress::Auto, "bz" | "bz2") => Decompress::Bzip2,
            (Decompress::Auto, "zst" | "zstd") => Decompress::Zstd,
            (Decompress::Auto, _) => Decompress::None,
            (given, _) => given,
        }
    }
}

fn syntax(message: &str) -> Error {
    Error::new(Sqlstate::SYNTAX_ERROR, message)
}

/// A character that can stand between fields or start a comment.
fn character(text: &str, refusal: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(*byte),
        _ => Err(syntax(refusal).with_hint("write one ASCII character other than a quote or a line break")),
    }
}

fn skip(text: &str) -> Result<u64> {
    match text.trim().parse::<i64>() {
        Err(_) => Err(syntax("invalid skip value")),
        Ok(count) => u64::try_from(count).map_err(|_| syntax("skip must be >= 0")),
    }
}

fn row_limit(text: &str) -> Result<u64> {
    match text.trim().parse::<i64>() {
        Err(_) => Err(syntax("invalid numeric row_limit value")),
        Ok(count @ 1..) => Ok(count.unsigned_abs()),
        Ok(_) => Err(syntax("row_limit must be > 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: &str, options: &[(&str, Option<&str>)]) -> Result<ImportOptions> {
        let owned = options.iter().map(|(name, value)| (name.to_string(), value.map(str::to_string)));
        ImportOptions::parse(format, &Values(owned.collect()))
    }

    #[test]
    fn wrong_options_are_refused_in_the_documented_words() {
        for (format, option, value, expected) in [
            ("CSV", "delimiter", "ab", "invalid comma value"),
            ("CSV", "comment", "\"", "invalid comment value"),
            ("CSV", "skip", "x", "invalid skip value"),
            ("CSV", "skip", "-1", "skip must be >= 0"),
            ("CSV", "row_limit", "many", "invalid numeric row_limit value"),
            ("CSV", "row_limit", "0", "row_limit must be > 0"),
            ("CSV", "decompress", "rar", "unsupported compression value: \"rar\" for option decompress"),
            ("PARQUET", "delimiter", ";", "invalid option \"delimiter\" specified for PARQUET import format"),
            ("CSV", "schema", "x", "invalid option \"schema\" specified for CSV import format"),
            ("AVRO", "skip", "1", "unsupported import format: \"avro\""),
        ] {
            let error = parse(format, &[(option, Some(value))]).unwrap_err();
            assert_eq!(error.message(), expected);
        }
    }

    #[test]
    fn the_name_tells_the_compression() {
        assert_eq!(Decompress::Auto.of_file("a/b.csv.GZ"), Decompress::Gzip);
        assert_eq!(Decompress::Auto.of_file("a.bz/b"), Decompress::None);
        assert_eq!(Decompress::None.of_file("b.gz"), Decompress::None);
    }
}
