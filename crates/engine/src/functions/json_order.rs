//! Keys of JSON values: texts that compare as the values do: booleans, numbers, strings, objects, arrays. Whole numbers are exact,
//! others are floats, and null is NULL.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use lakeport_base::{SqlType, hex};
use lakeport_core::value::ColumnBuilder;
use serde_json::Value;

use super::json::parsed;
use super::scalar::{Scalar, failed};

/// Ends a text, and what lists of values consist of; no value begins so.
const END: u8 = 0;

/// The key of a document.
pub(crate) fn json_key() -> ScalarUDF {
    keys("json_key", |document, key| {
        let value = parsed(document)?;
        add_value(&value, key)?;
        Ok(!value.is_null())
    })
}

/// The key of the number that a text is.
pub(crate) fn number_key() -> ScalarUDF {
    keys("number_key", |text, key| add_number(text, key).map(|()| true))
}

/// A function from texts to what `add` makes of them, NULL where it answers false.
fn keys(name: &'static str, add: fn(&str, &mut Vec<u8>) -> Result<bool>) -> ScalarUDF {
    let key_of = move |text: &str| {
        let mut key = Vec::new();
        add(text, &mut key).map(|has_one| has_one.then(|| hex::encode(&key)))
    };
    let body = move |call: &super::scalar::Call<'_>| -> Result<ArrayRef> {
        let texts = call.texts(0)?;
        let keys = texts.iter().map(|text| text.map_or(Ok(None), key_of));
        Ok(Arc::new(keys.collect::<Result<StringArray>>()?))
    };
    Scalar::new(name, vec![DataType::Utf8], SqlType::Text, body).into()
}

fn add_value(value: &Value, key: &mut Vec<u8>) -> Result<()> {
    key.push(match value {
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Object(_) => 5,
        Value::Array(_) => 6,
        Value::Null => 7,
    });
    match value {
        Value::Bool(_) | Value::Null => return Ok(()),
        Value::Number(number) => return add_number(&number.to_string(), key),
        Value::String(text) => key.extend_from_slice(text.as_bytes()),
        Value::Object(members) => {
            for (name, value) in members {
                key.extend_from_slice(name.as_bytes());
                key.push(END);
                add_value(value, key)?;
            }
        }
        Value::Array(items) => items.iter().try_for_each(|item| add_value(item, key))?,
    }
    key.push(END);
    Ok(())
}

/// The nearest float, and what that leaves of a whole number.
///
/// # Errors
/// 22P02 for what is no number.
fn add_number(text: &str, key: &mut Vec<u8>) -> Result<()> {
    let nearest = match text.parse::<f64>() {
        // Without the sign of zero.
        Ok(nearest) => nearest + 0.0,
        Err(_) => float(text)?,
    };
    let bits = nearest.to_bits();
    let ordered = if nearest.is_sign_negative() && !nearest.is_nan() { !bits } else { bits | 1 << 63 };
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => text,
    };
    let rest = whole.parse::<i128>().map_or(0, |whole| whole.saturating_sub(nearest as i128));
    key.extend_from_slice(&ordered.to_be_bytes());
    key.extend_from_slice(&(rest ^ i128::MIN).to_be_bytes());
    Ok(())
}

fn float(text: &str) -> Result<f64> {
    let mut floats = ColumnBuilder::new(&SqlType::Float8, 1);
    floats.append_text(text).map_err(|error| failed(error.into()))?;
    Ok(floats.finish().as_primitive::<Float64Type>().value(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(document: &str) -> Vec<u8> {
        let mut key = Vec::new();
        add_value(&parsed(document).unwrap(), &mut key).unwrap();
        key
    }

    #[test]
    fn keys_compare_as_values() {
        let ascending = [
            "false",
            "true",
            "-1e300",
            "-10",
            "-9.5",
            "-9",
            "0",
            "0.1",
            "5",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e300",
            r#""""#,
            r#""10""#,
            r#""9""#,
            r#""a""#,
            r#""a b""#,
            r#""ab""#,
            "{}",
            r#"{"a": 9}"#,
            r#"{"a": 10}"#,
            r#"{"a": 10, "b": 1}"#,
            r#"{"b": 1}"#,
            "[]",
            "[1]",
            "[1, 2]",
            "[2]",
            "[[]]",
            "null",
        ];
        for pair in ascending.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        for equal in [["1", "1.0"], ["100", "1e2"], ["0", "-0.0"], ["0.5", "5e-1"]] {
            assert_eq!(key(equal[0]), key(equal[1]), "{equal:?}");
        }
    }

    #[test]
    fn texts_are_numbers_or_refused() {
        let number = |text: &str| {
            let mut key = Vec::new();
            add_number(text, &mut key).map(|()| key)
        };
        assert_eq!(number("9007199254740993.00").unwrap(), number("9007199254740993").unwrap());
        assert!(number("NaN").unwrap() > number("Infinity").unwrap());
        number("Ann").unwrap_err();
    }
}
