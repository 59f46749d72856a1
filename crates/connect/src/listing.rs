//! Names in listings that no path can hold: with control characters, or with empty or dotted segments. The storage client
//! fails a whole page for one of them; here they are marked before it reads the page, and told one by one after.

use std::borrow::Cow;

use async_trait::async_trait;
use http::header::CONTENT_LENGTH;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
use object_store::path::{Path, PathPart};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error as ThisError;
use url::form_urlencoded;

use crate::net::Client;

/// Stands before what no path can hold; in no text that is meant for others.
const MARK: char = '\u{FDD0}';
/// What holds the names of files, in S3's words and in Azure's.
const TAGS: [(&str, &str); 2] = [("<Key>", "</Key>"), ("<Name>", "</Name>")];

/// A file that cannot be read for its name.
#[derive(Debug, ThisError)]
#[error("no path can hold the name {0:?}")]
pub(crate) struct Unfit(String);

/// The name of the file that an item of a listing failed for; the items after it are those of others.
pub fn unfit_name(error: &object_store::Error) -> Option<&str> {
    match error {
        object_store::Error::Generic { source, .. } => source.downcast_ref().map(|Unfit(name)| name.as_str()),
        _ => None,
    }
}

/// # Errors
/// A path that stands for a name which none can hold.
pub(crate) fn fit(path: Path) -> object_store::Result<Path> {
    let Some((folder, rest)) = path.as_ref().split_once(MARK) else { return Ok(path) };
    let name = format!("{folder}{}", percent_decode_str(rest).decode_utf8_lossy());
    Err(object_store::Error::Generic { store: "listing", source: Box::new(Unfit(name)) })
}

/// A client that marks the names in its listings.
#[derive(Clone, Debug)]
pub(crate) struct Listings(pub Client);

impl HttpConnector for Listings {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Listings {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let is_listing = form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| matches!((&*name, &*value), ("list-type", "2") | ("comp", "list")));
        let answer = self.0.call(request).await?;
        if is_listing && answer.status().is_success() {
            adapted(answer, |text| marked(&text)).await
        } else {
            Ok(answer)
        }
    }
}

/// An answer with another text.
pub(crate) async fn adapted(
    answer: HttpResponse,
    change: impl FnOnce(String) -> String + Send,
) -> Result<HttpResponse, HttpError> {
    let (mut head, body) = answer.into_parts();
    let text = String::from_utf8_lossy(&body.bytes().await?).into_owned();
    head.headers.remove(CONTENT_LENGTH);
    Ok(HttpResponse::from_parts(head, change(text).into()))
}

/// A listing with paths in the place of names that none can hold.
pub(crate) fn marked(listing: &str) -> String {
    TAGS.iter().fold(listing.to_string(), |listing, (open, close)| {
        let mut pieces = listing.split(open);
        let before = pieces.next().unwrap_or_default().to_string();
        pieces.fold(before, |out, piece| match piece.split_once(close) {
            Some((name, after)) => out + open + &fitted(name) + close + after,
            None => out + open + piece,
        })
    })
}

/// A name as it stands in a listing, or the path that stands for it. The folders that a path can hold stay, so that it is
/// found below them.
fn fitted(escaped: &str) -> Cow<'_, str> {
    let name = unescaped(escaped);
    let is_fit = |part: &str| !part.is_empty() && PathPart::parse(part).is_ok();
    let whole = name.strip_suffix('/').unwrap_or(&name);
    let folder_bytes: usize = whole.split('/').take_while(|part| is_fit(part)).map(|part| part.len() + 1).sum();
    if folder_bytes > whole.len() || name.is_empty() {
        return Cow::Borrowed(escaped);
    }
    let (folder, rest) = name.split_at(folder_bytes);
    let folder = folder.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Cow::Owned(format!("{folder}{MARK}{}", utf8_percent_encode(rest, NON_ALPHANUMERIC)))
}

/// The text that stands in XML.
fn unescaped(text: &str) -> Cow<'_, str> {
    let mut pieces = text.split('&');
    let first = pieces.next().unwrap_or_default();
    if first.len() == text.len() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(pieces.fold(first.to_string(), |out, piece| {
        let known = piece.split_once(';').and_then(|(entity, after)| Some((character(entity)?, after)));
        match known {
            Some((c, after)) => format!("{out}{c}{after}"),
            None => out + "&" + piece,
        }
    }))
}

fn character(entity: &str) -> Option<char> {
    let number = entity.strip_prefix('#');
    match (entity, number, number.and_then(|number| number.strip_prefix(['x', 'X']))) {
        ("amp", ..) => Some('&'),
        ("lt", ..) => Some('<'),
        ("gt", ..) => Some('>'),
        ("quot", ..) => Some('"'),
        ("apos", ..) => Some('\''),
        (_, _, Some(hex)) => char::from_u32(u32::from_str_radix(hex, 16).ok()?),
        (_, Some(number), None) => char::from_u32(number.parse().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_path_can_hold_are_marked_and_told() {
        for name in ["a.csv", "a/b &amp; c/ü", "a/", "a&lt;b&gt;/&quot;", "a&nbsp;b", "..a/.b"] {
            let listing = format!("<Name>lake</Name><Contents><Key>{name}</Key><Size>1</Size></Contents>");
            assert_eq!(marked(&listing), listing);
        }
        for (name, told) in [
            ("x/b\nc.csv", "x/b\nc.csv"),
            ("x/b&#10;c.csv", "x/b\nc.csv"),
            ("x/b&#x1;c.csv", "x/b\u{1}c.csv"),
            ("x &amp; y/p//q.csv", "x & y/p//q.csv"),
            ("x/p//", "x/p//"),
            ("x/../y", "x/../y"),
            ("/x", "/x"),
            ("/", "/"),
            ("\t", "\t"),
        ] {
            let listing =
                marked(&format!("<Contents><Key>a</Key></Contents><Contents><Key>{name}</Key><Size>1</Size>"));
            let (_, key) = listing.rsplit_once("<Key>").unwrap();
            let (key, after) = key.split_once("</Key>").unwrap();
            assert_eq!(after, "<Size>1</Size>");
            let error = fit(Path::parse(&*unescaped(key)).unwrap()).unwrap_err();
            assert_eq!(unfit_name(&error), Some(told));
        }
        assert_eq!(fit(Path::from("x/a.csv")).unwrap(), Path::from("x/a.csv"));
    }
}
