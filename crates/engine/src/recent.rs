//! A map of bounded weight that forgets what nobody asked for the longest. Whoever has it may use it at any time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The map.
pub(crate) struct Recent<K, V>(Mutex<Entries<K, V>>);

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent")
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    pub fn new(weight_max: usize) -> Recent<K, V> {
        Recent(Mutex::new(Entries { entries: HashMap::new(), weight: 0, weight_max, clock: 0 }))
    }

    /// The value of a key.
    pub fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries().find(key)
    }

    /// The values of keys, in their order.
    pub fn find_all(&self, keys: impl Iterator<Item = K>) -> Vec<Option<V>> {
        let mut entries = self.entries();
        keys.map(|key| entries.find(&key)).collect()
    }

    /// Keeps a value, unless it alone weighs too much, and forgets others to make room for it.
    pub fn keep(&self, key: K, value: V, weight: usize) {
        self.entries().keep(key, value, weight);
    }

    fn entries(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Entries<K, V> {
    entries: HashMap<K, Entry<V>>,
    weight: usize,
    weight_max: usize,
    /// Counts what was asked for.
    clock: u64,
}

struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Entries<K, V> {
    fn find<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    fn keep(&mut self, key: K, value: V, weight: usize) {
        self.forget(&key);
        if weight > self.weight_max {
            return;
        }
        while self.weight + weight > self.weight_max && !self.entries.is_empty() {
            self.forget_some();
        }
        self.clock += 1;
        self.weight += weight;
        self.entries.insert(key, Entry { value, weight, used: self.clock });
    }

    /// Forgets the eighth that was not asked for the longest: a search for each one would cost too much.
    fn forget_some(&mut self) {
        let mut used: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let last = used.len() / 8;
        let (_, last, _) = used.select_nth_unstable(last);
        let weight = &mut self.weight;
        self.entries.retain(|_, entry| {
            let stays = entry.used > *last;
            *weight -= if stays { 0 } else { entry.weight };
            stays
        });
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.weight -= entry.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn the_least_recently_used_makes_room() {
        let recent = Recent::new(3);
        for key in ["a", "b", "c"] {
            recent.keep(key, key, 1);
        }
        assert_eq!(recent.find("a"), Some("a"));
        recent.keep("d", "d", 1);
        assert_eq!((recent.find("a"), recent.find("b"), recent.find("d")), (Some("a"), None, Some("d")));
    }

    #[test]
    fn weights_count() {
        let recent = Recent::new(10);
        recent.keep("a", 1, 4);
        recent.keep("b", 2, 4);
        recent.keep("c", 3, 5);
        assert_eq!((recent.find("a"), recent.find("b"), recent.find("c")), (None, Some(2), Some(3)));
        recent.keep("too heavy", 4, 11);
        assert_eq!((recent.find("b"), recent.find("too heavy")), (Some(2), None));
        recent.keep("b", 5, 1);
        recent.keep("d", 6, 4);
        assert_eq!((recent.find("b"), recent.find("c"), recent.find("d")), (Some(5), Some(3), Some(6)));
    }
}
