//! JSON, one object a line, to rows: fields by column name.

use std::borrow::Cow;
use std::collections::HashMap;

use lakeport_base::name::{printable, quote_ident};
use lakeport_base::{SqlType, Sqlstate};
use serde::de::IgnoredAny;

use super::batch::{Rows, Target};
use super::options::{ByName, Missing};
use super::scan::{ScanError, Scanned};
use super::text::{TextFormat, shown};
use crate::error::{Error, Result};

/// Lines of JSON. Empty ones are counted and left out.
pub(super) struct Ndjson<'a> {
    names: ByName,
    null_is_default: bool,
    target: &'a Target,
    index_of: HashMap<&'a str, usize>,
    /// The value of each column of the row under way.
    values: Vec<Value>,
}

/// The value of a column in a row.
#[derive(Clone)]
enum Value {
    Missing,
    Null,
    Text(String),
}

impl TextFormat for Ndjson<'_> {
    fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        Ok(Scanned::line(input, at_end))
    }

    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()> {
        let line = record.trim();
        if line.is_empty() {
            return Ok(());
        }
        self.values.fill(Value::Missing);
        self.read_object(line)?;
        for (index, value) in self.values.iter().enumerate() {
            match (value, self.names.missing) {
                (Value::Text(text), _) => rows.push(index, Some(text))?,
                (Value::Null, _) if self.null_is_default => rows.push_default(index)?,
                (Value::Null, _) | (Value::Missing, Missing::Null) => rows.push(index, None)?,
                (Value::Missing, Missing::Default) => rows.push_default(index)?,
                (Value::Missing, Missing::Refused) => return Err(self.missing(index, line)),
            }
        }
        rows.end_row();
        Ok(())
    }

    fn record_end(&self) -> u8 {
        b'\n'
    }
}

impl<'a> Ndjson<'a> {
    pub fn new(names: ByName, null_is_default: bool, target: &'a Target) -> Ndjson<'a> {
        let columns = target.columns.iter().enumerate();
        Ndjson {
            names,
            null_is_default,
            target,
            index_of: columns.map(|(index, column)| (column.name.as_str(), index)).collect(),
            values: vec![Value::Missing; target.columns.len()],
        }
    }

    /// 42703 for a column that an object does not have, perhaps but for the case of its name.
    fn missing(&self, index: usize, line: &str) -> Error {
        let (error, name) = (self.target.missing_column(index), &self.target.columns[index].name);
        match members(line).into_iter().flatten().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some((other, _)) if self.target.rules.in_databend => error.with_hint(format!(
                "the row has {other:?}, and case counts in NDJSON: COPY INTO table FROM (SELECT $1:{}, ... FROM location) \
                 takes it",
                printable(&quote_ident(&other))
            )),
            _ => error,
        }
    }

