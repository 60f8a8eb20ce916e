//! Thirty-two bytes as text in text formats, as bytes in binary ones: for `#[serde(with = "crate::hex")]`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use crate::words;

/// Bytes as hexadecimal digits; a formatter is slow to call, so they are written 32 bytes at a time.
pub(crate) fn write(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    bytes.chunks(32).try_for_each(|bytes| {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&digits[..bytes.len() * 2]).expect("digits are text"))
    })
}

/// Hexadecimal digits as bytes, if there are exactly enough.
pub(crate) fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    (text.len() == N * 2).then_some(bytes)
}

struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.0, f)
    }
}

pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.collect_str(&Shown(bytes))
    } else {
        words::serialize(bytes, serializer)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    if deserializer.is_human_readable() {
        let text = String::deserialize(deserializer)?;
        read(&text).ok_or_else(|| D::Error::custom("expected 64 hexadecimal digits"))
    } else {
        words::deserialize(deserializer)
    }
}

/// Bytes as hexadecimal text.
pub(crate) fn text(bytes: &[u8]) -> String {
    Shown(bytes).to_string()
}
