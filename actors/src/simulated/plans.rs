//! What is run in every telling, and how it may end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    durable::Effect,
    plan::{Checked, Plan, PlanBuilder, TaskBuilder},
    run::Outcome,
    testing::{Fake, story::NoTemplates},
};

pub(super) const NAP_MS: u64 = 90_000;
const LATE: Duration = Duration::from_secs(60);

/// One run.
pub(super) struct Work {
    pub(super) name: &'static str,
    pub(super) plan: Arc<Checked>,
    /// When it is submitted, after the dawn.
    pub(super) at_ms: u64,
    /// When it is cancelled, after that.
    pub(super) cancelled_after_ms: Option<u64>,
    /// Where it has its effects, and how often when it ends well.
    pub(super) effects: &'static [(&'static str, usize)],
    /// Whether it may end like this, where its call that may be made once had its effect, or had not.
    pub(super) may_end: fn(&Outcome, bool) -> bool,
}

fn succeeded(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Succeeded(_))
}

/// The tools of all runs.
pub(super) fn tools() -> BTreeMap<&'static str, Fake> {
    BTreeMap::from([
        ("books", Fake::works(Effect::IDEMPOTENT)),
        ("flaky", Fake::fails_once(Effect::IDEMPOTENT)),
        ("lossy", Fake::loses_answers(Effect::IDEMPOTENT, 2)),
        ("bank", Fake::works(Effect::AtMostOnce)),
        ("mint", Fake::loses_answers(Effect::VERIFY, 2).with_blind_probes(2)),
        ("refuses", Fake::fails(Effect::IDEMPOTENT, u32::MAX)),
        ("doze", Fake::sleeps(20_000)),
        ("sleep", Fake::sleeps(NAP_MS)),
        ("dream", Fake::sleeps(NAP_MS * 4)),
    ])
}

/// As often as it takes, with a limit for each attempt that a hang may exceed.
fn patient(task: TaskBuilder) -> TaskBuilder {
    task.retry(100).backoff(Duration::from_millis(200)).backoff_factor(1.0).timeout(Duration::from_secs(20))
}

fn once(task: TaskBuilder) -> TaskBuilder {
    task.timeout(Duration::from_secs(20))
}

/// All runs; when they begin and when one is cancelled is drawn.
pub(super) fn work(draw: impl Fn(u64) -> u64) -> Vec<Work> {
    let fan = |task: TaskBuilder| patient(task.for_each(json!([1, 2, 3])));
    let crash = Plan::builder("crash")
        .phase("first", |phase| {
            phase.max_parallel(2).task("fan", "books", fan).task("flaky", "flaky", patient)
        })
        .phase("second", |phase| phase.sequential().task("charge", "bank", once).task("note", "books", patient));
    let lossy = Plan::builder("lossy").phase("only", |phase| phase.task("send", "lossy", patient));
    let mint = Plan::builder("mint").phase("only", |phase| phase.task("coin", "mint", patient));
    let nap = Plan::builder("nap")
        .phase("only", |phase| phase.sequential().task("nap", "sleep", |task| task).task("note", "books", patient));
    let falls = |task: TaskBuilder| task.retry(2).fallback("lossy", patient);
    let fallback = Plan::builder("fallback").phase("only", |phase| phase.task("try", "refuses", falls));
    let cancelled = Plan::builder("cancelled").phase("only", |phase| phase.task("dream", "dream", |task| task));
    let late = Plan::builder("late").phase("only", |phase| phase.task("dream", "dream", |task| task.deadline(LATE)));
    let work = |name, plan: PlanBuilder, effects, may_end| Work {
        name,
        plan: plan.check(&NoTemplates).unwrap_or_else(|problems| panic!("{name}: {problems:?}")),
        at_ms: 0,
        cancelled_after_ms: None,
        effects,
        may_end,
    };
    // Whoever waits leaves memory, and its parents with it: waking brings all of them back.
    let doze = |name| {
        let plan = Plan::builder(name).phase("only", |phase| {
            let phase = phase.sequential().task("doze", "doze", |task| task).task("note", "books", patient);
            phase.task("again", "doze", |task| task).task("send", "lossy", patient)
        });
        work(name, plan, &[("books", 1), ("lossy", 1)], |outcome, _| succeeded(outcome))
    };
    let mut all = vec![
        work("crash", crash, &[("books", 4), ("flaky", 1), ("bank", 1)], |outcome, charged| {
            succeeded(outcome) == charged && matches!(outcome, Outcome::Succeeded(_) | Outcome::Failed { .. })
        }),
        work("lossy", lossy, &[("lossy", 1)], |outcome, _| succeeded(outcome)),
        work("mint", mint, &[("mint", 1)], |outcome, _| succeeded(outcome)),
        work("nap", nap, &[("books", 1)], |outcome, _| succeeded(outcome)),
        work("fallback", fallback, &[("lossy", 1)], |outcome, _| succeeded(outcome)),
        work("cancelled", cancelled, &[], |outcome, _| {
            matches!(outcome, Outcome::Succeeded(_) | Outcome::Cancelled { .. })
        }),
        work("late", late, &[], |outcome, _| {
            matches!(outcome, Outcome::Failed { failure, .. } if failure.class == "deadline")
        }),
    ];
    all.extend(["doze", "snooze", "slumber"].map(doze));
    for (number, work) in all.iter_mut().enumerate() {
        work.at_ms = draw(number as u64) % 20_000;
    }
    all[5].cancelled_after_ms = Some(draw(100) % 60_000);
    all
}
