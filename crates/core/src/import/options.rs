//! The options of IMPORT INTO.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lakeport_base::Sqlstate;

use super::avro::shape;
use super::batch::{Sink, Target};
use super::scan::Syntax;
use super::source::SourceFile;
use crate::charset::Charset;
use crate::error::{Error, Result};
use crate::stage::format::FormatType;
use crate::stmt::options::{OptionRow, OptionTable, Values, separator};

const AVRO: &str = "AVRO";
const CSV: &str = "CSV";
const DELIMITED: &str = "DELIMITED";
const NDJSON: &str = "NDJSON";
const PARQUET: &str = "PARQUET";
/// The formats that can be imported.
const FORMATS: &[&str] = &[AVRO, CSV, DELIMITED, NDJSON, PARQUET];
/// Those of rows that stand by themselves, so that a wrong one can be left out.
const TEXTS: &[&str] = &[CSV, DELIMITED, NDJSON];

/// Every option.
pub const OPTIONS: OptionTable = OptionTable {
    verb: "import",
    formats: FORMATS,
    rows: &[
        OptionRow::flag("allow_quoted_null", &[CSV]),
        OptionRow::value("comment", &[CSV]),
        OptionRow::flag("data_as_binary_records", &[AVRO]),
        OptionRow::flag("data_as_json_records", &[AVRO]),
        OptionRow::value("decompress", FORMATS),
        OptionRow::value("delimiter", &[CSV]),
        OptionRow::flag("detached", FORMATS),
        OptionRow::flag("disable_glob_matching", FORMATS),
        OptionRow::flag("experimental_save_rejected", TEXTS),
        OptionRow::value("fields_enclosed_by", &[DELIMITED]),
        OptionRow::value("fields_escaped_by", &[DELIMITED]),
        OptionRow::value("fields_terminated_by", &[DELIMITED]),
        OptionRow::value("nullif", &[CSV, DELIMITED]),
        OptionRow::value("records_terminated_by", &[AVRO]),
        OptionRow::value("row_limit", FORMATS),
        OptionRow::value("rows_terminated_by", &[DELIMITED]),
        OptionRow::value("schema", &[AVRO]),
        OptionRow::value("schema_uri", &[AVRO]),
        OptionRow::value("skip", &[CSV, DELIMITED]),
        OptionRow::flag("strict_quotes", &[CSV]),
        OptionRow::flag("strict_validation", &[AVRO, NDJSON, PARQUET]),
    ],
};

/// How the files are to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    pub format: Format,
    pub decompress: Decompress,
    /// Text is UTF-8 without it.
    pub charset: Option<Charset>,
    /// Rows to import in all.
    pub row_limit: Option<u64>,
    /// Whether `*`, `?` and `[` in paths are patterns.
    pub glob: bool,
    /// Rows that do not fit go to a file beside theirs.
    pub save_rejected: bool,
}

/// The format of the files.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    Avro(AvroOptions),
    Csv(CsvOptions),
    Delimited(DelimitedOptions),
    Ndjson {
        names: ByName,
        /// A null stands for the default of its column.
        null_is_default: bool,
    },
    Parquet {
        names: ByName,
    },
    /// What only the engine can read, or compute.
    Other(OtherRows),
}

/// How the columns of files become those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByName {
    /// A column of the file that is none of the table's is an error.
    pub only_known: bool,
    /// What a column is that the file does not have.
    pub missing: Missing,
    /// Names that differ by case are different.
    pub exact: bool,
}

/// What a column is that a file does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Null,
    Refused,
    Default,
}

impl ByName {
    /// The columns of the file must be the table's, or need not.
    fn of_columns(strict: bool) -> ByName {
        let missing = if strict { Missing::Refused } else { Missing::Null };
        ByName { only_known: strict, missing, exact: false }
    }

    /// Fields may be missing; those that are no columns are refused, or left out.
    fn of_fields(strict: bool) -> ByName {
        ByName { only_known: strict, missing: Missing::Null, exact: true }
    }
}

/// Readers of rows from elsewhere.
#[derive(Clone)]
pub struct OtherRows(pub(crate) Arc<dyn ReadRows>);

/// Reads the rows of files by other means than the readers here.
#[async_trait]
pub(crate) trait ReadRows: Send + Sync {
    /// The rows of a file as the target's columns.
    async fn read(&self, file: &SourceFile, target: &Target, sink: &Sink) -> Result<()>;
}

impl fmt::Debug for OtherRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtherRows")
    }
}

