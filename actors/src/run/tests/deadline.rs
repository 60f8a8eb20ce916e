//! Tasks, phases and runs whose time is over, and which die around every commit of it.

use std::time::Duration;

use super::*;
use crate::plan::{InDoubt, PhaseBuilder, PlanBuilder, TaskBuilder};

const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MS: u64 = 60_000;

/// One task, in a phase, in a run, each of which may have a deadline.
fn story(
    bank: Fake,
    task: impl Fn(TaskBuilder) -> TaskBuilder,
    phase: impl Fn(PhaseBuilder) -> PhaseBuilder,
    run: impl Fn(PlanBuilder) -> PlanBuilder,
) -> Story {
    let plan = Plan::builder("late")
        .phase("only", |it| phase(it.sequential().task("charge", "bank", task).task("note", "books", |task| task)));
    Story::of(run(plan).build())
        .tool("bank", bank)
        .tool("books", Fake::works(Effect::IDEMPOTENT))
        .tool("cash", Fake::works(Effect::IDEMPOTENT))
}

fn of_task(bank: Fake, task: impl Fn(TaskBuilder) -> TaskBuilder) -> Story {
    story(bank, |it| task(it.deadline(MINUTE)), |phase| phase, |run| run)
}

/// Attempts twenty seconds apart.
fn patient(task: TaskBuilder) -> TaskBuilder {
    task.retry(100).backoff(MINUTE / 3).backoff_factor(1.0).jitter(0.0)
}

#[track_caller]
fn is_late(ending: &crate::testing::Ending, wanted: &str) {
    let Outcome::Failed { task, failure } = &ending.outcome else { panic!("{}: {:?}", ending.death, ending.outcome) };
    assert_eq!((&**task, &*failure.class), (wanted, "deadline"), "{}", ending.death);
    assert!(ending.took_ms <= MINUTE_MS, "{}: {} ms", ending.death, ending.took_ms);
}

/// Nothing that could end it sooner is left out.
#[track_caller]
fn is_late_by_the_clock(ending: &crate::testing::Ending, wanted: &str) {
    is_late(ending, wanted);
    assert_eq!(ending.took_ms, MINUTE_MS, "{}", ending.death);
}

#[test]
fn a_task_ends_at_its_deadline_whatever_it_still_has_to_try_wherever_the_process_dies() {
    let fails = || of_task(Fake::fails(Effect::IDEMPOTENT, 1_000), patient);
    let sleeps = || of_task(Fake::sleeps(2 * MINUTE_MS), |task| task);
    for story in [fails(), fails().synced_eagerly(), fails().checkpointed_every(1)] {
        for ending in story.dying_around_every_commit() {
            is_late(&ending, "only/charge");
            // What a former life may have called is a person's to decide.
            assert!(ending.took_ms < MINUTE_MS || ending.decisions() > 0, "{}: {} ms", ending.death, ending.took_ms);
            assert_eq!(ending.effects("books"), 0, "{}", ending.death);
        }
    }
    for story in [sleeps(), sleeps().checkpointed_every(1)] {
        for ending in story.dying_around_every_commit() {
            is_late_by_the_clock(&ending, "only/charge");
            assert_eq!(ending.effects("books"), 0, "{}", ending.death);
        }
    }
}

/// A wait that reached beyond the deadline was once waited for, up to the deadline.
#[test]
fn an_attempt_that_would_come_after_the_deadline_is_not_waited_for() {
    let slow = || Fake::fails(Effect::IDEMPOTENT, 1_000).asking_to_wait(2 * MINUTE_MS);
    let alone = || of_task(slow(), patient);
    for ending in [alone(), alone().checkpointed_every(1)].iter().flat_map(Story::dying_around_every_commit) {
        is_late(&ending, "only/charge");
        assert!(ending.took_ms == 0 || ending.decisions() > 0, "{}: {} ms", ending.death, ending.took_ms);
    }
    let replaced = || of_task(slow(), |task| patient(task).fallback("cash", |cash| cash));
    for ending in [replaced(), replaced().checkpointed_every(1)].iter().flat_map(Story::dying_around_every_commit) {
        if ending.decisions() > 0 {
            // The person came after the deadline.
            is_late(&ending, "only/charge");
        } else {
            assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!((ending.took_ms, ending.effects("cash")), (0, 1), "{}", ending.death);
        }
    }
}

#[test]
fn what_a_tool_asks_to_wait_is_waited_wherever_the_process_dies() {
    let refusals = 3;
    let busy = Fake::fails(Effect::IDEMPOTENT, refusals).asking_to_wait(MINUTE_MS);
    let story = || story(busy.clone(), |task| task.retry(10), |phase| phase, |run| run);
    assert_eq!(story().undisturbed().took_ms, u64::from(refusals) * MINUTE_MS);
    for story in [story(), story().synced_eagerly(), story().checkpointed_every(1)] {
        for ending in story.dying_around_every_commit() {
            assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!(ending.effects("bank"), 1, "{}", ending.death);
            // The refusal that a crash took along was heard by nobody.
            assert!(ending.took_ms >= u64::from(refusals - 1) * MINUTE_MS, "{}: {}", ending.death, ending.took_ms);
            assert!(ending.invocations("bank") <= refusals + 2, "{}", ending.death);
        }
    }
}

