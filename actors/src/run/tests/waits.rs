//! Every state in which an actor of a run may wait has a class of the unsticker.
//!
//! The matches here have no wildcard: a new state does not compile until it says what it waits for. That an actor in that
//! state really waits for it is checked by the oracle, at every step of every undisturbed story.

use super::*;
use crate::{
    durable::{CallId, Reason},
    phase, run, task,
};

const CALL: [Reason; 4] = [Reason::LostCall, Reason::NoTool, Reason::MissingCall, Reason::LostHeartbeat];

/// What tells when a task waits in vain.
fn of_task(status: task::Status) -> Vec<Reason> {
    match status {
        task::Status::New => vec![Reason::LostDoorbell],
        // With a deadline, for that timer too.
        task::Status::Calling(_) => [&CALL[..], &[Reason::OverdueTimer]].concat(),
        task::Status::Backoff | task::Status::Sleeping { .. } => vec![Reason::OverdueTimer],
        task::Status::Doubt(_) => vec![Reason::InDoubt, Reason::OverdueTimer],
        task::Status::Ended => Vec::new(),
    }
}

/// The same of a phase: it waits for its tasks, for its own calls, and for its deadline.
fn of_phase(status: phase::Status) -> Vec<Reason> {
    match status {
        phase::Status::New => vec![Reason::LostDoorbell],
        phase::Status::Running | phase::Status::Stopping => {
            [&CALL[..], &[Reason::MissingChild, Reason::OverdueTimer]].concat()
        }
        phase::Status::Ended => Vec::new(),
    }
}

/// The same of a run.
fn of_run(status: run::Status) -> Vec<Reason> {
    match status {
        run::Status::New => vec![Reason::LostDoorbell],
        run::Status::Running | run::Status::Stopping => vec![Reason::MissingChild, Reason::OverdueTimer],
        run::Status::Ended => Vec::new(),
    }
}

#[test]
fn every_state_in_which_a_run_its_phases_and_its_tasks_may_wait_has_its_class() {
    let call = CallId(1);
    let sleeping = task::Status::Sleeping { from_ms: 1, until_ms: 2 };
    let tasks =
        [task::Status::New, task::Status::Calling(call), task::Status::Backoff, task::Status::Doubt(call), sleeping];
    let phases = [phase::Status::New, phase::Status::Running, phase::Status::Stopping];
    let runs = [run::Status::New, run::Status::Running, run::Status::Stopping];
    let classes = tasks.map(of_task).into_iter().chain(phases.map(of_phase)).chain(runs.map(of_run));
    for classes in classes {
        assert!(!classes.is_empty(), "it waits, and nobody would notice that it does so in vain");
        for reason in classes {
            let is_decided = matches!(reason, Reason::InDoubt | Reason::NoTool);
            assert!(reason.is_cured() || is_decided, "{reason:?} is neither cured nor for a person to decide");
        }
    }
}

#[test]
fn nobody_is_accused_while_tasks_call_sleep_back_off_and_wait_for_a_decision() {
    let nap = Plan::builder("nap").phase("only", |phase| phase.task("nap", "sleep", |task| task));
    assert_eq!(World::with_plan(nap.build()).tool("sleep", Fake::sleeps(90_000)).undisturbed().decisions(), 0);
    let story = story(Effect::AtMostOnce).tool("bank", Fake::loses_an_answer(Effect::AtMostOnce));
    assert!(story.undisturbed().decisions() > 0, "a person was waited for, too");
}
