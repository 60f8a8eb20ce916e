//! How long to wait before a restart.
//!
//! **Invariant:** the same seed, child and count give the same wait: nothing here draws a random number.

use std::time::Duration;

use crate::durable::codec::fnv1a;

/// The first restart is at once; each further one waits twice as long as the one before, between a half and the whole
/// of it, so that children which failed together do not come back together. OTP does not wait.
///
/// A child that stayed up for longer than the period of the intensity starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait before the second restart, at most.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
    /// What the jitter is made of.
    pub seed: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Backoff {
    /// From 10 ms up to 5 s.
    pub const DEFAULT: Self = Self { base: Duration::from_millis(10), max: Duration::from_secs(5), seed: 0 };
    /// Every restart is at once, as in OTP.
    pub const NONE: Self = Self { base: Duration::ZERO, max: Duration::ZERO, seed: 0 };

    /// The wait before the `nth` restart of a child in a row, counted from 1.
    #[must_use]
    pub fn delay(&self, nth: u32, child: &str) -> Duration {
        if nth <= 1 {
            return Duration::ZERO;
        }
        let doubled = self.base.saturating_mul(1_u32.checked_shl(nth - 2).unwrap_or(u32::MAX));
        let half = doubled.min(self.max) / 2;
        let draw = scrambled(self.seed ^ (u64::from(fnv1a(child)) << 32) ^ u64::from(nth));
        // The upper bits, as a share of 65,536.
        let share = u32::try_from(draw >> 48).expect("16 bits are left");
        half + half.mul_f64(f64::from(share) / 65_536.0)
    }
}

/// Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014 (the finalizer of `splitmix64`).
pub(crate) fn scrambled(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(10), max: Duration::from_millis(300), seed: 7 };

    #[test]
    fn the_first_restart_is_at_once() {
        assert_eq!(BACKOFF.delay(1, "a"), Duration::ZERO);
    }

    #[test]
    fn waits_double_up_to_a_cap_and_keep_at_least_a_half() {
        for (nth, whole_ms) in [(2, 10), (3, 20), (4, 40), (6, 160), (7, 300), (40, 300), (u32::MAX, 300)] {
            let (delay, whole) = (BACKOFF.delay(nth, "a"), Duration::from_millis(whole_ms));
            assert!(delay >= whole / 2 && delay <= whole, "{nth}: {delay:?} of {whole:?}");
        }
    }

    #[test]
    fn jitter_comes_from_the_seed_and_the_child_alone() {
        assert_eq!(BACKOFF.delay(5, "a"), BACKOFF.delay(5, "a"));
        assert_ne!(BACKOFF.delay(5, "a"), BACKOFF.delay(5, "b"));
        assert_ne!(BACKOFF.delay(5, "a"), Backoff { seed: 8, ..BACKOFF }.delay(5, "a"));
    }

    crate::properties! {
        #[test]
        fn no_wait_is_longer_than_the_longest_or_shorter_than_half_of_what_is_due(
            base_ms: u64, max_ms: u64, seed: u64, nth: u32, child: String,
        ) {
            let backoff = Backoff { base: Duration::from_millis(base_ms), max: Duration::from_millis(max_ms), seed };
            for nth in [nth, nth % 80] {
                let delay = backoff.delay(nth, &child);
                let doubled = 1_u128.checked_shl(nth.saturating_sub(2).min(64)).unwrap_or(u128::MAX);
                let whole_ms = u128::from(base_ms).saturating_mul(doubled).min(u128::from(max_ms));
                prop_assert!(delay <= backoff.max, "{:?}", delay);
                if nth <= 1 {
                    prop_assert_eq!(delay, Duration::ZERO);
                } else if nth <= 30 {
                    prop_assert!(delay.as_millis() + 1 >= whole_ms / 2 && delay.as_millis() <= whole_ms + 1, "{:?}", delay);
                }
            }
        }
    }
}
