//! What must be true when everything has come to rest.
//!
//! ```text
//! client ─► submissions (I1, I5) ┐
//! recorder ─► books (I4, I6)     ├─► judge ─► findings: what was tested how often, and what was broken
//! ledger ─► history (I1 I2 I4 I7 I8, and the intents of I6)
//! looks into the folder, after kills and at rest (I1 I3 I5 I7 I12)
//! ```
//! **Invariants:** the oracle is a pure function of the facts. It judges effects by their labels, so that a second effect
//! under a new key is as much a duplicate as one under the old.

mod books;
mod effects;
mod faults;
mod findings;
mod history;
mod intents;
mod submissions;
#[cfg(test)]
mod tests;

use headframe::run::Outcome;

use self::books::Books;
pub(crate) use self::{
    findings::{Findings, Harm, Invariant, Violation},
    history::{History, Told},
};
use crate::recorder::Entry;

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
    let mut findings = facts.findings.clone();
    let books = Books::read(&facts.entries);
    for submission in &facts.submissions {
        submissions::durable(submission, &mut findings);
        effects::of_run(facts.seed, submission, &books, &mut findings);
    }
    effects::keys(&books, &facts.told.intents, &mut findings);
    effects::ids(&facts.entries, &mut findings);
    intents::known(facts, &mut findings);
    intents::told(facts, &mut findings);
    faults::struck(&facts.entries, &mut findings);
    faults::put_to_the_test(facts.entries.len(), &mut findings);
    name_runs(facts, &mut findings);
    findings
}

/// Whoever reads of a submission wants to find its run.
fn name_runs(facts: &Facts, findings: &mut Findings) {
    let unnamed = findings.violations.iter_mut().filter(|violation| violation.run.is_none());
    for (violation, number) in unnamed.filter_map(|violation| violation.submission.map(|number| (violation, number))) {
        let submission = facts.submissions.iter().find(|submission| submission.number == number);
        violation.run = submission.and_then(|submission| submission.again.clone().or_else(|| submission.found.clone()));
    }
}
