//! A bounded cache in two generations: when the young one is full it becomes the old one, and the old one is dropped.
//! What is used survives by moving back to the young one. No clock, no list of uses.
//!
//! **Invariant:** never more than `max` entries; errors are not kept.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::RwLock;

pub(super) struct Cache<K, V> {
    generation_max: usize,
    generations: RwLock<Generations<K, V>>,
}

struct Generations<K, V> {
    young: HashMap<K, Arc<V>>,
    old: HashMap<K, Arc<V>>,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    pub(super) fn new(max: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new() };
        Self { generation_max: (max / 2).max(1), generations: RwLock::new(generations) }
    }

    /// The value for a key, made and kept if it is not there. Two threads may both make it; one result is kept.
    pub(super) fn get_or<Q, E>(&self, key: &Q, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let generations = self.generations.read();
        if let Some(value) = generations.young.get(key) {
            return Ok(value.clone());
        }
        let aged = generations.old.get(key).cloned();
        drop(generations);
        let value = match aged {
            Some(value) => value,
            None => Arc::new(make()?),
        };
        self.keep(key.to_owned(), value.clone());
        Ok(value)
    }

    fn keep(&self, key: K, value: Arc<V>) {
        let mut generations = self.generations.write();
        if generations.young.len() >= self.generation_max {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache: Cache<String, usize> = Cache::new(4);
        let made = |key: &str| {
            let mut made = false;
            let value = cache.get_or(key, || {
                made = true;
                Ok::<_, ()>(key.len())
            });
            assert_eq!(*value.unwrap(), key.len());
            made
        };
        assert!(made("often"));
        for round in 0..20 {
            assert!(made(&format!("once {round}")));
            assert!(!made("often"));
            let generations = cache.generations.read();
            assert!(generations.young.len() <= 2 && generations.old.len() <= 2);
        }
    }
}
