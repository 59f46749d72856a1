//! `WITH name = value` lists of IMPORT and EXPORT: which names there are and what they take.

use lakeport_base::Sqlstate;
use lakeport_base::nearest::nearest;
use lakeport_sql::stmt::KvOption;

use super::Cx;
use crate::error::{Error, Result};
use crate::setting::Setting;

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Value,
}

/// One option of a statement.
pub struct OptionRow {
    pub name: &'static str,
    pub takes: Takes,
    /// The formats it is for, upper case.
    pub formats: &'static [&'static str],
}

impl OptionRow {
    /// An option without a value.
    pub const fn flag(name: &'static str, formats: &'static [&'static str]) -> OptionRow {
        OptionRow { name, takes: Takes::Nothing, formats }
    }

    /// An option with a value.
    pub const fn value(name: &'static str, formats: &'static [&'static str]) -> OptionRow {
        OptionRow { name, takes: Takes::Value, formats }
    }
}

/// The formats and options of one statement.
pub struct OptionTable {
    /// `import` or `export`.
    pub verb: &'static str,
    /// The formats that it takes, upper case.
    pub formats: &'static [&'static str],
    pub rows: &'static [OptionRow],
}

impl OptionTable {
    /// Reads the options of a statement, placeholders filled in.
    ///
    /// # Errors
    /// `invalid option "x"`, an option given twice, or one with or without a value against its row.
    pub(crate) fn read(&self, cx: &Cx<'_>, list: &[KvOption]) -> Result<Values> {
        let mut values = Values::default();
        for option in list {
            let name = &option.name;
            match (self.row(option)?.takes, &option.value) {
                (Takes::Nothing, Some(_)) => {
                    return Err(refused(option, format!("option {name:?} does not take a value")));
                }
                (Takes::Value, None) => return Err(refused(option, format!("option {name:?} requires a value"))),
                _ if values.has(name) => {
                    return Err(refused(option, format!("option {name:?} specified more than once")));
                }
                (_, value) => {
                    let value = value.as_ref().map(|value| cx.string(value)).transpose()?;
                    values.0.push((name.clone(), value));
                }
            }
        }
        Ok(values)
    }

    fn row(&self, option: &KvOption) -> Result<&OptionRow> {
        let name = &option.name;
        self.rows.iter().find(|row| row.name == *name).ok_or_else(|| {
            let hint = nearest(name, self.rows.iter().map(|row| row.name));
            refused(option, format!("invalid option {name:?}"))
                .with_hint_opt(hint.map(|name| format!("did you mean {name:?}?")))
        })
    }

    /// # Errors
    /// 0A000 for a format that the statement does not take.
    pub(crate) fn check_format(&self, format: &str) -> Result<()> {
        if self.formats.contains(&format) {
            return Ok(());
        }
        let message = format!("unsupported {} format: {:?}", self.verb, format.to_ascii_lowercase());
        Err(Error::unsupported(message).with_hint(format!("the formats are {}", self.formats.join(", "))))
    }

    /// # Errors
    /// A format that the statement does not take, or an option of another format.
    pub(crate) fn check(&self, format: &str, values: &Values) -> Result<()> {
        self.check_format(format)?;
        for (name, _) in &values.0 {
            let fits = self.rows.iter().any(|row| row.name == name && row.formats.contains(&format));
            if !fits {
                let message = format!("invalid option {name:?} specified for {format} {} format", self.verb);
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }
}

/// The options of one statement by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub Vec<(String, Option<String>)>);

impl Values {
    /// Whether the option is given.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name)?.1.as_deref()
    }
}

/// A character that can stand between the fields of CSV.
pub(crate) fn separator(text: &str, refusal: Error) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(*byte),
        _ => Err(refusal.with_hint("write one ASCII character other than a quote or a line break")),
    }
}

fn refused(option: &KvOption, message: String) -> Error {
    Error::new(Sqlstate::INVALID_PARAMETER_VALUE, message).with_position(option.position)
}

/// # Errors
/// 55000 when a cluster setting switches the feature off.
pub(crate) fn require_feature(cx: &Cx<'_>, setting: &Setting, feature: &str) -> Result<()> {
    if setting.is_on(&cx.directory) {
        return Ok(());
    }
    let message = format!("feature {feature} was disabled by the database administrator");
    Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint(format!("SET CLUSTER SETTING {} = true allows it", setting.name)))
}
