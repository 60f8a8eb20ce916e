//! What runs, phases and tasks write, byte by byte: messages, events and snapshots are read by later builds.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    durable::{
        ActorId, Answer, Behavior, CallId, Effect, Failure, Fate, Outcome, Verdict,
        codec::{self, Format},
    },
    golden::Golden,
    json::Json,
    phase::{self, Errand, Many, Output, Phase, Tally, Unit, Window},
    plan::{self, Digest, ForEach, InDoubt, Input, InputKind, Items, Mode, Plan, Retry, Template},
    run::{self, Run, RunId},
    task::{self, Task},
};

const CHILD: ActorId = ActorId(0x0102);
const CALL: CallId = CallId(300);
const AT_MS: u64 = 1_795_244_940_000;

#[test]
fn what_a_run_writes_keeps_its_bytes() {
    use run::{Event, Message, PhaseStatus, Status};
    let begin = run::Begin { run: RunId([7; 16]), plan: Digest([0xAB; 32]), input: json(), labels: labels() };
    let mut golden = Golden::of("run");
    let messages = [
        Message::Start(begin.clone()),
        Message::PhaseEnded { phase: CHILD, end: phase::End::Done { outputs: outputs() } },
        Message::PhaseEnded { phase: CHILD, end: phase::End::Failed { task: "a/b".to_owned(), failure: failure() } },
        Message::PhaseEnded { phase: CHILD, end: phase::End::Stopped },
        Message::Cancel { reason: why() },
        Message::Fate(Fate::Poisoned { child: CHILD, reason: why() }),
        Message::Held { reason: why() },
        Message::More,
        Message::Released { reason: why() },
        Message::GiveUp { reason: why() },
        Message::DeadlineOver,
    ];
    keep::<Run, _>(&mut golden, "message", &messages);
    let events = [
        Event::Submitted { begin: begin.clone(), at_ms: AT_MS },
        Event::PhaseStarted { phase: 1, actor: CHILD },
        Event::PhaseSkipped { phase: 1 },
        Event::PhaseDone { phase: 1, outputs: outputs() },
        Event::PhaseUndone { phase: 1, failure: Some(("a/b".to_owned(), failure())) },
        Event::PhaseUndone { phase: 1, failure: None },
        Event::Broken { place: "output".to_owned(), failure: failure() },
        Event::Cancelled { reason: why() },
        Event::Held { reason: why() },
        Event::Stopping,
        Event::Ended(run::Outcome::Succeeded(json())),
        Event::Released,
    ];
    keep::<Run, _>(&mut golden, "event", &events);
    let phases = [(0, PhaseStatus::Settled), (1, PhaseStatus::Running(CHILD)), (2, PhaseStatus::Undone)];
    let state = run::State {
        status: Status::Running,
        begin: Some(begin),
        submitted_at: AT_MS,
        phases: phases.into(),
        outputs: outputs().into_iter().collect(),
        failure: Some(("a/b".to_owned(), failure())),
        cancelled: Some(why()),
        held: Some(why()),
    };
    let ended =
        [Status::New, Status::Stopping, Status::Ended].map(|status| run::State { status, ..Default::default() });
    keep::<Run, _>(&mut golden, "state", &[&[state], &ended[..]].concat());
    golden.end();
}

