//! A key of this process, for tests of what is encrypted under keys.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use async_trait::async_trait;
use lakeport_base::{Env, Secret};
use zeroize::Zeroize;

use super::{Kms, foreign_ciphertext};
use crate::error::{Error, Result};

/// Bytes of the nonce that stands before a ciphertext.
const NONCE_BYTES: usize = 12;

/// A random AES-256-GCM key. Bytes encrypted under another one, or under the same one by another name, are refused.
pub struct MemoryKms {
    env: Env,
    key_id: String,
    cipher: Aes256Gcm,
    failure: Mutex<Option<Error>>,
}

impl MemoryKms {
    /// A new key of that name.
    pub fn new(env: Env, key_id: &str) -> MemoryKms {
        let mut key = [0; 32];
        env.random(&mut key);
        let cipher = Aes256Gcm::new(&key.into());
        key.zeroize();
        MemoryKms { env, key_id: key_id.to_string(), cipher, failure: Mutex::new(None) }
    }

    /// Makes every call from now on fail, or work again.
    pub fn fail(&self, failure: Option<Error>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn works(&self) -> Result<()> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for MemoryKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryKms({})", self.key_id)
    }
}

#[async_trait]
impl Kms for MemoryKms {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn key_name(&self) -> &str {
        &self.key_id
    }

    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>> {
        self.works()?;
        let mut nonce = [0; NONCE_BYTES];
        self.env.random(&mut nonce);
        let payload = Payload { msg: plaintext.expose(), aad: self.key_id.as_bytes() };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::limit("the plaintext is too long"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        self.works()?;
        let foreign = || foreign_ciphertext(&self.key_id);
        let (nonce, sealed) = ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or_else(foreign)?;
        let payload = Payload { msg: sealed, aad: self.key_id.as_bytes() };
        self.cipher.decrypt(&Nonce::from(*nonce), payload).map(Secret::new).map_err(|_| foreign())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_key_decrypts() {
        let (one, other) = (MemoryKms::new(Env::system(), "one"), MemoryKms::new(Env::system(), "other"));
        let plaintext = Secret::new(b"data key".to_vec());
        let ciphertext = one.encrypt(&plaintext).await.unwrap();
        assert!(one.decrypt(&ciphertext).await.unwrap() == plaintext);
        assert!(matches!(other.decrypt(&ciphertext).await, Err(Error::Invalid(_))));
        for at in 0..ciphertext.len() {
            let mut damaged = ciphertext.clone();
            damaged[at] ^= 1;
            assert!(matches!(one.decrypt(&damaged).await, Err(Error::Invalid(_))), "byte {at}");
        }
        one.fail(Some(Error::disabled("off")));
        assert!(matches!(one.decrypt(&ciphertext).await, Err(Error::Disabled(_))));
    }
}
