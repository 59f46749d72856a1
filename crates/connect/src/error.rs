//! Everything that can go wrong with a connection. No text holds a secret or a whole URL.

use std::error::Error as StdError;
use std::io;

use lakeport_base::name::printable;
use lakeport_base::{Retry, Sqlstate};
use object_store::client::{HttpError, HttpErrorKind};
use thiserror::Error as ThisError;

use crate::listing::unfit_name;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How the storage client puts a redirect that does not say where to: S3's answer for a bucket of another region.
const BARE_REDIRECT: &str = "Received redirect without LOCATION";

/// How answers with the status of a wrong request begin that are about credentials: those that have had their time, and
/// those that Azure does not understand.
const UNFIT: [&str; 4] = ["ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidAuthenticationInfo"];

/// How answers begin that miss the bucket and not the file in it.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

/// The remedy of a missing bucket.
const NO_BUCKET_HINT: &str = "no bucket of this name is there: check the name, and the endpoint or account";

/// The remedy of [`Error::DiskFull`].
const DISK_FULL_HINT: &str = "make room, then run the statement again";

/// What happened, in words for the client, and how to remedy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Lower case unless a documented text says otherwise.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
}

impl std::fmt::Display for Detail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// A failure, classified by what its reader can do about it.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The URI, an option or a path is wrong.
    #[error("{0}")]
    Invalid(Detail),
    /// The file, bucket or folder is not there.
    #[error("{0}")]
    NotFound(Detail),
    /// The file exists already, or changed under a conditional write.
    #[error("{0}")]
    Conflict(Detail),
    /// The far side refused the credentials, or they may not do this.
    #[error("{0}")]
    Denied(Detail),
    /// The key is switched off, or on its way to be destroyed.
    #[error("{0}")]
    Disabled(Detail),
    /// The operator of this server does not allow it.
    #[error("{0}")]
    Forbidden(Detail),
    /// The far side asks for fewer requests.
    #[error("{0}")]
    Throttled(Detail),
    /// No connection to the far side.
    #[error("{0}")]
    Unreachable(Detail),
    /// Not done within the time limit.
    #[error("{0}")]
    Timeout(Detail),
    /// This kind cannot do it.
    #[error("{0}")]
    Unsupported(Detail),
    /// The connection has another role.
    #[error("{0}")]
    WrongRole(Detail),
    /// The files are more or larger than a limit.
    #[error("{0}")]
    Limit(Detail),
    /// A disk or a far side has no room left.
    #[error("{0}")]
    DiskFull(Detail),
    /// Another failure of a disk or a far side.
    #[error("{0}")]
    Io(Detail),
    /// The statement or job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $variant:ident;)*) => {
        impl Error {
            $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Error {
                Error::$variant(Detail { message: message.into(), hint: None })
            })*
        }
    };
}

constructors! {
    /// A wrong URI, option or path.
    invalid => Invalid;
    /// Something that is not there.
    not_found => NotFound;
    /// Something that exists already.
    conflict => Conflict;
    /// Refused credentials.
    denied => Denied;
    /// A key that is switched off.
    disabled => Disabled;
    /// Refused by the operator of this server.
    forbidden => Forbidden;
    /// Too many requests.
    throttled => Throttled;
    /// No connection.
    unreachable => Unreachable;
    /// Over the time limit.
    timeout => Timeout;
    /// Not possible with this kind.
    unsupported => Unsupported;
    /// A connection of another role.
    wrong_role => WrongRole;
    /// Over a limit.
    limit => Limit;
    /// No room left.
    full => DiskFull;
    /// A failure of a disk or a far side.
    io => Io;
}

