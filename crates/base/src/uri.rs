//! `scheme://[user[:password]@]host/path?KEY=value&...` with parameters in the order written.
//!
//! Rules follow RFC 3986 and Go's `net/url`, which the documented URIs were made for: percent
//! sequences are decoded in every part, `+` means a space in the query, the host may hold
//! neither spaces nor control characters, nothing may hold NUL.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::limits::URI_BYTES_MAX;

/// A parsed URI. Holds secrets, so it has no `Display`; `Debug` shows scheme and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// Lower case.
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Host and port as written, decoded.
    pub host: String,
    /// Decoded; empty or starting with `/`.
    pub path: String,
    /// Decoded, in the order written; names may repeat.
    pub params: Vec<(String, String)>,
}

/// Why a text is no URI. Never holds any of the text after the scheme, which may be secret.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UriError {
    #[error(
        "missing scheme: a URI starts with a scheme such as s3:// or nodelocal://, and that of a connection with external://"
    )]
    NoScheme,
    #[error("invalid scheme {0:?}")]
    BadScheme(String),
    #[error("invalid percent escape in the {0} of the URI")]
    BadEscape(&'static str),
    #[error("invalid character in the host of the URI")]
    BadHost,
    #[error("invalid port in the URI; write %2F for a slash and %3A for a colon in a name or password")]
    BadPort,
    #[error("control character in the {0} of the URI")]
    ControlCharacter(&'static str),
    #[error("a URI fragment (#...) is not allowed; write %23 for a literal #")]
    Fragment,
    #[error("URI longer than {URI_BYTES_MAX} bytes")]
    TooLong,
}

const PATH_ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'?').add(b'#').add(b'%').add(b'"').add(b'<').add(b'>');
const USER_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const QUERY_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Uri {
    /// Parses a URI.
    ///
    /// # Errors
    /// Says which part is wrong, without quoting what may be secret.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        if text.len() > URI_BYTES_MAX {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UriError::NoScheme)?;
        let scheme = checked_scheme(scheme)?;
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        if rest.contains('#') || query.is_some_and(|query| query.contains('#')) {
            return Err(UriError::Fragment);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (userinfo, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (user, password) =
            match userinfo.map(|info| info.split_once(':').map_or((info, None), |(u, p)| (u, Some(p)))) {
                None => (None, None),
                Some((user, password)) => {
                    (Some(decode(user, "user")?), password.map(|p| decode(p, "password")).transpose()?)
                }
            };
        if split_port(host).0.contains(':') && !is_bracketed(split_port(host).0) {
            return Err(UriError::BadPort);
        }
        let host = decode(host, "host")?;
        if host.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`'))
        {
            return Err(UriError::BadHost);
        }
        Ok(Uri { scheme, user, password, host, path: decode(path, "path")?, params: parse_query(query)? })
    }

    /// The values of a parameter, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.params.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Prints the URI with every part escaped again, secrets included.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}://", self.scheme);
        if let Some(user) = &self.user {
            text += &utf8_percent_encode(user, USER_ESCAPED).to_string();
            if let Some(password) = &self.password {
                text.push(':');
                text += &utf8_percent_encode(password, USER_ESCAPED).to_string();
            }
            text.push('@');
        }
        text += &escape_host(&self.host);
        text += &utf8_percent_encode(&self.path, PATH_ESCAPED).to_string();
        for (i, (key, value)) in self.params.iter().enumerate() {
            text.push(if i == 0 { '?' } else { '&' });
            text += &utf8_percent_encode(key, QUERY_ESCAPED).to_string();
            text.push('=');
            text += &utf8_percent_encode(value, QUERY_ESCAPED).to_string();
        }
        text
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({}://{}...)", self.scheme, self.host)
    }
}

fn checked_scheme(scheme: &str) -> Result<String, UriError> {
    if scheme.is_empty() {
        return Err(UriError::NoScheme);
    }
    let mut bytes = scheme.bytes();
    let valid = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if valid { Ok(scheme.to_ascii_lowercase()) } else { Err(UriError::BadScheme(scheme.chars().take(32).collect())) }
}

/// The host and, with the colon before it, the port.
fn split_port(host: &str) -> (&str, &str) {
    match host.rfind(':') {
        Some(colon) if host[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()) => host.split_at(colon),
        _ => (host, ""),
    }
}

/// Whether it is an IPv6 address, the one host with colons.
fn is_bracketed(host: &str) -> bool {
    host.starts_with('[') && host.ends_with(']')
}

fn escape_host(host: &str) -> String {
    let (name, port) = split_port(host);
    let mut text = String::new();
    for character in name.chars() {
        match character {
            ':' if is_bracketed(name) => text.push(':'),
            '/' | '?' | '#' | '@' | '%' | ':' => text += &format!("%{:02X}", u32::from(character)),
            other => text.push(other),
        }
    }
    text + port
}

fn parse_query(query: Option<&str>) -> Result<Vec<(String, String)>, UriError> {
    let mut params = Vec::new();
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        params.push((decode(&key.replace('+', " "), "query")?, decode(&value.replace('+', " "), "query")?));
    }
    Ok(params)
}

fn decode(text: &str, part: &'static str) -> Result<String, UriError> {
    let bytes = text.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let hex = |offset: usize| bytes.get(i + offset).is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'%' && !(hex(1) && hex(2)) {
            return Err(UriError::BadEscape(part));
        }
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| UriError::BadEscape(part))?;
    if decoded.contains('\0') {
        return Err(UriError::ControlCharacter(part));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_decodes() {
        let uri = Uri::parse("S3://bucket/a%20b/c?AWS_SECRET_ACCESS_KEY=x%2By&AUTH=specified").unwrap();
        assert_eq!((uri.scheme.as_str(), uri.host.as_str(), uri.path.as_str()), ("s3", "bucket", "/a b/c"));
        assert_eq!(uri.params[0], ("AWS_SECRET_ACCESS_KEY".into(), "x+y".into()));
        assert_eq!(uri.to_text(), "s3://bucket/a%20b/c?AWS_SECRET_ACCESS_KEY=x%2By&AUTH=specified");
    }

    #[test]
    fn user_and_password() {
        let uri = Uri::parse("https://u:p%40ss@h.example:8443/x").unwrap();
        assert_eq!((uri.user.as_deref(), uri.password.as_deref()), (Some("u"), Some("p@ss")));
        assert_eq!(uri.host, "h.example:8443");
        let escaped = "https://u:a%2Fb%3D%40@h/x";
        assert_eq!(Uri::parse(escaped).unwrap().to_text(), escaped);
        assert!(!format!("{uri:?}").contains("p@ss"));
    }

    #[test]
    fn hosts_print_back() {
        for text in
            ["x://h:80/p", "x://h:/p", "x://[::1]:80", "x://a%3Ab%2F%3F%23%40%25", "x://caf\u{e9}", "x://%5B%3A:1"]
        {
            assert_eq!(Uri::parse(text).unwrap().to_text(), text.replace("%5B", "["));
        }
        for text in ["x://user:pass/word@h", "x://a:b", "x://a:b:1", "x://::1"] {
            assert_eq!(Uri::parse(text), Err(UriError::BadPort), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_uri() {
        assert_eq!(Uri::parse("bucket/path"), Err(UriError::NoScheme));
        assert_eq!(Uri::parse("s3://bucket name?x=1"), Err(UriError::BadHost));
        assert_eq!(Uri::parse("s3://b/%zz"), Err(UriError::BadEscape("path")));
        assert_eq!(Uri::parse("s3://b/%00"), Err(UriError::ControlCharacter("path")));
        assert_eq!(Uri::parse("s3://b/x#y"), Err(UriError::Fragment));
        assert_eq!(Uri::parse("1s3://b"), Err(UriError::BadScheme("1s3".into())));
    }
}
