//! Sealing of secrets at rest.
//!
//! A [`MasterKey`], kept outside the store, wraps one random data key; the data key seals every secret column. Both
//! use AES-256-GCM and one layout:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | layout version, 1 |
//! | 12 | random nonce |
//! | rest | ciphertext and 16-byte tag |
//!
//! The additional authenticated data of a secret are its [`Place`], so a sealed value opens only in the row and
//! version it was sealed for.

mod master;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use lakeport_base::{Env, Secret};
use zeroize::{Zeroize, Zeroizing};

pub use master::MasterKey;

use crate::error::{Error, Result};

/// Bytes of an AES-256 key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce. Random nonces are safe for 2^32 seals under one key, far above the secrets of a catalog.
const NONCE_BYTES: usize = 12;
/// The layout written today and the only one ever written.
const LAYOUT_VERSION: u8 = 1;
/// What a wrapped data key is authenticated with.
const DATA_KEY_CONTEXT: &[u8] = b"lakeport data key";

/// Where a sealed value belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What holds it, such as `connection`.
    pub kind: &'static str,
    pub id: &'a str,
    /// Version of the row; 1 where rows have none.
    pub version: i64,
}

impl Place<'_> {
    /// The place as authenticated data. Unambiguous: no kind holds a NUL, and the id comes last.
    fn authenticated(&self) -> Vec<u8> {
        format!("{}\0{}\0{}", self.kind, self.version, self.id).into_bytes()
    }
}

/// The key that seals the secrets of one catalog.
pub struct DataKey(Key);

impl DataKey {
    /// A new random key.
    pub fn generate(env: &Env) -> DataKey {
        DataKey(Key::generate(env))
    }

    /// The key, wrapped for storage.
    pub fn wrap(&self, master: &MasterKey, env: &Env) -> Vec<u8> {
        master.0.seal(env, DATA_KEY_CONTEXT, self.0.0.as_slice())
    }

    /// The key of a catalog.
    ///
    /// # Errors
    /// [`Error::MasterKey`] when it was wrapped by another master key.
    pub fn unwrap(wrapped: &[u8], master: &MasterKey) -> Result<DataKey> {
        master
            .0
            .open(DATA_KEY_CONTEXT, wrapped)
            .and_then(|clear| Key::from_bytes(&clear))
            .map(DataKey)
            .ok_or_else(|| Error::MasterKey("it does not open this catalog, which was sealed with another key".into()))
    }

    /// Seals a secret for one place.
    pub fn seal(&self, secret: &Secret<String>, place: Place<'_>, env: &Env) -> Vec<u8> {
        self.0.seal(env, &place.authenticated(), secret.expose().as_bytes())
    }

    /// Opens a secret that was sealed for this place.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was sealed for another place, by another key, or was changed since.
    pub fn open(&self, sealed: &[u8], place: Place<'_>) -> Result<Secret<String>> {
        let corrupt = || Error::Corrupt {
            what: place.kind,
            detail: format!("the secret of {:?}, version {}, does not open", place.id, place.version),
        };
        let mut clear = self.0.open(&place.authenticated(), sealed).ok_or_else(corrupt)?;
        String::from_utf8(std::mem::take(&mut *clear)).map(Secret::new).map_err(|error| {
            error.into_bytes().zeroize();
            corrupt()
        })
    }
}

/// An AES-256 key, zeroed on drop.
struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    fn generate(env: &Env) -> Key {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        env.random(key.as_mut_slice());
        Key(key)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Key> {
        bytes.try_into().ok().map(|bytes| Key(Zeroizing::new(bytes)))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.as_slice().into())
    }

    fn seal(&self, env: &Env, authenticated: &[u8], clear: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        env.random(&mut nonce);
        let ciphertext = self
            .cipher()
            .encrypt(Nonce::from_slice(&nonce), Payload { msg: clear, aad: authenticated })
            .expect("AES-GCM takes up to 64 GiB");
        [&[LAYOUT_VERSION], nonce.as_slice(), &ciphertext].concat()
    }

    fn open(&self, authenticated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.strip_prefix(&[LAYOUT_VERSION])?.split_at_checked(NONCE_BYTES)?;
        let payload = Payload { msg: ciphertext, aad: authenticated };
        self.cipher().decrypt(Nonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests;
