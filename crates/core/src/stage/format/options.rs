//! The options of file formats: one table says which there are, for which types, and what they take.

use encoding_rs::Encoding;
use lakeport_base::name::printable;
use lakeport_base::nearest::nearest;
use serde_json::Value;

use super::FormatType::{self, Arrow, Avro, Csv, Json, Ndjson, Orc, Parquet, Text};
use super::{FileFormat, illegal};
use crate::databend::Number;
use crate::error::{Error, Result};

/// What an option takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text in which `\t`, `\n`, `\r`, `\0`, `\'`, `\"` and `\\` stand for characters; the second says what fits.
    Text(fn(FormatType, &str) -> bool, &'static str),
    /// A name of many spellings, for which the first answers the one that is kept; the second says what it names.
    Name(fn(&str) -> Option<&'static str>, &'static str),
    /// Several texts.
    List,
}

/// One option of file formats.
#[derive(Debug)]
pub struct FormatOption {
    /// Lower case.
    pub name: &'static str,
    /// The types it is for, each with its value when none is written.
    pub types: &'static [(FormatType, &'static str)],
    pub takes: Takes,
    /// One sentence for the manual.
    pub help: &'static str,
}

const fn option(
    name: &'static str,
    types: &'static [(FormatType, &'static str)],
    takes: Takes,
    help: &'static str,
) -> FormatOption {
    FormatOption { name, types, takes, help }
}

const COMPRESSIONS: &[&str] =
    &["NONE", "AUTO", "GZIP", "BZ2", "BROTLI", "ZSTD", "DEFLATE", "RAW_DEFLATE", "XZ", "SNAPPY", "ZIP"];
const DELIMITED: &[(FormatType, &str)] = &[(Csv, "false"), (Text, "false")];

pub static COMPRESSION: FormatOption = option(
    "compression",
    &[(Csv, "NONE"), (Text, "NONE"), (Ndjson, "NONE"), (Json, "NONE"), (Avro, "NONE"), (Parquet, "ZSTD")],
    Takes::Word(COMPRESSIONS),
    "How files are compressed; AUTO goes by their names.",
);
pub static FIELD_DELIMITER: FormatOption = option(
    "field_delimiter",
    &[(Csv, ","), (Text, "\t")],
    Takes::Text(
        is_field_delimiter,
        "CSV: 1 to 20 bytes, not only letters and digits; TEXT: one byte, or '' for whole lines",
    ),
    "What stands between two fields.",
);
pub static RECORD_DELIMITER: FormatOption = option(
    "record_delimiter",
    &[(Csv, "\n"), (Text, "\n")],
    Takes::Text(is_record_delimiter, "one byte that is no letter or digit, or \\r\\n"),
    "What ends a record.",
);
pub static QUOTE: FormatOption = option(
    "quote",
    &[(Csv, "\"")],
    Takes::Text(|_, text| ["'", "\"", "`"].contains(&text), "one of ' \" `"),
    "What stands around a field that holds delimiters.",
);
pub static ESCAPE: FormatOption = option(
    "escape",
    &[(Csv, ""), (Text, "\\")],
    Takes::Text(|_, text| ["", "\\"].contains(&text), "\\\\ or ''"),
    "What stands before a character that is to mean itself.",
);
pub static SKIP_HEADER: FormatOption =
    option("skip_header", &[(Csv, "0"), (Text, "0")], Takes::Count, "Lines left out at the start of each file.");
pub static OUTPUT_HEADER: FormatOption =
    option("output_header", DELIMITED, Takes::Flag, "Files written begin with the names of the columns.");
pub static TRIM_SPACE: FormatOption =
    option("trim_space", DELIMITED, Takes::Flag, "Spaces around a field, or around its quotes, do not count.");
pub static QUOTE_STYLE: FormatOption = option(
    "quote_style",
    &[(Csv, "QUOTE_NOT_NULL")],
    Takes::Word(&["QUOTE_NOT_NULL", "QUOTE_MINIMAL"]),
    "Which fields are written in quotes.",
);
pub static NULL_DISPLAY: FormatOption = option(
    "null_display",
    &[(Csv, "\\N"), (Text, "\\N")],
    Takes::Text(|_, _| true, "any text"),
    "What stands for NULL.",
);
pub static NAN_DISPLAY: FormatOption = option(
    "nan_display",
    &[(Csv, "NaN"), (Text, "NaN")],
    Takes::Text(|_, text| ["nan", "NaN", "null", "NULL"].contains(&text), "nan, NaN, null or NULL"),
    "What stands for the number that is none.",
);
pub static EMPTY_FIELD_AS: FormatOption = option(
    "empty_field_as",
    &[(Csv, "NULL"), (Text, "FIELD_DEFAULT")],
    Takes::Word(&["NULL", "STRING", "FIELD_DEFAULT"]),
    "What an empty field means.",
);
pub static QUOTED_EMPTY_FIELD_AS: FormatOption = option(
    "quoted_empty_field_as",
    &[(Csv, "STRING")],
    Takes::Word(&["NULL", "STRING", "FIELD_DEFAULT"]),
    "What two quotes with nothing between them mean.",
);
pub static ALLOW_QUOTED_NULLS: FormatOption =
    option("allow_quoted_nulls", &[(Csv, "false")], Takes::Flag, "NULL_DISPLAY in quotes is NULL too.");
