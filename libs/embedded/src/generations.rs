//! A bounded map that forgets what was not used for long.

use std::{collections::HashMap, hash::Hash, mem};

/// Keeps the entries used last, between half of `capacity` and all of it. When the younger half is full, it becomes the
/// older one, and entries of the former older half that were not used since are forgotten. This is cheaper per use than
/// an exact order of use, and shorter.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// What the younger half weighs.
    young_weight: usize,
    half: usize,
    weight_of: fn(&V) -> usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Generations<K, V> {
    /// A map of at most so many entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::weighed(capacity, |_| 1)
    }

    /// A map of entries that together weigh at most so much; a single entry may be heavier than half of that.
    pub(crate) fn weighed(capacity: usize, weight_of: fn(&V) -> usize) -> Self {
        let half = (capacity / 2).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), young_weight: 0, half, weight_of }
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
        self.remove(&key);
        let weight = (self.weight_of)(&value);
        if self.young_weight + weight > self.half {
            self.old = mem::take(&mut self.young);
            self.young_weight = 0;
        }
        self.young_weight += weight;
        self.young.insert(key, value);
    }

    /// Forgets an entry.
    pub(crate) fn remove(&mut self, key: &K) {
        match self.young.remove(key) {
            Some(known) => self.young_weight -= (self.weight_of)(&known),
            None => drop(self.old.remove(key)),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::weighed(self.half * 2, self.weight_of);
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
    fn heavy_entries_are_fewer() {
        let mut map = Generations::weighed(100, |weight: &usize| *weight);
        let sum = |entries: &HashMap<usize, usize>| entries.values().sum::<usize>();
        for key in 0..1000 {
            map.insert(key, if key % 2 == 0 { 1 } else { 20 });
            assert!(sum(&map.young) + sum(&map.old) <= 100);
        }
        map.insert(999, 1);
        map.remove(&998);
        assert_eq!(map.young_weight, sum(&map.young));
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
