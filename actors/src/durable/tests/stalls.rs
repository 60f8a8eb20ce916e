//! Stalls on purpose: each is found, and cured or named; what only takes long is left alone.

mod at_scale;

use super::*;

const TICK: Duration = Duration::from_millis(20);

fn quick() -> SystemBuilder {
    builder().behavior::<Stray>().unstick_every(TICK)
}

/// An actor that must always wait for something, and at first does not.
pub(super) struct Stray;

impl Behavior for Stray {
    const KIND: &'static str = "stray";
    const VERSION: u16 = 1;
    const MAY_REST: bool = false;
    type State = bool;
    type Message = Option<Fate>;
    type Event = ();
    type Reply = bool;

    fn decide(turn: &mut Turn<'_, Self>, message: Option<Fate>) -> Result<(), Rejection> {
        if message.is_some() {
            turn.emit(&());
        }
        turn.reply(&turn.state().clone());
        Ok(())
    }

    fn apply(state: &mut bool, (): &()) {
        *state = true;
    }

    fn on_fate(fate: Fate) -> Option<Option<Fate>> {
        Some(Some(fate))
    }
}

async fn until_unstuck(system: &System, reason: Reason) {
    let seen = async {
        while !system.unstuck().contains_key(reason.word()) {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("the unsticker acts in time");
}

async fn until_named(system: &System, reason: Reason) -> Waiting {
    let seen = async {
        loop {
            if let Some(waiting) = system.stuck().await.unwrap().into_iter().find(|waiting| waiting.reason == reason) {
                return waiting;
            }
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("it is named in time")
}

/// So many looks of the unsticker.
async fn looks(number: u32) {
    tokio::time::sleep(TICK * number).await;
}

#[tokio::test]
async fn mail_whose_bell_was_lost_is_taken() {
    let system = quick().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    count(&system, address).await;
    system.stall(Stall::Bell(address.id));
    system.tell(address, Told::Add(7)).await.unwrap();
    until_unstuck(&system, Reason::LostDoorbell).await;
    until(&system, address, |count| count.total == 7).await;
    let mut noted = false;
    let mut read = |item: Item| {
        noted |= matches!(&item.what, What::Runtime(note) if note.to_string().contains("Unstuck"));
        true
    };
    system.ledger().all(&mut read).unwrap();
    assert!(noted, "it is in the actor's stream");
}

#[tokio::test]
async fn a_call_that_its_tool_never_heard_of_is_made_once() {
    for effect in [Effect::IDEMPOTENT, Effect::AtMostOnce] {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let tool = Closure::new(effect, move |_: Json| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Outcome::Done(Json::NULL) }
        });
        let system = quick().tool("quick", Arc::new(tool)).start(Arc::new(Memory::new())).await.unwrap();
        let address = counter(&system).await;
        system.stall(Stall::Call("quick".to_owned()));
        system.tell(address, Told::Call { tool: "quick".to_owned(), effect }).await.unwrap();
        until_unstuck(&system, Reason::LostCall).await;
        let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
        assert_eq!((seen.verdicts, calls.load(Ordering::SeqCst)), (vec!["done".to_owned()], 1), "{effect:?}");
    }
}

#[tokio::test]
async fn a_timer_that_nobody_fires_is_fired() {
    let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
    let system = quick().clock(clock.clone()).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.stall(Stall::Timers);
    system.tell(address, Told::AddLater { number: 9, after_ms: 1_000 }).await.unwrap();
    until(&system, address, |count| count.scheduled == 9).await;
    clock.advance(60_000);
    until_unstuck(&system, Reason::OverdueTimer).await;
    until(&system, address, |count| count.total == 9).await;
}

#[tokio::test]
async fn an_actor_that_waits_for_nothing_is_told_of_once_and_one_that_may_rest_is_not() {
    let system = quick().start(Arc::new(Memory::new())).await.unwrap();
    let rests = counter(&system).await;
    let stray = system.spawn_root::<Stray>(None, |_| Vec::new(), &None).await.unwrap().unwrap();
    until_unstuck(&system, Reason::WaitsForNothing).await;
    let told = async {
        while !system.ask(stray, None, SOON).await.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, told).await.expect("a root without an owner is told itself");
    let named = system.stuck().await.unwrap();
    assert!(named.iter().all(|waiting| waiting.actor != rests.id), "{named:?}");
}

#[tokio::test]
async fn what_a_person_must_decide_is_named_and_left_alone() {
    let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let with_tool = || quick().tool("slow", Arc::new(Slow(calls.clone())));
    let dead = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let (doubts, missing, dies) = (counter(&dead).await, counter(&dead).await, counter(&dead).await);
    dead.tell(doubts, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
    until(&dead, doubts, |_| calls.load(Ordering::SeqCst) == 1).await;
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    system.tell(missing, Told::Call { tool: "gone".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    system.tell(dies, Told::Panic).await.unwrap();
    assert_eq!(until_named(&system, Reason::InDoubt).await.actor, doubts.id);
    let named = until_named(&system, Reason::NoTool).await;
    assert!(named.actor == missing.id && named.sentence.contains("gone"), "{}", named.sentence);
    assert_eq!(until_named(&system, Reason::Suspended).await.actor, dies.id);
    assert_eq!(until_named(&system, Reason::Poison).await.actor, dies.id);
    looks(10).await;
    // Mail may have lain for two of these quick looks on a busy machine, and was rung for.
    let acts = system.unstuck();
    for reason in [Reason::InDoubt, Reason::NoTool, Reason::Suspended, Reason::Poison] {
        assert_eq!(acts.get(reason.word()), None, "something was done: {acts:?}");
    }
}

#[tokio::test]
async fn a_long_call_and_a_queue_before_a_tool_are_left_alone() {
    let calls = Arc::new(AtomicU32::new(0));
    let system = quick().tool("slow", Arc::new(Slow(calls.clone()))).start(Arc::new(Memory::new())).await.unwrap();
    // On a busy machine mail may lie for two of these quick looks, until everything has begun.
    system.inner.faults.holds_looks.store(true, Ordering::SeqCst);
    // More than the 64 that run at once.
    for _ in 0..70 {
        let address = counter(&system).await;
        system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
        count(&system, address).await;
    }
    let began = async {
        while calls.load(Ordering::SeqCst) < 64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, began).await.expect("as many as may run");
    system.inner.faults.holds_looks.store(false, Ordering::SeqCst);
    looks(20).await;
    assert_eq!((system.unstuck().len(), calls.load(Ordering::SeqCst)), (0, 64), "{:?}", system.unstuck());
    assert_eq!(system.stuck().await.unwrap(), []);
}

#[tokio::test]
async fn recovery_alone_suffices_and_the_unsticker_adds_nothing() {
    let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let with_tool = || quick().tool("slow", Arc::new(Slow(calls.clone())));
    let dead = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&dead).await;
    dead.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&dead, address, |_| calls.load(Ordering::SeqCst) == 1).await;
    let system = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    until(&system, address, |_| calls.load(Ordering::SeqCst) == 2).await;
    for _ in 0..10 {
        system.kill_host(address.id);
        system.kill_tool("slow");
        system.tell(address, Told::Add(1)).await.unwrap();
        looks(1).await;
    }
    assert_eq!(count(&system, address).await.total, 10);
    assert_eq!((system.unstuck().len(), calls.load(Ordering::SeqCst)), (0, 2), "{:?}", system.unstuck());
}
