//! What is said at the end: a table for people, JSON for machines.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

use clap::ValueEnum as _;
use comfy_table::{Table, presets::NOTHING};
use headframe::run::Outcome;
use serde::Serialize;

use crate::{
    args::Args,
    oracle::{Facts, Findings, Harm, Invariant, Violation},
    parent::Tally,
};

/// Most violations that are shown one by one, with evidence.
pub(crate) const SHOWN: usize = 20;

/// One invariant, and how it fared.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) invariant: Invariant,
    pub(crate) promise: &'static str,
    /// How often it was put to the test; 0 says that nothing is known of it.
    pub(crate) tested: u64,
    /// Why there is nothing to test yet, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nothing_yet: Option<&'static str>,
    /// What was counted.
    pub(crate) of: &'static str,
    pub(crate) violations: usize,
}

/// Everything that was counted, and the verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// Of the victim's process.
    pub(crate) kills: u32,
    /// Lives that died before they gave an answer.
    pub(crate) kills_before_first_answer: u64,
    /// Lives, with the last one that nobody killed.
    pub(crate) lives: u32,
    pub(crate) hosts_killed: u64,
    pub(crate) tools_killed: u64,
    /// Looks into the folder of a dead victim, before its next life.
    pub(crate) looks: u32,
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
    /// Calls that were held for a decision, and the decisions; one may have ended without.
    pub(crate) in_doubt: u64,
    pub(crate) in_doubt_resolved: u64,
    /// From the spawn of a victim to its first answer.
    pub(crate) recovery_p50_ms: f64,
    pub(crate) recovery_p99_ms: f64,
    pub(crate) recovery_max_ms: f64,
    pub(crate) checked: Vec<Checked>,
    pub(crate) violations: Vec<Violation>,
    /// The line that replays the schedule and the workload.
    pub(crate) replay: String,
}