#[test]
fn what_a_phase_writes_keeps_its_bytes() {
    use phase::{Event, Message, Status};
    let unit = Unit { task: 1, item: Some(2) };
    let begin =
        phase::Begin { run: RunId([7; 16]), plan: Digest([0xAB; 32]), phase: 1, input: json(), outputs: outputs() };
    let window = Window { from: 2, total: 5, items: vec![json()] };
    let mut golden = Golden::of("phase");
    let ends = [task::End::Done(json()), task::End::Skipped, task::End::Failed(failure()), task::End::Stopped];
    let messages = [
        Message::Start(begin.clone()),
        Message::More,
        Message::Stop { reason: why() },
        Message::Fate(Fate::Stuck { child: CHILD, reason: why() }),
        Message::Answered(answer()),
        Message::DeadlineOver,
    ];
    let messages = ends.map(|end| Message::Ended { task: CHILD, end }).into_iter().chain(messages);
    keep::<Phase, _>(&mut golden, "message", &messages.collect::<Vec<_>>());
    let fetch = Errand::Fetch { task: 1, from: 2 };
    let events = [
        Event::Began(begin.clone()),
        Event::FannedOut { task: 1, items: 5 },
        Event::Started(vec![(unit, CHILD)]),
        Event::Skipped(vec![Unit { task: 1, item: None }]),
        Event::Unstartable { unit, optional: true, failure: failure() },
        Event::Done { actor: CHILD, output: json(), kept: true },
        Event::Undone { actor: CHILD, optional: true, failure: Some(failure()) },
        Event::Sent { call: CALL, errand: fetch },
        Event::Sent { call: CALL, errand: Errand::PutAside { task: 1 } },
        Event::Fetched { call: CALL, window: window.clone() },
        Event::PutAside { call: CALL, reference: json() },
        Event::ErrandFailed { call: CALL, unit, optional: false, failure: failure() },
        Event::Poisoned { actor: CHILD },
        Event::Stopping { reason: why() },
        Event::Ended,
        Event::Overdue { unit, failure: failure() },
    ];
    keep::<Phase, _>(&mut golden, "event", &events);
    let many = Many { given: vec![(2, json())], bytes: 15, chunks: vec![json()] };
    let state = phase::State {
        status: Status::Running,
        begin: Some(begin),
        tallies: BTreeMap::from([(1, Tally { items: Some(5), begun: 3, ended: 2 })]),
        first_open: 1,
        running: BTreeMap::from([(CHILD, unit)]),
        poisoned: BTreeSet::from([CHILD]),
        outputs: BTreeMap::from([(0, Output::One(json())), (1, Output::Many(many.clone()))]),
        windows: BTreeMap::from([(1, window)]),
        errands: BTreeMap::from([(CALL, (fetch, many))]),
        errands_sent: 3,
        failure: Some((unit, failure())),
        ..Default::default()
    };
    let ended = [Status::New, Status::Stopping, Status::Ended];
    let ended = ended.map(|status| phase::State { status, ..Default::default() });
    keep::<Phase, _>(&mut golden, "state", &[state].into_iter().chain(ended).collect::<Vec<_>>());
    golden.end();
}

#[test]
fn what_a_task_writes_keeps_its_bytes() {
    use task::{Event, Message, Status};
    let job =
        task::Job { run: RunId([7; 16]), plan: Digest([0xAB; 32]), phase: 1, task: 2, item: Some(3), input: json() };
    let (failure, checkpoint) = (failure(), Some(Bytes::from_static(b"half")));
    let mut golden = Golden::of("task");
    let messages = [
        Message::Start(job.clone()),
        Message::Answered(answer()),
        Message::BackoffOver,
        Message::Stop { reason: why() },
        Message::Poisoned { reason: why() },
        Message::SleepOver,
        Message::StartWith { job: job.clone(), fallbacks: vec![json()] },
        Message::DeadlineOver,
    ];
    keep::<Task, _>(&mut golden, "message", &messages);
    let events = [
        Event::Began { job: job.clone(), call: CALL, key_since_ms: AT_MS },
        Event::Called { call: CALL, key_since_ms: AT_MS },
        Event::AttemptFailed { failure: failure.clone(), wait_ms: 500, checkpoint: checkpoint.clone() },
        Event::AttemptUnknown { failure: failure.clone(), wait_ms: 500, checkpoint: None },
        Event::Doubted { call: CALL, checkpoint: checkpoint.clone(), failure: failure.clone() },
        Event::Repeated { call: CALL },
        Event::Stopping { reason: why() },
        Event::Succeeded,
        Event::Failed { failure: failure.clone() },
        Event::Stopped,
        Event::MadeAgain { call: CALL, checkpoint: checkpoint.clone(), failure: failure.clone() },
        Event::FellAsleep { job: job.clone(), from_ms: AT_MS, until_ms: AT_MS + 1 },
        Event::Prepared { fallbacks: vec![json()] },
        Event::FellBack { to: 1, tool: "cash".to_owned(), failure },
        Event::DeadlineOver,
    ];
    keep::<Task, _>(&mut golden, "event", &events);
    let statuses = [
        Status::New,
        Status::Calling(CALL),
        Status::Backoff,
        Status::Doubt(CALL),
        Status::Ended,
        Status::Sleeping { from_ms: AT_MS, until_ms: AT_MS + 1 },
    ];
    let states = statuses.map(|status| task::State {
        status,
        job: Some(job.clone()),
        attempt: 2,
        key_since_ms: Some(AT_MS),
        generation: 1,
        stopping: true,
        checkpoint: checkpoint.clone(),
        ..task::State::default()
    });
    // Version 1 knew less, and is only read.
    for (at, state) in states.iter().enumerate() {
        let unsure = matches!(state.status, Status::Backoff | Status::Doubt(_));
        let state = &task::State { unsure, ..state.clone() };
        let read = |bytes: &[u8]| Task::migrate_state(codec::unwrap(Format::part("task", "state", 1).type_id, bytes)?);
        golden.read(&format!("state {at} State"), read, state);
    }
    // Version 2 did not know when it began.
    for (at, state) in states.into_iter().enumerate() {
        let state = task::State { at: 1, fallbacks: vec![json()], overdue: at % 2 == 1, unsure: at % 2 == 0, ..state };
        let read = |bytes: &[u8]| Task::migrate_state(codec::unwrap(Format::part("task", "state", 2).type_id, bytes)?);
        golden.read(&format!("state {at} version 2"), read, &state);
        let state = task::State { began_ms: Some(AT_MS), ..state };
        golden.value(&format!("state {at} version 3"), Format::part("task", "state", Task::STATE_VERSION), &state);
    }
    golden.end();
}

