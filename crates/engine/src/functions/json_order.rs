//! Keys of JSON values, and their one notation.
//!
//! Keys are texts that compare as the values do: booleans, numbers, strings, objects, arrays. Numbers are exact, however
//! they are written, and null is NULL.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use lakeport_base::{SqlType, hex};
use lakeport_core::value::{ColumnBuilder, Json, JsonKind, string_length};

use super::json::documents;
use super::scalar::{Call, Scalar, failed};

/// Ends a text, and what lists of values consist of; no value begins so.
const END: u8 = 0;
/// Begins a member of an object, whose name may be empty.
const MEMBER: u8 = 1;
/// Exponents that are told apart.
const EXPONENT_MAX: u64 = 1 << 60;
/// Longest whole part of a number that is written without an exponent.
const PLAIN_DIGITS_MAX: i64 = 40;

/// The key of a document.
pub(crate) fn json_key() -> ScalarUDF {
    keys("json_key", documents, |document, key| {
        let value = Json::of(document);
        add_value(value, key);
        Ok(value.kind() != JsonKind::Null)
    })
}

/// The key of the number that a text is.
pub(crate) fn number_key() -> ScalarUDF {
    keys("number_key", |call, at| call.texts(at), |text, key| add_number(text, key).map(|()| true))
}

/// A document in which equal numbers have equal notations, so that equal values have equal texts.
pub(crate) fn json_normal() -> ScalarUDF {
    let body = |call: &Call<'_>| -> Result<ArrayRef> {
        let documents = documents(call, 0)?;
        Ok(Arc::new(documents.iter().map(|document| document.map(normal)).collect::<StringArray>()))
    };
    Scalar::new("json_normal", vec![DataType::Utf8], SqlType::Jsonb, body).taking_json().into()
}

/// Numbers are what stands outside of strings and begins with a digit or a sign.
fn normal(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    let mut rest = document;
    while let Some(at) = rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match rest.starts_with('"') {
            true => string_length(rest.as_bytes()),
            false => rest.find([',', ']', '}']).unwrap_or(rest.len()),
        };
        let (value, behind) = rest.split_at(length);
        match Decimal::parse(value) {
            Some(number) if number.exponent.unsigned_abs() < EXPONENT_MAX => number.write(&mut out),
            _ => out.push_str(value),
        }
        rest = behind;
    }
    out + rest
}

/// Bytes that equal values have, and no others.
pub(super) fn key(value: Json<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    add_value(value, &mut key);
    key
}

/// A function from texts to what `add` makes of them, NULL where it answers false.
fn keys(
    name: &'static str,
    texts: fn(&Call<'_>, usize) -> Result<StringArray>,
    add: fn(&str, &mut Vec<u8>) -> Result<bool>,
) -> ScalarUDF {
    let key_of = move |text: &str| {
        let mut key = Vec::new();
        add(text, &mut key).map(|has_one| has_one.then(|| hex::encode(&key)))
    };
    let body = move |call: &Call<'_>| -> Result<ArrayRef> {
        let texts = texts(call, 0)?;
        let keys = texts.iter().map(|text| text.map_or(Ok(None), key_of));
        Ok(Arc::new(keys.collect::<Result<StringArray>>()?))
    };
    Scalar::new(name, vec![DataType::Utf8], SqlType::Text, body).taking_json().into()
}

fn add_value(value: Json<'_>, key: &mut Vec<u8>) {
    let plain = value.plain_text().unwrap_or_default();
    key.push(match value.kind() {
        JsonKind::Bool if plain == "false" => 1,
        JsonKind::Bool => 2,
        JsonKind::Number => 3,
        JsonKind::String => 4,
        JsonKind::Object => 5,
        JsonKind::Array => 6,
        JsonKind::Null => 7,
    });
    match value.kind() {
        JsonKind::Bool | JsonKind::Null => return,
        JsonKind::Number => return Decimal::parse(&plain).unwrap_or_default().add_to(key),
        JsonKind::String => add_text(&plain, key),
        JsonKind::Object => {
            let mut members: Vec<_> = value.members().collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            for (name, value) in members {
                key.push(MEMBER);
                add_text(&name, key);
                key.push(END);
                add_value(value, key);
            }
        }
        JsonKind::Array => value.items().for_each(|item| add_value(item, key)),
    }
    key.push(END);
}

/// A text, in which a zero is not its end.
fn add_text(text: &str, key: &mut Vec<u8>) {
    for byte in text.bytes() {
        key.push(byte);
        if byte == END {
            key.push(u8::MAX);
        }
    }
}

/// The number that a text is, exactly; of what floats hold beside numbers, where it lies.
///
/// # Errors
/// 22P02 for what is no number.
fn add_number(text: &str, key: &mut Vec<u8>) -> Result<()> {
    match Decimal::parse(text.trim()) {
        Some(number) => number.add_to(key),
        None => key.push(match float(text)? {
            nan if nan.is_nan() => 6,
            least if least.is_sign_negative() => 1,
            _ => 5,
        }),
    }
    Ok(())
}