#[test]
fn a_deadline_that_is_not_reached_changes_nothing() {
    for ending in of_task(Fake::fails(Effect::IDEMPOTENT, 2), patient).dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        // A crash may take a refusal along, and then the next attempt comes sooner.
        assert!(ending.effects("bank") == 1 && ending.took_ms <= 2 * MINUTE_MS / 3, "{}", ending.death);
    }
}

#[test]
fn no_fallback_is_called_after_the_deadline() {
    let task = |task: TaskBuilder| task.fallback("cash", |cash| cash);
    for ending in of_task(Fake::sleeps(2 * MINUTE_MS), task).dying_around_every_commit() {
        is_late_by_the_clock(&ending, "only/charge");
        assert_eq!(ending.invocations("cash"), 0, "{}", ending.death);
    }
}

/// The time of a fallback is that of its task.
#[test]
fn a_deadline_counts_the_fallbacks_too() {
    let task = |task: TaskBuilder| task.fallback("sleep", |sleep| sleep);
    let story = of_task(Fake::fails(Effect::IDEMPOTENT, 1_000), task).tool("sleep", Fake::sleeps(2 * MINUTE_MS));
    for ending in story.dying_around_every_commit() {
        is_late(&ending, "only/charge");
    }
}

/// The attempts of an idempotent tool whose outcome is unknown are repeated until the deadline; then its rule decides.
#[test]
fn what_is_unknown_at_the_deadline_follows_its_guarantee() {
    let late = |rule| of_task(Fake::loses_answers(Effect::IDEMPOTENT, 1_000), move |task| patient(task).in_doubt(rule));
    for ending in late(InDoubt::Hold).dying_around_every_commit() {
        // A person looked into the books, and what was done is done.
        assert!(succeeded(&ending.outcome) && ending.decisions() > 0, "{}: {:?}", ending.death, ending.outcome);
        assert_eq!((ending.effects("bank"), ending.effects("books")), (1, 1), "{}", ending.death);
    }
    for ending in late(InDoubt::Fail).dying_around_every_commit() {
        is_late(&ending, "only/charge");
        assert_eq!(ending.decisions(), 0, "{}", ending.death);
    }
    let once = of_task(Fake::loses_answers(Effect::AtMostOnce, 1), |task| patient(task).in_doubt(InDoubt::Repeat));
    assert!(succeeded(&once.undisturbed().outcome));
}

#[test]
fn an_optional_task_that_is_late_leaves_its_phase_standing() {
    let story = of_task(Fake::fails(Effect::IDEMPOTENT, 1_000), |task| patient(task).optional());
    for ending in story.dying_around_every_commit() {
        assert!(succeeded(&ending.outcome), "{}: {:?}", ending.death, ending.outcome);
        assert_eq!((ending.effects("bank"), ending.effects("books")), (0, 1), "{}", ending.death);
    }
}

#[test]
fn a_phase_ends_at_its_deadline_with_everything_in_it_wherever_the_process_dies() {
    let fails = || {
        let bank = Fake::fails(Effect::IDEMPOTENT, 1_000);
        story(bank, |task| patient(task).optional(), |phase| phase.deadline(MINUTE), |run| run)
    };
    for story in [fails(), fails().synced_eagerly(), fails().checkpointed_every(1)] {
        for ending in story.dying_around_every_commit() {
            is_late_by_the_clock(&ending, "only/charge");
            assert_eq!(ending.effects("books"), 0, "{}", ending.death);
        }
    }
}

#[test]
fn a_run_ends_at_its_deadline_with_everything_in_it_wherever_the_process_dies() {
    let fails = || {
        let bank = Fake::fails(Effect::IDEMPOTENT, 1_000);
        story(bank, |task| patient(task).optional(), |phase| phase, |run| run.deadline(MINUTE))
    };
    for story in [fails(), fails().synced_eagerly(), fails().checkpointed_every(1)] {
        for ending in story.dying_around_every_commit() {
            is_late_by_the_clock(&ending, "run");
            assert_eq!(ending.effects("books"), 0, "{}", ending.death);
        }
    }
}

#[test]
fn a_run_whose_call_is_in_doubt_at_its_deadline_waits_for_the_decision() {
    for effect in [Effect::AtMostOnce, Effect::VERIFY] {
        let bank = Fake::loses_answers(effect, 1_000).with_blind_probes(1_000);
        let story = story(bank, |task| task, |phase| phase, |run| run.deadline(MINUTE));
        for ending in story.dying_around_every_commit() {
            is_late_by_the_clock(&ending, "run");
            assert!(ending.invocations("bank") <= 1, "{}", ending.death);
            assert_eq!(ending.effects("books"), 0, "nothing more is started: {}", ending.death);
        }
    }
}

#[test]
fn a_cancel_that_comes_before_the_deadline_ends_the_run_as_cancelled() {
    for cancel_after in 2..8 {
        let bank = Fake::sleeps(2 * MINUTE_MS);
        let story =
            story(bank, |task| task.deadline(MINUTE), |phase| phase.deadline(MINUTE), |run| run.deadline(MINUTE));
        for ending in story.cancelled_after(cancel_after).synced_eagerly().dying_around_every_commit() {
            let is_cancelled = matches!(ending.outcome, Outcome::Cancelled { .. });
            assert_eq!(is_cancelled, ending.took_ms < MINUTE_MS, "{}: {:?}", ending.death, ending.outcome);
        }
    }
}
