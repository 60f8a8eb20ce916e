//! That the store goes on from older data: an index row, which holds every run until a person says to go on.
//!
//! **Invariant:** the row is written by the record that puts open calls in doubt, so no start sees one without the other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::codec;

const FORMAT: codec::Format = codec::Format::new("restored", 1);

/// The store lost records, and went back to what was before them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The first record that was lost.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// When that was accepted, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who said to go on, once somebody did.
    pub confirmed_by: Option<String>,
}

impl Restored {
    /// The key of the index row.
    pub const KEY: &'static [u8] = b"restored";

    /// The row.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::seal(FORMAT, self)
    }

    /// What a row says.
    ///
    /// # Errors
    /// If it is no such row.
    pub fn decode(sealed: &[u8]) -> Result<Self, codec::Error> {
        codec::open(FORMAT, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk, under the key `restored`.
    #[test]
    fn the_row_keeps_its_bytes() {
        let mut golden = Golden::of("restored");
        let held = Restored { from: 5, to: 300, at_ms: 1_795_244_940_000, confirmed_by: None };
        golden.value("held", FORMAT, &held);
        golden.value("confirmed", FORMAT, &Restored { confirmed_by: Some("an operator".to_owned()), ..held });
        golden.bytes("key", Restored::KEY);
        golden.end();
    }
}