impl PartialEq for OtherRows {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How Avro is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct AvroOptions {
    pub names: ByName,
    pub form: AvroForm,
}

/// What an Avro file consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum AvroForm {
    /// A container, which holds its schema.
    Container,
    /// Nothing but records.
    Records {
        /// JSON.
        schema: String,
        json: bool,
        /// The byte after each record; `None`: JSON ends with its line, binary needs no end.
        record_end: Option<u8>,
    },
}

/// How CSV is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct CsvOptions {
    pub syntax: Syntax,
    /// An unquoted field of this text is NULL.
    pub nullif: Option<String>,
    /// What an unquoted empty field means.
    pub empty: EmptyField,
    /// Quoted fields may be NULL too.
    pub allow_quoted_null: bool,
    /// Records at the start of each file to leave out.
    pub skip: u64,
}

/// What an empty field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyField {
    /// What it is: a text without characters.
    Text,
    /// NULL where the column is none of text.
    NullUnlessText,
    Null,
    /// The default of its column.
    Default,
}

/// How delimited text, as MySQL writes it, is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct DelimitedOptions {
    pub row_end: u8,
    /// A carriage return before it belongs to it.
    pub cuts_return: bool,
    /// Spaces around a field do not count.
    pub trim: bool,
    pub field_end: u8,
    /// Stands around a field that may hold the other characters.
    pub enclosure: Option<u8>,
    /// Before a character that stands for itself, or for NULL as `N`.
    pub escape: Option<u8>,
    /// A field of this text that is not enclosed is NULL; without it, `NULL` is.
    pub nullif: Option<String>,
    /// What an empty one means.
    pub empty: EmptyField,
    /// Rows at the start of each file to leave out.
    pub skip: u64,
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
    Brotli,
    /// Deflated data in zlib's frame.
    Zlib,
    /// Deflated data alone.
    Deflate,
    Xz,
    /// Snappy's frames.
    Snappy,
    /// The one file of an archive.
    Zip,
}

impl Format {
    /// The type in FILE_FORMAT that means the same, if there is one.
    pub(crate) fn file_type(&self) -> Option<FormatType> {
        match self {
            Format::Avro(AvroOptions { form: AvroForm::Container, .. }) => Some(FormatType::Avro),
            Format::Csv(_) => Some(FormatType::Csv),
            Format::Delimited(_) => Some(FormatType::Text),
            Format::Ndjson { .. } => Some(FormatType::Ndjson),
            Format::Parquet { .. } => Some(FormatType::Parquet),
            Format::Avro(_) | Format::Other(_) => None,
        }
    }
}

impl ImportOptions {
    /// Options with their values as text.
    ///
    /// # Errors
    /// An unknown format, an option of another format, or a wrong value, in CockroachDB's words.
    pub fn parse(format: &str, values: &Values) -> Result<ImportOptions> {
        OPTIONS.check(format, values)?;
        let strict = values.has("strict_validation");
        let parsed = match format {
            AVRO => Format::Avro(AvroOptions::parse(values)?),
            DELIMITED => Format::Delimited(DelimitedOptions::parse(values)?),
            NDJSON => Format::Ndjson { names: ByName::of_fields(strict), null_is_default: false },
            PARQUET => Format::Parquet { names: ByName::of_columns(strict) },
            _ => Format::Csv(CsvOptions::parse(values)?),
        };
        let decompress = values.get("decompress").map_or(Ok(Decompress::Auto), Decompress::parse)?;
        if format == PARQUET && !matches!(decompress, Decompress::Auto | Decompress::None) {
            return Err(Error::invalid(
                "option \"decompress\" cannot be used for PARQUET files: they hold compressed pages",
            ));
        }
        let row_limit = values.get("row_limit").map(row_limit).transpose()?;
        let save_rejected = values.has("experimental_save_rejected");
        let glob = !values.has("disable_glob_matching");
        Ok(ImportOptions { format: parsed, decompress, charset: None, row_limit, glob, save_rejected })
    }
}

