//! A JSON value as a part of its text. Parts are found by passing over what stands before them: nothing is built of what nobody asks
//! for, and what is found is spelled as it was, with every digit of a number.

use std::borrow::Cow;

use lakeport_base::SqlType;
use memchr::memchr2;

use super::parse;

/// A value within a text that [`canonical`](super::json_text) has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Of any size.
    Number,
    /// In quotes.
    String,
    /// In braces.
    Object,
    /// In brackets.
    Array,
}

impl JsonKind {
    /// PostgreSQL's word.
    pub fn name(self) -> &'static str {
        match self {
            JsonKind::Null => "null",
            JsonKind::Bool => "boolean",
            JsonKind::Number => "number",
            JsonKind::String => "string",
            JsonKind::Object => "object",
            JsonKind::Array => "array",
        }
    }
}

impl<'a> Json<'a> {
    /// The value that is a text as a whole.
    pub fn of(text: &'a str) -> Json<'a> {
        Json(text.trim_ascii())
    }

    /// Its notation.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// By the first byte.
    pub fn kind(self) -> JsonKind {
        match self.0.as_bytes().first() {
            Some(b'{') => JsonKind::Object,
            Some(b'[') => JsonKind::Array,
            Some(b'"') => JsonKind::String,
            Some(b't' | b'f') => JsonKind::Bool,
            Some(b'n') | None => JsonKind::Null,
            Some(_) => JsonKind::Number,
        }
    }

    /// What the value is as a text: of a string its characters, of null nothing, of all else its notation.
    pub fn plain_text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            JsonKind::Null => None,
            JsonKind::String => Some(characters(self.0)),
            _ => Some(Cow::Borrowed(self.0)),
        }
    }

    /// What a cast to a type reads: for JSONB its notation, of an array for one its items, of a number for an integer the nearest
    /// one, of all else [`plain_text`](Json::plain_text).
    pub fn text_for(self, ty: &SqlType) -> Option<Cow<'a, str>> {
        match (self.kind(), ty) {
            (_, SqlType::Jsonb) => Some(Cow::Borrowed(self.0)),
            (JsonKind::Number, SqlType::Int2 | SqlType::Int4 | SqlType::Int8) => Some(nearest_integer(self.0)),
            (JsonKind::Array, SqlType::Array(element)) => Some(Cow::Owned(self.array_text(element))),
            _ => self.plain_text(),
        }
    }

    /// `{1,NULL,"a b"}`
    fn array_text(self, element: &SqlType) -> String {
        let mut text = String::from("{");
        for item in self.items() {
            text.push_str(if text.len() > 1 { "," } else { "" });
            match item.text_for(element) {
                None => text.push_str("NULL"),
                Some(item) => {
                    text.push('"');
                    text.extend(
                        item.chars().flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])),
                    );
                    text.push('"');
                }
            }
        }
        text.push('}');
        text
    }

    /// The items of an array; none of all else.
    pub fn items(self) -> impl Iterator<Item = Json<'a>> {
        let mut parts = Parts::inside(self, b'[');
        std::iter::from_fn(move || parts.next_value())
    }

    /// The members of an object, of which each has its name before it as a string; none of all else.
    pub fn entries(self) -> impl Iterator<Item = (Json<'a>, Json<'a>)> {
        let mut parts = Parts::inside(self, b'{');
        std::iter::from_fn(move || Some((parts.next_value()?, parts.next_value()?)))
    }

    /// The members of an object with their names; none of all else.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        self.entries().map(|(name, value)| (characters(name.0), value))
    }

    /// The notation of an array of these items.
    pub fn array_of(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        let mut text = String::from("[");
        for item in items {
            text.push_str(if text.len() > 1 { ", " } else { "" });
            text.push_str(item.as_ref());
        }
        text + "]"
    }

    /// The notation of an object of these members, names in quotes. [`json_text`](super::json_text) sorts them, and keeps
    /// the last of each name.
    pub fn object_of(members: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> String {
        let mut text = String::from("{");
        for (name, value) in members {
            text.push_str(if text.len() > 1 { ", " } else { "" });
            text.push_str(name.as_ref());
            text.push_str(": ");
            text.push_str(value.as_ref());
        }
        text + "}"
    }

    /// The member of a name.
    pub fn member(self, name: &str) -> Option<Json<'a>> {
        self.members().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The item of a number from 0, from the end when negative.
    pub fn item(self, index: i64) -> Option<Json<'a>> {
        let index = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => self.items().count().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        self.items().nth(index)
    }
}

/// What a string in quotes says; an escape that stands for no character leaves it as it is written.
fn characters(string: &str) -> Cow<'_, str> {
    match string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        _ => serde_json::from_str(string).map_or(Cow::Borrowed(string), Cow::Owned),
    }
}

