//! File formats: one table says which options there are, for which types, and what they take.

use encoding_rs::Encoding;
use lakeport_base::name::printable;
use lakeport_base::nearest::nearest;
use lakeport_catalog::model::FormatOptions;
use lakeport_sql::stmt::stage::location::Parameter;
use serde_json::{Map, Value};

use crate::databend::Number;
use crate::error::{Error, Result};

/// What files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FormatType {
    Csv,
    Text,
    Ndjson,
    Json,
    Parquet,
    Orc,
    Avro,
    Lance,
    Arrow,
    ArrowStream,
}

use FormatType::{Arrow, ArrowStream, Avro, Csv, Json, Lance, Ndjson, Orc, Parquet, Text};

/// The names of each type, the one that messages use first; and what DESCRIBE STAGE calls it.
const TYPES: &[(FormatType, &[&str], &str)] = &[
    (Csv, &["CSV"], "Csv"),
    (Text, &["TEXT", "TSV", "TABSEPARATED"], "Text"),
    (Ndjson, &["NDJSON", "JSONEACHROW"], "NdJson"),
    (Json, &["JSON"], "Json"),
    (Parquet, &["PARQUET"], "Parquet"),
    (Orc, &["ORC"], "Orc"),
    (Avro, &["AVRO"], "Avro"),
    (Lance, &["LANCE"], "Lance"),
    (Arrow, &["ARROW"], "Arrow"),
    (ArrowStream, &["ARROW_STREAM"], "ArrowStream"),
];

impl FormatType {
    /// The type of a name in any case.
    pub fn of_name(name: &str) -> Option<FormatType> {
        let known = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        TYPES.iter().find(|(_, names, _)| known(names)).map(|(ty, ..)| *ty)
    }

    /// The name in upper case.
    pub fn name(self) -> &'static str {
        TYPES.iter().find(|(ty, ..)| *ty == self).map_or("", |(_, names, _)| names[0])
    }

    fn shown(self) -> &'static str {
        TYPES.iter().find(|(ty, ..)| *ty == self).map_or("", |(.., shown)| shown)
    }
}

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

/// A checked file format.
#[derive(Clone, Debug)]
pub struct FileFormat {
    pub ty: FormatType,
    /// Options written, with their values checked and spelled as in the table; texts without escapes.
    written: Vec<(&'static FormatOption, Vec<String>)>,
}

impl FileFormat {
    /// A type with the values of options that are not written.
    pub fn of_type(ty: FormatType) -> FileFormat {
        FileFormat { ty, written: Vec::new() }
    }

    /// Checks options, the type among them.
    ///
    /// # Errors
    /// 2508 for options that do not make a format, 1006 and 2004 for their values.
    pub fn read(options: &FormatOptions) -> Result<FileFormat> {
        let ty = options.0.iter().find(|(name, _)| name == TYPE);
        let ty = ty.ok_or_else(|| {
            illegal("Invalid FILE_FORMAT options: FILE_FORMAT must include at least one of the TYPE or NAME option.")
                .with_hint("write FILE_FORMAT = (TYPE = CSV), or (FORMAT_NAME = 'a format made by CREATE FILE FORMAT')")
        })?;
        let ty = type_of(&ty.1)?;
        let mut format = FileFormat::of_type(ty);
        for (name, values) in options.0.iter().filter(|(name, _)| name != TYPE) {
            let option = option_of(ty, name)?;
            if format.written.iter().any(|(known, _)| known.name == option.name) {
                return Err(illegal(format!("option {} is given more than once", name.to_uppercase())));
            }
            format.written.push((option, option.checked(ty, values)?));
        }
        format.check_delimiters()?;
        Ok(format)
    }

