//! Nothing leaves before its record is durable: with a disk that is told when to go on.

use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};

use super::*;
use crate::durable::{
    id::Sequence,
    record::{self, Op, Record},
    store::{Error, Fence, Recovered, Stats, Store},
};

/// Keeps records in memory, and holds up the first one with such an operation on its way there, or one after the other.
struct Held {
    memory: Memory,
    holds: fn(&Op) -> bool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Watching,
    Holding,
    Open,
}

impl Held {
    fn new(holds: fn(&Op) -> bool) -> Arc<Self> {
        let (memory, changed) = (Memory::new(), Condvar::new());
        Arc::new(Self { memory, holds, state: Mutex::new(State::Watching), changed })
    }

    /// Wait until the record is on its way.
    async fn holding(self: &Arc<Self>) {
        let held = self.clone();
        let waited = tokio::task::spawn_blocking(move || {
            let mut state = held.state.lock();
            let is_watching = |state: &mut State| *state == State::Watching;
            held.changed.wait_while_for(&mut state, is_watching, SOON).timed_out()
        });
        assert!(!waited.await.unwrap(), "the record comes");
    }

    fn go_on(&self) {
        self.let_go(State::Open);
    }

    /// Let it go, and hold up the next one.
    fn watch_again(&self) {
        self.let_go(State::Watching);
    }

    fn let_go(&self, state: State) {
        *self.state.lock() = state;
        self.changed.notify_all();
    }
}

/// Also when the test fails, so that the system can end.
struct GoesOn(Arc<Held>);

impl Drop for GoesOn {
    fn drop(&mut self) {
        self.0.go_on();
    }
}

impl Store for Held {
    fn recover(&self, visit: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error> {
        self.memory.recover(visit)
    }

    fn append(&self, fence: Fence, sequence: Sequence, payload: &[u8]) -> Result<(), Error> {
        let record: Record = codec::open(record::FORMAT, payload).expect("a record is whole");
        let mut state = self.state.lock();
        if *state == State::Watching && record.ops.iter().any(self.holds) {
            *state = State::Holding;
            self.changed.notify_all();
        }
        self.changed.wait_while(&mut state, |state| *state == State::Holding);
        drop(state);
        self.memory.append(fence, sequence, payload)
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error> {
        self.memory.scan(from, visit)
    }

    fn idle(&self) -> Result<(), Error> {
        self.memory.idle()
    }

    fn release(&self) {
        self.memory.release();
    }

    fn stats(&self) -> Stats {
        self.memory.stats()
    }
}

/// How often a tool was called by the time that a record is on its way, and once it is durable.
async fn calls_while_held(effect: Effect, holds: fn(&Op) -> bool) -> (u32, u32) {
    let (held, calls) = (Held::new(holds), Arc::new(AtomicU32::new(0)));
    let _goes_on = GoesOn(held.clone());
    let system = builder().tool("slow", Arc::new(Slow(calls.clone()))).start(held.clone()).await.unwrap();
    let address = counter(&system).await;
    let telling = system.tell(address, Told::Call { tool: "slow".to_owned(), effect });
    let (told, early) = tokio::join!(telling, async {
        held.holding().await;
        // Whatever was said to the tool's actor before this question is done when it answers.
        let slot = system.inner.tools.values().next().unwrap();
        slot.unknown(Vec::new()).await.unwrap();
        let early = calls.load(Ordering::SeqCst);
        held.go_on();
        early
    });
    told.unwrap();
    until(&system, address, |_| calls.load(Ordering::SeqCst) > 0).await;
    (early, calls.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_made_while_its_intent_is_on_its_way_to_the_disk() {
    let counted = calls_while_held(Effect::IDEMPOTENT, |op| matches!(op, Op::Call { .. })).await;
    assert_eq!(counted, (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_at_most_once_call_is_made_while_its_start_is_on_its_way_to_the_disk() {
    let counted = calls_while_held(Effect::AtMostOnce, |op| matches!(op, Op::CallStarted { .. })).await;
    assert_eq!(counted, (0, 1));
}

/// The unsticker once took a start that was accepted while it waited for the intent for one that is durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hands_a_call_over_again_does_not_hand_over_a_start_that_is_on_its_way_to_the_disk() {
    let held = Held::new(|op| matches!(op, Op::Call { .. } | Op::CallStarted { .. }));
    let (_goes_on, calls) = (GoesOn(held.clone()), Arc::new(AtomicU32::new(0)));
    let system = builder().tool("slow", Arc::new(Slow(calls.clone()))).start(held.clone()).await.unwrap();
    let address = counter(&system).await;
    let telling = system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce });
    let (told, early) = tokio::join!(telling, async {
        held.holding().await;
        let call = system.inner.core.lock().accepted.live().calls.keys().next().copied();
        let mut again = Box::pin(system.inner.dispatch_again(call));
        let polled = again.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(call.is_some() && polled.is_pending(), "the intent is not durable yet");
        held.watch_again();
        held.holding().await;
        assert!(!again.await, "whoever began it hands it over");
        system.inner.tools.values().next().unwrap().unknown(Vec::new()).await.unwrap();
        let early = calls.load(Ordering::SeqCst);
        held.go_on();
        early
    });
    told.unwrap();
    until(&system, address, |_| calls.load(Ordering::SeqCst) > 0).await;
    assert_eq!((early, calls.load(Ordering::SeqCst)), (0, 1));
}

/// A client that heard of a run by its key must not find, after a crash, that there never was one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_submission_is_answered_only_when_the_first_is_durable() {
    let held = Held::new(|op| matches!(op, Op::Spawn { .. }));
    let _goes_on = GoesOn(held.clone());
    let system = builder().start(held.clone()).await.unwrap();
    let first = system.spawn::<Counter>("order-7", &Told::Add(1));
    let (first, second) = tokio::join!(first, async {
        held.holding().await;
        let mut second = Box::pin(system.spawn::<Counter>("order-7", &Told::Add(1)));
        // It needs nobody to look the key up, which is in memory.
        let polled = second.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "it was answered before the first was durable");
        held.go_on();
        second.await
    });
    assert_eq!(first.unwrap().id, second.unwrap().id);
}

/// What is accepted behind a change of a row concerns nobody who waited for that change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_row_is_told_what_is_durable_and_nothing_later() {
    let (row, now, later) = (Bytes::from("row"), Bytes::from("now"), Bytes::from("later"));
    let held = Held::new(|op| matches!(op, Op::Put { value, .. } if value == "later"));
    let _goes_on = GoesOn(held.clone());
    let system = builder().start(held.clone()).await.unwrap();
    let mut waits = Box::pin(system.wait_for(row.clone(), |found| found.is_some()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut context).is_pending(), "there is no such row yet");
    system.put(vec![(row.clone(), now.clone())]).await.unwrap();
    let mut putting = Box::pin(system.put(vec![(row.clone(), later.clone())]));
    assert!(putting.as_mut().poll(&mut context).is_pending(), "its record is held");
    held.holding().await;
    assert_eq!(tokio::time::timeout(SOON, waits).await.expect("it need not wait for more").unwrap(), Some(now));
    // Who comes now has to wait for what it sees.
    let mut waits = Box::pin(system.wait_for(row, |found| found.is_some()));
    assert!(waits.as_mut().poll(&mut context).is_pending(), "it was told what is not durable");
    held.go_on();
    assert_eq!(waits.await.unwrap(), Some(later));
    putting.await.unwrap();
}
