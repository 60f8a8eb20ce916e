//! Deaths of the process: who is suspected, and what becomes of it.
//!
//! Where a process must really die, the test runs this binary again with [`dying`] as its only test, life after life.

use std::{
    path::Path,
    process::{Command, ExitStatus},
};

use parking_lot::Mutex;

use super::*;
use crate::durable::{
    flight::{Label, Named, Recorder},
    store::{Local, LocalOptions},
    watch::Limits,
};

const HOW: &str = "HEADFRAME_TEST_DEATH";
const FOLDER: &str = "HEADFRAME_TEST_FOLDER";

/// A life that dies while it is at this.
pub(super) fn dies_of(file: &Path, named: Named) {
    let recorder = Arc::new(Recorder::open(file).unwrap().0);
    std::mem::forget(recorder.begin(named, Label::Kind("counter")));
}

/// A store with a counter that has one message it has not taken, and the number of that message.
async fn with_mail(store: &Memory, message: Told) -> (Address<Counter>, u64) {
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    // Its first message is taken.
    count(&system, address).await;
    system.stop(SOON).await;
    let held = builder().recovered(all_streams).start(Arc::new(store.reopen())).await.unwrap();
    held.tell(address, message).await.unwrap();
    let entry = held.actor(address.id).await.unwrap().unwrap().mailbox[0].number;
    held.stop(SOON).await;
    (address, entry)
}

pub(super) fn all_streams(found: &Recovery<'_>) -> Result<Vec<StreamId>, store::Error> {
    Ok(found.streams())
}

#[tokio::test]
async fn a_message_that_a_process_died_of_is_taken_and_no_longer_suspected() {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("flight");
    let (address, entry) = with_mail(&store, Told::Add(1)).await;
    for _ in 0..2 {
        dies_of(&file, Named::Turn { actor: address.id, entry });
    }
    let system = builder().flight_recorder(file.clone()).start(Arc::new(store.reopen())).await.unwrap();
    // It was taken before the start returned, and is durable.
    assert_eq!(system.actor(address.id).await.unwrap().unwrap().mailbox.len(), 0);
    assert_eq!(count(&system, address).await.total, 1);
    system.stop(SOON).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn a_message_that_three_processes_died_of_goes_to_the_dead_letters() {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("flight");
    let (address, entry) = with_mail(&store, Told::Add(1)).await;
    for _ in 0..3 {
        dies_of(&file, Named::Turn { actor: address.id, entry });
    }
    let system = builder().flight_recorder(file).start(Arc::new(store.reopen())).await.unwrap();
    let dead = system.dead_letters().await.unwrap();
    assert_eq!((dead.len(), &*dead[0].1.reason), (1, "the process died of it 3 times"));
    let row = system.actor(address.id).await.unwrap().unwrap();
    assert_eq!(row.suspended.as_deref(), Some("the process died of it 3 times"), "a root without an owner");
}

#[tokio::test]
async fn a_held_message_is_not_taken_and_stays_suspected() {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("flight");
    let (address, entry) = with_mail(&store, Told::Add(1)).await;
    for _ in 0..3 {
        dies_of(&file, Named::Turn { actor: address.id, entry });
    }
    let held = builder().flight_recorder(file.clone()).recovered(all_streams);
    let system = held.start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(system.actor(address.id).await.unwrap().unwrap().mailbox.len(), 1);
    system.stop(SOON).await;
    assert_eq!(Recorder::open(&file).unwrap().1[0].deaths, 3);
}

#[tokio::test]
async fn a_suspect_that_only_panics_is_left_to_its_host() {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("flight");
    let (address, entry) = with_mail(&store, Told::Panic).await;
    dies_of(&file, Named::Turn { actor: address.id, entry });
    let system = builder().flight_recorder(file).start(Arc::new(store.reopen())).await.unwrap();
    let buried = async {
        while system.dead_letters().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, buried).await.expect("five panics");
    assert!(system.dead_letters().await.unwrap()[0].1.reason.contains("asked to"));
}

/// Calls one after the other, and writes down whose.
struct Narrow(Arc<Mutex<Vec<CallId>>>);

impl Tool for Narrow {
    fn max_concurrent(&self) -> usize {
        1
    }

    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        self.0.lock().push(cx.call_id());
        Outcome::Done(Json::NULL)
    }
}

