//! Arrays of bytes, eight bytes at a time in our own encoding: for `#[serde(with = "crate::words")]`.
//!
//! serde takes an array element by element, and looks for each byte whether there is one more: a digest took as long as
//! everything else in its message. bincode writes a float as the eight bytes that it is, little-endian, so an array of
//! floats lies on disk as the array of bytes does. Other formats, in which others may keep our ids, are given bytes: some of them
//! shorten floats, or know only one that is no number.

use std::fmt;

use serde::{
    Deserializer, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::SerializeTuple as _,
};

use crate::durable::codec;

const WORD: usize = 8;

pub(crate) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    const { assert!(N.is_multiple_of(WORD)) };
    if !codec::is_coding() {
        let mut tuple = serializer.serialize_tuple(N)?;
        bytes.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        return tuple.end();
    }
    let mut tuple = serializer.serialize_tuple(N / WORD)?;
    bytes.as_chunks().0.iter().try_for_each(|word| tuple.serialize_element(&f64::from_le_bytes(*word)))?;
    tuple.end()
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    const { assert!(N.is_multiple_of(WORD)) };
    let has_words = codec::is_coding();
    deserializer.deserialize_tuple(if has_words { N / WORD } else { N }, Array { has_words })
}

struct Array<const N: usize> {
    has_words: bool,
}

impl<'de, const N: usize> Visitor<'de> for Array<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
        let mut bytes = [0; N];
        for (at, word) in bytes.as_chunks_mut().0.iter_mut().enumerate() {
            let is_short = || A::Error::invalid_length(at * WORD, &self);
            if self.has_words {
                *word = f64::to_le_bytes(seq.next_element()?.ok_or_else(is_short)?);
            } else {
                for byte in word {
                    *byte = seq.next_element()?.ok_or_else(is_short)?;
                }
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::durable::codec::{self, Format};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct AsWords(#[serde(with = "super")] [u8; 32], #[serde(with = "super")] [u8; 16], u8);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct AsBytes([u8; 32], [u8; 16], u8);

    const FORMAT: Format = Format::new("words", 1);

    fn lie_alike(long: [u8; 32], short: [u8; 16], behind: u8) {
        let (words, bytes) = (AsWords(long, short, behind), AsBytes(long, short, behind));
        let (sealed, text) = (codec::seal(FORMAT, &words), serde_json::to_string(&words).unwrap());
        assert_eq!(sealed, codec::seal(FORMAT, &bytes));
        assert_eq!(text, serde_json::to_string(&bytes).unwrap());
        assert_eq!(codec::open::<AsWords>(FORMAT, &sealed), Ok(AsWords(long, short, behind)));
        assert_eq!(serde_json::from_str::<AsWords>(&text).unwrap(), words);
    }

    crate::properties! {
        #[test]
        fn words_lie_as_bytes_do(long: [u8; 32], short: [u8; 16], behind: u8) {
            lie_alike(long, short, behind);
        }
    }

    /// A float that is no number, and signals it, keeps its bits: nobody calculates with it.
    #[test]
    fn every_float_is_kept() {
        let odd = [f64::NAN.to_bits(), 0x7FF0_0000_0000_0001, 0xFFF0_0000_0000_0001, u64::MAX, 1, 1 << 63];
        for word in odd.map(u64::to_le_bytes) {
            lie_alike([word; 4].concat().try_into().unwrap(), [word; 2].concat().try_into().unwrap(), 7);
        }
    }

    #[test]
    fn too_few_are_an_error() {
        #[derive(Serialize)]
        struct Short([u8; 24]);
        assert!(codec::open::<AsWords>(FORMAT, &codec::seal(FORMAT, &Short([1; 24]))).is_err());
        assert!(serde_json::from_str::<AsWords>("[[1,2],[3],4]").is_err());
    }
}
