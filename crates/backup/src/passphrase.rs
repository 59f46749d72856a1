//! Passphrases, and the keys that argon2id makes of them (RFC 9106).

use std::collections::HashMap;
use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use lakeport_base::Secret;
use tokio::sync::{Mutex, Semaphore};

use crate::error::{Error, Result};
use crate::keys::Cost;
use crate::layout::ENCRYPTION_INFO;
use crate::sealed::KEY_BYTES;

/// For new passphrases: the second choice of RFC 9106.
pub(crate) const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 };
/// What a stranger's file may make a reader spend.
const COST_MAX: Cost = Cost { memory_kib: 256 << 10, passes: 16, lanes: 16 };

impl Cost {
    fn is_within(self, most: Cost) -> bool {
        self.memory_kib <= most.memory_kib && self.passes <= most.passes && self.lanes <= most.lanes
    }
}

/// Derivations at a time, each of which takes its memory.
static DERIVING: Semaphore = Semaphore::const_new(2);

type Key = Secret<[u8; KEY_BYTES]>;

/// A passphrase. A key is derived once while it is in memory.
pub struct Passphrase {
    text: Secret<String>,
    /// By salt and cost.
    keys: Mutex<HashMap<(Vec<u8>, Cost), Key>>,
}

impl Passphrase {
    /// Takes a passphrase into custody.
    pub fn new(text: Secret<String>) -> Passphrase {
        Passphrase { text, keys: Mutex::default() }
    }

    /// Whether this is the passphrase.
    pub fn is(&self, text: &Secret<String>) -> bool {
        self.text == *text
    }

    /// The key for a salt. Takes as long as an attacker shall need for one guess.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for parameters that cannot be, or cost too much.
    pub(crate) async fn key(&self, salt: Vec<u8>, cost: Cost) -> Result<Key> {
        if !cost.is_within(COST_MAX) {
            let what = format!("it asks for {} KiB of memory and {} passes", cost.memory_kib, cost.passes);
            return Err(Error::corrupt(ENCRYPTION_INFO, what));
        }
        let mut keys = self.keys.lock().await;
        if let Some(key) = keys.get(&(salt.clone(), cost)) {
            return Ok(key.clone());
        }
        let (text, salt_of_key) = (self.text.clone(), salt.clone());
        let permit = DERIVING.acquire().await;
        // It cannot be stopped, so the permit goes with it.
        let derived = tokio::task::spawn_blocking(move || (derive(&text, &salt_of_key, cost), drop(permit)).0);
        let derived = derived.await.ok().flatten();
        let key = derived.ok_or_else(|| Error::corrupt(ENCRYPTION_INFO, "its argon2id parameters cannot be used"))?;
        keys.insert((salt, cost), key.clone());
        Ok(key)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

fn derive(text: &Secret<String>, salt: &[u8], cost: Cost) -> Option<Key> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_BYTES)).ok()?;
    let mut key = [0; KEY_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(text.expose().as_bytes(), salt, &mut key).ok()?;
    Some(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn two_keys_are_derived_at_a_time() {
        let text = || Secret::new("correct horse".to_string());
        let small = Cost { memory_kib: 64, passes: 1, lanes: 1 };
        // Two are under way.
        let held = DERIVING.acquire_many(2).await.unwrap();
        let third = tokio::spawn(async move { Passphrase::new(text()).key(vec![7; 16], small).await });
        // In that time it would have been done.
        let large = Cost { memory_kib: 1024, passes: 8, lanes: 1 };
        tokio::task::spawn_blocking(move || derive(&text(), &[7; 16], large)).await.unwrap().unwrap();
        assert!(!third.is_finished());
        drop(held);
        let key = third.await.unwrap().unwrap();
        assert_eq!(key.expose(), derive(&text(), &[7; 16], small).unwrap().expose());
    }
}
