//! Keys that somebody else holds. They wrap the keys of backups and never leave their service.

use std::fmt;

use async_trait::async_trait;
use lakeport_base::Secret;

use crate::error::{Error, Result};
use crate::kind::Host;
use crate::target::Target;

#[cfg(feature = "testing")]
pub mod memory;

/// Most that is read of a service's answer, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// One key of a key management service.
#[async_trait]
pub trait Kms: fmt::Debug + Send + Sync {
    /// The kind it was opened as, such as `aws-kms`.
    fn kind(&self) -> &'static str;

    /// By what a backup knows the key: as [`key_name`].
    fn key_name(&self) -> &str;

    /// Encrypts a few bytes under the key.
    ///
    /// # Errors
    /// What the service answers, or that it does not.
    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>>;

    /// Decrypts what [`Kms::encrypt`] has made under the same key.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bytes that the key did not make; else what the service answers, or that it does not.
    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>>;
}

/// What a service does with one of its keys. [`crate::layer::watch_key`] makes a [`Kms`] of it.
#[async_trait]
pub(crate) trait Cipher: Send + Sync {
    /// As [`Kms::encrypt`], once.
    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>>;

    /// As [`Kms::decrypt`], once.
    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>>;
}

/// What tells a target's key from all others of its kind: its path without the leading slash and, behind a question mark,
/// the options that say where it is, such as `alias/backups?REGION=us-east-1`.
///
/// # Errors
/// [`Error::Invalid`] for a target that names no key.
pub fn key_name(target: &Target) -> Result<String> {
    let rows = target.spec().options.iter().filter(|row| row.identifies);
    let places = rows.filter_map(|row| Some(format!("{}={}", row.name, target.options().get(row.name)?)));
    let places: Vec<String> = places.collect();
    let key = key_id(target)?;
    Ok(if places.is_empty() { key.to_string() } else { format!("{key}?{}", places.join("&")) })
}

/// The key that a target names in its service: its path without the leading slash.
pub(crate) fn key_id(target: &Target) -> Result<&str> {
    debug_assert_eq!(target.spec().host, Host::Nothing);
    let uri = target.uri();
    let example = || format!("write three slashes and then the key, as in {}:///<key>", uri.scheme);
    if !uri.host.is_empty() {
        return Err(Error::invalid("host component of the KMS must be empty").with_hint(example()));
    }
    let key = uri.path.trim_start_matches('/');
    if key.is_empty() {
        return Err(Error::invalid("path component of the KMS cannot be empty; must contain the Customer Managed Key")
            .with_hint(example()));
    }
    Ok(key)
}

/// The segments of a key's name that becomes part of a URL, where a step up would name something else.
pub(crate) fn key_segments(target: &Target) -> Result<Vec<&str>> {
    let key = key_id(target)?;
    let segments: Vec<&str> = key.split('/').collect();
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(Error::invalid(format!("invalid key {key:?}")));
    }
    Ok(segments)
}

/// The service does not know the bytes as its own.
pub(crate) fn foreign_ciphertext(key_id: &str) -> Error {
    Error::invalid(format!("key {key_id:?} did not encrypt this, or it is damaged"))
        .with_hint("use the key that was used to encrypt")
}

/// The service says that it is done and leaves out with what.
pub(crate) fn incomplete_answer() -> Error {
    Error::io("the answer of the key management service is incomplete")
}

/// The credentials are wrong, or may not do this.
pub(crate) fn denied(text: impl Into<String>) -> Error {
    Error::denied(text).with_hint("check the credentials, and that they may encrypt and decrypt with the key")
}

/// An answer that only its HTTP status and perhaps a text tell about.
pub(crate) fn refused(status: u16, text: Option<String>) -> Error {
    let text = text.unwrap_or_else(|| format!("the key management service answers {status}"));
    match status {
        400 => Error::invalid(text),
        401 | 403 => denied(text),
        404 => Error::not_found(text).with_hint("check the name of the key"),
        408 => Error::timeout(text),
        429 | 503 => Error::throttled(text),
        _ => Error::io(text),
    }
}
