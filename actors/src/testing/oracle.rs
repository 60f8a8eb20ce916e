//! What must be true when everything has come to rest: one checker for tests, simulations, chaos and soak.
//!
//! ```text
//! client ─► submissions (I1, I5) ┐
//! tools ─► books (I4, I6)        ├─► History ─► check ─► Findings: what was tested how often, and what was broken
//! ledger ─► Witness ─► Told (I1 I2 I4 I7 I8, and the intents of I6)
//! looks into the store, after deaths and at rest (I1 I3 I5 I7 I12)
//! ```
//! Gather a [`History`]: what clients were told, what happened in the outside world by the books of its tools, what a
//! [`Witness`] read in the ledger, and what [`Look`]s into the store found. Then [`check`] it. What [`Findings`] say of an
//! invariant that was tested zero times is nothing.
//!
//! **Invariants:** [`check`] is a pure function of the history. It judges effects by their labels, so that a second effect
//! under a new key is as much a duplicate as one under the old.

mod books;
mod effects;
mod findings;
mod history;
mod intents;
mod ledger;
mod look;
mod submissions;
#[cfg(test)]
mod tests;

use self::books::Books;
pub use self::{
    books::{Answer, Call, Entry},
    findings::{Findings, Harm, Invariant, Violation},
    history::{Expected, History, Rule, Submission},
    ledger::{Told, Witness},
    look::{Known, Look, files},
};

/// Everything that was checked, and every broken promise.
#[must_use]
pub fn check(history: &History) -> Findings {
    let mut findings = history.findings.clone();
    let books = Books::read(history);
    for submission in &history.submissions {
        submissions::durable(submission, &mut findings);
        effects::of_run(submission, &books, &mut findings);
    }
    effects::keys(history, &books, &mut findings);
    effects::ids(&history.entries, &mut findings);
    intents::known(history, &mut findings);
    intents::told(history, &books, &mut findings);
    name_runs(history, &mut findings);
    findings
}

/// Whoever reads of a submission wants to find its run.
fn name_runs(history: &History, findings: &mut Findings) {
    let unnamed = findings.violations.iter_mut().filter(|violation| violation.run.is_none());
    for (violation, number) in unnamed.filter_map(|violation| violation.submission.map(|number| (violation, number))) {
        let submission = history.submissions.iter().find(|submission| submission.number == number);
        violation.run = submission.and_then(|submission| submission.again.clone().or_else(|| submission.found.clone()));
    }
}