/// A number without its fraction, rounded half away from zero; what no integer holds stays as it is.
fn nearest_integer(number: &str) -> Cow<'_, str> {
    if !number.contains(['.', 'e', 'E']) {
        return Cow::Borrowed(number);
    }
    let whole = parse::decimal(number, &SqlType::Decimal(38, 0));
    whole.map_or(Cow::Borrowed(number), |whole| Cow::Owned(whole.to_string()))
}

/// The values between two brackets, names of members among them.
struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    fn inside(value: Json<'a>, open: u8) -> Parts<'a> {
        let text = if value.0.as_bytes().first() == Some(&open) { &value.0[1..] } else { "" };
        Parts { text, at: 0 }
    }

    fn next_value(&mut self) -> Option<Json<'a>> {
        let rest = &self.text.as_bytes()[self.at..];
        let start =
            self.at + rest.iter().position(|byte| !matches!(byte, b',' | b':' | b' ' | b'\t' | b'\r' | b'\n'))?;
        let value = &self.text[start..];
        if value.starts_with([']', '}']) {
            return None;
        }
        let length = value_length(value.as_bytes());
        self.at = start + length;
        Some(Json(&value[..length]))
    }
}

/// The bytes of the value that a text begins with.
fn value_length(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        at += match text[at] {
            b'"' => string_length(&text[at..]),
            b'{' | b'[' => {
                depth += 1;
                1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                1
            }
            _ if depth > 0 => 1,
            _ => scalar_length(&text[at..]),
        };
        if depth == 0 {
            break;
        }
    }
    at.min(text.len())
}

fn scalar_length(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n'))
        .unwrap_or(text.len())
        .max(1)
}

/// The bytes of the string that a text begins with, quotes included.
pub fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_notation() {
        let document =
            Json::of(r#"{"a": 1.10, "b\"": [1, "x]", {"k": [ ]}], "c": {"d": 1e400}, "e": null, "é": "\ud800"}"#);
        let names: Vec<_> = document.members().map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names, ["a", "b\"", "c", "e", "é"]);
        assert_eq!(document.member("a").unwrap().text(), "1.10");
        let array = document.member("b\"").unwrap();
        assert_eq!(array.items().map(Json::text).collect::<Vec<_>>(), ["1", r#""x]""#, r#"{"k": [ ]}"#]);
        assert_eq!(array.item(-1).unwrap().member("k").unwrap().items().count(), 0);
        assert_eq!((array.item(3), array.item(-4), array.member("a")), (None, None, None));
        assert_eq!(document.member("c").unwrap().member("d").unwrap().text(), "1e400");
        assert_eq!(document.member("e").unwrap().plain_text(), None);
        assert_eq!(document.item(0), None);
    }

    #[test]
    fn strings_are_their_characters() {
        for (document, text) in [
            (r#""a\"b\u00e9""#, Some("a\"b\u{e9}")),
            ("null", None),
            ("[null]", Some("[null]")),
            ("1.50", Some("1.50")),
            (r#""\ud800""#, Some(r#""\ud800""#)),
        ] {
            assert_eq!(Json::of(document).plain_text().as_deref(), text);
        }
    }

    #[test]
    fn casts_read_integers_and_arrays() {
        let (int, ints) = (SqlType::Int8, SqlType::Array(Box::new(SqlType::Int8)));
        let texts = SqlType::Array(Box::new(SqlType::Text));
        for (document, ty, text) in [
            ("1.0", &int, "1"),
            ("-2.5", &int, "-3"),
            ("1e2", &int, "100"),
            ("1e400", &int, "1e400"),
            (r#""1.0""#, &int, "1.0"),
            ("1.50", &SqlType::Float8, "1.50"),
            ("[1, 2.0, null]", &ints, r#"{"1","2",NULL}"#),
            ("[]", &ints, "{}"),
            (r#"["a\"b", [1, 2], {"k": "\\"}]"#, &texts, r#"{"a\"b","[1, 2]","{\"k\": \"\\\\\"}"}"#),
        ] {
            assert_eq!(Json::of(document).text_for(ty).unwrap(), text);
        }
    }

    /// What is no JSON has some parts, and no reader of it fails or goes on for ever.
    #[test]
    fn any_text_has_an_end() {
        for text in [
            "", "[", "{", "[]]", "[,", "[1", r#"["a"#, r#"["\"#, r#"["\é"#, "{]", "{:", "}", "[é,é]", "[[[", r#"{"a"}"#,
        ] {
            let json = Json::of(text);
            assert!(json.items().count() < 9 && json.members().count() < 9, "{text}");
        }
    }
}
