//! Any message in any state that messages can lead to: of runs, phases and tasks.
//!
//! A machine hears what a sequence of numbers draws: messages that fit where it stands (its own calls and children are
//! answered), and messages that do not. After each one: it did not panic, its live state is the fold of the events that it
//! emitted, each event is written again as it was read, and what it refused left no trace.

mod machine;
mod words;

use proptest::prelude::*;
use serde_json::json;

use self::{
    machine::Machine,
    words::{Scene, phase_hears, run_hears, task_hears},
};
use crate::{
    clock::monotonic,
    durable::Body,
    phase::Phase,
    replay::{Seeds, holds},
    run::Run,
    task::Task,
    testing::{Scale, dice::Dice, note},
};

/// Messages in one life of a machine.
const MESSAGES: std::ops::Range<usize> = 1..40;

type Make = fn() -> Machine;
type Hears = fn(&Scene, &Machine, &mut Dice) -> Body;

#[test]
fn no_message_in_any_state_breaks_a_run_a_phase_or_a_task() {
    let (scene, began, cases) = (Scene::new(), monotonic(), Scale::chosen().pick(600, 6_000, 600_000));
    let mut told = Vec::new();
    let machines: [(&str, Make, Hears); 3] = [
        ("run", Machine::of::<Run>, run_hears),
        ("phase", Machine::of::<Phase>, phase_hears),
        ("task", Machine::of::<Task>, task_hears),
    ];
    for (name, make, hears) in machines {
        let seeds = Seeds::of(
            env!("CARGO_PKG_NAME"),
            module_path!(),
            "no_message_in_any_state_breaks_a_run_a_phase_or_a_task",
            cases,
        );
        let is_replay = seeds.is_replay();
        let (taken, refused, emitted) = all(&scene, seeds, make, hears);
        if is_replay {
            continue;
        }
        assert!(taken > 0 && refused > 0 && emitted > 0, "{name}: {taken} taken, {refused} refused, {emitted} events");
        told.push((name, json!({ "taken": taken, "refused": refused, "events": emitted })));
    }
    told.push(("sequences of each", json!(cases)));
    told.push(("seconds", json!(began.elapsed().as_secs())));
    note("state machines", &told);
}

/// Tell a sequence for each seed; says how many messages were taken, how many refused, and how many events were emitted.
fn all(scene: &Scene, seeds: Seeds, make: Make, hears: Hears) -> (u64, u64, u64) {
    let sum = std::cell::Cell::new((0, 0, 0));
    let words = proptest::collection::vec(any::<u64>(), MESSAGES);
    holds(seeds, &words, |words| {
        let mut machine = make();
        for word in words {
            let body = hears(scene, &machine, &mut Dice::of(word, 3));
            machine.hears(&body, &scene.extensions)?;
            if machine.has_stopped {
                break;
            }
        }
        let (taken, refused, emitted) = sum.get();
        sum.set((taken + machine.taken, refused + machine.refused, emitted + machine.events.len() as u64));
        Ok(())
    });
    sum.get()
}
