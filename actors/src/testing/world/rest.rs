//! What must be true when a story has come to rest.

use std::sync::Arc;

use super::World;
use crate::durable::{
    CallId, Effect, Ledger, Live, Reason, sim,
    store::{Memory, Store},
};

/// I6: no call without an earlier durable intent.
pub(super) fn intent_is_durable(store: &Memory, call: CallId) {
    let (live, _) = Live::fold(&store.fork()).expect("what is durable can be folded");
    assert!(live.calls.contains_key(&call), "{call} was made before its intent was durable");
}

/// I13: wherever an actor stands, it waits for something whose loss has a class. While all goes well nobody is named but
/// who waits for a person.
pub(super) fn nobody_is_stuck(world: &World) {
    let mut named = world.stuck();
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

/// Check every invariant that can be checked at rest.
///
/// # Panics
/// If one is broken; the death that led there is named.
pub(super) fn at_rest(world: &World, death: &str) {
    let live = world.live_now();
    if world.outcome().is_none() {
        // What is not in memory matters as much.
        let stored = Live::fold(&world.store().fork()).map(|(live, _)| live);
        panic!("I1: the run did not end ({death}): {:#?}, and of what is stored {stored:#?}", live.actors);
    }
    assert!(live.actors.is_empty(), "I3: actors are left ({death}): {:#?}", live.actors);
    assert!(live.calls.is_empty(), "I4: calls are left ({death}): {:#?}", live.calls);
    // A stop may cross the end of the one it is for; that it comes late is how it should be.
    let given_up: Vec<_> = live.dead_letters().filter(|(_, letter)| !letter.reason.starts_with("late")).collect();
    assert!(given_up.is_empty(), "I2: messages were given up ({death}): {given_up:#?}");
    let (folded, _) = Live::fold(&world.store().without_rows()).expect("what is durable can be folded");
    if !world.keeps_rows() {
        assert_eq!(sim::comparable(&folded), sim::comparable(live), "I12: memory differs from the fold ({death})");
    }
    let (with_rows, _) = Live::fold(&world.store().fork()).expect("rows and what came since can be folded");
    assert_eq!(sim::comparable(&with_rows), sim::comparable(&folded), "I12: rows differ from the fold ({death})");
    chains_verify(world, death);
    for (name, acted) in world.tools() {
        for (key, invoked) in &acted.invoked {
            let unknown = acted.lost.get(key).copied().unwrap_or(0);
            let effect = acted.fake.effect;
            // A refusal says nothing about an attempt before it of which nobody knows, and so the key stays.
            let is_unsure = unknown > 0 || world.crashes() > 0;
            let refused = if is_unsure { acted.refused.get(key).copied().unwrap_or(0) } else { 0 };
            let most = match effect {
                // A rule of the plan may repeat what is in doubt.
                Effect::AtMostOnce => 1 + if world.repeats_doubts() { unknown + refused } else { 0 },
                Effect::Idempotent { .. } | Effect::Verify { .. } => 1 + world.crashes() + unknown + refused,
            };
            assert!(*invoked <= most, "I4: {name} was called {invoked} times with one key, {most} allowed ({death})");
            let acted = acted.acted.get(key).copied().unwrap_or(0);
            let is_verified = matches!(effect, Effect::Verify { .. }) && !world.repeats_doubts();
            assert!(
                !is_verified || acted <= 1,
                "I4: {name}, which is probed, acted {acted} times with one key ({death})"
            );
        }
    }
}

fn chains_verify(world: &World, death: &str) {
    let store: Arc<dyn Store> = Arc::new(world.store().fork());
    store.recover(&mut |_, _| Ok(())).expect("what is durable can be read");
    let verified = Ledger::new(store, world.registry().clone()).verify().expect("the ledger can be read");
    assert_eq!(verified.problems, Vec::<String>::new(), "I7: the chain does not verify ({death})");
}