    /// Characters that mean two things at once.
    fn check_delimiters(&self) -> Result<()> {
        let (field, record) = (FIELD_DELIMITER.text(self), RECORD_DELIMITER.text(self));
        let (quote, escape) = (QUOTE.text(self), ESCAPE.text(self));
        let parts = [(&QUOTE, quote), (&ESCAPE, escape), (&RECORD_DELIMITER, record)];
        for (option, text) in parts {
            // Readers look for the last byte of what ends a record.
            let in_field = text.bytes().last().is_some_and(|last| field.as_bytes().contains(&last))
                || (!field.is_empty() && text.contains(field));
            let is_record = option.name != RECORD_DELIMITER.name && !text.is_empty() && text == record;
            if in_field || is_record {
                let other = if in_field { &FIELD_DELIMITER } else { &RECORD_DELIMITER };
                let why = format!("{} holds the same character", other.name.to_uppercase());
                return Err(option.refused(self.ty, text).with_detail(why));
            }
        }
        if TRIM_SPACE.is_on(self) && (field.starts_with(' ') || record == " ") {
            return Err(TRIM_SPACE.refused(self.ty, "true").with_detail("a delimiter begins with a space"));
        }
        Ok(())
    }

    /// # Errors
    /// [1002] for one of [`DEFAULTS_ONLY`] that has another value than its default and is not heeded.
    pub fn require_known_values(&self, used: &Use) -> Result<()> {
        let is_known = |option: &FormatOption, values: &[String]| {
            let has = |list: &[&FormatOption]| list.iter().any(|known| known.name == option.name);
            let takes_default = has(DEFAULTS_ONLY) && !has(used.heeds);
            !takes_default || values.concat() == option.default_for(self.ty).unwrap_or_default()
        };
        let Some((option, values)) = self.written.iter().find(|(option, values)| !is_known(option, values)) else {
            return Ok(());
        };
        let (option, values) = (option.name.to_uppercase(), values.join(", "));
        let message = format!("files are not {} with {option} = {values}", used.done);
        Err(Error::databend(Number::UNIMPLEMENTED, message))
    }

    fn values(&self, option: &FormatOption) -> Option<&[String]> {
        self.written.iter().find(|(known, _)| known.name == option.name).map(|(_, values)| values.as_slice())
    }

    /// All options of the type as JSON, in the spelling of DESCRIBE STAGE.
    pub fn to_json(&self) -> String {
        let mut shown = Map::from_iter([(TYPE.to_string(), Value::from(self.ty.shown()))]);
        for option in OPTIONS.iter().filter(|option| option.default_for(self.ty).is_some()) {
            shown.insert(option.name.to_string(), option.shown(self));
        }
        Value::Object(shown).to_string()
    }
}

/// The option that names the type.
pub const TYPE: &str = "type";
/// The option that names a format made before.
pub const FORMAT_NAME: &str = "format_name";

/// Options as a statement has them.
pub fn written(list: &[Parameter]) -> FormatOptions {
    FormatOptions(list.iter().map(|parameter| (parameter.name.clone(), parameter.values.clone())).collect())
}

/// All names of types.
pub(crate) fn type_names() -> Vec<&'static str> {
    TYPES.iter().flat_map(|(_, names, _)| names.iter().copied()).collect()
}

fn type_of(values: &[String]) -> Result<FormatType> {
    let name = values.first().map_or("", String::as_str);
    FormatType::of_name(name).ok_or_else(|| {
        let hint = suggestion(name, &type_names(), "the types are");
        illegal(format!("Unsupported FILE_FORMAT type: {name:?}")).with_hint(hint)
    })
}

fn option_of(ty: FormatType, name: &str) -> Result<&'static FormatOption> {
    let of_type = || OPTIONS.iter().copied().filter(move |option| option.default_for(ty).is_some());
    of_type().find(|option| option.name == name).ok_or_else(|| {
        let known: Vec<String> = of_type().map(|option| option.name.to_uppercase()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = suggestion(name, &known, &format!("the options of {} are", ty.name()));
        illegal(format!("Unsupported options for {}: {}", ty.name(), name.to_uppercase())).with_hint(hint)
    })
}

/// What may have been meant, and what there is.
fn suggestion(found: &str, known: &[&str], what: &str) -> String {
    let near = nearest(found, known.iter().copied()).map(|name| format!("did you mean {name}? "));
    format!("{}{what} {}", near.unwrap_or_default(), known.join(", "))
}

