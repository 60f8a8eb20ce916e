//! Long repeats, however far apart: what was said before is said by its place.
//!
//! An LZ4 block looks back 64 KiB. What a task is given and gives back is written several times in one record, and where it
//! is long the block sees none of them. So repeats are cut out first, and the block is made of the rest. On disk:
//!
//! ```text
//! repeats, then for each: bytes since the last one, how far back it was said, length; then the length of the rest
//! ```
//! All of these are variable-length integers.
//!
//! Repeats are found by anchors: places where a hash of the last 64 bytes begins with so many zeros, so that the same bytes
//! have theirs at the same places wherever they stand. Only the beginnings of long byte strings are looked at, and what comes
//! behind a repeat.
//!
//! **Invariants:** `join(cut(bytes)) == bytes`. A repeat lies behind what it repeats as a whole. Finding takes time in
//! proportion to the bytes, whatever they are. Joining takes memory as it goes, and never more than it was told.

use std::ops::Range;

use bytes::BytesMut;

use super::{packed::UNPACKED_MOST, put_varint, take_varint};

/// Byte strings shorter than this are not looked at: the block sees what they repeat.
pub(super) const LONG: usize = 8 * 1024;
/// Where nothing was found in so many bytes the rest of a byte string is not looked at: what is written again is written from
/// its beginning, behind a few other bytes.
const LOOK: usize = 4 * 1024;
/// Repeats shorter than this are left where they are.
const LEAST: usize = 512;
/// There is an anchor about every `1 << SPACING` bytes.
const SPACING: u32 = 7;
/// An anchor depends on so many bytes before it.
const WINDOW: usize = 64;
/// Most anchors that are known at once, as a power of two: 512 KiB.
const ANCHORS_MOST: usize = 1 << 16;
/// Bytes are compared in strides of so many.
const STRIDE: usize = 64;

/// What each byte adds to the hash of those before it; any numbers will do, and no file depends on them.
const GEAR: [u64; 256] = gear();

/// Finds repeats; its room is kept from one value to the next.
#[derive(Default)]
pub(super) struct Cutter {
    anchors: Vec<Anchor>,
    repeats: Vec<Repeat>,
    rest: BytesMut,
}

#[derive(Clone, Copy, Default)]
struct Anchor {
    hash: u32,
    /// Where it ends; 0 where there is none.
    end: u32,
}

#[derive(Clone, Copy)]
struct Repeat {
    at: usize,
    from: usize,
    length: usize,
}

impl Cutter {
    /// Cut out what these byte strings repeat, and give the rest, behind what was cut out of it. Nothing where nothing
    /// repeats.
    pub(super) fn cut(&mut self, bytes: &[u8], long: &[Range<usize>], into: &mut BytesMut) -> Option<&[u8]> {
        self.find(bytes, long);
        if self.repeats.is_empty() {
            return None;
        }
        self.rest.clear();
        put_varint(into, self.repeats.len() as u64);
        let mut done = 0;
        for repeat in &self.repeats {
            self.rest.extend_from_slice(&bytes[done..repeat.at]);
            for part in [repeat.at - done, repeat.at - repeat.from, repeat.length] {
                put_varint(into, part as u64);
            }
            done = repeat.at + repeat.length;
        }
        self.rest.extend_from_slice(&bytes[done..]);
        put_varint(into, self.rest.len() as u64);
        Some(&self.rest)
    }

    fn find(&mut self, bytes: &[u8], long: &[Range<usize>]) {
        self.repeats.clear();
        if long.len() < 2 || u32::try_from(bytes.len()).is_err() {
            return;
        }
        let size = (long.len() * 2 * (LOOK >> SPACING)).next_power_of_two().min(ANCHORS_MOST);
        self.anchors.clear();
        self.anchors.resize(size, Anchor::default());
        let mut done = 0;
        for range in long {
            let mut at = range.start.max(done);
            let mut until = range.end.min(at + LOOK);
            while let Some(anchor) = anchor(bytes, at, until) {
                at = anchor.end as usize;
                let slot = &mut self.anchors[anchor.hash as usize & (size - 1)];
                let before = std::mem::replace(slot, anchor);
                if before.hash == anchor.hash
                    && before.end > 0
                    && let Some(repeat) = around(bytes, done, before.end as usize, at)
                {
                    done = repeat.at + repeat.length;
                    at = done;
                    until = range.end.min(at + LOOK);
                    self.repeats.push(repeat);
                }
            }
        }
    }
}

