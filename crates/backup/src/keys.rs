//! Who opens a chain: its key, wrapped for each key service and passphrase that may.
//!
//! The wrapped keys of a chain are in one or more files ([`crate::layout::ENCRYPTION_INFO`]), JSON with a version; the
//! entries of all files count alike, and any one gives the chain key. `check` are 32 bytes derived from that key, so that
//! a key that is not the chain's is known at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use lakeport_base::{Env, Secret, hex};
use lakeport_connect::kms::Kms;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format::{FORMAT, check_format};
use crate::passphrase::{COST, Passphrase};
use crate::sealed::{ChainKey, KEY_BYTES, sha256};

/// Most entries of a chain, each of which may cost a request to a key service.
pub const KEYS_MAX: usize = 256;
/// Most entries of passphrases, each of which may cost as much as the largest cost allowed. Writers make one.
const PASSPHRASES_MAX: usize = 4;
/// Key services asked at a time to wrap a chain's key.
const WRAPS_MAX: usize = 16;
/// How long a key service may think before the next key is tried beside it.
const PATIENCE: Duration = Duration::from_secs(1);
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const CHECK_CONTEXT: &[u8] = b"lakeport backup 1\0key check";
const WRAP_CONTEXT: &[u8] = b"lakeport backup 1\0passphrase";

/// What a statement gives to open or lock a chain.
#[derive(Clone, Default)]
pub enum Keys {
    /// Nothing.
    #[default]
    None,
    /// A passphrase.
    Passphrase(Arc<Passphrase>),
    /// Keys of key services.
    Kms(Vec<Arc<dyn Kms>>),
}

/// A file of wrapped keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionInfo {
    format: u64,
    /// Hex.
    check: String,
    /// The key, wrapped in different ways.
    pub keys: Vec<WrappedKey>,
}

/// The chain key under one other key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrappedKey {
    /// Encrypted by a key service.
    Kms {
        /// Kind of the service, such as `aws-kms`.
        kind: String,
        /// SHA-256 of the key's name in its service, hex.
        key_sha256: String,
        /// What the service made of the 32 bytes, base64.
        wrapped: String,
    },
    /// Encrypted with AES-256-GCM under what argon2id makes of a passphrase.
    Passphrase {
        /// Base64.
        salt: String,
        /// Parameters of argon2id.
        #[serde(flatten)]
        cost: Cost,
        /// Nonce, ciphertext and tag, base64.
        wrapped: String,
    },
}

/// Parameters of argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl WrappedKey {
    fn is_of(&self, kms: &dyn Kms) -> bool {
        matches!(self, WrappedKey::Kms { kind, key_sha256, .. } if kind == kms.kind() && *key_sha256 == fingerprint(kms.key_name()))
    }
}

/// How many keys a chain's files list.
#[derive(Default)]
pub(crate) struct KeyCount {
    keys: usize,
    passphrases: usize,
}

impl KeyCount {
    /// Counts those of the next file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are too many.
    pub fn add(&mut self, path: &Path, info: &EncryptionInfo) -> Result<()> {
        let is_passphrase = |key: &&WrappedKey| matches!(key, WrappedKey::Passphrase { .. });
        self.keys += info.keys.len();
        self.passphrases += info.keys.iter().filter(is_passphrase).count();
        if self.keys <= KEYS_MAX && self.passphrases <= PASSPHRASES_MAX {
            return Ok(());
        }
        let what = format!("with it {} keys are listed, {} of passphrases", self.keys, self.passphrases);
        Err(Error::corrupt(path.as_ref(), what))
    }
}

/// By what a backup knows a key of a key service.
pub fn fingerprint(key_name: &str) -> String {
    hex::encode(&sha256(&[key_name.as_bytes()]))
}

