//! Numbers from a seed: the same on every machine, for ever.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014), because no crate promises that of its generator, and a seed that was printed once must
//! replay for as long as this repository lives.

use std::time::Duration;

/// A stream of numbers that a seed decides.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of a seed for one purpose; streams of different purposes do not touch.
    #[must_use]
    pub fn of(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed);
        Self(dice.roll() ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The stream that text decides: the same text, the same numbers.
    #[must_use]
    pub fn named(text: &str) -> Self {
        // FNV-1a; its low bits alone are poor, and are mixed before anybody sees them.
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        Self(text.bytes().fold(0xCBF2_9CE4_8422_2325, mix))
    }

    /// The next number, of all 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// A position in something of this length, which is not 0.
    pub(crate) fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("it is below a length")
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A time from `from` up to `to`, in microseconds.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let length = micros(to).saturating_sub(micros(from)).max(1);
        Duration::from_micros(micros(from) + self.below(length))
    }

    /// One of these, if there are any.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.place(from.len().max(1));
        from.get(at)
    }

    /// Put things in an order of chance.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.place(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_keeps_its_numbers() {
        let mut dice = Dice(1_234_567);
        // The reference values of SplitMix64 for this seed.
        assert_eq!([dice.roll(), dice.roll()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        // The reference value of FNV-1a for this text.
        assert_eq!(Dice::named("a").0, 0xAF63_DC4C_8601_EC8C);
    }

    #[test]
    fn purposes_do_not_share_a_stream() {
        assert_ne!(Dice::of(7, 1).roll(), Dice::of(7, 2).roll());
        assert_eq!(Dice::of(7, 1).roll(), Dice::of(7, 1).roll());
    }

    #[test]
    fn nothing_is_picked_from_nothing_and_a_time_lies_between_its_ends() {
        let (mut dice, from, to) = (Dice::of(7, 1), Duration::from_millis(3), Duration::from_millis(4));
        assert_eq!(dice.pick::<u8>(&[]), None);
        assert!((0..100).map(|_| dice.between(from, to)).all(|time| from <= time && time < to));
        assert_eq!(dice.between(to, from), to);
    }
}
