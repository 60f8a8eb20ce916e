//! One program per key at a time.
//!
//! An attempt may be given up by its caller (time limit, restarted tool) while its program still dies; the next
//! attempt at the same thing waits here until it is buried.

use std::{
    collections::HashSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use headframe_actors::durable::{Failure, Key};

/// How often a waiting attempt asks whether it is still wanted.
const ASK: Duration = Duration::from_millis(50);

/// The keys whose programs run.
#[derive(Debug, Default)]
pub(super) struct Turnstile {
    inside: Mutex<HashSet<Key>>,
    left: Condvar,
}

/// The right to run a key's program, until dropped.
pub(super) struct Turn<'a> {
    turnstile: &'a Turnstile,
    key: Key,
}

impl Turnstile {
    /// Wait until no other program of this key runs, or until the caller gives up.
    pub(super) fn enter(&self, key: Key, given_up: &dyn Fn() -> Option<Failure>) -> Result<Turn<'_>, Failure> {
        let mut inside = self.lock();
        while !inside.insert(key) {
            if let Some(failure) = given_up() {
                return Err(failure);
            }
            (inside, _) = self.left.wait_timeout(inside, ASK).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(Turn { turnstile: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turnstile.lock().remove(&self.key);
        self.turnstile.left.notify_all();
    }
}
