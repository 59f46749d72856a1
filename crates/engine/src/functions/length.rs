//! `length` and its other names: the characters of a text, the bytes of a BYTES.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, StringViewArray};
use arrow_cast::cast;
use arrow_schema::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::TypeSignature;
use lakeport_base::SqlType;

use super::scalar::{Call, Scalar};

/// Longest text that its view itself holds, in bytes.
const INLINE_BYTES_MAX: u32 = 12;
/// The top bits of the bytes that a view holds after its length, where the text is that short.
const INLINE_TOP_BITS: u128 = 0x8080_8080_8080_8080_8080_8080 << 32;
/// Buffers that hold more than this for each row are not worth looking through, in bytes.
const BUFFERED_BYTES_MAX: usize = 128;

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    let types = [DataType::Utf8View, DataType::Utf8, DataType::Binary].map(|ty| TypeSignature::Exact(vec![ty]));
    let length = Scalar::of_any("character_length", &[1], SqlType::Int4, length);
    vec![length.with_signature(TypeSignature::OneOf(types.into())).with_aliases(&["length", "char_length"])]
}

fn length(call: &Call<'_>) -> Result<ArrayRef> {
    let column = call.column(0);
    Ok(Arc::new(match column.data_type() {
        DataType::Binary => {
            column.as_binary::<i32>().iter().map(|bytes| bytes.map(|bytes| bytes.len() as i32)).collect()
        }
        DataType::Utf8View => characters(column.as_string_view()),
        _ => characters(cast(column, &DataType::Utf8View)?.as_string_view()),
    }))
}

fn characters(texts: &StringViewArray) -> Int32Array {
    let counts = if is_ascii(texts) {
        texts.views().iter().map(|view| *view as u32 as i32).collect()
    } else {
        texts.iter().map(|text| text.map_or(0, |text| text.chars().count() as i32)).collect::<Vec<_>>()
    };
    Int32Array::new(counts.into(), texts.nulls().cloned())
}

/// Whether all texts are known to be ASCII, so that their bytes are their characters.
fn is_ascii(texts: &StringViewArray) -> bool {
    let buffers = texts.data_buffers();
    let buffered: usize = buffers.iter().map(|buffer| buffer.len()).sum();
    let is_inline_ascii = |view: &u128| *view as u32 > INLINE_BYTES_MAX || view & INLINE_TOP_BITS == 0;
    buffered <= BUFFERED_BYTES_MAX * texts.len()
        && buffers.iter().all(|buffer| buffer.is_ascii())
        && texts.views().iter().all(is_inline_ascii)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, StringViewArray};

    use super::characters;

    #[test]
    fn characters_are_counted_wherever_they_lie() {
        let long = "n".repeat(40);
        let long_letters = format!("{}ñ", "n".repeat(40));
        for (texts, expected) in [
            (vec![Some("abc"), None, Some("")], vec![Some(3), None, Some(0)]),
            (vec![Some("añb"), Some("123456789012"), Some("ñ23456789012")], vec![Some(3), Some(12), Some(12)]),
            (vec![Some(long.as_str()), Some("x")], vec![Some(40), Some(1)]),
            (vec![Some(long_letters.as_str()), Some("日本")], vec![Some(41), Some(2)]),
            (vec![Some(long.as_str()); 3], vec![Some(40); 3]),
        ] {
            let texts: StringViewArray = texts.into_iter().collect();
            assert_eq!(characters(&texts), Int32Array::from(expected));
            assert_eq!(characters(&texts.slice(1, 1)).len(), 1);
        }
    }
}
