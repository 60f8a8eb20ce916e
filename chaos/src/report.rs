//! What is said at the end: a table for people, JSON for machines.

use std::{collections::BTreeSet, fmt};

use comfy_table::{Table, presets::NOTHING};
use headframe::run::Outcome;
use serde::Serialize;

use crate::{
    args::Args,
    oracle::{Facts, Harm, Violation},
    parent::Tally,
};

/// Most violations that are shown one by one.
const SHOWN: usize = 20;

/// Everything that was counted, and the verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) kills: u32,
    /// Lives that died before they gave an answer.
    pub(crate) kills_before_first_answer: u64,
    /// Lives, with the last one that nobody killed.
    pub(crate) lives: u32,
    pub(crate) hosts_killed: u64,
    pub(crate) tools_killed: u64,
    pub(crate) runs_acknowledged: usize,
    pub(crate) runs_ended: usize,
    pub(crate) runs_succeeded: usize,
    /// By a decision of the operator, or by refusals in a row.
    pub(crate) runs_failed: usize,
    pub(crate) runs_cancelled: usize,
    pub(crate) calls: usize,
    pub(crate) effects: usize,
    /// Calls with a key that was used before: after a crash, or after a lost answer.
    pub(crate) calls_repeated: usize,
    /// Runs or effects that were promised and are not there.
    pub(crate) lost: usize,
    /// Runs or effects that are there twice.
    pub(crate) duplicated: usize,
    pub(crate) in_doubt_resolved: u64,
    /// From the spawn of a victim to its first answer.
    pub(crate) recovery_p50_ms: f64,
    pub(crate) recovery_p99_ms: f64,
    pub(crate) violations: Vec<Violation>,
    /// The line that replays the schedule and the workload.
    pub(crate) replay: String,
}

impl Report {
    pub(crate) fn new(args: &Args, facts: &Facts, tally: &Tally, violations: Vec<Violation>) -> Self {
        let acknowledged = facts.submissions.iter().filter(|submission| submission.acknowledged.is_some());
        let keys: BTreeSet<_> = facts.entries.iter().map(|entry| &entry.call.key).collect();
        let quantile = |quantile| tally.recovery.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            seed: facts.seed,
            kills: args.kills,
            kills_before_first_answer: tally.unanswered,
            lives: args.kills + 1,
            hosts_killed: tally.hosts_killed,
            tools_killed: tally.tools_killed,
            runs_acknowledged: acknowledged.clone().count(),
            runs_ended: acknowledged.filter(|submission| submission.outcome.is_some()).count(),
            runs_succeeded: ended(facts, |outcome| matches!(outcome, Outcome::Succeeded(_))),
            runs_failed: ended(facts, |outcome| matches!(outcome, Outcome::Failed { .. })),
            runs_cancelled: ended(facts, |outcome| matches!(outcome, Outcome::Cancelled { .. })),
            calls: facts.entries.len(),
            effects: facts.entries.iter().filter(|entry| entry.effect.is_some()).count(),
            calls_repeated: facts.entries.len() - keys.len(),
            lost: count(&violations, Harm::Lost),
            duplicated: count(&violations, Harm::Duplicated),
            in_doubt_resolved: tally.decided + facts.decided,
            recovery_p50_ms: quantile(0.5),
            recovery_p99_ms: quantile(0.99),
            violations,
            replay: replay(args, facts.seed),
        }
    }

    fn outcomes(&self) -> String {
        let Self { runs_succeeded, runs_failed, runs_cancelled, .. } = self;
        format!("{runs_succeeded} succeeded, {runs_failed} failed, {runs_cancelled} cancelled")
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let early = self.kills_before_first_answer;
        vec![
            ("kills", format!("{}, {early} of them before the first answer", self.kills)),
            ("lives", self.lives.to_string()),
            ("actors killed", format!("{} hosts, {} before tools", self.hosts_killed, self.tools_killed)),
            ("runs acknowledged", self.runs_acknowledged.to_string()),
            ("runs ended", self.runs_ended.to_string()),
            ("all runs", self.outcomes()),
            ("calls", format!("{}, {} of them repeats", self.calls, self.calls_repeated)),
            ("effects", self.effects.to_string()),
            ("lost", self.lost.to_string()),
            ("duplicated", self.duplicated.to_string()),
            ("in doubt resolved", self.in_doubt_resolved.to_string()),
            ("recovery p50, p99", format!("{:.1} ms, {:.1} ms", self.recovery_p50_ms, self.recovery_p99_ms)),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(NOTHING);
        for (name, value) in self.rows() {
            table.add_row([name.to_owned(), value]);
        }
        writeln!(f, "{}", table.trim_fmt())?;
        if self.violations.is_empty() {
            return write!(f, "every promise held");
        }
        writeln!(f, "{} promises were broken:", self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  {} {}", violation.rule, violation.what)?;
        }
        if self.violations.len() > SHOWN {
            writeln!(f, "  and {} more (--json shows all)", self.violations.len() - SHOWN)?;
        }
        write!(f, "replay: {}", self.replay)
    }
}

/// The command line that draws the same schedule and the same workload.
pub(crate) fn replay(args: &Args, seed: u64) -> String {
    let Args { kills, runs_in_flight, .. } = args;
    let actors = if args.actors { " --actors" } else { "" };
    format!(
        "cargo run -r -p headframe-chaos -- --kills {kills} --seed {seed} --runs-in-flight {runs_in_flight}{actors}"
    )
}

fn ended(facts: &Facts, how: fn(&Outcome) -> bool) -> usize {
    facts.submissions.iter().filter_map(|submission| submission.outcome.as_ref()).filter(|outcome| how(outcome)).count()
}

fn count(violations: &[Violation], harm: Harm) -> usize {
    violations.iter().filter(|violation| violation.harm == harm).count()
}
