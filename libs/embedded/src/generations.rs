//! A bounded map that forgets what was not used for long.

use std::{collections::HashMap, hash::Hash, mem};

/// Keeps between half and all of `capacity` entries: when the younger half is full it becomes the older one, and what
/// stood in that and was not used since is forgotten. Cheaper per use than an exact order of use, and 40 lines.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Generations<K, V> {
    /// A map of at most so many entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    /// Finds an entry and keeps it for longer.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    /// Adds or replaces an entry.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if let Some(known) = self.young.get_mut(&key) {
            *known = value;
            return;
        }
        if self.young.len() >= self.half {
            self.old = mem::take(&mut self.young);
        } else {
            self.old.remove(&key);
        }
        self.young.insert(key, value);
    }

    /// Forgets an entry.
    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_size_is_bounded() {
        let mut map = Generations::new(10);
        map.insert(0, "kept");
        for key in 1..1000 {
            assert_eq!(map.get(&0), Some("kept"));
            map.insert(key, "passing");
            assert!(map.young.len() + map.old.len() <= 10);
        }
        assert_eq!(map.get(&1), None);
        assert_eq!(map.get(&999), Some("passing"));
    }

    #[test]
    fn a_replaced_entry_never_comes_back_as_it_was() {
        let mut map = Generations::new(4);
        map.insert("a", 1);
        map.insert("b", 1);
        map.insert("c", 1);
        map.insert("a", 2);
        assert_eq!(map.get(&"a"), Some(2));
        map.remove(&"a");
        assert_eq!(map.get(&"a"), None);
    }
}
