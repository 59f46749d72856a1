//! Functions that make texts.

use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use datafusion::common::cast::as_list_array;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::TypeSignature;
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_base::{Env, SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::value::{TextColumn, Zone};

use super::scalar::{Call, Scalar, failed};
use crate::literal::shown_type;

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    vec![
        Scalar::of_texts("quote_ident", 1, SqlType::Text, |texts| Ok(Some(quote_ident(texts[0])))),
        Scalar::of_texts("quote_literal", 1, SqlType::Text, |texts| Ok(Some(quote_literal(texts[0])))),
        quote_nullable(),
        gen_random_uuid(),
        Scalar::of_texts("like_escape", 2, SqlType::Text, |texts| like_escape(texts[0], texts[1]).map(Some)),
        similar_to_escape(),
    ]
}

/// A pattern of LIKE with its escape character replaced by the backslash.
fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut letters = escape.chars();
    let (escape, None) = (letters.next(), letters.next()) else {
        let error = Error::new(Sqlstate::INVALID_ESCAPE_SEQUENCE, format!("invalid escape string: {escape:?}"));
        return Err(failed(error.with_hint("an escape string is empty or one character")));
    };
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(letter) = rest.next() {
        let literal = if Some(letter) == escape { rest.next() } else { (letter == '\\').then_some(letter) };
        match literal {
            Some(literal) => out.extend(['\\', literal]),
            None => out.push(letter),
        }
    }
    Ok(out)
}

fn quote_nullable() -> Scalar {
    Scalar::new("quote_nullable", vec![DataType::Utf8], SqlType::Text, |call| {
        let texts = call.texts(0)?;
        let quoted = |row| if texts.is_valid(row) { quote_literal(texts.value(row)) } else { "NULL".to_string() };
        call.each_row(|row| Ok(Some(quoted(row))))
    })
}

/// `similar_to_escape(pattern [, escape])`: the regular expression of a pattern of SIMILAR TO.
fn similar_to_escape() -> Scalar {
    let body = |call: &Call<'_>| {
        let patterns = call.texts(0)?;
        let escapes = call.columns().get(1).map(|_| call.texts(1)).transpose()?;
        call.each_row(|row| {
            let escape = match &escapes {
                Some(escapes) if escapes.is_null(row) => return Ok(None),
                Some(escapes) => escapes.value(row).chars().next(),
                None => Some('\\'),
            };
            Ok(patterns.is_valid(row).then(|| similar_pattern(patterns.value(row), escape)))
        })
    };
    let arities = TypeSignature::OneOf(vec![TypeSignature::Any(1), TypeSignature::Any(2)]);
    Scalar::of_any("similar_to_escape", &[1, 2], SqlType::Text, body).with_signature(arities)
}

/// `%` and `_` stand for any characters and any one; `|*+?(){}[]` mean what they do in regular expressions.
fn similar_pattern(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?:");
    let mut chars = pattern.chars();
    let mut in_brackets = false;
    while let Some(char) = chars.next() {
        match char {
            escaped if Some(escaped) == escape => {
                if let Some(literal) = chars.next() {
                    regex.push('\\');
                    regex.push(literal);
                }
            }
            '%' if !in_brackets => regex.push_str(".*"),
            '_' if !in_brackets => regex.push('.'),
            '.' | '^' | '$' | '\\' if !in_brackets => {
                regex.push('\\');
                regex.push(char);
            }
            other => {
                in_brackets = (in_brackets || other == '[') && other != ']';
                regex.push(other);
            }
        }
    }
    regex.push_str(")$");
    regex
}

fn gen_random_uuid() -> Scalar {
    let env = Env::system();
    let body = move |call: &Call<'_>| {
        call.each_row(|_| {
            let mut bytes = [0; 16];
            env.random(&mut bytes);
            Ok(Some(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()))
        })
    };
    Scalar::of_any("gen_random_uuid", &[0], SqlType::Uuid, body).with_aliases(&["uuid_v4", "uuid"]).volatile()
}

/// `array_to_string(array, separator [, null_text])`: NULL elements are left out unless they have a text.
pub(super) fn array_to_string(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        if call.fields[0].data_type() == &DataType::Null {
            return call.each_row(|_| Ok(None));
        }
        let lists = as_list_array(call.column(0))?;
        let separators = call.texts(1)?;
        let null_texts = call.columns().get(2).map(|_| call.texts(2)).transpose()?;
        call.each_row(|row| {
            if lists.is_null(row) || separators.is_null(row) {
                return Ok(None);
            }
            let null_text = null_texts.as_ref().filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row));
            joined(lists.value(row), zone, separators.value(row), null_text).map(Some)
        })
    };
    Scalar::of_any("array_to_string", &[2, 3], SqlType::Text, body)
        .with_aliases(&["list_to_string", "array_join", "list_join"])
        .with_signature(TypeSignature::OneOf(vec![TypeSignature::Any(2), TypeSignature::Any(3)]))
}

fn joined(list: ArrayRef, zone: Zone, separator: &str, null_text: Option<&str>) -> Result<String> {
    let items = TextColumn::in_zone(&list, &shown_type(list.data_type()), zone);
    let mut text = String::new();
    let mut first = true;
    for item in 0..list.len() {
        if items.is_null(item) && null_text.is_none() {
            continue;
        }
        if !std::mem::take(&mut first) {
            text.push_str(separator);
        }
        match null_text.filter(|_| items.is_null(item)) {
            Some(null_text) => text.push_str(null_text),
            None => items.write(item, &mut text).map_err(|error| DataFusionError::External(error.into()))?,
        }
    }
    Ok(text)
}
