//! File formats: a type with its options.

pub mod options;

use lakeport_base::nearest::nearest;
use lakeport_catalog::model::FormatOptions;
use lakeport_sql::stmt::stage::location::Parameter;
use serde_json::{Map, Value};

use self::options::{
    DEFAULTS_ONLY, ESCAPE, FIELD_DELIMITER, FormatOption, OPTIONS, QUOTE, RECORD_DELIMITER, TRIM_SPACE, Use,
};
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

    /// The type that reads what a type holds that nobody reads, as a hint.
    pub fn alternative(self) -> Option<&'static str> {
        (self == Json).then_some("TYPE = NDJSON reads JSON, one document on each line")
    }

    fn shown(self) -> &'static str {
        TYPES.iter().find(|(ty, ..)| *ty == self).map_or("", |(.., shown)| shown)
    }
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

#[cfg(test)]
mod tests {
    use super::options::{NULL_IF, SKIP_HEADER, Takes, USE_LOGIC_TYPE};
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