    fn read_object(&mut self, line: &str) -> Result<()> {
        for (name, value) in members(line).ok_or_else(|| not_an_object(line))? {
            match self.index_of.get(name.as_ref()) {
                Some(&index) if means_null(value, &self.target.rules.null_if) => self.values[index] = Value::Null,
                Some(&index) => {
                    let text = text_of(value, &self.target.columns[index].ty)?;
                    self.values[index] = text.map_or(Value::Null, Value::Text);
                }
                None if self.names.only_known => {
                    let message = format!("field {name:?} is no column of the table");
                    return Err(Error::new(Sqlstate::UNDEFINED_COLUMN, message)
                        .with_hint("without strict_validation such fields are left out"));
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn not_an_object(line: &str) -> Error {
    Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("expected one JSON object (row: {})", shown(line)))
}

/// 22P02: one half of a surrogate without the other.
fn no_text(string: &str) -> Error {
    let message = format!("the string {} has an escape that stands for no character", shown(string));
    Error::new(Sqlstate::INVALID_TEXT_REPRESENTATION, message)
}

/// Reads one JSON value at the start of a text; answers its length too.
fn leading<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// The members of a JSON object with their values as written, which keeps every digit of a number.
fn members(line: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut rest = line.strip_prefix('{')?.trim_start();
    let mut members = Vec::new();
    if let Some(after) = rest.strip_prefix('}') {
        return after.is_empty().then_some(members);
    }
    loop {
        let (name, length) = leading::<String>(rest)?;
        rest = rest[length..].trim_start().strip_prefix(':')?.trim_start();
        let (IgnoredAny, length) = leading(rest)?;
        members.push((Cow::Owned(name), rest[..length].trim_end()));
        rest = rest[length..].trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return (rest == "}").then_some(members),
        }
    }
}

/// Whether a JSON value is one of these texts.
fn means_null(value: &str, null_if: &[String]) -> bool {
    !null_if.is_empty() && leading::<String>(value).is_some_and(|(text, _)| null_if.contains(&text))
}

/// An object with null where one of these texts stands; what is no object stays as it is.
pub(crate) fn with_nulls(line: &str, null_if: &[String]) -> String {
    let Some(members) = members(line) else { return line.to_string() };
    let member = |(name, value): (Cow<'_, str>, &str)| {
        format!("{}:{}", serde_json::Value::from(name), if means_null(value, null_if) { "null" } else { value })
    };
    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
}

/// The elements of a JSON array as written.
fn elements(array: &str) -> Option<Vec<&str>> {
    let mut rest = array.strip_prefix('[')?.trim_start();
    let mut elements = Vec::new();
    if rest == "]" {
        return Some(elements);
    }
    loop {
        let (IgnoredAny, length) = leading(rest)?;
        elements.push(rest[..length].trim_end());
        rest = rest[length..].trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return (rest == "]").then_some(elements),
        }
    }
}

/// A JSON value in the text form of a column's type; `None` is NULL.
fn text_of(json: &str, ty: &SqlType) -> Result<Option<String>> {
    match (json.as_bytes().first(), ty) {
        (Some(b'n'), _) => Ok(None),
        (_, SqlType::Jsonb) => Ok(Some(json.to_string())),
        (Some(b'"'), _) => Ok(Some(leading::<String>(json).ok_or_else(|| no_text(json))?.0)),
        (Some(b'['), SqlType::Array(element)) => array_text(json, element).map(Some),
        (_, SqlType::Int2 | SqlType::Int4 | SqlType::Int8) => Ok(Some(without_zeros(json).to_string())),
        _ => Ok(Some(json.to_string())),
    }
}

/// A number without a fraction that is 0.
fn without_zeros(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => number,
    }
}

/// `{1,NULL,"a b"}`
fn array_text(json: &str, element: &SqlType) -> Result<String> {
    let mut text = String::from("{");
    for (position, json) in elements(json).ok_or_else(|| not_an_object(json))?.into_iter().enumerate() {
        text.push_str(if position > 0 { "," } else { "" });
        match text_of(json, element)? {
            None => text.push_str("NULL"),
            Some(value) => {
                text.push('"');
                text.extend(value.chars().flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])));
                text.push('"');
            }
        }
    }
    text.push('}');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_spelling() {
        let line = r#"{"a": 1.10, "b\u0041": "x\ny", "c": [1, "two", null], "d": {"k": [ ]}, "e":null}"#;
        let members = members(line).unwrap();
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, ["a", "bA", "c", "d", "e"]);
        assert_eq!(members[0].1, "1.10");
        let array = SqlType::Array(Box::new(SqlType::Text));
        assert_eq!(text_of(members[2].1, &array).unwrap().unwrap(), r#"{"1","two",NULL}"#);
        assert_eq!(text_of(members[3].1, &SqlType::Jsonb).unwrap().unwrap(), r#"{"k": [ ]}"#);
        assert_eq!(text_of(members[4].1, &SqlType::Text).unwrap(), None);
        let half = text_of(r#""\ud800""#, &SqlType::Text).unwrap_err();
        assert_eq!(half.code(), Sqlstate::INVALID_TEXT_REPRESENTATION);
        for (json, text) in [("1.0", "1"), ("-0.00", "-0"), ("1.5", "1.5"), ("1e2", "1e2"), ("10", "10")] {
            assert_eq!(text_of(json, &SqlType::Int4).unwrap().unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["[]", "{", "{}x", r#"{"a" 1}"#, r#"{"a":1,}"#, r#"{"a":1 "b":2}"#, r#"{"a":tru}"#, "1", r#"{a:1}"#]
        {
            assert!(members(line).is_none(), "{line}");
        }
        assert!(members("{}").unwrap().is_empty());
    }

    #[test]
    fn texts_may_mean_null() {
        let null_if = ["".to_string(), "n/a".to_string()];
        assert_eq!(
            with_nulls(r#"{"a": "", "\n": "n\/a", "c": [""], "d": 1.10}"#, &null_if),
            r#"{"a":null,"\n":null,"c":[""],"d":1.10}"#
        );
        assert_eq!(with_nulls("[\"\"]", &null_if), "[\"\"]");
    }
}
