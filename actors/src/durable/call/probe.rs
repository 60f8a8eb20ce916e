//! Probes: how it is found out whether a call with an unknown outcome happened.
//!
//! ```text
//! unknown ─► probing ─┬─ it happened ──► done, with what the probe gave
//!              ▲  │   ├─ it did not ───► failed; or not made, if the process ended before the attempt did
//!              └──┘   └─ asked enough ─► in doubt
//!         cannot tell
//! ```
//! A probe only reads, so it may be asked again: a crash while it is under way needs no record of its own.
//!
//! **Invariants:** what was told last is in the row, so that a crash forgets no probe that was counted; a call is in doubt
//! with the reasons of both, its attempt and its last probe. Absent on purpose: the clock, and who asks.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Effect, Failure, Outcome, Row, RowState, Verdict};
use crate::json::Json;

/// How often a probe is asked unless a tool or task says otherwise.
pub const PROBES_DEFAULT: u32 = 3;
/// The wait before the second probe unless a tool or task says otherwise: a second.
pub const PROBE_WAIT_DEFAULT_MS: u64 = 1_000;

/// What a probe found out about a call whose outcome is unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// It happened; this is what it gave.
    Happened(Json),
    /// It did not happen and cannot happen any more, for this reason. Said too early, the effect comes twice.
    DidNot(String),
    /// The probe cannot tell.
    CannotTell(Failure),
}

/// A probe that ends like an attempt: it proves the effect, proves that there is none, or leaves it unknown.
impl From<Probe> for Outcome {
    fn from(probe: Probe) -> Self {
        match probe {
            Probe::Happened(output) => Self::Done(output),
            Probe::DidNot(reason) => Self::failed("probe", reason),
            Probe::CannotTell(failure) => Self::Unknown(failure),
        }
    }
}

/// A call of which nobody knows whether it happened, while its tool is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probing {
    /// Why nobody knows.
    pub failure: Failure,
    /// Probes so far that could not tell.
    pub asked: u32,
    /// The next probe is asked no sooner, in milliseconds since 1970.
    pub due_ms: u64,
    /// Whether the process ended, and not the attempt: nothing speaks against making it again.
    pub is_cut_off: bool,
}

/// What follows from an outcome.
#[derive(Debug, PartialEq)]
pub(crate) enum Settled {
    /// The caller is told.
    Answer(Verdict),
    /// The tool is asked, or asked again.
    Probe(Probing),
}

impl Probing {
    /// An attempt ended, and nobody knows how.
    fn after(failure: Failure, now_ms: u64) -> Self {
        Self { failure, asked: 0, due_ms: now_ms, is_cut_off: false }
    }

    /// The process ended while the attempt may have been under way.
    pub(crate) fn of_the_last_life(now_ms: u64) -> Self {
        let failure = Failure::new("crash", "the process ended while the call was under way");
        Self { is_cut_off: true, ..Self::after(failure, now_ms) }
    }

    /// About how many bytes it takes in a record.
    pub(crate) fn bytes(&self) -> usize {
        64 + self.failure.message.len() + self.failure.details.len()
    }

    fn told(&self, probed: Outcome, probes: u32, wait_ms: u64, now_ms: u64) -> Settled {
        let asked = self.asked.saturating_add(1);
        Settled::Answer(match probed {
            Outcome::Done(output) => Verdict::Ended(Outcome::Done(output)),
            Outcome::Failed(why) if self.is_cut_off => Verdict::NotMade(self.did_not(why)),
            Outcome::Failed(why) => Verdict::Ended(Outcome::Failed(self.did_not(why))),
            Outcome::Unknown(_) if asked < probes => {
                let wait_ms = wait_ms.saturating_mul(1 << self.asked.min(32));
                let due_ms = now_ms.saturating_add(wait_ms);
                return Settled::Probe(Self { asked, due_ms, ..self.clone() });
            }
            Outcome::Unknown(why) => Verdict::InDoubt(self.cannot_tell(why)),
        })
    }

    fn did_not(&self, why: Failure) -> Failure {
        let message = format!("{}; it did not happen: {}", self.failure.message, why.message);
        self.both(message, why)
    }

    /// The probe's reason first: whoever decides needs it more.
    fn cannot_tell(&self, why: Failure) -> Failure {
        let message = format!("the probe cannot tell: {}; asked because: {}", why.message, self.failure.message);
        self.both(message, why)
    }

    /// Both reasons in one, of the attempt's class, which is what retry policies know.
    fn both(&self, message: String, why: Failure) -> Failure {
        let attempt = &self.failure;
        let mut failure = Failure { message, ..attempt.clone() };
        if !why.details.is_null() {
            failure.details = json!({ "attempt": attempt.details.value(), "probe": why.details.value() }).into();
        }
        failure.trimmed()
    }
}

/// What becomes of a call whose attempt, or probe, ended so. Of unknown outcomes only an idempotent call's goes back to
/// its caller, who may repeat it with the same key while the tool remembers keys. What was done is done, however late
/// that is known.
pub(crate) fn settle(row: &Row, outcome: Outcome, now_ms: u64) -> Settled {
    let failure = match (outcome, &row.state, row.request.effect) {
        (probed, RowState::Probing(probing), Effect::Verify { probes, wait_ms }) => {
            return probing.told(probed, probes, wait_ms, now_ms);
        }
        (Outcome::Unknown(failure), RowState::Intended | RowState::Started, Effect::Verify { .. }) => {
            return Settled::Probe(Probing::after(failure, now_ms));
        }
        (Outcome::Unknown(failure), _, Effect::AtMostOnce | Effect::Verify { .. }) => failure,
        (Outcome::Unknown(failure), ..) if row.request.is_forgotten(now_ms) => failure,
        (outcome, ..) => return Settled::Answer(Verdict::Ended(outcome)),
    };
    Settled::Answer(Verdict::InDoubt(failure))
}
