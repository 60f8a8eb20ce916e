//! What was checked, how often, and what was found broken.
//!
//! **Invariant:** what was never put to the test is told as such, never as kept.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// What must hold, by the numbers under which docs/TESTING.md explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// Every acknowledged run reaches exactly one end.
    I1,
    /// Each message between actors is applied once, in order.
    I2,
    /// Mailboxes, state, timers and calls agree.
    I3,
    /// One recorded result per call, no call too many, no effect twice.
    I4,
    /// Acknowledged means durable.
    I5,
    /// No call without an earlier durable intent.
    I6,
    /// The ledger's chains verify and are dense.
    I7,
    /// Timers are never early, and applied once.
    I8,
    /// No phase passes a gate without its evidence, approval or waiver.
    I9,
    /// Compensations run in reverse, once each, and only for completed steps.
    I10,
    /// What is spent stays below the budget and one call in flight.
    I11,
    /// Live state equals the fold of the ledger.
    I12,
    /// Not a promise of the engine's, but of a suite: every fault strikes, every invariant is put to the test.
    Suite,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I12,
        Self::Suite,
    ];

    /// Why there is nothing to test yet, where the engine does not have what the invariant speaks of.
    #[must_use]
    pub fn nothing_to_test_yet(self) -> Option<&'static str> {
        match self {
            Self::I9 => Some("there are no gates yet"),
            Self::I10 => Some("there are no compensations yet"),
            Self::I11 => Some("there are no budgets yet"),
            _ => None,
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn promise(self) -> &'static str {
        match self {
            Self::I1 => "every acknowledged run reaches exactly one end",
            Self::I2 => "each message between actors is applied once, in order",
            Self::I3 => "mailboxes, state, timers and calls agree",
            Self::I4 => "one recorded result per call, no call too many, no effect twice",
            Self::I5 => "acknowledged means durable",
            Self::I6 => "no call without an earlier durable intent",
            Self::I7 => "the ledger's chains verify and are dense",
            Self::I8 => "timers are never early, and applied once",
            Self::I9 => "no phase passes a gate without its evidence, approval or waiver",
            Self::I10 => "compensations run in reverse, once each, only for completed steps",
            Self::I11 => "recorded spend stays within the budget and one call in flight",
            Self::I12 => "live state equals the fold of the ledger",
            Self::Suite => "every fault strikes",
        }
    }

    /// What is counted when it is put to the test.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::I1 => "runs, at rest and after kills",
            Self::I2 => "messages",
            Self::I3 => "actors, messages and calls, after kills and at rest",
            Self::I4 => "keys and results",
            Self::I5 => "acknowledgements, at rest and after kills",
            Self::I6 => "calls in the books",
            Self::I7 => "events",
            Self::I8 => "waits",
            Self::I9 => "gates",
            Self::I10 => "compensations",
            Self::I11 => "budgets",
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
pub enum Harm {
    /// Something promised is not there.
    Lost,
    /// Something is there twice.
    Duplicated,
    /// Neither, for now.
    Wrong,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What it did.
    pub harm: Harm,
    /// What was seen.
    pub what: String,
    /// The submission it befell, if it befell one.
    pub submission: Option<u64>,
    /// Its run.
    pub run: Option<String>,
    /// The call it is about.
    pub call: Option<String>,
    /// The event of the run's stream at which it showed.
    pub event: Option<u64>,
    /// Lines of the books and of the ledger.
    pub evidence: Vec<String>,
}

impl Violation {
    fn new(invariant: Invariant, harm: Harm, what: String) -> Self {
        let (submission, run, call, event) = (None, None, None, None);
        Self { invariant, harm, what, submission, run, call, event, evidence: Vec::new() }
    }

    /// Something promised is not there.
    #[must_use]
    pub fn lost(invariant: Invariant, what: String) -> Self {
        Self::new(invariant, Harm::Lost, what)
    }

    /// Something is there twice.
    #[must_use]
    pub fn duplicated(invariant: Invariant, what: String) -> Self {
        Self::new(invariant, Harm::Duplicated, what)
    }

    /// Something is not as it should be.
    #[must_use]
    pub fn wrong(invariant: Invariant, what: String) -> Self {
        Self::new(invariant, Harm::Wrong, what)
    }

    /// It befell this submission.
    #[must_use]
    pub fn of(self, submission: u64) -> Self {
        Self { submission: Some(submission), ..self }
    }

    /// It befell this run.
    #[must_use]
    pub fn of_run(self, run: Option<String>) -> Self {
        Self { run, ..self }
    }

    /// It showed at this event of the run's stream.
    #[must_use]
    pub fn at_event(self, event: u64) -> Self {
        Self { event: Some(event), ..self }
    }

    /// It is about this call.
    #[must_use]
    pub fn at_call(self, call: &str) -> Self {
        Self { call: Some(call.to_owned()), ..self }
    }

    /// With lines of the books and of the ledger.
    #[must_use]
    pub fn showing(self, evidence: Vec<String>) -> Self {
        Self { evidence, ..self }
    }
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Every broken promise.
    pub violations: Vec<Violation>,
    tested: BTreeMap<Invariant, u64>,
}

impl Findings {
    /// An invariant was put to the test so often.
    pub fn tested(&mut self, invariant: Invariant, times: usize) {
        *self.tested.entry(invariant).or_default() += times as u64;
    }

    /// How often an invariant was put to the test.
    #[must_use]
    pub fn times(&self, invariant: Invariant) -> u64 {
        self.tested.get(&invariant).copied().unwrap_or(0)
    }

    /// A promise is broken.
    pub fn found(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// What others have found, too.
    pub fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        for (invariant, times) in other.tested {
            *self.tested.entry(invariant).or_default() += times;
        }
    }

    /// Those that were never put to the test, and could have been.
    #[must_use]
    pub fn never_tested(&self) -> Vec<Invariant> {
        let could = |invariant: &Invariant| invariant.nothing_to_test_yet().is_none();
        Invariant::ALL.into_iter().filter(could).filter(|invariant| self.times(*invariant) == 0).collect()
    }

    /// Nothing broken.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Findings {
    /// Violations one by one, with their evidence, or that there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hold() {
            return f.write_str("every promise that was put to the test held");
        }
        self.violations.iter().try_for_each(|violation| violation.fmt(f))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, what, run, call, evidence, .. } = self;
        writeln!(f, "  {invariant} {what}")?;
        run.iter().try_for_each(|run| writeln!(f, "      run: {run}"))?;
        call.iter().try_for_each(|call| writeln!(f, "      call: {call}"))?;
        evidence.iter().try_for_each(|line| writeln!(f, "      {line}"))
    }
}
