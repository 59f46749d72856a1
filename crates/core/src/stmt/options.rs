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

/// The options of one statement, placeholders filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub Vec<(String, Option<String>)>);

impl Values {
    /// Reads a list against the table of a statement's options.
    ///
    /// # Errors
    /// `invalid option "x"`, an option given twice, or one with or without a value against its row.
    pub(crate) fn read(cx: &Cx<'_>, list: &[KvOption], table: &[OptionRow]) -> Result<Values> {
        let mut values = Values::default();
        for option in list {
            let name = &option.name;
            let row = table.iter().find(|row| row.name == *name).ok_or_else(|| {
                let hint = nearest(name, table.iter().map(|row| row.name));
                refused(option, format!("invalid option {name:?}"))
                    .with_hint_opt(hint.map(|name| format!("did you mean {name:?}?")))
            })?;
            match (row.takes, &option.value) {
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

    /// # Errors
    /// An option that is not for this format. `verb` is `import` or `export`.
    pub fn check_format(&self, table: &[OptionRow], format: &str, verb: &str) -> Result<()> {
        for (name, _) in &self.0 {
            let fits = table.iter().any(|row| row.name == name && row.formats.contains(&format));
            if !fits {
                let message = format!("invalid option {name:?} specified for {format} {verb} format");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }

    /// Whether the option is given.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name)?.1.as_deref()
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