impl EncryptionInfo {
    /// The chain key, wrapped for each of the keys.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more keys than a reader tries; what a key service answers, with its kind in front.
    pub async fn lock(chain: &ChainKey, keys: &Keys, env: &Env) -> Result<EncryptionInfo> {
        let wrapped = match keys {
            Keys::None => Vec::new(),
            Keys::Passphrase(passphrase) => vec![wrap_by_passphrase(chain, passphrase, env).await?],
            Keys::Kms(services) if services.len() > KEYS_MAX => {
                let message = format!("{} keys are given, of {KEYS_MAX} that a backup may have", services.len());
                return Err(Error::invalid(message).with_hint("name fewer"));
            }
            // Two keys may have one name, in different accounts.
            Keys::Kms(services) => {
                let wraps: Vec<_> = services.iter().map(|kms| wrap_by_kms(chain, &**kms)).collect();
                stream::iter(wraps).buffered(WRAPS_MAX).try_collect().await?
            }
        };
        Ok(EncryptionInfo { format: FORMAT, check: hex::encode(&check_of(chain)), keys: wrapped })
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("texts and numbers are JSON")
    }

    /// The info in a file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Newer`].
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<EncryptionInfo> {
        check_format(path.as_ref(), bytes)?;
        serde_json::from_slice(bytes).map_err(|error| Error::corrupt(path.as_ref(), error.to_string()))
    }

    fn is_of(&self, chain: &ChainKey) -> bool {
        let check: Option<[u8; KEY_BYTES]> = hex::decode(&self.check);
        check.is_some_and(|check| constant_time::verify_slices_are_equal(&check, &check_of(chain)).is_ok())
    }
}

fn check_of(chain: &ChainKey) -> [u8; KEY_BYTES] {
    chain.derive(&[], &[CHECK_CONTEXT])[..KEY_BYTES].try_into().expect("half of 64 bytes")
}

/// The key of a chain whose infos are `infos`.
///
/// # Errors
/// [`Error::Key`] when the keys do not open it, one of them is not the chain's, or none is given; what the last key
/// service answered when none of them could be used.
pub async fn unlock(infos: &[EncryptionInfo], keys: &Keys) -> Result<ChainKey> {
    let opened = match keys {
        Keys::None => return Err(encrypted()),
        Keys::Passphrase(passphrase) => {
            unwrap_by_passphrase_of(infos, passphrase).await?.ok_or_else(wrong_passphrase)?
        }
        Keys::Kms(services) => {
            if let Some(stranger) = services.iter().find(|kms| !lists(infos, &***kms)) {
                return Err(not_listed(&**stranger));
            }
            unwrap_by_any(services, infos).await?
        }
    };
    match infos.iter().all(|info| info.is_of(&opened)) {
        true => Ok(opened),
        false => Err(Error::corrupt(crate::layout::ENCRYPTION_INFO, "its files hold keys of different chains")),
    }
}

/// The chain key by the first of the keys that opens it; keys that are not the chain's are passed over. They are asked in
/// turn, and the next one also when the last one is slow to answer.
///
/// # Errors
/// [`Error::Key`] when none is the chain's; else what the last key service answered.
pub async fn unwrap_by_any(services: &[Arc<dyn Kms>], infos: &[EncryptionInfo]) -> Result<ChainKey> {
    let mut tries = Vec::new();
    for kms in services {
        for info in infos {
            tries.extend(info.keys.iter().filter(|key| key.is_of(&**kms)).map(|key| unwrap_for(info, key, &**kms)));
        }
    }
    let (mut untried, mut asked, mut failure) = (tries.into_iter(), FuturesUnordered::new(), no_match());
    loop {
        asked.extend(untried.next());
        match tokio::time::timeout(PATIENCE, asked.next()).await {
            Ok(Some(Ok(chain))) => return Ok(chain),
            Ok(Some(Err(error))) => failure = error,
            Ok(None) => return Err(failure),
            // Still no answer: the next is asked too.
            Err(_) => {}
        }
    }
}

