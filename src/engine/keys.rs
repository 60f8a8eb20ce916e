//! Idempotency keys of submissions: a second one with the same key and body returns the first run.

use bytes::Bytes;
use headframe_actors::{durable::codec, json::Json, plan, run::RunId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Error;

const FORMAT: codec::Format = codec::Format::new("submission/key", 1);

/// What is stored under a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) run: RunId,
    body: [u8; 32],
}

/// A key with what is stored under it.
pub(super) struct KeyRow {
    key: Bytes,
    stored: Stored,
}

impl KeyRow {
    pub(super) fn new(key: &str, run: RunId, plan: plan::Digest, input: &Json) -> Self {
        let mut body = Sha256::new();
        body.update(plan.0);
        body.update(input.as_bytes());
        Self { key: index_key(key), stored: Stored { run, body: body.finalize().into() } }
    }

    pub(super) fn index_key(&self) -> Bytes {
        self.key.clone()
    }

    pub(super) fn row(&self) -> (Bytes, Bytes) {
        (self.key.clone(), codec::seal(FORMAT, &self.stored))
    }

    /// The run that has the key already, if it was submitted with the same body.
    pub(super) fn same_as(&self, row: &[u8]) -> Result<RunId, Error> {
        let first = read(row)?;
        if first.body == self.stored.body { Ok(first.run) } else { Err(Error::KeyConflict { first: first.run }) }
    }
}

pub(super) fn index_key(key: &str) -> Bytes {
    [b"key/", key.as_bytes()].concat().into()
}

pub(super) fn read(row: &[u8]) -> Result<Stored, Error> {
    Ok(codec::open(FORMAT, row)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that stay on disk: a key that is not found again is a second run.
    #[test]
    fn a_key_keeps_its_bytes() {
        let input = Json::from_text("{\"a\":1}").unwrap();
        let row = KeyRow::new("order-7", RunId([7; 16]), plan::Digest([0xAB; 32]), &input);
        let (key, sealed) = row.row();
        assert_eq!(&key[..], b"key/order-7");
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "f400198c44e90130070707070707070707070707070707073c0e6e9fd260c6edcbee0d\
             4c55ed0620533658d625379175bec5089d8f73d898ff313a49"
        );
        assert_eq!(row.same_as(&sealed).unwrap(), RunId([7; 16]));
    }
}
