//! What must be true when a telling has come to rest.

use super::{
    plans::NAP_MS,
    telling::{Story, row, run_id},
};
use crate::durable::{Effect, Live, System, sim};

/// Check it; what is broken is written down, because a telling is told to its end.
pub(super) async fn at_rest(story: &Story, system: &System) {
    let mut broken = Vec::new();
    runs(story, system, &mut broken).await;
    store(story, system, &mut broken);
    tools(story, &mut broken);
    if !story.needs_unsticker() && !system.unstuck().is_empty() {
        broken.push(format!("the unsticker acted where recovery alone should have sufficed: {:?}", system.unstuck()));
    }
    story.outside.broken.lock().extend(broken);
}

async fn runs(story: &Story, system: &System, broken: &mut Vec<String>) {
    for (number, work) in story.work.iter().enumerate() {
        let Some(row) = row(system, number).await else {
            broken.push(format!("I5: {} was acknowledged and is gone", work.name));
            continue;
        };
        let Some(outcome) = &row.outcome else {
            broken.push(format!("I1: {} did not end", work.name));
            continue;
        };
        let effects = |tool| story.outside.effects(tool, &run_id(number).to_string());
        if !(work.may_end)(outcome, effects("bank") == 1) {
            broken.push(format!("{} ended as {outcome:?}, with {} charges", work.name, effects("bank")));
        }
        if matches!(outcome, crate::run::Outcome::Succeeded(_)) {
            let wrong = work.effects.iter().filter(|(tool, wanted)| effects(*tool) != *wanted);
            broken.extend(wrong.map(|(tool, wanted)| {
                format!("I4: {} had {} effects in {tool} instead of {wanted}", work.name, effects(*tool))
            }));
        }
        let took_ms = row.ended_at.unwrap_or(0).saturating_sub(row.submitted_at);
        if work.name == "nap" && took_ms < NAP_MS {
            broken.push(format!("I8: a nap of {NAP_MS} ms took {took_ms}"));
        }
    }
}

fn store(story: &Story, system: &System, broken: &mut Vec<String>) {
    let store = story.outside.store.lock().fork();
    let folded = Live::fold(&store.without_rows()).expect("what is durable can be folded").0;
    if !folded.actors.is_empty() || !folded.calls.is_empty() {
        broken.push(format!("I3: these are left: {:#?} {:#?}", folded.actors, folded.calls));
    }
    let given_up: Vec<_> = folded.dead_letters().filter(|(_, letter)| !letter.reason.starts_with("late")).collect();
    if !given_up.is_empty() {
        broken.push(format!("I2: messages were given up: {given_up:#?}"));
    }
    let with_rows = Live::fold(&store).expect("rows and what came since can be folded").0;
    if sim::comparable(&with_rows) != sim::comparable(&folded) {
        broken.push("I12: rows differ from the fold".to_owned());
    }
    let scrubbed = system.scrubbed();
    broken.extend(scrubbed.problems.iter().map(|problem| format!("I12: the scrubber found: {problem}")));
    match system.ledger().verify() {
        Ok(verified) => broken.extend(verified.problems.iter().map(|problem| format!("I7: {problem}"))),
        Err(error) => broken.push(format!("I7: the ledger cannot be read: {error}")),
    }
}

fn tools(story: &Story, broken: &mut Vec<String>) {
    let deaths = story.deaths();
    for (name, acted) in story.outside.books() {
        for (key, invoked) in &acted.invoked {
            let unknown = acted.lost.get(key).copied().unwrap_or(0);
            let is_unsure = unknown > 0 || deaths > 0;
            let refused = if is_unsure { acted.refused.get(key).copied().unwrap_or(0) } else { 0 };
            let most = match acted.fake.effect {
                Effect::AtMostOnce => 1,
                Effect::Idempotent { .. } | Effect::Verify { .. } => 1 + deaths + unknown + refused,
            };
            if *invoked > most {
                broken.push(format!("I4: {name} was called {invoked} times with one key, {most} allowed"));
            }
            let times = acted.acted.get(key).copied().unwrap_or(0);
            if matches!(acted.fake.effect, Effect::Verify { .. } | Effect::AtMostOnce) && times > 1 {
                broken.push(format!("I4: {name} acted {times} times with one key"));
            }
        }
    }
}
