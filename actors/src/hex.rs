//! Thirty-two bytes as text in text formats, as bytes in binary ones: for `#[serde(with = "crate::hex")]`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Bytes as hexadecimal digits.
pub(crate) fn write(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
        serde::Serialize::serialize(bytes, serializer)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    if deserializer.is_human_readable() {
        let text = String::deserialize(deserializer)?;
        read(&text).ok_or_else(|| D::Error::custom("expected 64 hexadecimal digits"))
    } else {
        <[u8; 32]>::deserialize(deserializer)
    }
}

/// Bytes as hexadecimal text.
pub(crate) fn text(bytes: &[u8]) -> String {
    Shown(bytes).to_string()
}
