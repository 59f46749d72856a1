//! The one text of a JSON value: keys sorted and unique, a space after `:` and `,`, none elsewhere, no escapes but those that must
//! be. So equal values have equal texts, but for numbers, which stay as they are written.

use std::borrow::Cow;
use std::ops::Range;

use lakeport_base::Sqlstate;
use lakeport_base::limits::JSON_DEPTH_MAX;

use super::ValueError;
use super::document::string_length;

/// Rewrites a text that has been found to be valid JSON.
///
/// # Errors
/// 54001: arrays and objects nested too deeply.
pub fn canonical(text: &str) -> Result<String, ValueError> {
    let mut out = String::with_capacity(text.len() + 8);
    Reader { text, at: 0, depth: 0 }.value(&mut out)?;
    Ok(out)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Arrays and objects open here.
    depth: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> u8 {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self, out: &mut String) -> Result<(), ValueError> {
        match self.peek() {
            b'{' => self.nested(Self::object, out),
            b'[' => self.nested(Self::array, out),
            b'"' => {
                out.push_str(&self.string());
                Ok(())
            }
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
                out.push_str(&rest[..end]);
                self.at += end;
                Ok(())
            }
        }
    }

    /// Reads what stands between brackets, one level deeper.
    fn nested(
        &mut self,
        inside: fn(&mut Self, &mut String) -> Result<(), ValueError>,
        out: &mut String,
    ) -> Result<(), ValueError> {
        if self.depth == JSON_DEPTH_MAX {
            let message = format!("JSON value is nested more than {JSON_DEPTH_MAX} levels deep");
            return Err(ValueError::new(Sqlstate::STATEMENT_TOO_COMPLEX, message));
        }
        self.depth += 1;
        self.at += 1;
        inside(self, out)?;
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// A string with its quotes; one that is no text, as half a surrogate is none, as it is written.
    fn string(&mut self) -> Cow<'a, str> {
        let start = self.at;
        self.at += string_length(&self.text.as_bytes()[start..]);
        let written = &self.text[start..self.at];
        let respelled = || serde_json::to_string(&serde_json::from_str::<String>(written).ok()?).ok();
        let respelled = if written.contains('\\') { respelled() } else { None };
        respelled.map_or(Cow::Borrowed(written), Cow::Owned)
    }

    fn array(&mut self, out: &mut String) -> Result<(), ValueError> {
        out.push('[');
        let mut first = true;
        while !matches!(self.peek(), b']' | 0) {
            if self.peek() == b',' {
                self.at += 1;
            }
            if !first {
                out.push_str(", ");
            }
            first = false;
            self.value(out)?;
        }
        out.push(']');
        Ok(())
    }

    fn object(&mut self, out: &mut String) -> Result<(), ValueError> {
        out.push('{');
        let start = out.len();
        let mut members: Vec<Member> = Vec::new();
        let mut sorted = true;
        while !matches!(self.peek(), b'}' | 0) {
            if self.peek() == b',' {
                self.at += 1;
                self.peek();
            }
            let key = self.string();
            if self.peek() == b':' {
                self.at += 1;
            }
            sorted &= members.last().is_none_or(|last| last.key < key);
            out.push_str(if members.is_empty() { "" } else { ", " });
            let begin = out.len();
            out.push_str(&key);
            out.push_str(": ");
            self.value(out)?;
            members.push(Member { key, written: begin..out.len() });
        }
        if !sorted {
            reorder(out, start, members);
        }
        out.push('}');
        Ok(())
    }
}

/// A member of an object and where it was written.
struct Member<'a> {
    key: Cow<'a, str>,
    written: Range<usize>,
}

/// Sorts the members that were written from `start` on; of equal keys the last counts.
fn reorder(out: &mut String, start: usize, mut members: Vec<Member>) {
    members.reverse();
    members.sort_by(|one, other| one.key.cmp(&other.key));
    members.dedup_by(|one, other| one.key == other.key);
    let mut ordered = String::with_capacity(out.len() - start);
    for (index, member) in members.into_iter().enumerate() {
        ordered.push_str(if index > 0 { ", " } else { "" });
        ordered.push_str(&out[member.written]);
    }
    out.truncate(start);
    out.push_str(&ordered);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_texts() {
        assert_eq!(
            canonical(r#" {"b":[1,2 ,{"x":null}],"a" : "q\" ,:]" } "#).unwrap(),
            r#"{"a": "q\" ,:]", "b": [1, 2, {"x": null}]}"#
        );
        assert_eq!(canonical(r#"{"a":1,"b":0,"a":2}"#).unwrap(), r#"{"a": 2, "b": 0}"#);
        assert_eq!(
            canonical(r#"{"\u0062": "\/\u00e9", "a": 1, "b": "\ud83d\ude00\n\"", "c": "\ud83d"}"#).unwrap(),
            r#"{"a": 1, "b": "😀\n\"", "c": "\ud83d"}"#
        );
        assert_eq!(canonical(r#"["\/\u00e9\u0001"]"#).unwrap(), r#"["/é\u0001"]"#);
        assert_eq!(canonical("[]").unwrap(), "[]");
        assert_eq!(canonical(" 12.50e3\n").unwrap(), "12.50e3");
    }

    #[test]
    fn deep_values_are_refused_and_not_descended() {
        let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            assert!(canonical(&nested(open, close, JSON_DEPTH_MAX)).is_ok());
            for depth in [JSON_DEPTH_MAX + 1, 1_000_000] {
                let refused = canonical(&nested(open, close, depth)).unwrap_err();
                assert_eq!(refused.code, Sqlstate::STATEMENT_TOO_COMPLEX);
            }
        }
        // What lies side by side is not deep.
        assert!(canonical(&format!("[{}[]]", "[[]],".repeat(1000))).is_ok());
    }

    /// What is stored can be read by what takes it apart.
    #[test]
    fn the_limit_is_that_of_the_reader_of_documents() {
        let nested = format!("{}{}", "[".repeat(JSON_DEPTH_MAX), "]".repeat(JSON_DEPTH_MAX));
        assert!(serde_json::from_str::<serde_json::Value>(&nested).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&format!("[{nested}]")).is_err());
    }
}
