//! Tasks that sleep, and die around every commit of it.

use std::time::Duration;

use crate::{
    durable::Effect,
    plan::{Plan, TaskBuilder},
    run::Outcome,
    testing::{Fake, World},
};

const NAP_MS: u64 = 90_000;

/// A nap, and then a charge.
fn story(nap: impl FnOnce(TaskBuilder) -> TaskBuilder) -> World {
    let plan = Plan::builder("nap")
        .phase("only", |phase| phase.sequential().task("nap", "sleep", nap).task("charge", "bank", |task| task));
    World::with_plan(plan.build()).tool("sleep", Fake::sleeps(NAP_MS)).tool("bank", Fake::works(Effect::IDEMPOTENT))
}

#[test]
fn a_sleep_ends_once_and_on_time_wherever_the_process_dies() {
    let plain = || story(|task| task);
    for story in [plain(), plain().synced_eagerly(), plain().checkpointed_every(1), plain().checkpointed_every(3)] {
        for ending in story.dying_around_every_commit() {
            assert!(matches!(ending.outcome, Outcome::Succeeded(_)), "{}: {:?}", ending.death, ending.outcome);
            // Begun again it would last longer; fired early, less.
            assert_eq!(ending.lasted_ms, NAP_MS, "{}", ending.death);
            assert_eq!((ending.invocations("sleep"), ending.effects("bank")), (0, 1), "{}", ending.death);
        }
    }
}

#[test]
fn a_sleep_leaves_memory_meanwhile() {
    assert!(story(|task| task).checkpointed_every(1).undisturbed().evicted > 0);
}

#[test]
fn a_cancel_ends_a_sleep_at_once_wherever_the_process_dies() {
    let mut cut_short = 0;
    for cancel_after in 1..8 {
        for ending in story(|task| task).cancelled_after(cancel_after).dying_around_every_commit() {
            assert!(!matches!(ending.outcome, Outcome::Failed { .. }), "{}: {:?}", ending.death, ending.outcome);
            assert!(ending.lasted_ms == 0 || ending.lasted_ms == NAP_MS, "{}: {}", ending.death, ending.lasted_ms);
            cut_short += u32::from(matches!(ending.outcome, Outcome::Cancelled { .. }) && ending.lasted_ms == 0);
        }
    }
    assert!(cut_short > 0, "some of these cancels come while the task sleeps");
}

#[test]
fn a_sleep_that_is_longer_than_its_time_limit_fails_when_that_is_over() {
    for ending in story(|task| task.timeout(Duration::from_secs(60))).dying_around_every_commit() {
        let Outcome::Failed { failure, .. } = &ending.outcome else { panic!("{}: {:?}", ending.death, ending.outcome) };
        assert_eq!((failure.class.as_str(), ending.lasted_ms), ("timeout", 60_000), "{}", ending.death);
    }
}

#[test]
fn a_sleep_may_be_longer_than_the_time_limit_that_nobody_chose() {
    let plan = Plan::builder("long").phase("only", |phase| phase.task("nap", "sleep", |task| task));
    let week_ms = 7 * 24 * 60 * 60 * 1_000;
    let ending = World::with_plan(plan.build()).tool("sleep", Fake::sleeps(week_ms)).undisturbed();
    assert!(matches!(ending.outcome, Outcome::Succeeded(_)));
    assert_eq!(ending.lasted_ms, week_ms);
}
