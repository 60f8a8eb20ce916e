//! Which runs are kept after they have ended.
//!
//! ```text
//! row of a run goes ─► segments of the ledger go in which no run is left ─► artifacts that nothing names any more go
//!  (janitor, 10 min)    (archiver, whole segments, oldest first)             (collector, once a day)
//! ```
//! **Invariants:** a run that has not ended stays, and so does one whose row cannot be read. A run stays at least as long as
//! the key of its submission, which answers with it.

use std::time::Duration;

use headframe_actors::{
    durable::{Expiring, RowFate, StreamId},
    run,
};

/// So much longer than a key a run is kept at least.
const AFTER_KEY: Duration = Duration::from_secs(60 * 60);

/// Which runs are kept after they have ended: all of them, unless this says otherwise.
///
/// A run that goes leaves nothing in lists, and its history goes with the segments of the ledger in which no run is left that
/// is kept, oldest first: a run that lives for long keeps what came after it. Runs are kept at least as long as keys of
/// submissions ([`EngineBuilder::keys_kept`](super::EngineBuilder::keys_kept), a day), and an hour more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Runs that ended longer ago than this go.
    pub age: Option<Duration>,
    /// Of runs that ended before that so many stay at most; those that were submitted first go.
    pub runs: Option<u64>,
}

impl Retention {
    /// What the janitor is to look after, if anything ever goes.
    pub(super) fn finished(self, keys_kept: Duration) -> Option<Finished> {
        (self != Self::default()).then_some(Finished { retention: self, keys_kept })
    }
}

/// Runs that have ended.
pub(super) struct Finished {
    retention: Retention,
    keys_kept: Duration,
}

impl Finished {
    /// Its key goes first: keys are looked at before runs, in the same pass, and a pass over many takes its time.
    fn is_over(&self, row: &[u8], kept: Duration, now_ms: u64) -> bool {
        let Ok(row) = run::Row::decode(row) else { return false };
        let Some(ended_ms) = row.outcome.and(row.ended_at) else { return false };
        u128::from(now_ms.saturating_sub(ended_ms)) >= kept.max(self.keys_kept + AFTER_KEY).as_millis().max(1)
    }
}

impl Expiring for Finished {
    fn prefix(&self) -> &'static str {
        "run/"
    }

    fn fate(&self, row: &[u8], _: Option<&[u8]>, now_ms: u64) -> RowFate {
        let is_over = self.retention.age.is_some_and(|age| self.is_over(row, age, now_ms));
        if is_over { RowFate::Goes } else { RowFate::Stays }
    }

    fn spare_max(&self) -> Option<u64> {
        self.retention.runs
    }

    fn is_spare(&self, row: &[u8], now_ms: u64) -> bool {
        self.is_over(row, Duration::ZERO, now_ms)
    }

    fn guards_history(&self) -> bool {
        true
    }

    fn history(&self, row: &[u8]) -> StreamId {
        run::Row::decode(row).map_or(StreamId(0), |row| StreamId(row.actor.0))
    }
}

#[cfg(test)]
mod tests {
    use headframe_actors::{durable::ActorId, json::Json, plan, run::RunId};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn row(ended_at: Option<u64>) -> Vec<u8> {
        let row = run::Row {
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
        };
        row.encode().to_vec()
    }

    #[test]
    fn a_run_goes_when_its_time_is_over_and_never_before_its_key_or_its_end() {
        let finished = |age| Retention { age: Some(age), runs: None }.finished(DAY).unwrap();
        let fate = |age, row: &[u8], now_ms| finished(age).fate(row, None, now_ms);
        assert_eq!(fate(DAY * 30, &row(Some(1_000)), 1_000 + 30 * 86_400_000 - 1), RowFate::Stays);
        assert_eq!(fate(DAY * 30, &row(Some(1_000)), 1_000 + 30 * 86_400_000), RowFate::Goes);
        assert_eq!(
            fate(Duration::ZERO, &row(Some(1_000)), 1_000 + 90_000_000 - 1),
            RowFate::Stays,
            "its key answers with it"
        );
        assert_eq!(fate(Duration::ZERO, &row(Some(1_000)), 1_000 + 90_000_000), RowFate::Goes);
        assert_eq!(fate(Duration::ZERO, &row(None), u64::MAX), RowFate::Stays, "it has not ended");
        assert_eq!(fate(Duration::ZERO, b"unreadable", u64::MAX), RowFate::Stays);
        assert_eq!(finished(DAY).history(b"unreadable"), StreamId(0), "nothing goes while it is there");
        assert_eq!(Retention::default().finished(DAY).map(|_| ()), None, "everything stays when nothing is said");
    }
}