impl Report {
    pub(crate) fn new(args: &Args, facts: &Facts, tally: &Tally, findings: Findings) -> Self {
        let acknowledged = facts.submissions.iter().filter(|submission| submission.acknowledged.is_some());
        let keys: BTreeSet<_> = facts.entries.iter().map(|entry| &entry.call.key).collect();
        let ms = |micros: u64| micros as f64 / 1_000.0;
        Self {
            seed: facts.seed,
            kills: facts.kills,
            kills_before_first_answer: tally.unanswered,
            lives: facts.kills + 1,
            hosts_killed: tally.hosts_killed,
            tools_killed: tally.tools_killed,
            looks: tally.looks,
            runs_acknowledged: acknowledged.clone().count(),
            runs_ended: acknowledged.filter(|submission| submission.outcome.is_some()).count(),
            runs_succeeded: ended(facts, |outcome| matches!(outcome, Outcome::Succeeded(_))),
            runs_failed: ended(facts, |outcome| matches!(outcome, Outcome::Failed { .. })),
            runs_cancelled: ended(facts, |outcome| matches!(outcome, Outcome::Cancelled { .. })),
            calls: facts.entries.len(),
            effects: facts.entries.iter().filter(|entry| entry.effect.is_some()).count(),
            calls_repeated: facts.entries.len() - keys.len(),
            lost: count(&findings.violations, Harm::Lost),
            duplicated: count(&findings.violations, Harm::Duplicated),
            in_doubt: facts.told.doubted,
            in_doubt_resolved: facts.told.decided,
            recovery_p50_ms: ms(tally.recovery.value_at_quantile(0.5)),
            recovery_p99_ms: ms(tally.recovery.value_at_quantile(0.99)),
            recovery_max_ms: ms(tally.recovery.max()),
            checked: checked(&findings),
            violations: findings.violations,
            replay: replay(args, facts.seed, Some(facts.kills)),
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { runs_succeeded, runs_failed, runs_cancelled, .. } = self;
        let [p50, p99, max] = [self.recovery_p50_ms, self.recovery_p99_ms, self.recovery_max_ms];
        vec![
            ("processes killed", format!("{}, {} before the first answer", self.kills, self.kills_before_first_answer)),
            ("actors killed", format!("{} hosts, {} before tools", self.hosts_killed, self.tools_killed)),
            ("looks after kills", self.looks.to_string()),
            ("runs acknowledged", self.runs_acknowledged.to_string()),
            ("runs ended", self.runs_ended.to_string()),
            ("all runs", format!("{runs_succeeded} succeeded, {runs_failed} failed, {runs_cancelled} cancelled")),
            ("calls", format!("{}, {} of them repeats", self.calls, self.calls_repeated)),
            ("effects", self.effects.to_string()),
            ("lost", self.lost.to_string()),
            ("duplicated", self.duplicated.to_string()),
            ("in doubt", format!("{}, {} decided", self.in_doubt, self.in_doubt_resolved)),
            ("recovery", format!("p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")),
        ]
    }

    fn untested(&self) -> Vec<String> {
        let untested = self.checked.iter().filter(|checked| checked.tested == 0 && checked.nothing_yet.is_none());
        untested.map(|checked| checked.invariant.to_string()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = bare();
        for (name, value) in self.rows() {
            table.add_row([name.to_owned(), value]);
        }
        writeln!(f, "{}\n", table.trim_fmt())?;
        let mut table = bare();
        for Checked { invariant, promise, tested, nothing_yet, of, violations } in &self.checked {
            let how = match (tested, violations) {
                (_, 1..) => format!("BROKEN {violations} times"),
                (0, 0) if nothing_yet.is_some() => nothing_yet.unwrap_or_default().to_owned(),
                (0, 0) => "never put to the test".to_owned(),
                (_, 0) => "held".to_owned(),
            };
            table.add_row([invariant.to_string(), (*promise).to_owned(), how, format!("{tested} {of}")]);
        }
        writeln!(f, "{}\n", table.trim_fmt())?;
        let untested = self.untested().join(", ");
        match self.violations.len() {
            0 if untested.is_empty() => return write!(f, "every promise held"),
            0 => return write!(f, "every promise that was put to the test held; never put to the test: {untested}"),
            broken => writeln!(f, "{broken} promises were broken:")?,
        }
        self.violations.iter().take(SHOWN).try_for_each(|violation| violation.fmt(f))?;
        if self.violations.len() > SHOWN {
            writeln!(f, "and {} more (-o json shows all)", self.violations.len() - SHOWN)?;
        }
        write!(f, "seed {}\nreplay: {}", self.seed, self.replay)
    }
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

fn checked(findings: &Findings) -> Vec<Checked> {
    let of = |invariant: Invariant| Checked {
        invariant,
        promise: invariant.promise(),
        tested: findings.times(invariant),
        nothing_yet: invariant.nothing_to_test_yet(),
        of: invariant.unit(),
        violations: findings.violations.iter().filter(|violation| violation.invariant == invariant).count(),
    };
    Invariant::ALL.into_iter().map(of).collect()
}

/// The command line that draws the same schedule and the same workload; of the kills that were made, if that is known.
pub(crate) fn replay(args: &Args, seed: u64, kills: Option<u32>) -> String {
    let runs = args.runs_in_flight;
    let until = match (kills, args.until()) {
        (Some(kills), _) | (None, crate::args::Until::Kills(kills)) => format!("--kills {kills}"),
        (None, crate::args::Until::Over(length)) => format!("--for {}s", length.as_secs()),
    };
    let actors = if args.actors { " --actors" } else { "" };
    let mutant = args.mutant.and_then(|mutant| mutant.to_possible_value());
    let mutant = mutant.map(|mutant| format!(" --mutant {}", mutant.get_name())).unwrap_or_default();
    format!("cargo run -r -p headframe-chaos -- {until} --seed {seed} --runs-in-flight {runs}{actors}{mutant}")
}

fn ended(facts: &Facts, how: fn(&Outcome) -> bool) -> usize {
    facts.submissions.iter().filter_map(|submission| submission.outcome.as_ref()).filter(|outcome| how(outcome)).count()
}

fn count(violations: &[Violation], harm: Harm) -> usize {
    violations.iter().filter(|violation| violation.harm == harm).count()
}