/// Whether one of the keys is the chain's.
pub fn lists(infos: &[EncryptionInfo], kms: &dyn Kms) -> bool {
    infos.iter().flat_map(|info| &info.keys).any(|key| key.is_of(kms))
}

/// The infos without these keys.
///
/// # Errors
/// [`Error::Key`] for a key that is not the chain's, and when none would be left.
pub fn without(infos: &[EncryptionInfo], services: &[Arc<dyn Kms>]) -> Result<Vec<EncryptionInfo>> {
    if let Some(stranger) = services.iter().find(|kms| !lists(infos, &***kms)) {
        return Err(not_listed(&**stranger));
    }
    let stays = |key: &WrappedKey| !services.iter().any(|kms| key.is_of(&**kms));
    let left: Vec<EncryptionInfo> = infos
        .iter()
        .map(|info| EncryptionInfo {
            keys: info.keys.iter().filter(|key| stays(key)).cloned().collect(),
            ..info.clone()
        })
        .collect();
    if left.iter().all(|info| info.keys.is_empty()) {
        return Err(Error::key("the last key of a backup cannot be dropped: nobody could read it any more")
            .with_hint("ADD NEW_KMS first"));
    }
    Ok(left)
}

async fn wrap_by_kms(chain: &ChainKey, kms: &dyn Kms) -> Result<WrappedKey> {
    let clear = Secret::new(chain.expose().to_vec());
    let wrapped = kms.encrypt(&clear).await.map_err(|error| {
        let doing = format!("failed to encrypt data key for KMS scheme {} with key {:?}", kms.kind(), kms.key_name());
        Error::Kms(error.context(doing))
    })?;
    Ok(WrappedKey::Kms {
        kind: kms.kind().to_string(),
        key_sha256: fingerprint(kms.key_name()),
        wrapped: BASE64.encode(wrapped),
    })
}

async fn unwrap_for(info: &EncryptionInfo, key: &WrappedKey, kms: &dyn Kms) -> Result<ChainKey> {
    let chain = unwrap_by_kms(key, kms).await?;
    if info.is_of(&chain) { Ok(chain) } else { Err(wrong_key(kms)) }
}

async fn unwrap_by_kms(key: &WrappedKey, kms: &dyn Kms) -> Result<ChainKey> {
    let WrappedKey::Kms { wrapped, .. } = key else { return Err(no_match()) };
    let wrapped = BASE64.decode(wrapped).map_err(|_| wrong_key(kms))?;
    let clear = kms.decrypt(&wrapped).await.map_err(|error| {
        let doing = format!("failed to decrypt data key with KMS scheme {} and key {:?}", kms.kind(), kms.key_name());
        Error::Kms(error.context(doing))
    })?;
    ChainKey::from_bytes(clear.expose()).ok_or_else(|| wrong_key(kms))
}

async fn wrap_by_passphrase(chain: &ChainKey, passphrase: &Passphrase, env: &Env) -> Result<WrappedKey> {
    let (mut salt, mut nonce) = ([0; SALT_BYTES], [0; NONCE_BYTES]);
    env.random(&mut salt);
    env.random(&mut nonce);
    let key = passphrase.key(salt.to_vec(), COST).await?;
    let mut sealed = chain.expose().to_vec();
    let tag = cipher(&key).seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(WRAP_CONTEXT),
        &mut sealed,
    );
    let tag = tag.expect("32 bytes are below the limit of AES-GCM");
    let wrapped = BASE64.encode([nonce.as_slice(), &sealed, tag.as_ref()].concat());
    Ok(WrappedKey::Passphrase { salt: BASE64.encode(salt), cost: COST, wrapped })
}

/// `None` when no entry is that of the passphrase.
async fn unwrap_by_passphrase_of(infos: &[EncryptionInfo], passphrase: &Passphrase) -> Result<Option<ChainKey>> {
    for info in infos {
        for key in &info.keys {
            let opened = unwrap_by_passphrase(key, passphrase).await?;
            if let Some(chain) = opened.filter(|chain| info.is_of(chain)) {
                return Ok(Some(chain));
            }
        }
    }
    Ok(None)
}

