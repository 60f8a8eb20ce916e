//! What the fold makes of a run's events.

use headframe::{
    durable::StreamId,
    json::Json,
    plan::{Digest, Items, Plan},
    run::RunId,
    task::Job,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::*;

const RUN: ActorId = ActorId(0x100);
const LIST: ActorId = ActorId(0x200);
const INSPECT: ActorId = ActorId(0x300);

#[test]
fn a_run_is_counted_from_its_events_alone() {
    let mut story = Story::new();
    assert!(story.progress.phases[1].is_open());
    story.begin_phase(0, LIST);
    story.start(LIST, &[(0, None, ActorId(0x400))]);
    story.task(ActorId(0x400), &began(1));
    assert_eq!(story.progress.place(ActorId(0x400)), "list/files");
    story.task(ActorId(0x400), &T::Succeeded);
    story.phase(LIST, &done(ActorId(0x400)));
    let end = story.run(&R::PhaseDone { phase: 0, outputs: Vec::new() });
    assert!(matches!(end, Some(Happening::PhaseEnded { phase: 0 })));
    story.begin_phase(1, INSPECT);
    story.phase(INSPECT, &P::FannedOut { task: 0, items: 3 });
    let inspect = &story.progress.phases[1];
    assert_eq!((inspect.total(), inspect.is_open(), inspect.standing), (3, false, Standing::Running));
    story.run(&R::Ended(Outcome::Succeeded(Json::NULL)));
    assert_eq!(story.progress.totals(), Totals { done: 1, ..Totals::default() });
    assert_eq!((story.progress.attempts, story.progress.retries, story.progress.unreadable), (1, 0, 0));
    assert!(story.progress.outcome.is_some() && story.progress.units.is_empty());
}

#[test]
fn a_retry_is_told_with_its_path_and_counted_when_it_comes() {
    let (mut story, unit) = Story::inspecting();
    let failure = Failure::new("exit", "no");
    let told = story.task(unit, &T::AttemptFailed { failure, wait_ms: 500, checkpoint: Some(vec![1, 2].into()) });
    assert!(matches!(told, Some(Happening::Retry { path, wait_ms: 500, .. }) if path == "inspect/hash[2]"));
    assert_eq!(story.progress.units[&unit].step, Step::BackOff { until_ms: 1_500 });
    assert_eq!(story.progress.retries, 0);
    story.task(unit, &T::Called { call: CallId(8), key_since_ms: 0 });
    let unit = &story.progress.units[&unit];
    assert_eq!((unit.attempt, unit.step), (2, Step::Calling(CallId(8))));
    assert_eq!((story.progress.attempts, story.progress.retries, story.progress.phases[1].retries), (2, 1, 1));
}

#[test]
fn a_fallback_is_told_with_its_tool_and_its_first_attempt_is_no_retry() {
    let (mut story, unit) = Story::inspecting();
    let fell = T::FellBack { to: 1, tool: "cash".to_owned(), failure: Failure::new("exit", "no") };
    let told = story.task(unit, &fell);
    let is_told = |path: &str, tool: &str| path == "inspect/hash[2]" && tool == "cash";
    assert!(matches!(told, Some(Happening::FellBack { path, tool, .. }) if is_told(&path, &tool)));
    story.task(unit, &T::Called { call: CallId(8), key_since_ms: 0 });
    assert_eq!((story.progress.fallbacks, story.progress.retries, story.progress.attempts), (1, 0, 2));
    assert_eq!(story.progress.units[&unit].attempt, 1);
}

#[test]
fn only_a_run_in_which_nothing_else_moves_waits_for_decisions() {
    let (mut story, unit) = Story::inspecting();
    let doubted = |call| T::Doubted { call, checkpoint: None, failure: Failure::new("crash", "who knows") };
    story.start(INSPECT, &[(0, Some(1), ActorId(0x500))]);
    story.task(unit, &doubted(CallId(7)));
    assert!(!story.progress.waits_for_decisions_only(), "another task has not begun");
    story.task(ActorId(0x500), &began(9));
    story.task(ActorId(0x500), &doubted(CallId(9)));
    assert!(story.progress.waits_for_decisions_only());
    story.task(unit, &T::Repeated { call: CallId(10) });
    assert!(!story.progress.waits_for_decisions_only(), "one is called again");
}

#[test]
fn failures_and_stops_are_told_apart() {
    let (mut story, unit) = Story::inspecting();
    story.start(INSPECT, &[(0, Some(1), ActorId(0x500))]);
    let failed = P::Undone { actor: unit, optional: true, failure: Some(Failure::new("exit", "no")) };
    let told = story.phase(INSPECT, &failed);
    assert!(matches!(told, Some(Happening::TaskFailed { optional: true, .. })));
    story.phase(INSPECT, &P::Undone { actor: ActorId(0x500), optional: false, failure: None });
    let phase = &story.progress.phases[1];
    assert_eq!((phase.failed, phase.stopped, phase.ended()), (1, 1, 2));
}

#[test]
fn what_cannot_be_read_is_counted_and_passed_over() {
    let mut story = Story::new();
    story.apply("task", ActorId(1), json!({"FromTheFuture": {"x": 1}}));
    story.apply("planet", ActorId(1), json!("Orbits"));
    assert_eq!(story.progress.unreadable, 1);
    assert_eq!(story.progress.phase_name(7), "phase 7");
}

/// A fold that is fed.
struct Story {
    progress: Progress,
    number: u64,
}

impl Story {
    fn new() -> Self {
        let plan = Plan::builder("audit")
            .phase("list", |phase| phase.task("files", "echo", |task| task))
            .phase("inspect", |phase| {
                phase.task("hash", "echo", |task| task.for_each_in("{{ outputs.list.files }}", Items::Nul))
            })
            .build();
        let mut story = Self { progress: Progress::new(Some(&plan)), number: 0 };
        let begin = run::Begin { run: RunId([1; 16]), plan: Digest([2; 32]), input: Json::NULL, labels: Vec::new() };
        story.run(&R::Submitted { begin, at_ms: 900 });
        story
    }

    /// Item 2 of `inspect/hash` has begun, with call 7.
    fn inspecting() -> (Self, ActorId) {
        let (mut story, unit) = (Self::new(), ActorId(0x400));
        story.begin_phase(1, INSPECT);
        story.start(INSPECT, &[(0, Some(2), unit)]);
        story.task(unit, &began(7));
        (story, unit)
    }

    fn begin_phase(&mut self, phase: u32, actor: ActorId) {
        self.run(&R::PhaseStarted { phase, actor });
        let (run, plan) = (RunId([1; 16]), Digest([2; 32]));
        self.phase(actor, &P::Began(phase::Begin { run, plan, phase, input: Json::NULL, outputs: Vec::new() }));
    }

    fn start(&mut self, phase: ActorId, units: &[(u32, Option<u32>, ActorId)]) {
        let units: Vec<_> =
            units.iter().map(|(task, item, actor)| json!([{"task": task, "item": item}, actor])).collect();
        self.apply("phase", phase, json!({"Started": units}));
    }

    fn run(&mut self, event: &run::Event) -> Option<Happening> {
        self.apply("run", RUN, event)
    }

    fn phase(&mut self, actor: ActorId, event: &phase::Event) -> Option<Happening> {
        self.apply("phase", actor, event)
    }

    fn task(&mut self, actor: ActorId, event: &task::Event) -> Option<Happening> {
        self.apply("task", actor, event)
    }

    fn apply(&mut self, kind: &'static str, actor: ActorId, event: impl Serialize) -> Option<Happening> {
        self.number += 1;
        let what = What::Event(serde_json::to_value(event).unwrap());
        let (stream, hash) = (StreamId(RUN.0), String::new());
        self.progress.apply(&Item { record: 1, stream, number: self.number, at_ms: 1_000, actor, kind, what, hash })
    }
}

fn began(call: u64) -> task::Event {
    let (run, plan, input) = (RunId([1; 16]), Digest([2; 32]), Json::from(Value::Null));
    T::Began { job: Job { run, plan, phase: 0, task: 0, item: None, input }, call: CallId(call), key_since_ms: 0 }
}

fn done(actor: ActorId) -> phase::Event {
    P::Done { actor, output: Json::NULL, kept: true }
}