/// A store with counters that each have a call of this tool and effect, none of which has begun.
async fn with_calls(store: &Memory, effects: &[(&str, Effect)]) -> Vec<(Address<Counter>, CallId)> {
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let mut calls = Vec::new();
    for (tool, effect) in effects {
        let address = counter(&system).await;
        system.tell(address, Told::Call { tool: (*tool).to_owned(), effect: *effect }).await.unwrap();
        calls.push((address, until(&system, address, |count| count.call.is_some()).await.call.unwrap()));
    }
    system.stop(SOON).await;
    calls
}

/// Once a start began nothing for 25 s. The calls of a tool took all its permits and waited, each past its time limit, for one
/// that was to go first and got no permit; those that may happen once were then in doubt, and had never been made.
#[tokio::test]
async fn other_calls_begin_only_after_the_suspected_one_and_hold_nothing_that_it_needs() {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let calls = with_calls(&store, &[("narrow", Effect::AtMostOnce), ("narrow", Effect::IDEMPOTENT)]).await;
    let [(first, other), (caller, suspect)] = calls[..] else { panic!("two calls") };
    let file = folder.path().join("flight");
    dies_of(&file, Named::Call { caller: caller.id, call: suspect });
    let made = Arc::new(Mutex::default());
    let system = builder().tool("narrow", Arc::new(Narrow(made.clone()))).flight_recorder(file);
    let system = system.start(Arc::new(store.reopen())).await.unwrap();
    for address in [caller, first] {
        assert_eq!(until(&system, address, |count| !count.verdicts.is_empty()).await.verdicts, ["done"]);
    }
    assert_eq!(*made.lock(), [suspect, other]);
    assert_eq!(system.calls_first(), 0);
}

/// Everything once waited for half a minute for a call that nobody would make any more.
#[tokio::test]
async fn nobody_waits_for_a_suspected_call_whose_tool_is_gone_or_that_is_cancelled() {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let effect = Effect::IDEMPOTENT;
    let calls = with_calls(&store, &[("gone", effect), ("narrow", effect), ("narrow", effect)]).await;
    let [(caller, gone), (unwilling, cancelled), (other, _)] = calls[..] else { panic!("three calls") };
    // It is cancelled in a life that begins nothing.
    let held = builder().start(Arc::new(store.reopen())).await.unwrap();
    held.tell(unwilling, Told::Cancel).await.unwrap();
    until(&held, unwilling, |count| !count.verdicts.is_empty()).await;
    held.stop(SOON).await;
    let file = folder.path().join("flight");
    for (caller, call) in [(caller, gone), (unwilling, cancelled)] {
        dies_of(&file, Named::Call { caller: caller.id, call });
    }
    let system = builder().tool("narrow", Arc::new(Narrow(Arc::default()))).flight_recorder(file);
    let system = system.start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(until(&system, other, |count| !count.verdicts.is_empty()).await.verdicts, ["done"]);
}

#[test]
fn a_behaviour_that_loops_for_ever_is_given_up_after_three_deaths_and_the_others_go_on() {
    assert_eq!(deaths("loop", 4), 3);
}

#[test]
fn a_call_that_kills_the_process_is_in_doubt_after_three_deaths_and_the_others_go_on() {
    assert_eq!(deaths("call", 4), 3);
}

/// The message that kills is mostly not durable, because the process dies at once of what another turn just sent: three
/// deaths make a wary life, and three in which it is durable make an end. Fewer are enough when the disk was faster.
#[test]
fn a_message_that_kills_before_it_is_durable_is_given_up_too() {
    let deaths = deaths("chain", 8);
    assert!((3..=6).contains(&deaths), "after {deaths} deaths");
}

/// Live until a life ends by itself; returns how many did not.
fn deaths(how: &str, lives_max: u32) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    // One life to set the scene.
    assert!(live(how, "scene", folder.path()).success(), "the scene is set");
    let survived = (0..lives_max).find(|_| live(how, "life", folder.path()).success());
    survived.expect("the killer is given up")
}

fn live(how: &str, part: &str, folder: &Path) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "durable::tests::deaths::dying", "--nocapture"])
        .env(HOW, format!("{how} {part}"))
        .env(FOLDER, folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
}

