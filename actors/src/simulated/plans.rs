//! What is run in every telling, and how it may end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    durable::Effect,
    plan::{Checked, Plan, PlanBuilder, TaskBuilder},
    run::RunId,
    testing::{
        Fake,
        oracle::{Expected, Rule},
        world::NoTemplates,
    },
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
    /// What happens in it.
    pub(super) labels: Labels,
    /// How it ends.
    pub(super) end: End,
}

/// What happens under each label, without the run's name.
type Labels = &'static [(&'static str, Rule)];

/// How a run may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Well, whatever happens.
    Well,
    /// Well if its call that may be made once had its effect, and otherwise not.
    AsCharged,
    /// Cancelled, unless that came too late.
    Cancelled,
    /// Too late.
    Late,
}

impl Work {
    pub(super) fn expected(&self) -> Expected {
        let label = |(label, rule): &(&str, Rule)| (format!("{}/{label}", self.name), *rule);
        let failures = match self.end {
            End::Well | End::Cancelled => Vec::new(),
            End::AsCharged => vec!["decided".to_owned()],
            End::Late => vec!["deadline".to_owned()],
        };
        Expected {
            prefix: self.name.to_owned(),
            labels: self.labels.iter().map(label).collect(),
            failures: Some(failures),
            failures_are_certain: true,
            may_be_cancelled: self.end == End::Cancelled,
        }
    }

    /// Whether it may have ended well.
    pub(super) fn may_succeed(&self) -> bool {
        self.end != End::Late
    }
}

/// What happens on a path, by the name of its run: `NAME/PHASE/TASK/ITEM`.
pub(super) fn label(path: &str) -> String {
    let (run, rest) = path.split_once('/').unwrap_or((path, ""));
    let number = (0..NAMES.len()).find(|number| run_id(*number).to_string() == run);
    let name = number.map_or(run, |number| NAMES[number]);
    format!("{name}/{}", rest.replace('[', "/").replace(']', ""))
}

const CRASH: [(&str, Rule); 6] = [
    ("first/fan/0", Rule::Once),
    ("first/fan/1", Rule::Once),
    ("first/fan/2", Rule::Once),
    ("first/flaky", Rule::Once),
    ("second/charge", Rule::Once),
    ("second/note", Rule::Once),
];

/// The run of each name.
const NAMES: [&str; 10] =
    ["crash", "lossy", "mint", "nap", "fallback", "cancelled", "late", "doze", "snooze", "slumber"];

pub(super) fn run_id(number: usize) -> RunId {
    RunId([u8::try_from(number).expect("there are few") + 1; 16])
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
        .phase("first", |phase| phase.max_parallel(2).task("fan", "books", fan).task("flaky", "flaky", patient))
        .phase("second", |phase| phase.sequential().task("charge", "bank", once).task("note", "books", patient));
    let lossy = Plan::builder("lossy").phase("only", |phase| phase.task("send", "lossy", patient));
    let mint = Plan::builder("mint").phase("only", |phase| phase.task("coin", "mint", patient));
    let nap = Plan::builder("nap")
        .phase("only", |phase| phase.sequential().task("nap", "sleep", |task| task).task("note", "books", patient));
    let falls = |task: TaskBuilder| task.retry(2).fallback("lossy", patient);
    let fallback = Plan::builder("fallback").phase("only", |phase| phase.task("try", "refuses", falls));
    let cancelled = Plan::builder("cancelled").phase("only", |phase| phase.task("dream", "dream", |task| task));
    let late = Plan::builder("late").phase("only", |phase| phase.task("dream", "dream", |task| task.deadline(LATE)));
    let work = |name, plan: PlanBuilder, labels, end| Work {
        name,
        plan: plan.check(&NoTemplates).unwrap_or_else(|problems| panic!("{name}: {problems:?}")),
        at_ms: 0,
        cancelled_after_ms: None,
        labels,
        end,
    };
    // Whoever waits leaves memory, and its parents with it: waking brings all of them back.
    let doze = |name| {
        let plan = Plan::builder(name).phase("only", |phase| {
            let phase = phase.sequential().task("doze", "doze", |task| task).task("note", "books", patient);
            phase.task("again", "doze", |task| task).task("send", "lossy", patient)
        });
        work(name, plan, &[("only/note", Rule::Once), ("only/send", Rule::Once)], End::Well)
    };
    let mut all = vec![
        work("crash", crash, &CRASH, End::AsCharged),
        work("lossy", lossy, &[("only/send", Rule::Once)], End::Well),
        // Probes that are struck again and again leave it to a person, who may find nothing in the books.
        work("mint", mint, &[("only/coin", Rule::Once)], End::AsCharged),
        work("nap", nap, &[("only/nap", Rule::Never), ("only/note", Rule::Once)], End::Well),
        work("fallback", fallback, &[("only/try", Rule::Once)], End::Well),
        work("cancelled", cancelled, &[("only/dream", Rule::Never)], End::Cancelled),
        work("late", late, &[("only/dream", Rule::Never)], End::Late),
    ];
    all.extend(["doze", "snooze", "slumber"].map(doze));
    assert!(all.iter().map(|work| work.name).eq(NAMES), "runs are found by their names");
    for (number, work) in all.iter_mut().enumerate() {
        work.at_ms = draw(number as u64) % 20_000;
    }
    all[5].cancelled_after_ms = Some(draw(100) % 60_000);
    all
}
