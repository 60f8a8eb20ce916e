//! Calls: rows in a tool's mailbox, and what can become of them.
//!
//! ```text
//! intended ─► started(attempt) ─► done | failed (proof of no effect) | unknown
//!                                                                        │ verify
//!                                        done | failed | in doubt ◄── probing
//! ```
//! **Invariant:** an attempt ends in exactly one [`Outcome`]; there is no default between `Failed` and `Unknown`.

mod probe;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::probe::{PROBE_WAIT_DEFAULT_MS, PROBES_DEFAULT, Probe, Probing};
pub(crate) use self::probe::{Settled, settle};
use super::id::{ActorId, CallId};
use crate::{json::Json, mutant::Mutant};

/// How long an idempotent tool is taken to remember a key unless it says otherwise: 24 hours.
pub const REMEMBERS_DEFAULT_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a tool promises about repeats; it decides what happens when an outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// Not repeated: the call is in doubt, and a person or a rule decides.
    #[default]
    AtMostOnce,
    /// Called again with the same key, as long as the tool remembers keys.
    Idempotent {
        /// For how long after its intent a key is remembered.
        remembers_ms: u64,
    },
    /// A probe asks whether it happened. What did is recorded, what surely did not counts as failed, and a probe that
    /// cannot tell leaves the call in doubt.
    Verify {
        /// Probes before the call is in doubt.
        probes: u32,
        /// The wait before the second probe; each further one is twice as long.
        wait_ms: u64,
    },
}

impl Effect {
    /// Idempotent, with keys remembered for 24 hours.
    pub const IDEMPOTENT: Effect = Effect::Idempotent { remembers_ms: REMEMBERS_DEFAULT_MS };
    /// Verified by up to three probes, a second and two seconds apart.
    pub const VERIFY: Effect = Effect::Verify { probes: PROBES_DEFAULT, wait_ms: PROBE_WAIT_DEFAULT_MS };
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It happened; this is what it gave.
    Done(Json),
    /// It did not happen, and that is certain: refused before a byte was sent, or an answer the adapter declares definite.
    Failed(Failure),
    /// Nobody can tell: timeout, broken connection, lost heartbeat, cancel, kill, crash.
    Unknown(Failure),
}

impl Outcome {
    /// About how many bytes it takes in a record.
    pub(crate) fn bytes(&self) -> usize {
        64 + match self {
            Self::Done(output) => output.len(),
            Self::Failed(failure) | Self::Unknown(failure) => failure.message.len() + failure.details.len(),
        }
    }

    /// A definite failure.
    pub fn failed(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed(Failure::new(class, message))
    }

    /// An unknown outcome.
    pub fn unknown(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unknown(Failure::new(class, message))
    }
}

/// Why an attempt did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short word that retry policies match and metrics count: `timeout`, `exit`, `refused`.
    pub class: String,
    /// One sentence for people, without secrets.
    pub message: String,
    /// Details for machines.
    pub details: Json,
    /// The tool asks not to be called again sooner.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure of a class, with a sentence.
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class: class.into(), message: message.into(), details: Json::NULL, retry_after_ms: None }
    }

    /// What is kept of it: 8 KiB of sentence, and details up to 64 KiB.
    pub(crate) fn trimmed(mut self) -> Self {
        cut(&mut self.class, 64);
        cut(&mut self.message, 8 * 1024);
        if self.details.len() > 64 * 1024 {
            self.details = Json::NULL;
        }
        self
    }

    /// The same with details for machines.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Json>) -> Self {
        self.details = details.into();
        self
    }
}

/// Keep at most so many bytes of a text, in whole characters.
pub(crate) fn cut(text: &mut String, max: usize) {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
}

/// What makes a repeat recognisable to the tool: the same for every attempt at the same thing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(#[serde(with = "crate::hex")] pub [u8; 32]);

impl Key {
    /// SHA-256 over the parts, each preceded by its length, after a version. Golden bytes guard it: another encoding is
    /// a duplicate effect.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"headframe-key-1");
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(&self.0, f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        crate::hex::read(text).map(Self).ok_or_else(|| format!("`{text}` is not a key of 64 hexadecimal digits"))
    }
}

/// What a turn asks of a tool. Its arguments are frozen here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The tool's name in the registry.
    pub tool: String,
    /// For people and logs: run, phase and task.
    pub path: String,
    /// What makes a repeat recognisable.
    pub key: Key,
    /// Which attempt of its caller this is, from 1.
    pub attempt: u32,
    /// What is promised about repeats.
    pub effect: Effect,
    /// The tool's arguments.
    pub input: Json,
    /// The time the attempt may take.
    pub timeout_ms: u64,
    /// What the former attempt saved.
    pub checkpoint: Option<Bytes>,
    /// When a call with this key was first intended, in milliseconds since 1970: the tool remembers keys from then on.
    pub key_since_ms: u64,
    /// The longest silence between two heartbeats, if the caller promises any. On disk it stands beside the request, so
    /// that requests without it keep their bytes.
    #[serde(skip)]
    pub heartbeat_ms: Option<u64>,
}

impl Request {
    /// Whether its tool may no longer know the key, so that a repeat would be a second effect.
    pub(crate) fn is_forgotten(&self, now_ms: u64) -> bool {
        match self.effect {
            Effect::Idempotent { .. } if Mutant::ForgottenKeyRepeated.is_chosen() => false,
            Effect::Idempotent { remembers_ms } => now_ms.saturating_sub(self.key_since_ms) > remembers_ms,
            Effect::AtMostOnce | Effect::Verify { .. } => false,
        }
    }
}

/// A call in a tool's mailbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who waits for the answer.
    pub caller: ActorId,
    /// What was asked.
    pub request: Request,
    /// When the turn that intends it was accepted, in milliseconds since 1970.
    pub intended_at: u64,
    /// How far it is known to have come.
    pub state: RowState,
}

/// How far a call is known to have come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RowState {
    /// Written down; unless it may happen at most once, it may already be running.
    Intended,
    /// A call that may have reached the tool and is not made again by itself: an `at_most_once` one, or one that ran when
    /// it was cancelled.
    Started,
    /// Nobody knows whether it happened; a person or a rule decides.
    InDoubt(Failure),
    /// Nobody knows whether it happened, and its tool is asked.
    Probing(Probing),
}

/// A call's outcome on its way to the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Which call.
    pub call: CallId,
    /// What became of it.
    pub verdict: Verdict,
    /// What the attempt saved for the next one.
    pub checkpoint: Option<Bytes>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// The call ended.
    Ended(Outcome),
    /// The call is held for a decision; another answer follows.
    InDoubt(Failure),
    /// A person decided that it is to be called again with the same key.
    Repeat,
    /// The process ended while it may have been under way, and a probe is sure that it did not happen: that was no
    /// attempt, and it may be made again with the same key.
    NotMade(Failure),
    /// It failed, and certainly had no effect this time; but a former life may have made it, and of that nobody knows.
    Refused(Failure),
}
