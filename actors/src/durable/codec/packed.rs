//! Payloads that are compressed: an LZ4 block, out of which long repeats were cut before.
//!
//! With flag 1 a payload is its length (a variable-length integer) and the block; with flags 1 and 2 what was cut out stands
//! between them (`repeats.rs`).
//!
//! **Invariant:** nothing is decoded that is larger than [`VALUE_MAX`], and no memory is taken before its bytes are there.

use std::ops::Range;

use bytes::BytesMut;
use serde::Serialize;

use super::{
    Error, Format, VALUE_MAX, encode, put_varint,
    repeats::{self, Cutter},
    take_varint, wrap,
};

/// The flag of a payload that is compressed.
pub(super) const PACKED: u8 = 1;
/// The flags of a payload whose repeats were cut out before it was compressed.
pub(super) const CUT: u8 = PACKED | 2;
/// What is shorter is not compressed: it fills no block of the disk anyway.
pub(crate) const PACKED_LEAST: usize = 512;
/// An LZ4 block says at most so much with each of its bytes.
pub(super) const UNPACKED_MOST: usize = 255;
/// Compresses values, in room that it keeps from one to the next.
#[derive(Default)]
pub(crate) struct Packer {
    plain: BytesMut,
    /// Where the byte strings in it are that are long.
    long: Vec<Range<usize>>,
    cutter: Cutter,
    told: BytesMut,
}

impl Packer {
    /// Wrap and append a value, compressed if that makes it shorter.
    pub(crate) fn seal_into<T: Serialize>(&mut self, format: Format, value: &T, into: &mut BytesMut) {
        let Self { plain, long, cutter, told } = self;
        plain.clear();
        long.clear();
        encode(value, Noting { into: plain, long });
        let start = into.len();
        if plain.len() >= PACKED_LEAST {
            told.clear();
            let (flags, rest) = match cutter.cut(plain, long, told) {
                Some(rest) => (CUT, rest),
                None => (PACKED, &plain[..]),
            };
            wrap(format, flags, into, |into| {
                put_varint(into, plain.len() as u64);
                into.extend_from_slice(told);
                pack(rest, into);
            });
            if into.len() - start < plain.len() {
                return;
            }
            into.truncate(start);
        }
        wrap(format, 0, into, |into| into.extend_from_slice(plain));
    }

    /// How many bytes the last one was before it was compressed.
    pub(crate) fn plain_bytes(&self) -> usize {
        self.plain.len()
    }
}

/// Append some bytes, compressed, behind their number.
pub(crate) fn pack_bytes(plain: &[u8], into: &mut BytesMut) {
    put_varint(into, plain.len() as u64);
    pack(plain, into);
}

/// What [`pack_bytes`] wrote.
///
/// # Errors
/// If it is anything else.
pub(crate) fn unpack_bytes(packed: &[u8]) -> Result<Vec<u8>, Error> {
    unpack(PACKED, packed)
}

fn pack(plain: &[u8], into: &mut BytesMut) {
    let at = into.len();
    into.resize(at + lz4_flex::block::get_maximum_output_size(plain.len()), 0);
    let length = lz4_flex::block::compress_into(plain, &mut into[at..]).expect("there is room for the worst case");
    into.truncate(at + length);
}

/// Read a payload with these flags.
pub(super) fn unpack(flags: u8, packed: &[u8]) -> Result<Vec<u8>, Error> {
    let (length, behind) = take_varint(packed).ok_or(Error::Torn("no length of what was compressed"))?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if flags == PACKED {
        return unpack_block(behind, length);
    }
    let (cut, block) = repeats::take(behind).ok_or(Error::Torn("no end of what was cut out"))?;
    // What was forged must not be given memory.
    if length > VALUE_MAX {
        return Err(Error::Torn("a length that cannot be"));
    }
    let rest = unpack_block(block, cut.rest)?;
    cut.join(&rest, length).ok_or(Error::Torn("what was cut out does not fit"))
}

fn unpack_block(block: &[u8], length: usize) -> Result<Vec<u8>, Error> {
    // What was forged must not be given memory.
    if length > VALUE_MAX || length / UNPACKED_MOST > block.len() {
        return Err(Error::Torn("a length that cannot be"));
    }
    let plain = lz4_flex::block::decompress(block, length).map_err(|error| Error::Payload(error.to_string()))?;
    if plain.len() == length { Ok(plain) } else { Err(Error::Torn("wrong length of what was compressed")) }
}

/// Notes where long byte strings are, which are always written in one piece.
struct Noting<'a> {
    into: &'a mut BytesMut,
    long: &'a mut Vec<Range<usize>>,
}

