//! The facts that chaos gathers, as the oracle of [`headframe::testing`] reads them.
//!
//! What must hold, and how it is checked, is there. Here is what only chaos knows: what its runs were to do, how its tools
//! behave, and which faults it deals out.
//!
//! **Invariant:** judging is a pure function of the facts.

mod faults;
#[cfg(test)]
mod tests;

pub(crate) use headframe::testing::oracle::{Findings, Harm, Invariant, Violation};
use headframe::{
    run::Outcome,
    testing::oracle::{self, Expected, History, Told},
};

use crate::{
    recorder::{Answer, Entry},
    workload::{self, Rule},
};

/// Classes of failure that a run of this workload may end with: a decision by the operator, or refusals in a row.
const HONEST: [&str; 2] = ["decided", "refused"];

/// What is known of one submission at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Submission {
    pub(crate) number: u64,
    /// The run that its client was told of, ever.
    pub(crate) acknowledged: Option<String>,
    /// The run under its key after the last recovery.
    pub(crate) found: Option<String>,
    /// What a submission under the same key gave then.
    pub(crate) again: Option<String>,
    /// How its run ended.
    pub(crate) outcome: Option<Outcome>,
}

/// What is known at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) seed: u64,
    /// Deaths of the victim; the life after the last of them is quiet.
    pub(crate) kills: u32,
    pub(crate) submissions: Vec<Submission>,
    /// The books of the outside world.
    pub(crate) entries: Vec<Entry>,
    /// What the ledger tells.
    pub(crate) told: Told,
    /// What was checked, and found wrong, before anybody counted.
    pub(crate) findings: Findings,
}

/// Everything that was checked, and every broken promise.
pub(crate) fn judge(facts: &Facts) -> Findings {
    let mut findings = oracle::check(&history(facts));
    faults::struck(&facts.entries, &mut findings);
    faults::put_to_the_test(facts.entries.len(), &mut findings);
    findings
}

fn history(facts: &Facts) -> History {
    History {
        deaths: facts.kills,
        submissions: facts.submissions.iter().map(|submission| submitted(facts.seed, submission)).collect(),
        entries: facts.entries.iter().map(entry).collect(),
        told: facts.told.clone(),
        findings: facts.findings.clone(),
    }
}

fn submitted(seed: u64, submission: &Submission) -> oracle::Submission {
    let Submission { number, acknowledged, found, again, outcome } = submission.clone();
    let prefix = workload::key(number);
    let labels = workload::SHAPES[workload::shape(seed, number)].expected(&prefix).into_iter();
    let expected = Expected {
        labels: labels.map(|expected| (expected.label, rule(expected.rule))).collect(),
        prefix,
        failures: Some(HONEST.map(str::to_owned).to_vec()),
        may_be_cancelled: workload::cancels(seed, number).is_some(),
    };
    oracle::Submission { number, acknowledged, found, again, outcome, expected }
}

fn rule(rule: Rule) -> oracle::Rule {
    match rule {
        Rule::Once => oracle::Rule::Receipt,
        Rule::Never | Rule::Silent => oracle::Rule::Never,
        Rule::Maybe => oracle::Rule::Maybe,
    }
}

fn entry(entry: &Entry) -> oracle::Entry {
    let call = entry.call.clone();
    let call = oracle::Call {
        // Whoever waits only for a short time may miss any answer on a busy machine.
        may_be_unheard: call.deaf || call.tool == "slow",
        only_once: call.tool == "once",
        tool: call.tool,
        key: call.key,
        call: call.call,
        label: call.label,
        attempt: call.attempt,
        life: call.life,
        epoch: call.epoch,
    };
    let answer = match entry.answer {
        Answer::Done(_) => oracle::Answer::Done,
        Answer::Refused => oracle::Answer::Refused,
        Answer::Lost => oracle::Answer::Lost,
        Answer::Late(_) => oracle::Answer::Late,
    };
    oracle::Entry { call, answer, effect: entry.effect, at_ms: entry.at_ms }
}
