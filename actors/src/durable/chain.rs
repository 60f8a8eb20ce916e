//! The hash chain of a stream.
//!
//! `h = SHA-256(previous h, sequence, kind, at, SHA-256(payload))`. The payload enters by its digest, so that it can
//! later be replaced by a tombstone while the chain still verifies.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Where a stream has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Events so far.
    pub count: u64,
    /// The hash over all of them.
    #[serde(with = "crate::words")]
    pub hash: [u8; 32],
}

impl Head {
    /// The head after one more event.
    #[must_use]
    pub fn extended(&self, kind: u32, at_ms: u64, payload_digest: &[u8; 32]) -> Self {
        let count = self.count + 1;
        let mut link = [0_u8; 84];
        link[..32].copy_from_slice(&self.hash);
        link[32..40].copy_from_slice(&count.to_be_bytes());
        link[40..44].copy_from_slice(&kind.to_be_bytes());
        link[44..52].copy_from_slice(&at_ms.to_be_bytes());
        link[52..].copy_from_slice(payload_digest);
        Self { count, hash: Sha256::digest(link).into() }
    }
}

/// The digest by which a payload enters the chain.
#[must_use]
pub(crate) fn digest(payload: &[u8]) -> [u8; 32] {
    Sha256::digest(payload).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// A chain that is computed in another way is a ledger that does not verify.
    #[test]
    fn a_chain_keeps_its_bytes() {
        let mut golden = Golden::of("chain");
        golden.bytes("digest", &digest(b"event"));
        let first = Head::default().extended(0xDEAD_BEEF, 1_795_244_940_000, &digest(b"event"));
        golden.bytes("first", &first.hash);
        golden.bytes("second", &first.extended(7, 1_795_244_940_001, &digest(b"")).hash);
        golden.end();
    }
}
