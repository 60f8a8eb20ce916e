//! What a machine may hear: mostly what fits, sometimes what does not.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;

use super::machine::Machine;
use crate::{
    durable::{
        ActorId, Answer, Behavior, Body, CallId, Effect, Extensions, Failure, Fate, Outcome, Verdict, codec,
        sim::message_format,
    },
    json::Json,
    phase,
    plan::{Checked, Effects, Evaluator, InDoubt, Plan, Plans, Sleeps, SleepsUntil, TaskBuilder},
    run::{self, Run, RunId},
    task::{self, Task},
    testing::{dice::Dice, world::NoTemplates},
};

/// A plan, and what decisions may use beside state and message.
pub(super) struct Scene {
    plan: Arc<Checked>,
    pub(super) extensions: Extensions,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Scene {
    pub(super) fn new() -> Self {
        let patient = |task: TaskBuilder| task.retry(4).deadline(MINUTE).fallback("cash", |task| task.retry(2));
        let plan = Plan::builder("machines")
            .phase("first", |phase| {
                phase
                    .max_parallel(2)
                    .task("retry", "bank", |task| task.retry(3))
                    .task("fan", "books", |task| task.for_each(json!([1, 2, 3])).retry(2))
                    .task("optional", "once", |task| task.in_doubt(InDoubt::Fail).optional())
            })
            .phase("second", |phase| {
                phase
                    .sequential()
                    .deadline(10 * MINUTE)
                    .task("patient", "bank", patient)
                    .task("nap", "sleep", |task| task)
                    .task("verify", "probed", |task| task.retry(2))
                    .task("repeat", "once", |task| task.in_doubt(InDoubt::Repeat).retry(3))
            })
            .deadline(60 * MINUTE)
            .build()
            .check(&NoTemplates)
            .expect("the plan is sound");
        let plans = Plans::default();
        plans.add(plan.clone());
        let effects = [
            ("bank", Effect::IDEMPOTENT),
            ("books", Effect::IDEMPOTENT),
            ("cash", Effect::AtMostOnce),
            ("once", Effect::AtMostOnce),
            ("probed", Effect::VERIFY),
        ];
        let effects = effects.map(|(name, effect)| (name.to_owned(), effect));
        let sleeps: SleepsUntil = Arc::new(|_, now_ms| Some(now_ms + 90_000));
        let extensions = Extensions::default()
            .with(Arc::new(Evaluator(Arc::new(NoTemplates))))
            .with(Arc::new(plans))
            .with(Arc::new(Effects(HashMap::from(effects))))
            .with(Arc::new(Sleeps(HashMap::from([("sleep".to_owned(), sleeps)]))));
        Self { plan, extensions }
    }
}

/// What a run may hear.
pub(super) fn run_hears(scene: &Scene, run: &Machine, dice: &mut Dice) -> Body {
    if !run.has_begun && !dice.one_in(6) {
        return message::<Run>(&run::Message::Start(begin(scene)));
    }
    message::<Run>(&match dice.below(16) {
        0 => run::Message::Start(begin(scene)),
        1..=8 => run::Message::PhaseEnded { phase: child(run, dice), end: phase_end(dice) },
        9 => run::Message::Cancel { reason: why() },
        10 => run::Message::Fate(fate(run, dice)),
        11 => run::Message::Held { reason: why() },
        12 => run::Message::More,
        13 => run::Message::Released { reason: why() },
        14 => run::Message::GiveUp { reason: why() },
        _ => run::Message::DeadlineOver,
    })
}

/// What a phase may hear.
pub(super) fn phase_hears(scene: &Scene, phase: &Machine, dice: &mut Dice) -> Body {
    let start = |dice: &mut Dice| {
        phase::Message::Start(phase::Begin {
            run: RunId([7; 16]),
            plan: scene.plan.digest(),
            phase: position(dice, 2),
            input: Json::NULL,
            outputs: vec![((0, 0), Json::from(json!(1)))],
        })
    };
    if !phase.has_begun && !dice.one_in(6) {
        return message::<phase::Phase>(&start(dice));
    }
    message::<phase::Phase>(&match dice.below(16) {
        0 => start(dice),
        1..=8 => phase::Message::Ended { task: child(phase, dice), end: task_end(dice) },
        9 | 10 => phase::Message::More,
        11 => phase::Message::Stop { reason: why() },
        12 => phase::Message::Fate(fate(phase, dice)),
        13 | 14 => phase::Message::Answered(answer(phase, dice)),
        _ => phase::Message::DeadlineOver,
    })
}

/// What a task may hear.
pub(super) fn task_hears(scene: &Scene, task: &Machine, dice: &mut Dice) -> Body {
    let start = |dice: &mut Dice| {
        let phase = position(dice, 2);
        let tasks = scene.plan.phases[phase as usize].tasks.len();
        let place = dice.place(tasks);
        let task = &scene.plan.phases[phase as usize].tasks[place];
        let item = task.for_each.as_ref().map(|_| position(dice, 3));
        let fallbacks = vec![Json::NULL; task.fallbacks.len()];
        let place = u32::try_from(place).expect("it is small");
        let plan = scene.plan.digest();
        let job = task::Job { run: RunId([7; 16]), plan, phase, task: place, item, input: Json::NULL };
        if fallbacks.is_empty() { task::Message::Start(job) } else { task::Message::StartWith { job, fallbacks } }
    };
    if !task.has_begun && !dice.one_in(6) {
        return message::<Task>(&start(dice));
    }
    message::<Task>(&match dice.below(16) {
        0 => start(dice),
        1..=7 => task::Message::Answered(answer(task, dice)),
        8..=10 => task::Message::BackoffOver,
        11 => task::Message::Stop { reason: why() },
        12 => task::Message::Poisoned { reason: why() },
        13 => task::Message::SleepOver,
        _ => task::Message::DeadlineOver,
    })
}

fn message<B: Behavior>(message: &B::Message) -> Body {
    Body::Message(codec::seal(message_format::<B>(), message))
}

fn begin(scene: &Scene) -> run::Begin {
    run::Begin { run: RunId([7; 16]), plan: scene.plan.digest(), input: Json::from(json!({})), labels: Vec::new() }
}

fn position(dice: &mut Dice, end: u64) -> u32 {
    u32::try_from(dice.below(end)).expect("it is small")
}

/// The last call that it made, a former one, or a stranger's.
fn answer(machine: &Machine, dice: &mut Dice) -> Answer {
    let call = match machine.calls.last() {
        Some(last) if !dice.one_in(4) => *last,
        Some(_) if dice.one_in(2) => machine.calls[dice.place(machine.calls.len())],
        _ => CallId(3),
    };
    let checkpoint = dice.one_in(3).then(|| Bytes::from_static(b"halfway"));
    Answer { call, verdict: verdict(dice), checkpoint }
}

fn verdict(dice: &mut Dice) -> Verdict {
    match dice.below(8) {
        0 | 1 => Verdict::Ended(Outcome::Done(Json::from(json!({ "receipt": 1 })))),
        2 | 3 => Verdict::Ended(Outcome::Failed(failure())),
        4 => Verdict::Ended(Outcome::Unknown(failure())),
        5 => Verdict::InDoubt(failure()),
        6 => Verdict::Repeat,
        _ if dice.one_in(2) => Verdict::NotMade(failure()),
        _ => Verdict::Refused(failure()),
    }
}

fn task_end(dice: &mut Dice) -> task::End {
    match dice.below(6) {
        0..=2 => task::End::Done(Json::from(json!({ "receipt": 1 }))),
        3 => task::End::Skipped,
        4 => task::End::Failed(failure()),
        _ => task::End::Stopped,
    }
}

fn phase_end(dice: &mut Dice) -> phase::End {
    match dice.below(6) {
        0..=2 => phase::End::Done { outputs: vec![((0, 0), Json::from(json!(1)))] },
        3 | 4 => phase::End::Failed { task: "first/retry".to_owned(), failure: failure() },
        _ => phase::End::Stopped,
    }
}

/// The last child, a former one, or a stranger.
fn child(machine: &Machine, dice: &mut Dice) -> ActorId {
    match machine.children.last() {
        Some(last) if dice.one_in(2) => *last,
        Some(_) if !dice.one_in(6) => machine.children[dice.place(machine.children.len())],
        _ => ActorId(0x0303),
    }
}

fn fate(machine: &Machine, dice: &mut Dice) -> Fate {
    let (child, reason) = (child(machine, dice), why());
    match dice.below(4) {
        0 => Fate::Poisoned { child, reason },
        1 => Fate::Suspended { child, reason },
        2 => Fate::Stuck { child, reason },
        _ => Fate::Ended { child, reason },
    }
}

fn failure() -> Failure {
    Failure::new("refused", "not today")
}

fn why() -> String {
    "because".to_owned()
}
