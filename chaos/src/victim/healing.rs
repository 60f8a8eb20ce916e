//! How long the victim took to get over what was done to it from within.
//!
//! **Invariant:** what is not over when the victim dies is never told as over.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use headframe::clock::monotonic;

/// What was struck, and when; each is over once.
#[derive(Debug)]
pub(super) struct Wounds<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for Wounds<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> Wounds<K> {
    /// It was struck; if it was before and is not over that, this is the same wound.
    pub(super) fn struck(&self, what: K) {
        self.lock().entry(what).or_insert_with(monotonic);
    }

    /// Whatever it suffered from is over.
    pub(super) fn over(&self, what: K) -> Option<Duration> {
        self.lock().remove(&what).map(|since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        self.0.lock().expect("nobody panics while counting wounds")
    }
}
