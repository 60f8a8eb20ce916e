//! The name of a run outside the store.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::words;

/// A UUID (version 7, minted at the rim), written `run_` and 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub [u8; 16]);

impl RunId {
    /// When it was minted, in milliseconds since 1970: the first 48 bits of a UUID of version 7 (RFC 9562).
    #[must_use]
    pub fn submitted_at_ms(&self) -> u64 {
        self.0[..6].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("run_")?;
        crate::hex::write(&self.0, f)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("run_").unwrap_or(text).replace('-', "");
        let is_id = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok().filter(|_| is_id);
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| format!("`{text}` is not the id of a run"))
    }
}

/// Text in text formats, sixteen bytes in binary ones.
impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            words::serialize(&self.0, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            words::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text() {
        let id = RunId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("abababab-abab-abab-abab-abababababab".parse(), Ok(id));
        assert!("run_12".parse::<RunId>().is_err());
        // The number parser takes a sign, which no id has.
        assert!("run_+0000000000000000000000000000000".parse::<RunId>().is_err());
    }
}
