//! What was checked, how often, and what was found broken.
//!
//! **Invariant:** what was never put to the test is told as such, never as kept.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// What must hold, by the numbers under which docs/CHAOS.md explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I12,
    /// Not a promise of the engine's, but of this suite: every fault strikes, every invariant is put to the test.
    Suite,
}

impl Invariant {
    pub(crate) const ALL: [Self; 10] =
        [Self::I1, Self::I2, Self::I3, Self::I4, Self::I5, Self::I6, Self::I7, Self::I8, Self::I12, Self::Suite];

    pub(crate) fn promise(self) -> &'static str {
        match self {
            Self::I1 => "every acknowledged run reaches exactly one end",
            Self::I2 => "each message between actors is applied once, in order",
            Self::I3 => "mailboxes, state, timers and calls agree",
            Self::I4 => "one recorded result per call, no call too many, no effect twice",
            Self::I5 => "acknowledged means durable",
            Self::I6 => "no call without an earlier durable intent",
            Self::I7 => "the ledger's chains verify and are dense",
            Self::I8 => "timers are never early, and applied once",
            Self::I12 => "live state equals the fold of the ledger",
            Self::Suite => "every fault strikes",
        }
    }

    /// What is counted when it is put to the test.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::I1 => "runs, at rest and after kills",
            Self::I2 => "messages",
            Self::I3 => "actors, messages and calls, after kills and at rest",
            Self::I4 => "keys and results",
            Self::I5 => "acknowledgements, at rest and after kills",
            Self::I6 => "calls in the books",
            Self::I7 => "events",
            Self::I8 => "waits",
            Self::I12 => "actors and rows, after kills and at rest",
            Self::Suite => "kinds of fault",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suite => f.write_str("suite"),
            numbered => write!(f, "{numbered:?}"),
        }
    }
}

/// What a broken promise did to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Harm {
    /// Something promised is not there.
    Lost,
    /// Something is there twice.
    Duplicated,
    /// Neither, for now.
    Wrong,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) harm: Harm,
    /// What was seen.
    pub(crate) what: String,
    /// The submission it befell, if it befell one.
    pub(crate) submission: Option<u64>,
    /// Its run.
    pub(crate) run: Option<String>,
    /// The call it is about.
    pub(crate) call: Option<String>,
    /// The event of the run's stream at which it showed.
    pub(crate) event: Option<u64>,
    /// Lines of the books and of the ledger.
    pub(crate) evidence: Vec<String>,
}

impl Violation {
    fn new(invariant: Invariant, harm: Harm, what: String) -> Self {
        let (submission, run, call, event) = (None, None, None, None);
        Self { invariant, harm, what, submission, run, call, event, evidence: Vec::new() }
    }

    pub(crate) fn lost(invariant: Invariant, what: String) -> Self {
        Self::new(invariant, Harm::Lost, what)
    }

    pub(crate) fn duplicated(invariant: Invariant, what: String) -> Self {
        Self::new(invariant, Harm::Duplicated, what)
    }

    pub(crate) fn wrong(invariant: Invariant, what: String) -> Self {
        Self::new(invariant, Harm::Wrong, what)
    }

    pub(crate) fn of(self, submission: u64) -> Self {
        Self { submission: Some(submission), ..self }
    }

    pub(crate) fn of_run(self, run: Option<String>) -> Self {
        Self { run, ..self }
    }

    pub(crate) fn at_event(self, event: u64) -> Self {
        Self { event: Some(event), ..self }
    }

    pub(crate) fn at_call(self, call: &str) -> Self {
        Self { call: Some(call.to_owned()), ..self }
    }

    pub(crate) fn showing(self, evidence: Vec<String>) -> Self {
        Self { evidence, ..self }
    }
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    tested: BTreeMap<Invariant, u64>,
}

impl Findings {
    /// An invariant was put to the test so often.
    pub(crate) fn tested(&mut self, invariant: Invariant, times: usize) {
        *self.tested.entry(invariant).or_default() += times as u64;
    }

    pub(crate) fn times(&self, invariant: Invariant) -> u64 {
        self.tested.get(&invariant).copied().unwrap_or(0)
    }

    pub(crate) fn found(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        for (invariant, times) in other.tested {
            *self.tested.entry(invariant).or_default() += times;
        }
    }
}