/// The next anchor of the bytes from here to there.
fn anchor(bytes: &[u8], from: usize, to: usize) -> Option<Anchor> {
    let mut hash = 0_u64;
    let warm = to.min(from + WINDOW);
    for byte in bytes.get(from..warm)? {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
    }
    for (at, byte) in bytes[warm..to].iter().enumerate() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if hash >> (u64::BITS - SPACING) == 0 {
            let hash = (hash >> (u64::BITS - SPACING - u32::BITS)) as u32;
            return Some(Anchor { hash, end: u32::try_from(warm + at + 1).ok()? });
        }
    }
    None
}

/// What is the same before and behind two places, if it is long enough. It does not begin before `done`, and does not overlap
/// itself.
fn around(bytes: &[u8], done: usize, before: usize, now: usize) -> Option<Repeat> {
    let apart = now - before;
    if apart < LEAST {
        return None;
    }
    let back = same_end(&bytes[done..now], &bytes[..before], apart);
    let forth = same_start(&bytes[now..], &bytes[before..now], apart - back);
    (back + forth >= LEAST).then(|| Repeat { at: now - back, from: before - back, length: back + forth })
}

/// How many bytes are the same at the start of both, at most so many.
fn same_start(a: &[u8], b: &[u8], most: usize) -> usize {
    let most = most.min(a.len()).min(b.len());
    let (a, b) = (&a[..most], &b[..most]);
    let whole = STRIDE * a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE)).take_while(|(a, b)| a == b).count();
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(a, b)| a == b).count()
}

/// How many bytes are the same at the end of both, at most so many.
fn same_end(a: &[u8], b: &[u8], most: usize) -> usize {
    let most = most.min(a.len()).min(b.len());
    let (a, b) = (&a[a.len() - most..], &b[b.len() - most..]);
    let whole = STRIDE * a.rchunks_exact(STRIDE).zip(b.rchunks_exact(STRIDE)).take_while(|(a, b)| a == b).count();
    let left = most - whole;
    whole + a[..left].iter().rev().zip(b[..left].iter().rev()).take_while(|(a, b)| a == b).count()
}

/// What was cut out, as it is read.
pub(super) struct Cut {
    pieces: Vec<Piece>,
    /// How many bytes are left.
    pub(super) rest: usize,
}

struct Piece {
    /// Bytes of the rest before it.
    gap: usize,
    back: usize,
    length: usize,
}

/// Read what was cut out; the block of the rest follows.
pub(super) fn take(bytes: &[u8]) -> Option<(Cut, &[u8])> {
    let number = |bytes: &mut &[u8]| {
        let (number, behind) = take_varint(bytes)?;
        *bytes = behind;
        usize::try_from(number).ok()
    };
    let mut behind = bytes;
    let count = number(&mut behind)?;
    let mut pieces = Vec::new();
    for _ in 0..count {
        pieces.push(Piece { gap: number(&mut behind)?, back: number(&mut behind)?, length: number(&mut behind)? });
    }
    let rest = number(&mut behind)?;
    Some((Cut { pieces, rest }, behind))
}

impl Cut {
    /// Put it back into the rest, which makes so many bytes.
    pub(super) fn join(&self, rest: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut whole = Vec::with_capacity(length.min(rest.len().saturating_mul(UNPACKED_MOST)));
        let mut rest = rest;
        for Piece { gap, back, length: repeated } in &self.pieces {
            let (before, behind) = rest.split_at_checked(*gap)?;
            whole.extend_from_slice(before);
            rest = behind;
            let from = whole.len().checked_sub(*back)?;
            if repeated > back || *repeated > length.checked_sub(whole.len())? {
                return None;
            }
            whole.extend_from_within(from..from + repeated);
        }
        whole.extend_from_slice(rest);
        (whole.len() == length).then_some(whole)
    }
}

/// SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
const fn gear() -> [u64; 256] {
    let (mut numbers, mut state, mut at) = ([0; 256], 0_u64, 0);
    while at < numbers.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        numbers[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let step = |_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 56) as u8
        };
        (0..length).map(step).collect()
    }

    /// What is left of some bytes of which these ranges are long, and what was cut out takes; or nothing if nothing was.
    fn cut(bytes: &[u8], long: &[Range<usize>]) -> Option<(usize, usize)> {
        let mut told = BytesMut::new();
        let mut cutter = Cutter::default();
        let rest = cutter.cut(bytes, long, &mut told)?;
        let (cut, behind) = take(&told).unwrap();
        assert!(behind.is_empty());
        assert_eq!(cut.rest, rest.len());
        assert!(cut.join(rest, bytes.len()).unwrap() == bytes, "it is joined as it was");
        assert!(cut.join(rest, bytes.len() - 1).is_none() && cut.join(rest, bytes.len() + 1).is_none());
        assert!(cut.join(&rest[..rest.len() - 1], bytes.len()).is_none());
        Some((rest.len(), told.len()))
    }

    /// Byte strings one behind the other, and where each of them is.
    fn strings(strings: &[&[u8]]) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut bytes, mut long) = (Vec::new(), Vec::new());
        for string in strings {
            long.push(bytes.len()..bytes.len() + string.len());
            bytes.extend_from_slice(string);
        }
        (bytes, long)
    }

    #[test]
    fn what_is_said_again_far_behind_is_left_out() {
        let (said, other) = (noise(1, 64_000), noise(2, 100_000));
        let again = [b"{\"said\":", said.as_slice(), b"}"].concat();
        let (bytes, long) = strings(&[&said, &other, &again, &other[..300], &said[1_000..3_000]]);
        let (rest, told) = cut(&bytes, &long).unwrap();
        assert_eq!(rest, 64_000 + 100_000 + 8 + 1 + 300, "all that was not said before");
        assert!(told < 32, "{told}");
    }

    #[test]
    fn what_nothing_repeats_is_left_as_it_is() {
        let (one, two) = (noise(1, 5_000), noise(2, 5_000));
        let (bytes, long) = strings(&[&one, &two]);
        assert_eq!(cut(&bytes, &long), None);
        let (bytes, long) = strings(&[&one, &two, &one[..LEAST - 1]]);
        assert_eq!(cut(&bytes, &long), None, "too short");
        assert_eq!(cut(&bytes, &[]), None);
    }

    #[test]
    fn bytes_that_are_all_the_same_take_no_time_and_do_not_overlap() {
        for byte in 0..=u8::MAX {
            let same = vec![byte; 20_000];
            let (bytes, long) = strings(&[&same, &same]);
            let _ = cut(&bytes, &long);
        }
        let period: Vec<u8> = noise(3, 700).repeat(300);
        let (bytes, long) = strings(&[&period, &period]);
        let (rest, _) = cut(&bytes, &long).unwrap();
        assert!(rest < 4_000, "{rest}");
    }

    crate::properties! {
        #[test]
        fn any_strings_are_joined_as_they_were(
            parts in proptest::collection::vec((0..6_u64, 0..9_000_usize, 0..9_000_usize), 0..20)
        ) {
            let parts: Vec<_> = parts.into_iter().map(|(seed, from, to)| {
                noise(seed, 9_000)[from.min(to)..to.max(from)].to_vec()
            }).collect();
            let (bytes, long) = strings(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let _ = cut(&bytes, &long);
        }

        #[test]
        fn any_bytes_are_refused_or_joined_in_bounded_memory(told: Vec<u8>, rest: Vec<u8>, length in 0..100_000_usize) {
            if let Some((cut, _)) = take(&told) && let Some(whole) = cut.join(&rest, length) {
                prop_assert_eq!(whole.len(), length);
            }
        }
    }
}