/// A number as its digits behind a decimal point, `0.digits * 10^exponent`.
#[derive(Default)]
struct Decimal<'a> {
    is_negative: bool,
    exponent: i64,
    /// Without zeros at their ends; none of zero.
    digits: [&'a str; 2],
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Decimal<'a>> {
        let (is_negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (written, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let power = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if !are_digits(whole) || !are_digits(fraction) || written.len() < 1 + usize::from(written.contains('.')) {
            return None;
        }
        if power.is_empty() || !are_digits(power) {
            return None;
        }
        // Beyond what a text can spell out there is no difference.
        let beyond = if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
        let exponent = exponent.parse().unwrap_or(beyond).clamp(i64::MIN / 2, i64::MAX / 2);
        let whole = whole.trim_start_matches('0');
        let rest = fraction.trim_end_matches('0');
        let (leading, digits) = match (whole, rest) {
            ("", rest) => {
                let digits = rest.trim_start_matches('0');
                (digits.len() as i64 - rest.len() as i64, ["", digits])
            }
            (whole, "") => (whole.len() as i64, [whole.trim_end_matches('0'), ""]),
            (whole, rest) => (whole.len() as i64, [whole, rest]),
        };
        let is_zero = digits == ["", ""];
        Some(Decimal { is_negative: is_negative && !is_zero, exponent: exponent + leading, digits })
    }

    /// Plain digits, where they are few enough to be read, else with an exponent.
    fn write(&self, out: &mut String) {
        let digits = self.digits.concat();
        let count = digits.len() as i64;
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or_default());
        out.push_str(if self.is_negative { "-" } else { "" });
        match self.exponent {
            _ if digits.is_empty() => out.push('0'),
            whole @ 1..=PLAIN_DIGITS_MAX if count <= whole => out.extend([digits, zeros(whole - count)]),
            whole @ 1..=PLAIN_DIGITS_MAX => {
                let (whole, fraction) = digits.split_at(whole as usize);
                out.extend([whole, ".", fraction]);
            }
            small @ -5..=0 => out.extend(["0.".to_string(), zeros(-small), digits]),
            exponent => {
                let (first, others) = digits.split_at(1);
                let point = if others.is_empty() { "" } else { "." };
                out.extend([first, point, others, "e", &(exponent - 1).to_string()]);
            }
        }
    }

    /// Sign, exponent and digits, turned round below zero.
    fn add_to(&self, key: &mut Vec<u8>) {
        if self.digits == ["", ""] {
            return key.push(3);
        }
        let start = key.len();
        key.push(4);
        key.extend_from_slice(&(self.exponent ^ i64::MIN).to_be_bytes());
        self.digits.iter().for_each(|digits| key.extend_from_slice(digits.as_bytes()));
        key.push(END);
        if self.is_negative {
            key[start] = 2;
            key[start + 1..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
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
        super::key(Json::of(document))
    }

    #[test]
    fn keys_compare_as_values() {
        let ascending = [
            "false",
            "true",
            "-1e400",
            "-1e300",
            "-10",
            "-9.51",
            "-9.5",
            "-9",
            "-1e-400",
            "0",
            "1e-99999999999999999999",
            "1e-400",
            "0.09",
            "0.1",
            "0.10000000000000000001",
            "5",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e300",
            "1e400",
            "2e400",
            r#""""#,
            r#""\u0000""#,
            r#""\u0000a""#,
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
        for equal in [["1", "1.0"], ["100", "1e2"], ["0", "-0.0"], ["0.5", "5e-1"], ["-1.20", "-12E-1"], ["0", "0e9"]] {
            assert_eq!(key(equal[0]), key(equal[1]), "{equal:?}");
        }
    }

    #[test]
    fn other_values_have_other_keys() {
        for pair in [
            [r#"[[{}, 1], {"": 2}]"#, r#"[[{"": 1}, {}, 2]]"#],
            [r#"["a\u0000\u0004b"]"#, r#"["a", "b"]"#],
            ["[[1], 2]", "[[1, 2]]"],
            [r#"{"a": {}, "b": 1}"#, r#"{"a": {"b": 1}}"#],
        ] {
            assert_ne!(key(pair[0]), key(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn equal_values_have_one_notation() {
        for (document, expected) in [
            ("1.0", "1"),
            ("1e2", "100"),
            ("-12.50E-1", "-1.25"),
            ("-0.0", "0"),
            ("0.00001", "0.00001"),
            ("1E-9", "1e-9"),
            ("12.3e400", "1.23e401"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
            (
                r#"{"1.0": [1.0, "2.0", -3e0], "a": {"b": 10.0}, "c": null}"#,
                r#"{"1.0": [1, "2.0", -3], "a": {"b": 10}, "c": null}"#,
            ),
            (r#""1.0""#, r#""1.0""#),
            ("true", "true"),
            ("1e99999999999999999999", "1e99999999999999999999"),
        ] {
            assert_eq!(normal(document), expected);
            assert_eq!(normal(expected), expected);
            assert_eq!(key(document), key(expected));
        }
    }

    #[test]
    fn texts_are_numbers_or_refused() {
        let number = |text: &str| {
            let mut key = Vec::new();
            add_number(text, &mut key).map(|()| key)
        };
        assert_eq!(number("9007199254740993.00").unwrap(), number("9007199254740993").unwrap());
        assert_eq!(number(" +.50 ").unwrap(), number("0.5").unwrap());
        let ascending = ["-Infinity", "-1e999", "0", "1e999", "Infinity", "NaN"].map(|text| number(text).unwrap());
        assert!(ascending.is_sorted());
        for text in ["Ann", "", ".", "-", "1e", "1e+", "1.2.3", "1_0", "0x1", "\u{661}"] {
            number(text).unwrap_err();
        }
    }
}