pub static BINARY_FORMAT: FormatOption =
    option("binary_format", &[(Csv, "HEX")], Takes::Word(&["HEX", "BASE64"]), "How bytes are spelled.");
pub static ERROR_ON_COLUMN_COUNT_MISMATCH: FormatOption = option(
    "error_on_column_count_mismatch",
    &[(Csv, "true"), (Text, "true")],
    Takes::Flag,
    "A record with another number of fields than the table has columns is an error.",
);
pub static ENCODING: FormatOption = option(
    "encoding",
    &[(Csv, "UTF-8"), (Text, "UTF-8")],
    Takes::Name(
        |name| Encoding::for_label_no_replacement(name.as_bytes()).map(Encoding::name),
        "a name that the web knows, such as UTF-8, GBK or WINDOWS-1252",
    ),
    "How characters are encoded.",
);
pub static ENCODING_ERROR_MODE: FormatOption = option(
    "encoding_error_mode",
    &[(Csv, "STRICT"), (Text, "STRICT")],
    Takes::Word(&["STRICT", "REPLACE"]),
    "Whether bytes that are no characters, and characters that the encoding lacks, are an error, or replaced.",
);
pub static MISSING_FIELD_AS: FormatOption = option(
    "missing_field_as",
    &[(Ndjson, "ERROR"), (Parquet, "ERROR"), (Orc, "ERROR"), (Arrow, "ERROR")],
    Takes::Word(&["ERROR", "NULL", "FIELD_DEFAULT"]),
    "What a column is that a file does not have.",
);
pub static AVRO_MISSING_FIELD_AS: FormatOption = option(
    "missing_field_as",
    &[(Avro, "ERROR")],
    Takes::Word(&["ERROR", "FIELD_DEFAULT"]),
    "What a column is that a file does not have.",
);
pub static NULL_FIELD_AS: FormatOption = option(
    "null_field_as",
    &[(Ndjson, "NULL")],
    Takes::Word(&["NULL", "FIELD_DEFAULT"]),
    "What a null means for a column.",
);
pub static NULL_IF: FormatOption =
    option("null_if", &[(Ndjson, ""), (Parquet, ""), (Avro, "")], Takes::List, "Texts that mean NULL.");
pub static USE_LOGIC_TYPE: FormatOption = option(
    "use_logic_type",
    &[(Parquet, "true"), (Avro, "true")],
    Takes::Flag,
    "Dates, times and decimals are read as such.",
);

/// Every option, in the order of the manual.
pub static OPTIONS: &[&FormatOption] = &[
    &COMPRESSION,
    &FIELD_DELIMITER,
    &RECORD_DELIMITER,
    &QUOTE,
    &ESCAPE,
    &SKIP_HEADER,
    &OUTPUT_HEADER,
    &TRIM_SPACE,
    &QUOTE_STYLE,
    &NULL_DISPLAY,
    &NAN_DISPLAY,
    &EMPTY_FIELD_AS,
    &QUOTED_EMPTY_FIELD_AS,
    &ALLOW_QUOTED_NULLS,
    &BINARY_FORMAT,
    &ERROR_ON_COLUMN_COUNT_MISMATCH,
    &ENCODING,
    &ENCODING_ERROR_MODE,
    &MISSING_FIELD_AS,
    &AVRO_MISSING_FIELD_AS,
    &NULL_FIELD_AS,
    &NULL_IF,
    &USE_LOGIC_TYPE,
];

/// Options that a format keeps, and of which not everybody who reads or writes files takes other values than their defaults.
pub static DEFAULTS_ONLY: &[&FormatOption] = &[
    &NAN_DISPLAY,
    &QUOTED_EMPTY_FIELD_AS,
    &BINARY_FORMAT,
    &ERROR_ON_COLUMN_COUNT_MISMATCH,
    &MISSING_FIELD_AS,
    &NULL_FIELD_AS,
    &NULL_IF,
    &USE_LOGIC_TYPE,
];

/// Something that is done with files.
pub struct Use {
    /// Files are .. or not.
    pub done: &'static str,
    /// Those of [`DEFAULTS_ONLY`] that may have any value.
    pub heeds: &'static [&'static FormatOption],
}

/// Queries over files.
pub static QUERY: Use = Use { done: "queried", heeds: &[&NULL_IF] };
/// COPY INTO a table.
pub static LOAD: Use = Use {
    done: "loaded",
    heeds: &[&ERROR_ON_COLUMN_COUNT_MISMATCH, &MISSING_FIELD_AS, &AVRO_MISSING_FIELD_AS, &NULL_FIELD_AS, &NULL_IF],
};
/// COPY INTO a location.
pub static UNLOAD: Use = Use { done: "written", heeds: &[] };

/// Longest delimiter between fields, in bytes.
const FIELD_DELIMITER_BYTES_MAX: usize = 20;

