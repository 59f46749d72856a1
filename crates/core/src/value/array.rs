//! One-dimensional arrays: `{1,2,NULL,"a b"}`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::ListArray;
use arrow_array::builder::NullBufferBuilder;
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use lakeport_base::SqlType;

use super::{ColumnBuilder, ValueError, Zone, binary};
use crate::rows::arrow_field;

/// A growing column of arrays.
pub(super) struct ArrayColumn {
    elements: ColumnBuilder,
    /// Takes every element of a value first, so that a refused one leaves nothing behind.
    trial: ColumnBuilder,
    /// Offset in `elements` at which each array ends, with a leading zero.
    ends: Vec<i32>,
    valid: NullBufferBuilder,
}

impl ArrayColumn {
    pub(super) fn new(element: &SqlType, capacity: usize, zone: Zone) -> ArrayColumn {
        ArrayColumn {
            elements: ColumnBuilder::in_zone(element, capacity, zone),
            trial: ColumnBuilder::in_zone(element, 0, zone),
            ends: vec![0],
            valid: NullBufferBuilder::new(capacity),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    pub(super) fn append_null(&mut self) {
        self.close(false);
    }

    pub(super) fn append_text(&mut self, text: &str, ty: &SqlType) -> Result<(), ValueError> {
        let items = split(text).ok_or_else(|| ValueError::form(text, ty))?;
        self.append(&items, |column, item| column.append_text(item))
    }

    pub(super) fn append_binary(&mut self, bytes: &[u8], ty: &SqlType) -> Result<(), ValueError> {
        let items = binary::elements(bytes, ty)?;
        self.append(&items, |column, item| column.append_binary(item))
    }

    fn append<T>(
        &mut self,
        items: &[Option<T>],
        append: impl Fn(&mut ColumnBuilder, &T) -> Result<(), ValueError>,
    ) -> Result<(), ValueError> {
        let trial = items.iter().flatten().try_for_each(|item| append(&mut self.trial, item));
        self.trial.finish();
        trial?;
        for item in items {
            match item {
                Some(item) => append(&mut self.elements, item)?,
                None => self.elements.append_null(),
            }
        }
        self.close(true);
        Ok(())
    }

    fn close(&mut self, valid: bool) {
        self.ends.push(self.elements.len() as i32);
        self.valid.append(valid);
    }

    pub(super) fn finish(&mut self) -> ListArray {
        let field = Arc::new(arrow_field("item", self.elements.sql_type(), true));
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        ListArray::new(field, offsets, self.elements.finish(), self.valid.finish())
    }
}

/// The elements of an array's text, `None` for NULL; `None` altogether when it has not the form.
fn split(text: &str) -> Option<Vec<Option<Cow<'_, str>>>> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let mut items = Vec::new();
    if rest == "}" {
        return Some(items);
    }
    loop {
        let (item, after) =
            if let Some(quoted) = rest.strip_prefix('"') { quoted_item(quoted)? } else { bare_item(rest)? };
        items.push(item);
        let after = after.trim_start();
        if after == "}" {
            return Some(items);
        }
        rest = after.strip_prefix(',')?.trim_start();
    }
}

/// Reads up to the closing quote; a backslash takes the next character as it is.
fn quoted_item(text: &str) -> Option<(Option<Cow<'_, str>>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text.as_bytes()[end] == b'"' {
        return Some((Some(Cow::Borrowed(&text[..end])), &text[end + 1..]));
    }
    let mut item = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Some(Cow::Owned(item)), &text[at + 1..])),
            '\\' => item.push(characters.next()?.1),
            other => item.push(other),
        }
    }
    None
}

/// Reads up to the next comma or brace.
fn bare_item(text: &str) -> Option<(Option<Cow<'_, str>>, &str)> {
    let end = text.find([',', '}', '{', '"', '\\'])?;
    let item = text[..end].trim_end();
    match &text[end..end + 1] {
        _ if item.is_empty() => None,
        "," | "}" if item.eq_ignore_ascii_case("null") => Some((None, &text[end..])),
        "," | "}" => Some((Some(Cow::Borrowed(item)), &text[end..])),
        _ => None,
    }
}
