//! How a story ended, and what can be asked of it.

use std::collections::BTreeMap;

use super::super::{fake::Acted, oracle::Findings};
use crate::{durable::Key, run::Outcome};

/// How a story ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Where its process had died, and how to tell that story again.
    pub death: String,
    /// How often it had.
    pub deaths: u32,
    /// How the run ended.
    pub outcome: Outcome,
    /// Commits of all lives.
    pub commits: u64,
    /// Commits of the last life.
    pub commits_of_last_life: u64,
    /// How much time passed: the world's clock moves only to what is due next.
    pub lasted_ms: u64,
    /// How long the run took, by its own row.
    pub took_ms: u64,
    /// Rows that left memory because they were written.
    pub evicted: u64,
    /// What the oracle checked, how often; it found nothing wrong.
    pub findings: Findings,
    pub(in crate::testing) decisions: u32,
    pub(in crate::testing) tools: BTreeMap<String, Acted>,
}

impl Ending {
    /// How many effects a tool had.
    #[must_use]
    pub fn effects(&self, tool: &str) -> usize {
        self.tools.get(tool).map_or(0, |acted| acted.effects.len())
    }

    /// The keys under which a tool had its effects: the same ones wherever the process died, where nothing fails.
    #[must_use]
    pub fn keys(&self, tool: &str) -> Vec<Key> {
        self.tools.get(tool).map(|acted| acted.effects.keys().copied().collect()).unwrap_or_default()
    }

    /// How often a tool acted, were it one that does not recognise keys.
    #[must_use]
    pub fn acts(&self, tool: &str) -> u32 {
        self.tools.get(tool).map_or(0, |acted| acted.acted.values().sum())
    }

    /// How often a tool's probe was asked.
    #[must_use]
    pub fn probes(&self, tool: &str) -> u32 {
        self.tools.get(tool).map_or(0, |acted| acted.probed)
    }

    /// How many calls were in doubt until a person decided.
    #[must_use]
    pub fn decisions(&self) -> u32 {
        self.decisions
    }

    /// How often a tool was called.
    #[must_use]
    pub fn invocations(&self, tool: &str) -> u32 {
        self.tools.get(tool).map_or(0, |acted| acted.invoked.values().sum())
    }
}