impl bincode::enc::write::Writer for Noting<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        if bytes.len() >= repeats::LONG {
            self.long.push(self.into.len()..self.into.len() + bytes.len());
        }
        self.into.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut as _, Bytes};
    use proptest::prelude::*;

    use super::*;
    use crate::durable::{
        call::Key,
        codec::{open, seal},
    };

    const FORMAT: Format = Format::new("test", 3);

    crate::properties! {
        #[test]
        fn a_packed_value_opens(words in proptest::collection::vec("[a-d]{0,9}", 0..400)) {
            prop_assert_eq!(open::<Vec<String>>(FORMAT, &packed(&words)).unwrap(), words);
        }

        #[test]
        fn any_block_is_an_error_not_a_panic(length in 0..9_000_u64, block: Vec<u8>) {
            let mut sealed = BytesMut::new();
            wrap(FORMAT, PACKED, &mut sealed, |into| {
                put_varint(into, length);
                into.extend_from_slice(&block);
            });
            // Most say another length; what does say it is hardly ever such a list.
            let _ = open::<Vec<String>>(FORMAT, &sealed);
            sealed[1] = CUT;
            let end = sealed.len() - 4;
            let crc = crc32c::crc32c(&sealed[..end]).to_le_bytes();
            sealed[end..].copy_from_slice(&crc);
            let _ = open::<Vec<String>>(FORMAT, &sealed);
        }

        #[test]
        fn long_strings_that_are_said_again_open(
            strings in proptest::collection::vec((0..5_u8, 0..30_000_usize), 0..12)
        ) {
            let strings: Vec<_> = strings.into_iter().map(|(seed, length)| noise(seed, length)).collect();
            prop_assert!(open::<Vec<String>>(FORMAT, &packed(&strings)).unwrap() == strings);
        }
    }

    /// Digits that nothing makes shorter; with another length they have the same beginning.
    fn noise(seed: u8, length: usize) -> String {
        let blocks = (0..length as u64 / 16 + 1).map(|at| Key::of(&[&[seed], &at.to_le_bytes()]).0);
        let mut text: String = blocks.flat_map(|block| block.map(|byte| format!("{byte:02x}"))).collect();
        text.truncate(length);
        text
    }

    fn packed<T: Serialize>(value: &T) -> Bytes {
        let mut sealed = BytesMut::new();
        Packer::default().seal_into(FORMAT, value, &mut sealed);
        sealed.freeze()
    }

    #[test]
    fn what_repeats_itself_is_compressed_and_what_does_not_is_left_as_it_is() {
        let text = "the same again, ".repeat(100);
        let sealed = packed(&text);
        assert!(sealed.len() < 100, "{}", sealed.len());
        assert_eq!(open::<String>(FORMAT, &sealed).unwrap(), text);
        let noise: Vec<u8> = (0..2_000_u32).map(|at| Key::of(&[&at.to_le_bytes()]).0[0]).collect();
        assert_eq!(packed(&noise), seal(FORMAT, &noise));
        assert_eq!(packed(&"short"), seal(FORMAT, &"short"));
    }

    #[test]
    fn what_is_long_and_said_again_is_written_once_however_far_apart() {
        let said = noise(1, 50_000);
        let text = [said.clone(), noise(2, 100_000), format!("{{\"said\":\"{said}\"}}")];
        let sealed = packed(&text);
        assert!(sealed.len() < 151_000, "{}", sealed.len());
        assert_eq!(sealed[1], CUT);
        assert!(open::<[String; 3]>(FORMAT, &sealed).unwrap() == text);
    }

    #[test]
    fn what_was_cut_out_and_does_not_fit_is_an_error() {
        let cut = |told: &[u8], length: u64| {
            let mut sealed = BytesMut::new();
            wrap(FORMAT, CUT, &mut sealed, |into| {
                put_varint(into, length);
                into.extend_from_slice(told);
                pack(b"\x06abc", into);
            });
            open::<String>(FORMAT, &sealed)
        };
        // One repeat, behind four bytes of the rest, from three bytes back, three long; and four bytes are left.
        assert_eq!(cut(&[1, 4, 3, 3, 4], 7).unwrap(), "abcabc");
        let does_not_fit = Err(Error::Torn("what was cut out does not fit"));
        for told in [[1, 5, 3, 3, 4], [1, 4, 5, 3, 4], [1, 4, 2, 3, 4], [1, 4, 3, 2, 4]] {
            assert!(cut(&told, 7).is_err(), "{told:?}");
        }
        assert_eq!(cut(&[1, 4, 3, 3, 4], 6), does_not_fit);
        assert_eq!(cut(&[1, 4, 3, 3, 4], VALUE_MAX as u64 + 1), Err(Error::Torn("a length that cannot be")));
        assert_eq!(cut(&[1, 4, 3, 3, 0x80, 0x80, 0x80, 0x80, 4], 7), Err(Error::Torn("a length that cannot be")));
        assert_eq!(cut(&[255, 255, 255, 255, 255, 255], 7), Err(Error::Torn("no end of what was cut out")));
    }

    #[test]
    fn a_forged_length_of_what_was_compressed_is_given_no_memory() {
        for (length, block) in [(VALUE_MAX as u64, 8), (u64::MAX, 8), (VALUE_MAX as u64 + 1, 400_000)] {
            let mut sealed = BytesMut::new();
            wrap(FORMAT, PACKED, &mut sealed, |into| {
                put_varint(into, length);
                into.put_bytes(0, block);
            });
            assert!(matches!(open::<String>(FORMAT, &sealed), Err(Error::Torn("a length that cannot be"))));
        }
    }
}
