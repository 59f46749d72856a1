//! SCRAM-SHA-256 password verifiers in PostgreSQL's text form, and the server's side of the proof (RFC 5802, RFC 7677).
//!
//! A verifier holds no password: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, all in base64.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Env, Secret};

/// Name of the mechanism and prefix of a verifier.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// Rounds of key stretching for new verifiers, as PostgreSQL.
const ITERATIONS: u32 = 4096;
/// Bytes of salt in new verifiers.
const SALT_BYTES: usize = 16;

/// Output of SHA-256.
pub type Key = [u8; 32];

/// What the server knows of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub iterations: u32,
    pub salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// Shows nothing: a verifier can be attacked offline.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

/// The text form of a new verifier for a password.
pub fn verifier(password: &Secret<String>, env: &Env) -> Secret<String> {
    let mut salt = vec![0; SALT_BYTES];
    env.random(&mut salt);
    Verifier::derive(password.expose(), salt, ITERATIONS).to_text()
}

impl Verifier {
    fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Verifier {
        // As PostgreSQL: a password that SASLprep refuses counts as it is.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let salted = stretch(prepared.as_bytes(), &salt, iterations);
        let stored_key = Sha256::digest(hmac(&salted, &[b"Client Key"])).into();
        Verifier { iterations, salt, stored_key, server_key: hmac(&salted, &[b"Server Key"]) }
    }

    /// Reads the text form; `None` for anything else.
    pub fn parse(text: &str) -> Option<Verifier> {
        let (parameters, keys) = text.strip_prefix(MECHANISM)?.strip_prefix('$')?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(Verifier {
            iterations: iterations.parse().ok().filter(|iterations| *iterations > 0)?,
            salt: BASE64_STANDARD.decode(salt).ok()?,
            stored_key: decode_key(stored_key)?,
            server_key: decode_key(server_key)?,
        })
    }

    /// A verifier that no password meets. The salt is always the same for one name and seed, so that an exchange
    /// does not tell whether the user exists.
    pub fn mock(user: &str, seed: &Key) -> Verifier {
        let salt = hmac(seed, &[b"salt", user.as_bytes()])[..SALT_BYTES].to_vec();
        let stored_key = hmac(seed, &[b"stored", user.as_bytes()]);
        let server_key = hmac(seed, &[b"server", user.as_bytes()]);
        Verifier { iterations: ITERATIONS, salt, stored_key, server_key }
    }

    fn to_text(&self) -> Secret<String> {
        let [salt, stored_key, server_key] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64_STANDARD.encode(bytes));
        Secret::new(format!("{MECHANISM}${}:{salt}${stored_key}:{server_key}", self.iterations))
    }

    /// Checks a client's proof over the messages of the exchange; answers the server's signature if it holds.
    pub fn check(&self, auth_message: &str, proof: &Key) -> Option<Key> {
        let mut client_key = hmac(&self.stored_key, &[auth_message.as_bytes()]);
        client_key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
        let found: Key = Sha256::digest(client_key).into();
        bool::from(found.ct_eq(&self.stored_key)).then(|| hmac(&self.server_key, &[auth_message.as_bytes()]))
    }
}

fn decode_key(text: &str) -> Option<Key> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// PBKDF2 for one block: `Hi` of RFC 5802.
fn stretch(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    let mut round = hmac(password, &[salt, &1u32.to_be_bytes()]);
    let mut sum = round;
    for _ in 1..iterations {
        round = hmac(password, &[&round]);
        sum.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange printed in RFC 7677, section 3.
    #[test]
    fn published_exchange() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::derive("pencil", salt, 4096);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let auth_message =
            format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}");
        let proof = decode_key("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = verifier.check(&auth_message, &proof).expect("the proof holds");
        assert_eq!(BASE64_STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");

        let mut forged = proof;
        forged[0] ^= 1;
        assert_eq!(verifier.check(&auth_message, &forged), None);
    }

    #[test]
    fn text_form_reads_back() {
        let text = verifier(&Secret::new("pencil".to_string()), &Env::system());
        let parsed = Verifier::parse(text.expose()).expect("its own form");
        assert!(parsed.to_text() == text);
        assert_eq!(parsed.salt.len(), SALT_BYTES);
        for broken in ["", "SCRAM-SHA-256$0:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:?$x:y", "md5abc"] {
            assert_eq!(Verifier::parse(broken), None);
        }
    }

    #[test]
    fn mock_depends_on_user_and_seed_only() {
        let mock = Verifier::mock("ann", &[1; 32]);
        assert!(mock == Verifier::mock("ann", &[1; 32]));
        assert!(mock.salt != Verifier::mock("bob", &[1; 32]).salt);
        assert!(mock.salt != Verifier::mock("ann", &[2; 32]).salt);
    }
}