impl AvroOptions {
    fn parse(values: &Values) -> Result<AvroOptions> {
        let names = ByName::of_columns(values.has("strict_validation"));
        let (json, binary) = (values.has("data_as_json_records"), values.has("data_as_binary_records"));
        if json && binary {
            return Err(Error::invalid("only one of the data_as_json_records or data_as_binary_records can be set"));
        }
        let described = ["schema", "schema_uri", "records_terminated_by"].iter().find(|name| values.has(name));
        if !json && !binary {
            return match described {
                None => Ok(AvroOptions { names, form: AvroForm::Container }),
                Some(name) => Err(Error::invalid(format!("option {name:?} cannot be used for container files"))
                    .with_hint("data_as_json_records or data_as_binary_records reads files without a schema")),
            };
        }
        if values.has("schema") && values.has("schema_uri") {
            return Err(Error::invalid("only one of schema or schema_uri can be set"));
        }
        let missing = || Error::invalid("schema or schema_uri must be set for records without a container");
        let schema = match values.get("schema_uri") {
            // Read before the job is made.
            Some(_) => String::new(),
            None => values.get("schema").ok_or_else(missing)?.to_string(),
        };
        if !schema.is_empty() {
            shape::Schema::parse(&schema)?;
        }
        let end = values.get("records_terminated_by");
        let record_end = end.map(|text| one_character("records_terminated_by", text)).transpose()?;
        Ok(AvroOptions { names, form: AvroForm::Records { schema, json, record_end } })
    }
}

impl CsvOptions {
    fn parse(values: &Values) -> Result<CsvOptions> {
        let character = |name, refusal| values.get(name).map(|text| separator(text, syntax(refusal))).transpose();
        let delimiter = character("delimiter", "invalid comma value")?.unwrap_or(b',');
        let comment = character("comment", "invalid comment value")?;
        if comment == Some(delimiter) {
            return Err(syntax("invalid comment value").with_hint("comment and delimiter must differ"));
        }
        let nullif = values.get("nullif").map(str::to_string);
        Ok(CsvOptions {
            syntax: Syntax {
                delimiter: vec![delimiter],
                comment,
                strict: values.has("strict_quotes"),
                ..Syntax::default()
            },
            empty: if nullif.is_some() { EmptyField::Text } else { EmptyField::NullUnlessText },
            nullif,
            allow_quoted_null: values.has("allow_quoted_null"),
            skip: values.get("skip").map_or(Ok(0), skip)?,
        })
    }
}

impl DelimitedOptions {
    fn parse(values: &Values) -> Result<DelimitedOptions> {
        let one = |name: &str| values.get(name).map(|text| one_character(name, text)).transpose();
        let options = DelimitedOptions {
            row_end: one("rows_terminated_by")?.unwrap_or(b'\n'),
            cuts_return: false,
            trim: false,
            field_end: one("fields_terminated_by")?.unwrap_or(b'\t'),
            enclosure: match values.get("fields_enclosed_by") {
                Some("") => None,
                _ => Some(one("fields_enclosed_by")?.unwrap_or(b'"')),
            },
            escape: one("fields_escaped_by")?,
            nullif: values.get("nullif").map(str::to_string),
            empty: EmptyField::Text,
            skip: values.get("skip").map_or(Ok(0), skip)?,
        };
        let mut used: Vec<u8> = [options.row_end, options.field_end].into();
        used.extend(options.enclosure.into_iter().chain(options.escape));
        used.sort_unstable();
        match used.windows(2).find(|pair| pair[0] == pair[1]) {
            None => Ok(options),
            Some(pair) => Err(syntax(format!("{:?} has two meanings", char::from(pair[0])))
                .with_hint("fields and rows must end, and be enclosed and escaped, by different characters")),
        }
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
            (Decompress::Auto, "br") => Decompress::Brotli,
            (Decompress::Auto, "deflate" | "zlib") => Decompress::Zlib,
            (Decompress::Auto, "xz") => Decompress::Xz,
            (Decompress::Auto, "snappy" | "sz") => Decompress::Snappy,
            (Decompress::Auto, "zip") => Decompress::Zip,
            (Decompress::Auto, _) => Decompress::None,
            (given, _) => given,
        }
    }
}

fn syntax(message: impl Into<String>) -> Error {
    Error::new(Sqlstate::SYNTAX_ERROR, message)
}

fn one_character(name: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => {
            Err(syntax(format!("invalid {name} value {text:?}")).with_hint("write one ASCII character, such as e'\\t'"))
        }
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
            ("XML", "skip", "1", "unsupported import format: \"xml\""),
            ("AVRO", "skip", "1", "invalid option \"skip\" specified for AVRO import format"),
            ("DELIMITED", "fields_terminated_by", "ab", "invalid fields_terminated_by value \"ab\""),
            ("DELIMITED", "fields_terminated_by", "\"", "'\"' has two meanings"),
            ("DELIMITED", "delimiter", ";", "invalid option \"delimiter\" specified for DELIMITED import format"),
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
