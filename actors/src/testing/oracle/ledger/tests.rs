//! Of each invariant that the ledger alone can break, a history that breaks that one, and no other.

use serde::Serialize;
use serde_json::json;

use super::{
    super::Invariant::{self, I2, I4, I8},
    *,
};
use crate::{
    durable::{ActorId, CallId, Failure},
    json::Json,
    phase,
    plan::Digest,
    run::{self, Outcome, RunId},
    task,
};

const RUN: u64 = 1;
const PHASE: u64 = 2;
const TASK: u64 = 3;

#[test]
fn a_run_whose_task_is_retried_and_ends_once_is_fine() {
    let (told, findings) = story(&sound());
    assert_eq!(findings.violations, []);
    assert_eq!(told.intents.keys().collect::<Vec<_>>(), ["call_8", "call_9"]);
    let tested = [I1, I2, I4, I7, I8].map(|invariant| findings.times(invariant));
    assert_eq!(tested, [1, 4, 2, 12, 1]);
}

#[test]
fn a_second_end_of_a_run_is_seen() {
    let mut items = sound();
    items.push(items[11].clone());
    assert_eq!(broken(&items), [I1]);
}

#[test]
fn a_run_that_does_not_end_is_seen() {
    assert_eq!(broken(&sound()[..11]), [I1]);
}

#[test]
fn a_message_that_is_applied_twice_is_seen() {
    let mut items = sound();
    items.insert(9, items[8].clone());
    assert_eq!(broken(&items), [I2], "the end of a task was heard twice");
    let mut items = sound();
    items.insert(4, items[3].clone());
    assert_eq!(broken(&items), [I2], "a task was started twice");
}

#[test]
fn a_message_that_is_lost_or_comes_too_early_is_seen() {
    let mut items = sound();
    items.remove(8);
    assert_eq!(broken(&items), [I2], "nobody heard of the end of a task");
    let mut items = sound();
    items.swap(7, 8);
    assert_eq!(broken(&items), [I2], "the end was heard before it was one");
}

#[test]
fn a_late_message_that_revives_a_task_is_seen() {
    let mut items = sound();
    let late = task::Event::Stopping { reason: "late".to_owned() };
    items.insert(8, (TASK, "task", event(&late)));
    assert_eq!(broken(&items), [I2]);
}

#[test]
fn a_second_result_is_seen() {
    let mut items = sound();
    items.insert(6, items[5].clone());
    assert_eq!(broken(&items), [I4], "two outcomes of one call");
}

#[test]
fn a_hole_is_seen() {
    let mut witness = Witness::default();
    let hole = |number: u64| number + u64::from(number > 6);
    items(&sound()).into_iter().for_each(|item| witness.take(&Item { number: hole(item.number), ..item }));
    assert_eq!(invariants(&witness.end().1), [I7]);
}

#[test]
fn an_event_that_cannot_be_read_is_seen() {
    let mut items = sound();
    items[6].2 = json!({ "Called": {} });
    assert!(broken(&items).contains(&I7));
}

#[test]
fn a_timer_that_fires_twice_is_seen() {
    let mut items = sound();
    let again = task::Event::Called { call: CallId(10), key_since_ms: 0 };
    items.insert(7, (TASK, "task", event(&again)));
    assert_eq!(broken(&items), [I8]);
}

#[test]
fn a_sleep_that_ends_too_early_is_seen() {
    // Event 5 falls asleep at 500 ms, and event 6 wakes at 600 ms.
    for (until_ms, wanted) in [(600, vec![]), (603, vec![]), (900, vec![I8])] {
        let mut items = sound();
        items.drain(5..7);
        items[4].2 = event(&task::Event::FellAsleep { job: job(), from_ms: 500, until_ms });
        assert_eq!(broken(&items), wanted, "until {until_ms}");
    }
}

#[test]
fn decisions_are_counted() {
    let mut items = sound();
    let failure = Failure::new("reset", "nobody knows");
    items[5].2 = event(&task::Event::Doubted { call: CallId(8), checkpoint: None, failure });
    items[6].2 = event(&task::Event::Repeated { call: CallId(9) });
    let mut witness = Witness::default();
    let note = Note::Decided { call: CallId(8), decision: "repeat".to_owned(), by: "chaos".to_owned() };
    for item in self::items(&items) {
        witness.take(&item);
    }
    witness.note(&event(&note));
    let (told, findings) = witness.end();
    assert_eq!((told.doubted, told.decided, findings.violations), (1, 1, Vec::new()));
}

type Step = (u64, &'static str, Value);

/// A run with a phase with a task that fails once, is called again, and succeeds.
fn sound() -> Vec<Step> {
    let run = |happened: run::Event| (RUN, "run", event(&happened));
    let phase = |happened: phase::Event| (PHASE, "phase", event(&happened));
    let task = |happened: task::Event| (TASK, "task", event(&happened));
    let (phase_actor, task_actor) = (ActorId(PHASE), ActorId(TASK));
    let failure = Failure::new("refused", "not now");
    vec![
        run(run::Event::Submitted { begin: begin(), at_ms: 100 }),
        run(run::Event::PhaseStarted { phase: 0, actor: phase_actor }),
        phase(phase::Event::Began(phase::Begin {
            run: RunId([7; 16]),
            plan: Digest([0; 32]),
            phase: 0,
            input: Json::NULL,
            outputs: Vec::new(),
        })),
        phase(phase::Event::Started(vec![(phase::Unit { task: 0, item: None }, task_actor)])),
        task(task::Event::Began { job: job(), call: CallId(8), key_since_ms: 500 }),
        task(task::Event::AttemptFailed { failure, wait_ms: 50, checkpoint: None }),
        task(task::Event::Called { call: CallId(9), key_since_ms: 500 }),
        task(task::Event::Succeeded),
        phase(phase::Event::Done { actor: task_actor, output: Json::NULL, kept: false }),
        phase(phase::Event::Ended),
        run(run::Event::PhaseDone { phase: 0, outputs: Vec::new() }),
        run(run::Event::Ended(Outcome::Succeeded(Json::NULL))),
    ]
}

fn begin() -> run::Begin {
    run::Begin { run: RunId([7; 16]), plan: Digest([0; 32]), input: Json::NULL, labels: Vec::new() }
}

fn job() -> task::Job {
    task::Job { run: RunId([7; 16]), plan: Digest([0; 32]), phase: 0, task: 0, item: None, input: Json::NULL }
}

fn event(happened: &impl Serialize) -> Value {
    serde_json::to_value(happened).unwrap()
}

fn items(steps: &[Step]) -> Vec<Item> {
    let item = |((actor, kind, happened), number): (&Step, u64)| {
        let (actor, what) = (ActorId(*actor), What::Event(happened.clone()));
        Item { record: 1, stream: StreamId(RUN), number, at_ms: number * 100, actor, kind, what, hash: String::new() }
    };
    steps.iter().zip(1..).map(item).collect()
}

fn story(steps: &[Step]) -> (Told, Findings) {
    let mut witness = Witness::default();
    items(steps).iter().for_each(|item| witness.take(item));
    witness.end()
}

fn broken(steps: &[Step]) -> Vec<Invariant> {
    invariants(&story(steps).1)
}

fn invariants(findings: &Findings) -> Vec<Invariant> {
    findings.violations.iter().map(|violation| violation.invariant).collect()
}
