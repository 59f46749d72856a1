//! `format(text, ...)`: a text with values filled in.

use std::iter::Peekable;
use std::str::Chars;

use arrow_array::{Array, StringArray};
use datafusion::common::Result;
use datafusion::logical_expr::TypeSignature;
use lakeport_base::SqlType;
use lakeport_base::name::{quote_ident, quote_literal};
use lakeport_core::Error;
use lakeport_core::value::Zone;

use super::scalar::{Call, Scalar, failed};

/// The function: `%s` is a value's text, `%I` a name, `%L` a literal, `%2$s` the second value, `%%` a percent sign.
pub(super) fn function(zone: Zone) -> Scalar {
    let body = move |call: &Call<'_>| {
        let columns = (0..call.columns().len()).map(|index| call.printed(index, zone)).collect::<Result<Vec<_>>>()?;
        let Some((templates, values)) = columns.split_first() else { return call.each_row(|_| Ok(None)) };
        call.each_row(|row| match templates.is_valid(row) {
            true => filled(templates.value(row), values, row).map(Some).map_err(failed),
            false => Ok(None),
        })
    };
    Scalar::of_any("format", &[1], SqlType::Text, body).with_signature(TypeSignature::VariadicAny)
}

fn filled(template: &str, values: &[StringArray], row: usize) -> lakeport_core::Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template.chars().peekable();
    let mut next = 0;
    while let Some(char) = rest.next() {
        if char != '%' {
            text.push(char);
        } else if rest.next_if_eq(&'%').is_some() {
            text.push('%');
        } else {
            let index = position(&mut rest)?.unwrap_or(next);
            next = index + 1;
            let column = values.get(index).ok_or_else(|| Error::invalid("too few arguments for format()"))?;
            let value = column.is_valid(row).then(|| column.value(row));
            text.push_str(&shown(rest.next(), value)?);
        }
    }
    Ok(text)
}

/// The number before `$`, counted from 0.
fn position(rest: &mut Peekable<Chars<'_>>) -> lakeport_core::Result<Option<usize>> {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.parse::<usize>().ok().filter(|number| *number > 0);
    match (number, rest.next_if_eq(&'$')) {
        (Some(number), Some(_)) => Ok(Some(number - 1)),
        _ => Err(Error::unsupported(format!("format() takes no width such as %{digits}"))),
    }
}

fn shown(kind: Option<char>, value: Option<&str>) -> lakeport_core::Result<String> {
    match (kind, value) {
        (Some('s'), value) => Ok(value.unwrap_or_default().to_string()),
        (Some('I'), Some(name)) => Ok(quote_ident(name)),
        (Some('I'), None) => Err(Error::invalid("null values cannot be formatted as an SQL identifier")),
        (Some('L'), value) => Ok(value.map_or_else(|| "NULL".to_string(), quote_literal)),
        (Some(other), _) => Err(Error::invalid(format!("unrecognized format() type specifier {other:?}"))),
        (None, _) => Err(Error::invalid("unterminated format() type specifier")),
    }
}
