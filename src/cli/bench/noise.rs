//! Text that nothing can make shorter than its digits: what runs really carry repeats itself less than any constant, and
//! records are compressed.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Digits that one number gives.
const DIGITS: usize = 16;

/// So many hexadecimal digits that were never given before.
pub(super) fn noise(bytes: u32) -> String {
    static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
    static AT: AtomicU64 = AtomicU64::new(0);
    let bytes = bytes as usize;
    let at = AT.fetch_add(bytes.div_ceil(DIGITS) as u64, Ordering::Relaxed);
    let mut text = String::with_capacity(bytes + DIGITS);
    for number in at.. {
        if text.len() >= bytes {
            break;
        }
        let mixed = mixed(START.wrapping_add(number));
        text.extend((0..DIGITS).map(|digit| char::from(b"0123456789abcdef"[(mixed >> (4 * digit)) as usize & 15])));
    }
    text.truncate(bytes);
    text
}

/// A number that says nothing of the one before it: SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_as_long_as_asked_and_other_each_time() {
        for bytes in [0, 1, 32, 700_000, 3_000_000] {
            assert_eq!(noise(bytes).len(), bytes as usize);
        }
        assert_ne!(noise(32), noise(32));
        let text = noise(3_000_000);
        let words: BTreeSet<_> = text.as_bytes().chunks(DIGITS).collect();
        assert_eq!(words.len(), text.len() / DIGITS, "nothing in it repeats");
    }
}
