//! What must be true at a death and when a story has come to rest: the oracle's invariants, and what only a simulation can
//! see.

use std::sync::Arc;

use super::Simulation;
use crate::{
    durable::{CallId, Live, Reason, sim, store::Memory},
    testing::oracle,
};

/// I6: no call without an earlier durable intent.
pub(super) fn intent_is_durable(store: &Memory, call: CallId) {
    let (live, _) = Live::fold(&store.fork()).expect("what is durable can be folded");
    assert!(live.calls.contains_key(&call), "{call} was made before its intent was durable");
}

/// I13: wherever an actor stands, it waits for something whose loss has a class. While all goes well nobody is named but
/// who waits for a person.
pub(super) fn nobody_is_stuck(simulation: &Simulation) {
    // What the unsticker would name, with a tool for every call and nothing lost.
    let mut named = simulation.life.accepted.live().waiting(&simulation.registry);
    named.retain(|waiting| waiting.reason != Reason::InDoubt);
    assert!(named.is_empty(), "I13: they are accused, and all is well: {named:#?}");
}

/// I12, while the story goes on: a scrubber that looks now finds nothing wrong with the rows.
pub(super) fn rows_are_as_the_records_say(store: &Memory) {
    let mut round = sim::Round::new(Arc::new(store.fork()));
    loop {
        match round.step().expect("rows and records can be read") {
            sim::Step::More => {}
            sim::Step::Done => break,
            step => panic!("a store in memory keeps all records: {step:?}"),
        }
    }
    assert_eq!(round.wrong(), Vec::<String>::new(), "I12: rows differ from the records");
}

/// A process has died, and nobody has recovered yet.
pub(super) fn after_a_death(simulation: &mut Simulation) {
    let (look, known) = (simulation.look(), simulation.client.known());
    look.after_a_death(&known, &mut simulation.findings).expect("what is stored can be read");
    simulation.client.submits_again();
}

/// Check every invariant that can be checked at rest.
///
/// # Panics
/// If one is broken; the death that led there is named.
pub(super) fn at_rest(simulation: &mut Simulation, death: &str) {
    nothing_is_left(simulation, death);
    let told = {
        let look = simulation.look();
        look.after_a_death(&simulation.client.known(), &mut simulation.findings).expect("what is stored can be read");
        look.at_rest(&mut simulation.findings).expect("what is stored can be read")
    };
    let findings = oracle::check(&simulation.history(told));
    assert!(findings.hold(), "{death}:\n{findings}");
    simulation.findings = findings;
    is_the_fold_of_what_is_stored(simulation, death);
    verified_calls_act_once(simulation, death);
}

fn nothing_is_left(simulation: &Simulation, death: &str) {
    let live = simulation.life.accepted.live();
    if simulation.outcome().is_none() {
        // What is not in memory matters as much.
        let stored = Live::fold(&simulation.store.fork()).map(|(live, _)| live);
        panic!("I1: the run did not end ({death}): {:#?}, and of what is stored {stored:#?}", live.actors);
    }
    assert!(live.actors.is_empty(), "I3: actors are left ({death}): {:#?}", live.actors);
    assert!(live.calls.is_empty(), "I4: calls are left ({death}): {:#?}", live.calls);
    // A stop may cross the end of the one it is for; that it comes late is how it should be.
    let given_up: Vec<_> = live.dead_letters().filter(|(_, letter)| !letter.reason.starts_with("late")).collect();
    assert!(given_up.is_empty(), "I2: messages were given up ({death}): {given_up:#?}");
}

/// I12: memory, and rows with the records since, are what all records give.
fn is_the_fold_of_what_is_stored(simulation: &Simulation, death: &str) {
    let live = simulation.life.accepted.live();
    let (folded, _) = Live::fold(&simulation.store.without_rows()).expect("what is durable can be folded");
    if simulation.manner.checkpoints.is_none() {
        assert_eq!(sim::comparable(&folded), sim::comparable(live), "I12: memory differs from the fold ({death})");
        return;
    }
    let (with_rows, _) = Live::fold(&simulation.store.fork()).expect("rows and what came since can be folded");
    assert_eq!(sim::comparable(&with_rows), sim::comparable(&folded), "I12: rows differ from the fold ({death})");
}

/// I4: with a probe, even a tool that honours no keys acts once.
fn verified_calls_act_once(simulation: &Simulation, death: &str) {
    if simulation.repeats_doubts() {
        return;
    }
    for (name, tool) in &simulation.tools {
        let is_verified = matches!(tool.fake.effect, crate::durable::Effect::Verify { .. });
        for acted in tool.acted.values().filter(|_| is_verified) {
            assert!(*acted <= 1, "I4: {name}, which is probed, acted {acted} times with one key ({death})");
        }
    }
}
