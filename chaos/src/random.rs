//! Numbers from a seed: the same on every machine, for ever.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): every printed seed must replay for as long as this repository lives, which no
//! crate promises of its generator.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of a seed for one purpose; streams of different purposes do not touch.
    pub(crate) fn of(seed: u64, purpose: u64) -> Self {
        let mut random = Self(seed);
        Self(random.next() ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A time from `from` up to `to`, in microseconds.
    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros(from) + self.below((micros(to) - micros(from)).max(1)))
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(from.len().max(1) as u64);
        from.get(usize::try_from(at).ok()?)
    }
}

/// A number that text decides: the same text, the same number.
pub(crate) fn number_of(text: &str) -> u64 {
    // FNV-1a, then mixed: its low bits alone are poor.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Random(hash).next()
}

/// A seed nobody chose; short enough to read out.
pub(crate) fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish() % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_keeps_its_numbers() {
        // The reference values of SplitMix64 for the seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn purposes_do_not_share_a_stream() {
        assert_ne!(Random::of(7, 1).next(), Random::of(7, 2).next());
        assert_eq!(Random::of(7, 1).next(), Random::of(7, 1).next());
    }
}
