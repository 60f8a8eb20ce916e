//! Idempotency keys of submissions: a second one with the same key and body returns the first run.
//!
//! A key lives until its run has ended, and then for a while. When the run ended is in the run's own row, so a key needs no
//! row of its own for that, and keys of former builds go like all others.
//!
//! **Invariant:** the key of a run that has not ended stays, and so does one whose run cannot be read.

use std::time::Duration;

use bytes::Bytes;
use headframe_actors::{
    durable::{Expiring, RowFate, codec},
    json::Json,
    mutant::Mutant,
    plan,
    run::{self, RunId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Error;

/// Keys of submissions lie under this prefix.
pub(super) const PREFIX: &str = "key/";
/// How long a key is kept after its run has ended, when not said.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
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
    [PREFIX.as_bytes(), key.as_bytes()].concat().into()
}

pub(super) fn read(row: &[u8]) -> Result<Stored, Error> {
    Ok(codec::open(FORMAT, row)?)
}

/// Keys go so long after their run has ended.
pub(super) struct Submissions {
    pub(super) kept: Duration,
}

impl Expiring for Submissions {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn depends_on(&self, row: &[u8]) -> Option<Bytes> {
        read(row).ok().map(|stored| run::index_key(stored.run))
    }

    fn fate(&self, row: &[u8], other: Option<&[u8]>, now_ms: u64) -> RowFate {
        let since_ms = match (read(row), other.map(run::Row::decode)) {
            (Ok(_), Some(Ok(run))) if Mutant::KeyForgottenEarly.is_chosen() => Some(run.submitted_at),
            (Ok(_), Some(Ok(run))) => run.outcome.and(run.ended_at),
            // Only a run that ended is ever forgotten; when it did is not known, but it was after it was submitted.
            (Ok(stored), None) => Some(stored.run.submitted_at_ms()),
            (Err(_), _) | (Ok(_), Some(Err(_))) => None,
        };
        let is_over = |since_ms| u128::from(now_ms.saturating_sub(since_ms)) >= self.kept.as_millis().max(1);
        if since_ms.is_some_and(is_over) { RowFate::Goes } else { RowFate::Stays }
    }
}

#[cfg(test)]
mod tests {
    use headframe_actors::durable::ActorId;

    use super::*;

    const ENDED_MS: u64 = 1_000_000;

    fn run_row(ended_at: Option<u64>) -> run::Row {
        run::Row {
            run: RunId([7; 16]),
            actor: ActorId(7 << 8),
            namespace: "default".to_owned(),
            workflow: "pay".to_owned(),
            plan: plan::Digest([1; 32]),
            labels: Vec::new(),
            submitted_at: 1,
            ended_at,
            outcome: ended_at.map(|_| run::Outcome::Succeeded(Json::NULL)),
            held: None,
            cancelled: None,
        }
    }

    #[test]
    fn a_key_goes_a_day_after_its_run_has_ended_and_never_before() {
        let key = KeyRow::new("order-7", RunId([7; 16]), plan::Digest([1; 32]), &Json::NULL);
        let (_, row) = key.row();
        let keys = Submissions { kept: KEPT };
        let fate = |run: &run::Row, now_ms| keys.fate(&row, Some(&run.encode()), now_ms);
        assert_eq!(keys.depends_on(&row), Some(run::index_key(RunId([7; 16]))));
        assert_eq!(fate(&run_row(None), u64::MAX), RowFate::Stays, "it may still be submitted again");
        assert_eq!(fate(&run_row(Some(ENDED_MS)), ENDED_MS + 86_399_999), RowFate::Stays);
        assert_eq!(fate(&run_row(Some(ENDED_MS)), ENDED_MS + 86_400_000), RowFate::Goes);
        assert_eq!(keys.fate(&row, Some(b"unreadable"), u64::MAX), RowFate::Stays);
        assert_eq!(keys.fate(b"unreadable", None, u64::MAX), RowFate::Stays);
    }

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

    #[test]
    fn a_key_of_a_later_build_is_refused_by_name_and_kept() {
        let (_, row) = KeyRow::new("order-7", RunId([7; 16]), plan::Digest([1; 32]), &Json::NULL).row();
        let later = codec::of_a_later_build(&row);
        let refused = read(&later).expect_err("its version is not known").to_string();
        assert!(refused.contains("version 999, and this build reads version 1"), "{refused}");
        assert_eq!(Submissions { kept: KEPT }.fate(&later, None, u64::MAX), RowFate::Stays);
    }
}