fn illegal(message: impl Into<String>) -> Error {
    Error::databend(Number::ILLEGAL_FILE_FORMAT, message)
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

    fn checked(&self, ty: FormatType, values: &[String]) -> Result<Vec<String>> {
        if let Takes::List = self.takes {
            return Ok(values.to_vec());
        }
        let [value] = values else {
            return Err(illegal(format!("option {} takes one value", self.name.to_uppercase())));
        };
        self.checked_value(ty, value).map(|value| vec![value])
    }

    fn checked_value(&self, ty: FormatType, value: &str) -> Result<String> {
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

    fn refused(&self, ty: FormatType, value: &str) -> Error {
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

    fn shown(&self, format: &FileFormat) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &[&str])]) -> Result<FileFormat> {
        let texts = |values: &[&str]| values.iter().map(|value| value.to_string()).collect();
        FileFormat::read(&FormatOptions(options.iter().map(|(name, v)| (name.to_string(), texts(v))).collect()))
    }

    #[test]
    fn defaults_satisfy_their_own_rules() {
        for option in OPTIONS {
            for (ty, default) in option.types {
                if !matches!(option.takes, Takes::List) {
                    let escaped = default.replace('\\', "\\\\");
                    assert_eq!(option.checked_value(*ty, &escaped).unwrap(), *default, "{} {}", ty.name(), option.name);
                }
            }
        }
        for (ty, ..) in TYPES {
            FileFormat::of_type(*ty).check_delimiters().unwrap();
        }
    }

    #[test]
    fn options_are_those_of_the_type() {
        let format = read(&[("type", &["tsv"]), ("skip_header", &["2"]), ("record_delimiter", &["\\r\\n"])]).unwrap();
        assert_eq!((format.ty, SKIP_HEADER.count(&format)), (Text, 2));
        assert_eq!((FIELD_DELIMITER.text(&format), RECORD_DELIMITER.text(&format)), ("\t", "\r\n"));
        let format = read(&[("type", &["parquet"]), ("null_if", &["a", "b"])]).unwrap();
        assert_eq!((NULL_IF.list(&format), USE_LOGIC_TYPE.is_on(&format)), (&["a".into(), "b".into()][..], true));
        let shown = r#"{"compression":"Zstd","missing_field_as":"Error","null_if":["a","b"],"type":"Parquet","use_logic_type":true}"#;
        assert_eq!(format.to_json(), shown);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let csv = |name, value| read(&[("type", &["csv"]), (name, &[value])]).unwrap_err().message().to_string();
        for (message, expected) in [
            (
                csv("field_delimiter", "ab"),
                "[1006] Invalid CSV option value: FIELD_DELIMITER is currently set to 'ab'.",
            ),
            (csv("field_delimiter", "\""), "[1006] Invalid CSV option value: QUOTE is currently set to '\"'."),
            (
                csv("record_delimiter", ","),
                "[1006] Invalid CSV option value: RECORD_DELIMITER is currently set to ','.",
            ),
            (
                csv("record_delimiter", "x"),
                "[1006] Invalid CSV option value: RECORD_DELIMITER is currently set to 'x'.",
            ),
            (csv("quote", "|"), "[1006] Invalid CSV option value: QUOTE is currently set to '|'."),
            (csv("skip_header", "-1"), "[1006] Invalid CSV option value: SKIP_HEADER is currently set to '-1'."),
            (csv("null_if", "x"), "[2508] Unsupported options for CSV: NULL_IF"),
            (csv("compression", "rar"), "[2004] Invalid option value: COMPRESSION is set to RAR. The valid values are"),
        ] {
            assert!(message.starts_with(expected), "{message}");
        }
        let message = |options: &[(&str, &[&str])]| read(options).unwrap_err().message().to_string();
        assert_eq!(
            message(&[("type", &["ndjson"]), ("null_field_as", &["error"])]),
            "[2004] Invalid option value: NULL_FIELD_AS is set to ERROR. The valid values are NULL | FIELD_DEFAULT."
        );
        assert!(message(&[("type", &["avro"]), ("missing_field_as", &["null"])]).starts_with("[2004] "));
        assert!(message(&[("type", &["csvv"])]).starts_with("[2508] Unsupported FILE_FORMAT type"));
        assert!(message(&[("compression", &["auto"])]).starts_with("[2508] Invalid FILE_FORMAT options"));
        assert!(message(&[("type", &["csv"]), ("quote", &["'"]), ("quote", &["'"])]).contains("more than once"));
    }
}