/// Bytes that stay on disk, and by whose digest a plan is known.
#[test]
fn a_plan_keeps_its_bytes_and_its_digest() {
    let task = plan::Task {
        name: "charge".to_owned(),
        tool: "bank".to_owned(),
        effect: Some(Effect::VERIFY),
        in_doubt: InDoubt::Repeat,
        with: Template::new(Json::from_text("{\"sum\":\"{{ input.sum }}\"}").unwrap()),
        for_each: Some(ForEach { over: Template::new(json()), items: Items::Lines, max_items: 7 }),
        when: Some("true".to_owned()),
        retry: Retry { on: vec!["exit".to_owned()], never: vec!["refused".to_owned()], ..Retry::default() },
        timeout_ms: 5_000,
        heartbeat_ms: None,
        deadline_ms: None,
        fallbacks: Vec::new(),
        optional: true,
        exported: true,
    };
    let phase = plan::Phase {
        name: "pay".to_owned(),
        needs: vec![0],
        when: None,
        mode: Mode::Sequential,
        max_parallel: 16,
        tasks: vec![task],
        deadline_ms: None,
    };
    let kinds = [
        InputKind::Any,
        InputKind::String,
        InputKind::Number,
        InputKind::Integer,
        InputKind::Boolean,
        InputKind::Array,
        InputKind::Object,
    ];
    let inputs = kinds.map(|kind| Input {
        name: "sum".to_owned(),
        description: "what is paid".to_owned(),
        kind,
        default: (kind == InputKind::Any).then_some(Json::NULL),
    });
    let plan = Plan {
        name: "fixture".to_owned(),
        description: "as it is stored".to_owned(),
        inputs: inputs.into(),
        phases: vec![phase],
        output: Template::default(),
        deadline_ms: None,
    };
    let mut golden = Golden::of("plan");
    golden.value("plan", Plan::FORMAT, &plan);
    golden.bytes("digest", &plan.digest().0);
    let mut beside = plan.clone();
    beside.phases[0].tasks[0].heartbeat_ms = Some(1_000);
    golden.bytes("plan that beats", &beside.encode());
    assert_eq!(Plan::decode(&beside.encode()).as_ref(), Ok(&beside));
    beside.deadline_ms = Some(60_000);
    beside.phases[0].deadline_ms = Some(50_000);
    let task = &mut beside.phases[0].tasks[0];
    task.deadline_ms = Some(40_000);
    task.fallbacks = vec![plan::Task {
        name: String::new(),
        heartbeat_ms: Some(2_000),
        fallbacks: Vec::new(),
        deadline_ms: None,
        ..task.clone()
    }];
    golden.bytes("plan with deadlines and a fallback", &beside.encode());
    assert_eq!(Plan::decode(&beside.encode()).as_ref(), Ok(&beside));
    golden.end();
}

/// Values of one kind of a behaviour, each named by its variant and its place.
fn keep<B: Behavior, T>(golden: &mut Golden, part: &str, values: &[T])
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for (at, value) in values.iter().enumerate() {
        let shown = format!("{value:?}");
        let variant = shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        golden.value(&format!("{part} {at} {variant}"), Format::part(B::KIND, part, B::VERSION), value);
    }
}

fn answer() -> Answer {
    Answer { call: CALL, verdict: Verdict::Ended(Outcome::Done(json())), checkpoint: None }
}

fn outputs() -> Vec<(plan::TaskAt, Json)> {
    vec![((0, 1), json())]
}

fn labels() -> Vec<(String, String)> {
    vec![("team".to_owned(), "blue".to_owned())]
}

fn json() -> Json {
    Json::from_text("{\"a\":[1]}").expect("it is JSON")
}

fn failure() -> Failure {
    Failure::new("exit", "it ended with 3")
}

fn why() -> String {
    "why".to_owned()
}
