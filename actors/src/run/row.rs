//! The index row of a run: what lists and results are read from, also long after its actors are gone.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::RunId;
use crate::{
    durable::{ActorId, Failure, codec},
    json::Json,
    plan::Digest,
};

/// What is known of a run without asking it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name outside the store.
    pub run: RunId,
    /// Its actor, which also names its stream in the ledger.
    pub actor: ActorId,
    /// Whose it is; `default` for now.
    pub namespace: String,
    /// What it carries out, by name.
    pub workflow: String,
    /// And by content.
    pub plan: Digest,
    /// What people call it by.
    pub labels: Vec<(String, String)>,
    /// When it was submitted, in milliseconds since 1970.
    pub submitted_at: u64,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why it cannot go on without an operator, if it cannot: one of its actors lost a message, or cannot be loaded.
    pub held: Option<String>,
    /// Why it was asked to end before it had, if it was: the first who asked counts.
    pub cancelled: Option<String>,
}

/// Version 1 did not know that a run was asked to end. Frozen.
#[derive(Deserialize)]
struct Row1 {
    run: RunId,
    actor: ActorId,
    namespace: String,
    workflow: String,
    plan: Digest,
    labels: Vec<(String, String)>,
    submitted_at: u64,
    ended_at: Option<u64>,
    outcome: Option<Outcome>,
    held: Option<String>,
}

impl From<Row1> for Row {
    fn from(old: Row1) -> Self {
        let Row1 { run, actor, namespace, workflow, plan, labels, submitted_at, ended_at, outcome, held } = old;
        let cancelled = match &outcome {
            Some(Outcome::Cancelled { reason }) => Some(reason.clone()),
            Some(Outcome::Succeeded(_) | Outcome::Failed { .. }) | None => None,
        };
        Self { run, actor, namespace, workflow, plan, labels, submitted_at, ended_at, outcome, held, cancelled }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did all it had to, and answers this.
    Succeeded(Json),
    /// A task failed.
    Failed {
        /// Which, by phase, name and item.
        task: String,
        /// Why.
        failure: Failure,
    },
    /// It was cancelled.
    Cancelled {
        /// Why.
        reason: String,
    },
}

impl Row {
    /// The format of a stored row.
    pub const FORMAT: codec::Format = codec::Format::new("run/row", 2);

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::seal(Self::FORMAT, self)
    }

    /// Read the stored form.
    ///
    /// # Errors
    /// If the bytes are not a row this build can read.
    pub fn decode(sealed: &[u8]) -> Result<Self, codec::Error> {
        let stored = codec::unwrap(Self::FORMAT.type_id, sealed)?;
        match stored.format.version {
            1 => stored.decode::<Row1>().map(Self::from),
            _ if stored.format == Self::FORMAT => stored.decode(),
            _ => codec::open(Self::FORMAT, sealed),
        }
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }
}

/// The index key of a run's row. Keys order by time of submission.
#[must_use]
pub fn index_key(run: RunId) -> Bytes {
    [b"run/", &run.0[..]].concat().into()
}

/// The index key of a stored plan.
#[must_use]
pub fn plan_key(plan: Digest) -> Bytes {
    [b"plan/", &plan.0[..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    /// Bytes that stay on disk, long after a run has ended.
    #[test]
    fn rows_keep_their_bytes() {
        let running = Row {
            run: RunId([7; 16]),
            actor: ActorId(0x0102),
            namespace: "default".to_owned(),
            workflow: "pay".to_owned(),
            plan: Digest([0xAB; 32]),
            labels: vec![("team".to_owned(), "blue".to_owned())],
            submitted_at: 1_795_244_940_000,
            ended_at: None,
            outcome: None,
            held: Some("one of its actors lost a message".to_owned()),
            cancelled: None,
        };
        let outcomes = [
            ("succeeded", Outcome::Succeeded(Json::NULL)),
            (
                "failed",
                Outcome::Failed { task: "pay/charge".to_owned(), failure: Failure::new("exit", "it ended with 3") },
            ),
            ("cancelled", Outcome::Cancelled { reason: "why".to_owned() }),
        ];
        let mut golden = Golden::of("run-row");
        let ended = |outcome: Outcome| {
            let cancelled = (!matches!(outcome, Outcome::Succeeded(_))).then(|| "why".to_owned());
            let (ended_at, outcome) = (Some(1_795_244_941_000), Some(outcome));
            Row { ended_at, outcome, held: None, cancelled, ..running.clone() }
        };
        let rows = outcomes.map(|(name, outcome)| (name, ended(outcome)));
        for (name, row) in [("held", running.clone())].into_iter().chain(rows) {
            golden.value(&format!("{name} version 2"), Row::FORMAT, &row);
            // Version 1 knew of a cancel only when the run had ended with it, and is only read.
            let is_known = matches!(row.outcome, Some(Outcome::Cancelled { .. }));
            golden.read(name, Row::decode, &Row { cancelled: row.cancelled.filter(|_| is_known), ..row });
        }
        golden.bytes("key", &index_key(running.run));
        golden.bytes("key of the plan", &plan_key(running.plan));
        golden.end();
    }
}
