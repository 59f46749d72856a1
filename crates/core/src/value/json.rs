//! The one text of a JSON value: keys sorted and unique, a space after `:` and `,`, none elsewhere. So equal values have
//! equal texts.

/// Rewrites a text that has been found to be valid JSON.
pub(super) fn canonical(text: &str) -> String {
    let mut reader = Reader { text, at: 0 };
    let mut out = String::with_capacity(text.len() + 8);
    reader.value(&mut out);
    out
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> u8 {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn value(&mut self, out: &mut String) {
        match self.peek() {
            b'{' => self.object(out),
            b'[' => self.array(out),
            b'"' => out.push_str(self.string()),
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
                out.push_str(&rest[..end]);
                self.at += end;
            }
        }
    }

    /// A string with its quotes.
    fn string(&mut self) -> &'a str {
        let rest = &self.text.as_bytes()[self.at..];
        let mut end = 1;
        while end < rest.len() && rest[end] != b'"' {
            end += if rest[end] == b'\\' { 2 } else { 1 };
        }
        let start = self.at;
        self.at = (start + end + 1).min(self.text.len());
        &self.text[start..self.at]
    }

    fn array(&mut self, out: &mut String) {
        self.at += 1;
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
            self.value(out);
        }
        self.at += 1;
        out.push(']');
    }

    fn object(&mut self, out: &mut String) {
        self.at += 1;
        let mut members = std::collections::BTreeMap::new();
        while !matches!(self.peek(), b'}' | 0) {
            if self.peek() == b',' {
                self.at += 1;
                self.peek();
            }
            let key = self.string();
            if self.peek() == b':' {
                self.at += 1;
            }
            let mut value = String::new();
            self.value(&mut value);
            members.insert(key, value);
        }
        self.at += 1;
        out.push('{');
        for (index, (key, value)) in members.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            out.push_str(key);
            out.push_str(": ");
            out.push_str(value);
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_texts() {
        assert_eq!(
            canonical(r#" {"b":[1,2 ,{"x":null}],"a" : "q\" ,:]" } "#),
            r#"{"a": "q\" ,:]", "b": [1, 2, {"x": null}]}"#
        );
        assert_eq!(canonical(r#"{"a":1,"a":2}"#), r#"{"a": 2}"#);
        assert_eq!(canonical("[]"), "[]");
        assert_eq!(canonical(" 12.50e3\n"), "12.50e3");
    }
}
