//! What must be true after every death, and when a telling has come to rest: the shared oracle, and what only a
//! simulation can see.

use std::sync::Arc;

use super::{
    plans::{NAP_MS, run_id},
    telling::{Story, row},
};
use crate::{
    durable::{Live, System, sim, store},
    run::Outcome,
    testing::oracle::{self, Findings, History, Invariant, Known, Look, Submission, Violation},
};

/// What the next life will find.
pub(super) fn after_a_death(story: &Story, findings: &mut Findings) {
    let known = story.acknowledged.keys().map(|number| Known {
        number: *number as u64,
        run: run_id(*number).to_string(),
        outcome: story.told.get(number).cloned(),
    });
    let known: Vec<_> = known.collect();
    look(story, findings, |look, findings| look.after_a_death(&known, findings));
}

fn look<T>(
    story: &Story,
    findings: &mut Findings,
    at: impl FnOnce(&Look, &mut Findings) -> Result<T, store::Error>,
) -> Option<T> {
    // The records alone: rows would leave what is asleep out of the index.
    let store = story.outside.store.lock().without_rows();
    let looked = Live::fold(&store).and_then(|(live, _)| at(&Look::at(live, Arc::new(store)), findings));
    looked.map_err(|error| findings.found(Violation::wrong(Invariant::I5, format!("it cannot be read: {error}")))).ok()
}

/// Everything that can be checked at rest.
pub(super) async fn at_rest(story: &Story, system: &System) -> Findings {
    let mut findings = story.outside.findings.lock().clone();
    after_a_death(story, &mut findings);
    store(story, system, &mut findings);
    let told = look(story, &mut findings, Look::at_rest).unwrap_or_default();
    let entries = story.outside.entries.lock().clone();
    let mut submissions = Vec::new();
    for (number, work) in story.work.iter().enumerate() {
        let run = run_id(number).to_string();
        let found = row(system, number).await;
        let outcome = found.as_ref().and_then(|row| row.outcome.clone());
        if matches!(outcome, Some(Outcome::Succeeded(_))) && !work.may_succeed() {
            findings.found(Violation::wrong(Invariant::I8, format!("{} ended well, and should be late", work.name)));
        }
        let took_ms = found.as_ref().and_then(|row| Some(row.ended_at? - row.submitted_at)).unwrap_or(0);
        if work.name == "nap" && took_ms < NAP_MS {
            findings.found(Violation::wrong(Invariant::I8, format!("a nap of {NAP_MS} ms took {took_ms}")));
        }
        let acknowledged = story.acknowledged.get(&number);
        let again = story.actor_of(system, number).await;
        submissions.push(Submission {
            number: number as u64,
            acknowledged: acknowledged.map(|_| run.clone()),
            found: found.map(|_| run.clone()),
            again: (again.as_ref() == acknowledged).then_some(run),
            outcome,
            expected: work.expected(),
        });
    }
    let lives = entries.iter().map(|entry| entry.call.life).max().unwrap_or(1);
    let mut findings =
        oracle::check(&History { deaths: lives - 1, submissions, entries, told: told.clone(), findings });
    let added = look(story, &mut findings.clone(), |look, _| look.add_evidence(&told, &mut findings.violations));
    debug_assert!(added.is_some(), "what was read once can be read again");
    findings
}

fn store(story: &Story, system: &System, findings: &mut Findings) {
    let store = story.outside.store.lock().fork();
    let folded = Live::fold(&store.without_rows()).expect("what is durable can be folded").0;
    let mut wrong = |invariant, what: String| findings.found(Violation::wrong(invariant, what));
    if !folded.actors.is_empty() || !folded.calls.is_empty() {
        wrong(Invariant::I3, format!("these are left: {:#?} {:#?}", folded.actors, folded.calls));
    }
    let given_up: Vec<_> = folded.dead_letters().filter(|(_, letter)| !letter.reason.starts_with("late")).collect();
    if !given_up.is_empty() {
        wrong(Invariant::I2, format!("messages were given up: {given_up:#?}"));
    }
    let with_rows = Live::fold(&store).expect("rows and what came since can be folded").0;
    if sim::comparable(&with_rows) != sim::comparable(&folded) {
        wrong(Invariant::I12, "rows differ from the fold".to_owned());
    }
    for problem in system.scrubbed().problems {
        wrong(Invariant::I12, format!("the scrubber found: {problem}"));
    }
    if !story.needs_unsticker() && !system.unstuck().is_empty() {
        let what = format!("the unsticker acted where recovery alone should have sufficed: {:?}", system.unstuck());
        wrong(Invariant::Suite, what);
    }
}
