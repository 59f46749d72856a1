//! Passphrases in use.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use lakeport_backup::passphrase::Passphrase;
use lakeport_base::Secret;

/// The passphrases that statements and jobs hold, so that a statement and its job derive a key once.
#[derive(Default)]
pub(crate) struct PassphraseCache(Mutex<Vec<Weak<Passphrase>>>);

impl PassphraseCache {
    /// The passphrase with this text, shared with whoever holds it.
    pub fn get(&self, text: &Secret<String>) -> Arc<Passphrase> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|passphrase| passphrase.strong_count() > 0);
        if let Some(passphrase) = held.iter().filter_map(Weak::upgrade).find(|passphrase| passphrase.is(text)) {
            return passphrase;
        }
        let passphrase = Arc::new(Passphrase::new(text.clone()));
        held.push(Arc::downgrade(&passphrase));
        passphrase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_shared_while_it_is_held() {
        let passphrases = PassphraseCache::default();
        let text = |text: &str| Secret::new(text.to_string());
        let first = passphrases.get(&text("a"));
        assert!(Arc::ptr_eq(&first, &passphrases.get(&text("a"))));
        assert!(!Arc::ptr_eq(&first, &passphrases.get(&text("b"))));
        drop(first);
        passphrases.get(&text("c"));
        assert_eq!(passphrases.0.lock().unwrap().len(), 1);
    }
}
