//! The kernel on real ractor actors: turns, deaths, dead letters, restarts, timers, tools.

mod asleep;
mod cancel;
mod corruption;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    store::{Memory, Tail},
    *,
};
use crate::{
    json::Json,
    tool::{CallContext, Closure, ContextClosure, Tool},
};

mod crowded;
mod crowds;
mod deaths;
mod early;
mod everything;
mod evicted;
mod faults;
mod full;
mod heartbeats;
mod heirs;
mod jumps;
mod keys;
mod killed;
mod later;
mod letters;
mod losses;
mod order;
mod orphans;
mod passivation;
mod points;
mod rules;
mod scrub;
mod send;
mod spares;
mod stalls;
mod supervision;
mod tree;
mod upgrade;
mod verify;

const SOON: Duration = Duration::from_secs(10);

/// Counts; panics, refuses, sets a timer, calls a tool on request.
struct Counter;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Told {
    Add(u64),
    Get,
    Panic,
    Refuse,
    AddLater { number: u64, after_ms: u64 },
    Call { tool: String, effect: Effect },
    Promise { tool: String, within_ms: u64 },
    Cancel,
    Answered(Answer),
    Fired,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Happened {
    Added(u64),
    Scheduled(u64),
    Called(CallId),
    Answered(Verdict),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    total: u64,
    scheduled: u64,
    call: Option<CallId>,
    verdicts: Vec<String>,
}

impl Behavior for Counter {
    const KIND: &'static str = "counter";
    const VERSION: u16 = 1;
    type State = Count;
    type Message = Told;
    type Event = Happened;
    type Reply = Count;

    fn decide(turn: &mut Turn<'_, Self>, message: Told) -> Result<(), Rejection> {
        match message {
            Told::Add(number) => turn.emit(&Happened::Added(number)),
            Told::Get => turn.reply(&turn.state().clone()),
            Told::Panic => {
                turn.emit(&Happened::Added(1_000));
                panic!("asked to");
            }
            Told::Refuse => {
                turn.emit(&Happened::Added(1_000));
                return Err(Rejection::new("asked to"));
            }
            Told::AddLater { number, after_ms } => {
                turn.emit(&Happened::Scheduled(number));
                turn.timer(1, after_ms);
            }
            Told::Fired => turn.emit(&Happened::Added(turn.state().scheduled)),
            Told::Call { tool, effect } => {
                let request = request(turn, tool, effect);
                let call = turn.call(request);
                turn.emit(&Happened::Called(call));
            }
            Told::Promise { tool, within_ms } => {
                let request = request(turn, tool, Effect::IDEMPOTENT);
                let call = turn.call(Request { heartbeat_ms: Some(within_ms), ..request });
                turn.emit(&Happened::Called(call));
            }
            Told::Cancel => turn.cancel(turn.state().call.expect("a call is under way")),
            Told::Answered(answer) => turn.emit(&Happened::Answered(answer.verdict)),
        }
        Ok(())
    }

    fn apply(state: &mut Count, event: &Happened) {
        match event {
            Happened::Added(number) => state.total += number,
            Happened::Scheduled(number) => state.scheduled = *number,
            Happened::Called(call) => state.call = Some(*call),
            Happened::Answered(verdict) => state.verdicts.push(match verdict {
                Verdict::Ended(Outcome::Done(_)) => "done".to_owned(),
                Verdict::Ended(Outcome::Failed(failure)) => format!("failed: {}", failure.class),
                Verdict::Ended(Outcome::Unknown(failure)) => format!("unknown: {}", failure.class),
                Verdict::InDoubt(failure) => format!("doubt: {}", failure.class),
                Verdict::Repeat => "repeat".to_owned(),
                Verdict::NotMade(failure) => format!("not made: {}", failure.class),
                Verdict::Refused(failure) => format!("refused: {}", failure.class),
            }),
        }
    }

    fn on_answer(answer: Answer) -> Option<Told> {
        Some(Told::Answered(answer))
    }

    fn on_timer(_: Fired) -> Option<Told> {
        Some(Told::Fired)
    }
}

fn request(turn: &Turn<'_, Counter>, tool: String, effect: Effect) -> Request {
    Request {
        key: Key::of(&[tool.as_bytes(), &turn.me().0.to_be_bytes()]),
        tool,
        path: "test".to_owned(),
        attempt: 1,
        effect,
        input: Json::from(json!(1)),
        timeout_ms: 60_000,
        checkpoint: None,
        key_since_ms: turn.now_ms(),
        heartbeat_ms: None,
    }
}

/// Never answers, but hears a cancel; counts its calls.
struct Slow(Arc<AtomicU32>);

impl Tool for Slow {
    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        cx.cancelled().await;
        Outcome::unknown("cancelled", "was asked to stop")
    }
}