/// `None` when the entry is not a passphrase's, or another's.
async fn unwrap_by_passphrase(key: &WrappedKey, passphrase: &Passphrase) -> Result<Option<ChainKey>> {
    let WrappedKey::Passphrase { salt, cost, wrapped } = key else { return Ok(None) };
    let damaged = || Error::corrupt(crate::layout::ENCRYPTION_INFO, "the entry of its passphrase cannot be read");
    let salt = BASE64.decode(salt).map_err(|_| damaged())?;
    let mut wrapped = BASE64.decode(wrapped).map_err(|_| damaged())?;
    let (nonce, sealed) = wrapped.split_at_mut_checked(NONCE_BYTES).ok_or_else(damaged)?;
    let nonce: [u8; NONCE_BYTES] = (&*nonce).try_into().map_err(|_| damaged())?;
    let key = passphrase.key(salt, *cost).await?;
    let clear = cipher(&key).open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(WRAP_CONTEXT), sealed);
    Ok(clear.ok().and_then(|clear| ChainKey::from_bytes(clear)))
}

fn cipher(key: &Secret<[u8; KEY_BYTES]>) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).expect("a key has 32 bytes"))
}

/// The documented text.
fn encrypted() -> Error {
    Error::key("file appears encrypted -- try specifying one of \"encryption_passphrase\" or \"kms\"")
}

fn wrong_passphrase() -> Error {
    Error::key("failed to decrypt the key of the backup: cipher: message authentication failed")
        .with_hint("the passphrase is another, or the backup was encrypted with kms; SHOW BACKUP ENCRYPTION tells")
}

fn wrong_key(kms: &dyn Kms) -> Error {
    Error::key(format!("key {:?} does not open the backup, although it is listed", kms.key_name()))
}

fn not_listed(kms: &dyn Kms) -> Error {
    let message = "one of the provided URIs was not used when encrypting the base BACKUP";
    Error::key(format!("{message}: {} key {:?}", kms.kind(), kms.key_name()))
        .with_hint("SHOW BACKUP ENCRYPTION lists the keys that open the backup")
}

