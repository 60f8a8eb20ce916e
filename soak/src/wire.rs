//! What parent and victim say to each other: one line of JSON each, written at once or not at all.
//!
//! **Invariant:** what the parent has read was true when it was said; nothing is acknowledged before it is durable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::workload::Kind;

/// What the victim is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Submit this number, now or again.
    Submit { number: u64, kind: Kind },
    /// Submit it, and lose what belongs to its kind.
    Stall { number: u64, kind: Kind },
    /// Say how you are.
    Look,
    /// All has ended: come to rest, and end.
    Rest,
}

/// What the victim says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The engine has recovered.
    Up,
    /// A submission is durable.
    Acknowledged { number: u64, run: String },
    /// A run ended.
    Ended { number: u64, end: Ended },
    /// What was lost on purpose, if it was, came to its end; so many looks of the unsticker later.
    Stalled { number: u64, looks: Looks, lost: bool },
    /// The unsticker did something about a reason, so often.
    Acted { reason: String, times: u64 },
    /// How it is.
    Looked(Looked),
    /// At rest: so many actors and calls are left, and letters that were given up.
    Rested { left: usize, letters: Vec<String> },
    /// It cannot go on.
    Failed { why: String },
}

/// Looks of the unsticker, and those that came late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Looks {
    pub(crate) all: u64,
    pub(crate) late: u64,
}

impl Looks {
    /// After a late look nothing is done for two looks: a process that stood still accuses nobody.
    pub(crate) fn without_grace(self) -> u64 {
        self.all.saturating_sub(2 * self.late)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
    Succeeded,
    Cancelled,
    Failed(String),
}

/// Figures that only the process itself knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Looked {
    pub(crate) actors: u64,
    pub(crate) hosted: u64,
    pub(crate) calls: u64,
    /// Of tokio.
    pub(crate) tasks: u64,
    /// Processor time of this life.
    pub(crate) cpu_us: u64,
    /// What the unsticker did in this life, by reason.
    pub(crate) unstuck: BTreeMap<String, u64>,
}