fn kinds() -> Registry {
    Registry::new().with::<Counter>()
}

fn builder() -> SystemBuilder {
    System::builder().behavior::<Counter>()
}

/// A row's value that does not pack, so that few records fill a segment.
fn noise() -> Bytes {
    let random = RandomState::new();
    (0..512_u64).flat_map(|at| random.hash_one(at).to_le_bytes()).collect()
}

async fn counter(system: &System) -> Address<Counter> {
    system.spawn_root::<Counter>(None, |_| Vec::new(), &Told::Add(0)).await.unwrap().unwrap()
}

async fn count(system: &System, address: Address<Counter>) -> Count {
    system.ask(address, Told::Get, SOON).await.unwrap()
}

/// Ask until the count is as wanted: what happens beside the asker has no other sign.
async fn until(system: &System, address: Address<Counter>, wanted: impl Fn(&Count) -> bool) -> Count {
    let seen = async {
        loop {
            let count = count(system, address).await;
            if wanted(&count) {
                return count;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("it comes to that in time")
}

#[tokio::test]
async fn what_was_told_survives_a_restart() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    for number in 1..=100 {
        system.tell(address, Told::Add(number)).await.unwrap();
    }
    system.stop(SOON).await;
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(count(&system, address).await.total, 5_050);
    let verified = system.ledger().verify().unwrap();
    assert_eq!((verified.events, verified.problems), (101, Vec::new()));
}

#[tokio::test]
async fn a_message_is_taken_once_per_key() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    for _ in 0..3 {
        system.tell_once("order-7", address, Told::Add(1)).await.unwrap();
    }
    assert_eq!(count(&system, address).await.total, 1);
}

#[tokio::test]
async fn a_message_that_kills_five_times_goes_to_the_dead_letters_and_the_owner_sees_it() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Panic).await.unwrap();
    let suspended = async {
        while system.actor(address.id).await.unwrap().unwrap().suspended.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, suspended).await.expect("a root without an owner is suspended where everyone sees it");
    let dead = system.dead_letters().await.unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].1.reason.contains("asked to"), "{}", dead[0].1.reason);
    // Nothing of the broken turns was ever visible: the first message was the only turn.
    assert_eq!(system.actor(address.id).await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn a_refused_message_leaves_no_trace_on_the_state() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    let refused = system.ask(address, Told::Refuse, SOON).await;
    assert!(matches!(refused, Err(SendError::Rejected(reason)) if reason == "asked to"));
    system.tell(address, Told::Refuse).await.unwrap();
    assert_eq!(count(&system, address).await.total, 0);
    assert_eq!(system.dead_letters().await.unwrap().len(), 1, "only the one that nobody waited for");
}

#[tokio::test]
async fn a_killed_host_is_replaced_and_nothing_is_lost() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    for number in 0..50 {
        system.kill_host(address.id);
        system.tell(address, Told::Add(number)).await.unwrap();
    }
    assert_eq!(count(&system, address).await.total, 1_225);
}

#[tokio::test]
async fn a_timer_fires_after_a_restart() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::AddLater { number: 7, after_ms: 300 }).await.unwrap();
    until(&system, address, |count| count.scheduled == 7).await;
    system.stop(SOON).await;
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    until(&system, address, |count| count.total == 7).await;
}

#[tokio::test]
async fn a_failed_store_says_that_the_outcome_is_unknown() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    let failing = store.reopen();
    let second = builder().start(Arc::new(failing)).await.unwrap();
    // The first system's epoch is over: its next write is refused, and it closes.
    let told = system.tell(address, Told::Add(1)).await;
    assert!(matches!(told, Err(SendError::Unknown { message: Told::Add(1), .. })), "{told:?}");
    assert!(system.failure().is_some());
    assert_eq!(count(&second, address).await.total, 0);
}

#[tokio::test]
async fn a_tool_that_panics_has_an_unknown_outcome() {
    async fn panics(_: Json) -> Outcome {
        panic!("a bug in the tool")
    }
    let tool = Arc::new(Closure::new(Effect::IDEMPOTENT, panics));
    let system = builder().tool("panics", tool).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "panics".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["unknown: panic"]);
}