/// Ends the process in the way it is told.
struct Deadly;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Fatal {
    Rest,
    Loop,
    /// Send oneself what kills.
    Chain,
    Die,
}

impl Behavior for Deadly {
    const KIND: &'static str = "deadly";
    const VERSION: u16 = 1;
    type State = ();
    type Message = Fatal;
    type Event = ();
    type Reply = ();

    fn decide(turn: &mut Turn<'_, Self>, message: Fatal) -> Result<(), Rejection> {
        match message {
            Fatal::Rest => {}
            Fatal::Loop => loop {
                std::hint::spin_loop();
            },
            Fatal::Chain => turn.send(Address::<Self>::new(turn.me()), &Fatal::Die),
            Fatal::Die => std::process::abort(),
        }
        Ok(())
    }

    fn apply((): &mut (), (): &()) {}
}

/// Kills the process when it is polled.
async fn kills(_: Json) -> Outcome {
    std::process::abort()
}

/// The process that dies: not a test, but what the tests above run.
#[test]
#[ignore = "run by the tests above, in a process of its own"]
fn dying() {
    let Ok(how) = std::env::var(HOW) else { return };
    let folder = std::env::var(FOLDER).unwrap();
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (how, part) = how.split_once(' ').unwrap();
    runtime.block_on(async {
        match part {
            "scene" => set_the_scene(how, Path::new(&folder)).await,
            _ => live_on(how, Path::new(&folder)).await,
        }
    });
}

fn deadly() -> SystemBuilder {
    builder().behavior::<Deadly>().tool("kills", Arc::new(Closure::new(Effect::IDEMPOTENT, kills)))
}

fn store(folder: &Path) -> Arc<Local> {
    Arc::new(Local::open(folder, LocalOptions::default()).unwrap())
}

async fn set_the_scene(how: &str, folder: &Path) {
    let system = deadly().start(store(folder)).await.unwrap();
    let bystander = counter(&system).await;
    let killer = system.spawn_root::<Deadly>(None, |_| Vec::new(), &Fatal::Rest).await.unwrap().unwrap();
    let caller = counter(&system).await;
    system.stop(SOON).await;
    // What kills is durable before anybody takes it.
    let streams = [bystander.id, killer.id, caller.id].map(|root| StreamId(root.0));
    let held = deadly().recovered(move |_| Ok(streams.to_vec())).start(store(folder)).await.unwrap();
    held.tell(bystander, Told::Add(7)).await.unwrap();
    match how {
        "loop" => held.tell(killer, Fatal::Loop).await.unwrap(),
        "chain" => held.tell(killer, Fatal::Chain).await.unwrap(),
        "call" => {
            let call = Told::Call { tool: "kills".to_owned(), effect: Effect::IDEMPOTENT };
            held.tell(caller, call).await.unwrap();
        }
        other => panic!("there is no death by {other}"),
    }
    held.stop(SOON).await;
}

/// A life that ends by itself only when the killer is given up.
async fn live_on(how: &str, folder: &Path) {
    let limits = Limits {
        named_after: Duration::from_millis(50),
        acts_after: Duration::from_millis(300),
        looks_every: Duration::from_millis(10),
        notes_always: true,
        ..Limits::default()
    };
    let system = deadly()
        .flight_recorder(folder.join("flight"))
        .long_turn(LongTurn::Abort)
        .limits(limits)
        .start(store(folder))
        .await
        .unwrap();
    let given_up = async {
        loop {
            let (dead, doubts) = (system.dead_letters().await.unwrap(), system.doubts().await.unwrap());
            let is_doubted = doubts
                .iter()
                .any(|(_, row)| matches!(&row.state, RowState::InDoubt(why) if why.message.contains("3 times")));
            if dead.iter().any(|letter| letter.1.reason.contains("3 times")) || (how == "call" && is_doubted) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, given_up).await.expect("the killer is given up, or this process dies");
    let counters = |actor, row: &Actor| (row.kind == codec::fnv1a(Counter::KIND)).then_some(actor);
    let mut counts = Vec::new();
    for actor in system.actors(counters).await.unwrap() {
        counts.push(count(&system, Address::new(actor)).await.total);
    }
    counts.sort_unstable();
    assert_eq!(counts, [0, 7], "the others go on");
    system.stop(SOON).await;
}