fn is_field_delimiter(ty: FormatType, text: &str) -> bool {
    match ty {
        Text => text.len() <= 1,
        _ => (1..=FIELD_DELIMITER_BYTES_MAX).contains(&text.len()) && !text.bytes().all(|b| b.is_ascii_alphanumeric()),
    }
}

fn is_record_delimiter(_: FormatType, text: &str) -> bool {
    text == "\r\n" || (text.len() == 1 && !text.bytes().all(|b| b.is_ascii_alphanumeric()))
}

impl FormatOption {
    /// The value for a type when none is written; none for a type that does not have the option.
    pub fn default_for(&self, ty: FormatType) -> Option<&'static str> {
        self.types.iter().find(|(known, _)| *known == ty).map(|(_, default)| *default)
    }

    /// The value in force; empty for a type that does not have the option.
    pub fn text<'a>(&self, format: &'a FileFormat) -> &'a str {
        let written = format.values(self).and_then(|values| values.first());
        written.map_or_else(|| self.default_for(format.ty).unwrap_or_default(), String::as_str)
    }

    /// The value of a flag in force.
    pub fn is_on(&self, format: &FileFormat) -> bool {
        self.text(format) == "true"
    }

    /// The value of a number in force.
    pub fn count(&self, format: &FileFormat) -> usize {
        self.text(format).parse().unwrap_or_default()
    }

    /// The texts of a list in force.
    pub fn list<'a>(&self, format: &'a FileFormat) -> &'a [String] {
        format.values(self).unwrap_or_default()
    }

    pub(super) fn checked(&self, ty: FormatType, values: &[String]) -> Result<Vec<String>> {
        if let Takes::List = self.takes {
            return Ok(values.to_vec());
        }
        let [value] = values else {
            return Err(illegal(format!("option {} takes one value", self.name.to_uppercase())));
        };
        self.checked_value(ty, value).map(|value| vec![value])
    }

    pub(super) fn checked_value(&self, ty: FormatType, value: &str) -> Result<String> {
        match self.takes {
            Takes::List => Ok(value.to_string()),
            Takes::Flag => {
                let flag = ["true", "false"].into_iter().find(|flag| flag.eq_ignore_ascii_case(value));
                flag.map(str::to_string).ok_or_else(|| self.untaken(ty, value, "true or false"))
            }
            Takes::Count => {
                let count = value.parse::<u32>().map(|count| count.to_string());
                count.map_err(|_| self.untaken(ty, value, "a whole number"))
            }
            Takes::Word(words) => {
                let word = words.iter().find(|word| word.eq_ignore_ascii_case(value));
                word.map(|word| word.to_string()).ok_or_else(|| self.unknown_word(value, words))
            }
            Takes::Name(known, what) => known(value).map(str::to_string).ok_or_else(|| self.untaken(ty, value, what)),
            Takes::Text(fits, what) => {
                let text = unescaped(value);
                if fits(ty, &text) { Ok(text) } else { Err(self.untaken(ty, value, what)) }
            }
        }
    }

    pub(super) fn refused(&self, ty: FormatType, value: &str) -> Error {
        let (ty, option, value) = (ty.name(), self.name.to_uppercase(), printable(value));
        let message = format!("Invalid {ty} option value: {option} is currently set to '{value}'.");
        Error::databend(Number::BAD_ARGUMENTS, message)
    }

    fn untaken(&self, ty: FormatType, value: &str, what: &str) -> Error {
        self.refused(ty, value).with_hint(format!("{} takes {what}", self.name.to_uppercase()))
    }

    fn unknown_word(&self, value: &str, words: &[&str]) -> Error {
        let (option, value) = (self.name.to_uppercase(), value.to_uppercase());
        let valid = words.join(" | ");
        let message = format!("Invalid option value: {option} is set to {value}. The valid values are {valid}.");
        let near = nearest(&value, words.iter().copied()).map(|word| format!("did you mean {word}?"));
        Error::databend(Number::INVALID_ARGUMENT, message).with_hint_opt(near)
    }

    pub(super) fn shown(&self, format: &FileFormat) -> Value {
        match self.takes {
            Takes::Flag => Value::from(self.is_on(format)),
            Takes::Count => Value::from(self.count(format)),
            Takes::Word(_) => Value::from(capitalised(self.text(format))),
            Takes::Text(..) | Takes::Name(..) => Value::from(self.text(format)),
            Takes::List => Value::from(self.list(format).to_vec()),
        }
    }
}

/// `FIELD_DEFAULT` as `FieldDefault`
fn capitalised(word: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        format!("{first}{}", rest.to_lowercase())
    };
    word.split('_').map(part).collect()
}

/// The text with the characters that its escapes stand for; another backslash stands for itself.
fn unescaped(text: &str) -> String {
    let mut clear = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let meant = if c == '\\' { chars.peek().and_then(|next| escape(*next)) } else { None };
        if meant.is_some() {
            chars.next();
        }
        clear.push(meant.unwrap_or(c));
    }
    clear
}

fn escape(letter: char) -> Option<char> {
    Some(match letter {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        '0' => '\0',
        '\\' | '\'' | '"' => letter,
        _ => return None,
    })
}
