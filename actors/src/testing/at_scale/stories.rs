//! Small stories, each about one thing that must survive any death, told in more than one manner.

use std::time::Duration;

use serde_json::json;

use crate::{
    durable::Effect,
    plan::{InDoubt, PhaseBuilder, Plan, PlanBuilder, TaskBuilder},
    run::Outcome,
    testing::{Ending, Fake, World},
};

/// A world, and what must hold in it however it ends.
pub(super) struct Story {
    pub(super) world: World,
    pub(super) holds: Holds,
    /// More commits than it has in one life.
    pub(super) commits_max: u64,
}

const MINUTE: Duration = Duration::from_secs(60);
const NAP_MS: u64 = 90_000;

/// How a story is told.
const MANNERS: [&str; 4] = ["plain", "eager", "durable", "rows"];

type Make = fn(PlanBuilder) -> World;
type Holds = fn(&Ending);

/// All of them.
pub(super) fn all() -> Vec<Story> {
    let stories: [(&str, Make, Holds); 11] = [
        ("retry", retry, |ending| once(ending, "bank")),
        ("unknown", unknown, |ending| once(ending, "bank")),
        ("fallback", fallback, |ending| once(ending, "cash")),
        ("deadline", deadline, |ending| {
            is_late(ending);
            assert_eq!(ending.effects("books"), 0, "{}", ending.death);
        }),
        ("cancel", cancel, |ending| assert!(!is_failed(ending), "{}: {:?}", ending.death, ending.outcome)),
        ("fan", fan, |ending| {
            succeeded(ending);
            assert_eq!(ending.effects("bank"), 3, "{}", ending.death);
        }),
        ("sleep", sleep, |ending| {
            once(ending, "bank");
            assert!(ending.took_ms >= NAP_MS, "{}: it took {} ms", ending.death, ending.took_ms);
        }),
        ("optional", optional, |ending| once(ending, "bank")),
        ("verify", verify, |ending| {
            once(ending, "bank");
            assert_eq!(ending.acts("bank"), 1, "{}: a tool that honours no keys", ending.death);
        }),
        ("at-most-once", at_most_once, |ending| {
            assert!(ending.invocations("bank") <= 1, "{}", ending.death);
            // A person who looks into the books settles what is in doubt; what did not happen fails the run.
            assert_eq!(is_failed(ending), ending.effects("bank") == 0, "{}: {:?}", ending.death, ending.outcome);
        }),
        ("rule", rule, |ending| {
            assert!(!is_cancelled(ending), "{}: {:?}", ending.death, ending.outcome);
            assert_eq!(ending.decisions(), 0, "{}: a rule decides", ending.death);
        }),
    ];
    let told = |(name, make, holds): (&str, Make, Holds)| {
        MANNERS.map(|manner| {
            let world = in_manner(make(Plan::builder(format!("{name}-{manner}"))), manner);
            let commits_max = world.undisturbed().commits + 4;
            Story { world, holds, commits_max }
        })
    };
    stories.into_iter().flat_map(told).collect()
}

fn in_manner(world: World, manner: &str) -> World {
    match manner {
        "eager" => world.synced_eagerly(),
        "durable" => world.delivering_what_is_durable(),
        "rows" => world.synced_eagerly().checkpointed_every(2),
        _ => world,
    }
}

/// One task that charges.
fn charge(plan: PlanBuilder, bank: Fake, task: impl Fn(TaskBuilder) -> TaskBuilder) -> World {
    World::with_plan(plan.phase("only", |phase| phase.task("charge", "bank", task)).build()).tool("bank", bank)
}

fn retry(plan: PlanBuilder) -> World {
    charge(plan, Fake::fails(Effect::IDEMPOTENT, 2), |task| task.retry(4))
}

fn unknown(plan: PlanBuilder) -> World {
    charge(plan, Fake::loses_an_answer(Effect::IDEMPOTENT).then_fails(1), |task| task.retry(5))
}

fn fallback(plan: PlanBuilder) -> World {
    charge(plan, Fake::fails(Effect::IDEMPOTENT, u32::MAX), |task| task.retry(2).fallback("cash", |task| task))
        .tool("cash", Fake::loses_an_answer(Effect::IDEMPOTENT))
}

fn deadline(plan: PlanBuilder) -> World {
    let patient =
        |task: TaskBuilder| task.deadline(MINUTE).retry(100).backoff(MINUTE / 2).backoff_factor(1.0).jitter(0.0);
    let phase = |phase: PhaseBuilder| phase.sequential().task("charge", "bank", patient).task("note", "books", |it| it);
    World::with_plan(plan.phase("only", phase).build())
        .tool("bank", Fake::fails(Effect::IDEMPOTENT, u32::MAX))
        .tool("books", Fake::works(Effect::IDEMPOTENT))
}

fn cancel(plan: PlanBuilder) -> World {
    charge(plan, Fake::fails_once(Effect::IDEMPOTENT), |task| task.retry(3)).cancelled_after(5)
}

fn fan(plan: PlanBuilder) -> World {
    let fan = |phase: PhaseBuilder| phase.max_parallel(2).task("fan", "bank", |task| task.for_each(json!([1, 2, 3])));
    World::with_plan(plan.phase("only", fan).build()).tool("bank", Fake::works(Effect::IDEMPOTENT))
}

fn sleep(plan: PlanBuilder) -> World {
    let nap = |phase: PhaseBuilder| phase.sequential().task("nap", "sleep", |it| it).task("charge", "bank", |it| it);
    World::with_plan(plan.phase("only", nap).build())
        .tool("sleep", Fake::sleeps(NAP_MS))
        .tool("bank", Fake::works(Effect::IDEMPOTENT))
}

fn optional(plan: PlanBuilder) -> World {
    let tasks = |phase: PhaseBuilder| {
        phase.task("timid", "refuses", |task| task.retry(2).optional()).task("charge", "bank", |task| task)
    };
    World::with_plan(plan.phase("only", tasks).build())
        .tool("refuses", Fake::fails(Effect::IDEMPOTENT, u32::MAX))
        .tool("bank", Fake::works(Effect::IDEMPOTENT))
}

fn verify(plan: PlanBuilder) -> World {
    charge(plan, Fake::loses_an_answer(Effect::VERIFY), |task| task.retry(3))
}

fn at_most_once(plan: PlanBuilder) -> World {
    charge(plan, Fake::works(Effect::AtMostOnce), |task| task)
}

/// What is in doubt is called again by a rule, and nobody is asked.
fn rule(plan: PlanBuilder) -> World {
    charge(plan, Fake::loses_an_answer(Effect::AtMostOnce), |task| task.in_doubt(InDoubt::Repeat).retry(9))
}

#[track_caller]
fn succeeded(ending: &Ending) {
    assert!(matches!(ending.outcome, Outcome::Succeeded(_)), "{}: {:?}", ending.death, ending.outcome);
}

#[track_caller]
fn once(ending: &Ending, tool: &str) {
    succeeded(ending);
    assert_eq!(ending.effects(tool), 1, "{}", ending.death);
}

#[track_caller]
fn is_late(ending: &Ending) {
    let Outcome::Failed { failure, .. } = &ending.outcome else { panic!("{}: {:?}", ending.death, ending.outcome) };
    assert_eq!(failure.class, "deadline", "{}", ending.death);
}

fn is_failed(ending: &Ending) -> bool {
    matches!(ending.outcome, Outcome::Failed { .. })
}

fn is_cancelled(ending: &Ending) -> bool {
    matches!(ending.outcome, Outcome::Cancelled { .. })
}