impl Error {
    /// Adds a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        if let Some(detail) = self.detail_mut() {
            detail.hint = Some(hint.into());
        }
        self
    }

    /// Puts what was being done in front of the message.
    #[must_use]
    pub fn context(mut self, doing: impl std::fmt::Display) -> Error {
        if let Some(detail) = self.detail_mut() {
            detail.message = format!("{doing}: {}", detail.message);
        }
        self
    }

    /// Puts other words into message and remedy.
    #[must_use]
    pub(crate) fn reworded(mut self, words: impl Fn(&str) -> String) -> Error {
        if let Some(detail) = self.detail_mut() {
            detail.message = words(&detail.message);
            detail.hint = detail.hint.as_deref().map(words);
        }
        self
    }

    /// The remedy, when there is a known one: the error's own, or that of its class.
    pub fn hint(&self) -> Option<&str> {
        let of_class = match self {
            Error::Denied(_) => Some("check the key, and that it may read, write and list there"),
            Error::Disabled(_) => Some("enable the key again, or use another one"),
            Error::Unreachable(_) | Error::Timeout(_) => Some("check the endpoint, and that its server is up"),
            _ => None,
        };
        self.detail().and_then(|detail| detail.hint.as_deref()).or(of_class)
    }

    /// The code a client sees.
    pub fn sqlstate(&self) -> Sqlstate {
        match self {
            Error::Invalid(_) => Sqlstate::INVALID_PARAMETER_VALUE,
            Error::NotFound(_) => Sqlstate::UNDEFINED_FILE,
            Error::Conflict(_) | Error::Disabled(_) => Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            Error::Denied(_) => Sqlstate::INVALID_AUTHORIZATION,
            Error::Forbidden(_) => Sqlstate::INSUFFICIENT_PRIVILEGE,
            Error::Throttled(_) => Sqlstate::INSUFFICIENT_RESOURCES,
            Error::Unreachable(_) => Sqlstate::CANNOT_CONNECT,
            Error::Timeout(_) => Sqlstate::CONNECTION_FAILURE,
            Error::Unsupported(_) => Sqlstate::FEATURE_NOT_SUPPORTED,
            Error::WrongRole(_) => Sqlstate::WRONG_OBJECT_TYPE,
            Error::Limit(_) => Sqlstate::PROGRAM_LIMIT_EXCEEDED,
            Error::DiskFull(_) => Sqlstate::DISK_FULL,
            Error::Io(_) => Sqlstate::IO_ERROR,
            Error::Cancelled => Sqlstate::QUERY_CANCELED,
        }
    }

    /// Whether the same call may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Throttled(_) | Error::Unreachable(_) | Error::Timeout(_) | Error::DiskFull(_) | Error::Io(_) => {
                Retry::Later
            }
            _ => Retry::Never,
        }
    }

    /// Classifies a failure that the storage client did not: by its transport error or its HTTP status.
    pub(crate) fn from_source(error: &(dyn StdError + 'static)) -> Error {
        if let Some(own) = chain(error).find_map(|cause| cause.downcast_ref::<Error>()) {
            return own.clone();
        }
        if let Some(full) = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).find(|e| is_full(e)) {
            return Error::full(full.to_string()).with_hint(DISK_FULL_HINT);
        }
        let mut cause = root_cause(error);
        if let Some(unanswered) = chain(error).find_map(|cause| cause.downcast_ref::<Unanswered>()) {
            cause = format!("{}: {cause}", unanswered.address);
        }
        match chain(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind) {
            Some(HttpErrorKind::Timeout) => return Error::timeout(cause),
            Some(HttpErrorKind::Connect) if cause.contains("InvalidContentType") => {
                return Error::unreachable("the server does not speak TLS").with_hint("write http:// for its endpoint");
            }
            Some(HttpErrorKind::Connect) => return Error::unreachable(cause),
            _ => {}
        }
        let redirected = cause.starts_with(BARE_REDIRECT).then_some(301);
        match status_in(error).or(redirected) {
            Some(301 | 307) => {
                Error::invalid("the bucket is in another region").with_hint("set AWS_REGION to its region")
            }
            Some(400) if UNFIT.iter().any(|code| cause.starts_with(code)) => Error::denied(cause),
            Some(400) => Error::invalid(cause),
            Some(401 | 403) => Error::denied(cause),
            Some(404) if is_of_bucket(&cause) => Error::not_found(cause).with_hint(NO_BUCKET_HINT),
            Some(404) => Error::not_found(cause),
            Some(429 | 503) => Error::throttled(cause),
            _ => Error::io(cause),
        }
    }

    fn detail(&self) -> Option<&Detail> {
        match self {
            Error::Invalid(d) | Error::NotFound(d) | Error::Conflict(d) | Error::Denied(d) | Error::Forbidden(d) => {
                Some(d)
            }
            Error::Throttled(d) | Error::Unreachable(d) | Error::Timeout(d) | Error::Unsupported(d) => Some(d),
            Error::WrongRole(d) | Error::Limit(d) | Error::DiskFull(d) | Error::Io(d) | Error::Disabled(d) => Some(d),
            Error::Cancelled => None,
        }
    }

    fn detail_mut(&mut self) -> Option<&mut Detail> {
        match self {
            Error::Invalid(d) | Error::NotFound(d) | Error::Conflict(d) | Error::Denied(d) | Error::Forbidden(d) => {
                Some(d)
            }
            Error::Throttled(d) | Error::Unreachable(d) | Error::Timeout(d) | Error::Unsupported(d) => Some(d),
            Error::WrongRole(d) | Error::Limit(d) | Error::DiskFull(d) | Error::Io(d) | Error::Disabled(d) => Some(d),
            Error::Cancelled => None,
        }
    }
}

