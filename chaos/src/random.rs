//! What is drawn, and from what.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

pub(crate) use headframe::testing::Dice;

/// A number that text decides: the same text, the same number.
pub(crate) fn number_of(text: &str) -> u64 {
    Dice::named(text).roll()
}

/// A seed nobody chose; short enough to read out.
pub(crate) fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000_000
}