#[tokio::test]
async fn a_killed_tool_actor_does_not_begin_a_running_call_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let system = builder().tool("slow", Arc::new(Slow(calls.clone()))).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&system, address, |_| calls.load(Ordering::SeqCst) == 1).await;
    assert!(system.kill_tool("slow"));
    for _ in 0..20 {
        count(&system, address).await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1, "the in-flight table outlives the actor");
    system.tell(address, Told::Cancel).await.unwrap();
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["unknown: cancelled"]);
}

/// Once a tool's actor of the next life took the written start of the former one for its own, where threads allowed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_at_most_once_call_that_was_under_way_is_in_doubt_after_a_crash_and_a_person_decides() {
    for _ in 0..20 {
        let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
        let with_tool = || builder().tool("slow", Arc::new(Slow(calls.clone())));
        let dead = with_tool().start(Arc::new(store.reopen())).await.unwrap();
        let address = counter(&dead).await;
        dead.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
        until(&dead, address, |_| calls.load(Ordering::SeqCst) == 1).await;
        // The process dies here: another life begins on what is durable.
        let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
        let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
        assert_eq!(seen.verdicts, ["doubt: crash"]);
        let doubts = system.doubts().await.unwrap();
        system.decide(doubts[0].0, Decision::Happened(Json::from(json!("receipt"))), "tester").await.unwrap();
        let seen = until(&system, address, |count| count.verdicts.len() == 2).await;
        assert_eq!(seen.verdicts[1], "done");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "it was never called again");
        assert!(matches!(system.decide(doubts[0].0, Decision::Repeat, "tester").await, Err(Error::Missing(_))));
    }
}

#[tokio::test]
async fn an_idempotent_call_whose_tool_has_forgotten_the_key_is_in_doubt_after_a_crash() {
    let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
    let with_tool = || builder().clock(clock.clone()).tool("slow", Arc::new(Slow(calls.clone())));
    let dead = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&dead).await;
    let effect = Effect::Idempotent { remembers_ms: 500 };
    dead.tell(address, Told::Call { tool: "slow".to_owned(), effect }).await.unwrap();
    until(&dead, address, |_| calls.load(Ordering::SeqCst) == 1).await;
    clock.advance(501);
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["doubt: crash"]);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "a second call would be a second effect");
}

#[tokio::test]
async fn a_system_whose_last_handle_goes_lets_go_of_its_store() {
    let store = Memory::new();
    let life = Arc::new(store.reopen());
    let system = builder().start(life.clone()).await.unwrap();
    let address = counter(&system).await;
    drop(system);
    assert!(store::Store::idle(&*life).is_err(), "the store was released");
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(count(&system, address).await.total, 0);
}

#[tokio::test]
async fn an_idempotent_call_that_was_under_way_is_made_again_after_a_crash() {
    let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let with_tool = || builder().tool("slow", Arc::new(Slow(calls.clone())));
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&system, address, |_| calls.load(Ordering::SeqCst) == 1).await;
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    until(&system, address, |_| calls.load(Ordering::SeqCst) == 2).await;
}

/// Saves its place, and never answers in its first life.
struct Resumable(Arc<AtomicU32>);

impl Tool for Resumable {
    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        if let Some(saved) = cx.last_checkpoint() {
            return Outcome::Done(Json::of(&saved[..]).unwrap());
        }
        cx.checkpoint(&b"half"[..]).unwrap();
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_a_call_saved_is_there_for_the_next_attempt_after_a_crash() {
    let (store, saved) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let with_tool = || builder().tool("resumable", Arc::new(Resumable(saved.clone())));
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "resumable".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&system, address, |_| saved.load(Ordering::SeqCst) == 1).await;
    system.tell(address, Told::Add(1)).await.unwrap();
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["done"]);
}

#[tokio::test]
async fn a_torn_record_was_never_acknowledged() {
    let store = Memory::new();
    let life = store.reopen();
    let system = builder().start(Arc::new(life)).await.unwrap();
    let address = counter(&system).await;
    system.stop(SOON).await;
    let life = store.reopen();
    life.fail_at(2, Tail::Partial(11));
    let system = builder().start(Arc::new(life)).await.unwrap();
    system.tell(address, Told::Add(1)).await.unwrap();
    assert!(system.tell(address, Told::Add(10)).await.is_err());
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(count(&system, address).await.total, 1);
}