impl From<lakeport_base::uri::UriError> for Error {
    fn from(error: lakeport_base::uri::UriError) -> Error {
        Error::invalid(error.to_string())
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Error {
        Error::from(&error)
    }
}

impl From<&object_store::Error> for Error {
    fn from(error: &object_store::Error) -> Error {
        use object_store::Error as Store;
        match error {
            Store::NotFound { path, .. } => match far_answer(error).filter(|answer| is_of_bucket(answer)) {
                Some(answer) => Error::not_found(answer).with_hint(NO_BUCKET_HINT),
                None => Error::not_found(format!("file {path:?} does not exist")),
            },
            Store::AlreadyExists { path, .. } => Error::conflict(format!("file {path:?} exists already")),
            Store::Precondition { path, .. } => Error::conflict(format!("file {path:?} changed meanwhile")),
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => Error::denied(root_cause(error)),
            Store::NotSupported { .. } | Store::NotImplemented { .. } => Error::unsupported(scrub(&root_text(error))),
            Store::InvalidPath { source } => {
                Error::invalid(format!("invalid path: {}", printable(&source.to_string())))
            }
            _ => match unfit_name(error) {
                Some(name) => Error::invalid(format!("no path can hold the name {name:?}")),
                None => Error::from_source(error),
            },
        }
    }
}

fn is_of_bucket(answer: &str) -> bool {
    NO_BUCKET.iter().any(|code| answer.starts_with(code))
}

/// A request for which no answer came from an address.
#[derive(Debug, ThisError)]
#[error("no answer from {address}")]
pub(crate) struct Unanswered {
    /// Host and port.
    pub address: String,
    #[source]
    pub source: HttpError,
}

/// Whether a disk or a quota is used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost text of an error.
fn root_text(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// What the far side said: the code and message of its answer, else the innermost error.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    far_answer(error).unwrap_or_else(|| scrub(&root_text(error)))
}

fn far_answer(error: &(dyn StdError + 'static)) -> Option<String> {
    chain(error).find_map(|cause| answer_of(&cause.to_string()))
}

/// `Code: Message` of an S3 or STS error document; the rest of it may hold signatures.
pub(crate) fn answer_of(text: &str) -> Option<String> {
    let code = scrub(element(text, "Code")?);
    let message = element(text, "Message").unwrap_or_default();
    Some(if message.is_empty() { code } else { format!("{code}: {}", scrub(message)) })
}

/// The text of the first such element of an XML document.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let length = text[start..].find(&format!("</{name}>"))?;
    Some(&text[start..start + length])
}

fn status_in(error: &(dyn StdError + 'static)) -> Option<u16> {
    const MARK: &str = "status code: ";
    chain(error).map(ToString::to_string).find_map(|text| {
        let start = text.find(MARK)? + MARK.len();
        text.get(start..start + 3)?.parse().ok()
    })
}

/// The text without the query string and user information of any URL in it, and bounded in length.
pub fn scrub(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    let words: Vec<String> = text.split_whitespace().map(scrub_word).collect();
    words.join(" ").chars().take(CHARS_MAX).collect()
}

fn scrub_word(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_string() };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // Punctuation after the URL is not part of it.
    let closing = &query[query.trim_end_matches([')', ']', '"', '\'', ',', ';', ':', '.']).len()..];
    // A password may hold a slash, so the last @ counts wherever it stands.
    let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
    format!("{scheme}://{address}{closing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubs_queries_and_user_information() {
        let text = "error sending request for url (https://u:pw@h.example/b/k?X-Amz-Signature=abc): refused";
        assert_eq!(scrub(text), "error sending request for url (https://h.example/b/k): refused");
        assert_eq!(scrub("at https://u:p/w@h.example/k."), "at https://h.example/k.");
        assert_eq!(scrub("plain words"), "plain words");
    }

    #[test]
    fn an_s3_answer_is_code_and_message_only() {
        let body = "403: <Error><Code>SignatureDoesNotMatch</Code><Message>no match</Message><StringToSign>x</StringToSign></Error>";
        assert_eq!(answer_of(body).as_deref(), Some("SignatureDoesNotMatch: no match"));
        let long = format!("<Code>https://u:pw@h/x?sig=1 {}</Code>", "y".repeat(10_000));
        let shown = answer_of(&long).unwrap();
        assert!(shown.starts_with("https://h/x y") && shown.len() < 1000, "{shown}");
    }

    #[test]
    fn a_token_that_has_had_its_time_is_refused_and_not_wrong() {
        let answer = |code: &str| {
            let text = format!("status code: 400 Bad Request: <Error><Code>{code}</Code></Error>");
            Error::from(object_store::Error::Generic { store: "s3", source: io::Error::other(text).into() }).sqlstate()
        };
        assert_eq!(answer("ExpiredToken"), Sqlstate::INVALID_AUTHORIZATION);
        assert_eq!(answer("EntityTooLarge"), Sqlstate::INVALID_PARAMETER_VALUE);
    }

    #[test]
    fn context_and_hint_keep_the_class() {
        let error = Error::denied("wrong key").context("failed to write").with_hint("check the key");
        assert_eq!(error.to_string(), "failed to write: wrong key");
        assert_eq!((error.hint(), error.sqlstate()), (Some("check the key"), Sqlstate::INVALID_AUTHORIZATION));
    }
}