/// The documented text of ALTER BACKUP.
fn no_match() -> Error {
    Error::key("no key in OLD_KMS matches a key that was previously used to encrypt the backup")
        .with_hint("SHOW BACKUP ENCRYPTION lists the keys that open the backup")
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Keys::None => "None",
            Keys::Passphrase(_) => "Passphrase",
            Keys::Kms(_) => "Kms",
        })
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::Barrier;
    use tokio::time::timeout;

    use super::*;

    /// After that a test that waits for ever has failed.
    const LIMIT: Duration = Duration::from_secs(10);

    /// A key that marks what it encrypts.
    #[derive(Debug)]
    struct Marking {
        kind: &'static str,
        name: &'static str,
        mark: u8,
    }

    /// A key that answers when as many are asked as the barrier waits for.
    #[derive(Debug)]
    struct Meeting(Arc<Barrier>);

    #[async_trait]
    impl Kms for Meeting {
        fn kind(&self) -> &'static str {
            "aws-kms"
        }

        fn key_name(&self) -> &str {
            "meeting"
        }

        async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> lakeport_connect::Result<Vec<u8>> {
            self.0.wait().await;
            Ok(plaintext.expose().clone())
        }

        async fn decrypt(&self, ciphertext: &[u8]) -> lakeport_connect::Result<Secret<Vec<u8>>> {
            self.0.wait().await;
            Ok(Secret::new(ciphertext.to_vec()))
        }
    }

    #[async_trait]
    impl Kms for Marking {
        fn kind(&self) -> &'static str {
            self.kind
        }

        fn key_name(&self) -> &str {
            self.name
        }

        async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> lakeport_connect::Result<Vec<u8>> {
            Ok([&[self.mark], plaintext.expose().as_slice()].concat())
        }

        async fn decrypt(&self, ciphertext: &[u8]) -> lakeport_connect::Result<Secret<Vec<u8>>> {
            match ciphertext.split_first() {
                Some((mark, clear)) if *mark == self.mark => Ok(Secret::new(clear.to_vec())),
                _ => Err(lakeport_connect::Error::invalid("another key made it")),
            }
        }
    }

    fn key(kind: &'static str, name: &'static str, mark: u8) -> Arc<dyn Kms> {
        Arc::new(Marking { kind, name, mark })
    }

    async fn locked(keys: &[Arc<dyn Kms>]) -> (ChainKey, EncryptionInfo) {
        let chain = ChainKey::from_bytes(&[7; KEY_BYTES]).unwrap();
        let info = EncryptionInfo::lock(&chain, &Keys::Kms(keys.to_vec()), &Env::system()).await.unwrap();
        (chain, info)
    }

    #[tokio::test]
    async fn each_of_two_keys_of_one_name_opens_the_chain() {
        let keys = [key("aws-kms", "k", 1), key("aws-kms", "k", 2)];
        let (chain, info) = locked(&keys).await;
        for one in keys {
            let opened = unlock(std::slice::from_ref(&info), &Keys::Kms(vec![one])).await.unwrap();
            assert_eq!(opened.expose(), chain.expose());
        }
        let third = Keys::Kms(vec![key("aws-kms", "k", 3)]);
        assert!(unlock(std::slice::from_ref(&info), &third).await.is_err());
    }

    #[tokio::test]
    async fn a_key_that_does_not_answer_keeps_none_that_does_away() {
        let (down, well) = (key("aws-kms", "meeting", 1), key("aws-kms", "well", 2));
        let (chain, info) = locked(&[down, well.clone()]).await;
        // Nobody else comes to the meeting.
        let keys = Keys::Kms(vec![Arc::new(Meeting(Arc::new(Barrier::new(2)))), well]);
        let opened = timeout(LIMIT, unlock(&[info], &keys)).await.unwrap().unwrap();
        assert_eq!(opened.expose(), chain.expose());
    }

    #[tokio::test]
    async fn keys_are_wrapped_side_by_side() {
        let both_asked = Arc::new(Barrier::new(2));
        let keys: [Arc<dyn Kms>; 2] = [Arc::new(Meeting(both_asked.clone())), Arc::new(Meeting(both_asked))];
        assert_eq!(timeout(LIMIT, locked(&keys)).await.unwrap().1.keys.len(), 2);
    }

    #[tokio::test]
    async fn a_new_chain_has_no_more_keys_than_readers_try() {
        let chain = ChainKey::from_bytes(&[7; KEY_BYTES]).unwrap();
        let lock = async |count: usize| {
            let keys = Keys::Kms(vec![key("aws-kms", "k", 1); count]);
            EncryptionInfo::lock(&chain, &keys, &Env::system()).await
        };
        assert_eq!(lock(KEYS_MAX).await.unwrap().keys.len(), KEYS_MAX);
        let error = lock(KEYS_MAX + 1).await.unwrap_err();
        assert_eq!(error.to_string(), "257 keys are given, of 256 that a backup may have");
        assert_eq!(error.sqlstate().code(), "22023");
    }

    #[tokio::test]
    async fn a_key_of_another_service_stays_when_its_namesake_is_dropped() {
        let keys = [key("aws-kms", "k", 1), key("gcp-kms", "k", 2)];
        let (_, info) = locked(&keys).await;
        let left = without(&[info], &keys[..1]).unwrap();
        assert!(lists(&left, &*keys[1]) && !lists(&left, &*keys[0]));
        assert!(without(&left, &keys[1..]).is_err(), "the last key");
    }
}
