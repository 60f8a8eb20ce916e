//! Calls that are no longer wanted, across the death of their process.

use super::{
    deaths::{all_streams, dies_of},
    *,
};
use crate::durable::{
    accepted::{Accepted, Commit},
    flight::Named,
    id::Sequence,
    live::Live,
    open::Sealed,
    outbox::Outbox,
    record::{self, Op, Record},
    store::Store as _,
};

/// Never answers, and hears no cancel.
struct Deaf(AtomicU32);

impl Tool for Deaf {
    async fn call(&self, _: &CallContext, _: Json) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

async fn start(tool: &Arc<Deaf>, store: &Memory) -> System {
    builder().tool("bank", tool.clone()).start(Arc::new(store.reopen())).await.unwrap()
}

/// A call that was cancelled while it ran was once made again by the next life, from its beginning to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_cancelled_while_it_ran_is_not_made_again_after_a_crash() {
    let (store, tool) = (Memory::new(), Arc::new(Deaf(AtomicU32::new(0))));
    let dead = start(&tool, &store).await;
    let address = counter(&dead).await;
    dead.tell(address, Told::Call { tool: "bank".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&dead, address, |_| tool.0.load(Ordering::SeqCst) == 1).await;
    dead.tell(address, Told::Cancel).await.unwrap();
    // What this answers was durable with the cancel, or after it.
    count(&dead, address).await;
    let system = start(&tool, &store).await;
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["unknown: crash"], "nobody knows what became of it");
    assert_eq!(tool.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_cancelled_is_made_again_after_a_crash() {
    let (store, tool) = (Memory::new(), Arc::new(Deaf(AtomicU32::new(0))));
    let dead = start(&tool, &store).await;
    let address = counter(&dead).await;
    dead.tell(address, Told::Call { tool: "bank".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&dead, address, |_| tool.0.load(Ordering::SeqCst) == 1).await;
    let system = start(&tool, &store).await;
    until(&system, address, |_| tool.0.load(Ordering::SeqCst) == 2).await;
}

/// Answers when it is asked to stop, that it certainly had no effect.
struct Obedient(AtomicU32);

impl Tool for Obedient {
    fn effect(&self) -> Effect {
        Effect::AtMostOnce
    }

    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        cx.cancelled().await;
        Outcome::failed("stopped", "it had not begun to pay")
    }
}

/// A stop took the start of such a call back, for it surely had no effect; the next life made it again, although its caller
/// did not want it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_wanted_and_ends_as_the_system_stops_is_not_made_again() {
    for is_wanted in [true, false] {
        let (store, tool) = (Memory::new(), Arc::new(Obedient(AtomicU32::new(0))));
        let start = || builder().tool("bank", tool.clone()).start(Arc::new(store.reopen()));
        let former = start().await.unwrap();
        let address = counter(&former).await;
        let call = Told::Call { tool: "bank".to_owned(), effect: Effect::AtMostOnce };
        former.tell(address, call).await.unwrap();
        until(&former, address, |_| tool.0.load(Ordering::SeqCst) == 1).await;
        // Whatever the tool says from now on, it says to a system that stops.
        former.inner.core.lock().draining = true;
        if !is_wanted {
            former.tell(address, Told::Cancel).await.unwrap();
            // The turn is taken, too; a stop that came first would ask a call to stop that is still wanted.
            count(&former, address).await;
        }
        former.stop(SOON).await;
        let system = start().await.unwrap();
        if is_wanted {
            until(&system, address, |_| tool.0.load(Ordering::SeqCst) == 2).await;
        } else {
            let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
            assert_eq!(seen.verdicts, ["failed: stopped"]);
            assert_eq!(tool.0.load(Ordering::SeqCst), 1, "it is not made again");
        }
    }
}

/// A store with a call that was made and a message that cancels it, and the numbers of both.
async fn with_cancel(tool: &Arc<Deaf>, store: &Memory) -> (Address<Counter>, CallId, u64) {
    let former = start(tool, store).await;
    let address = counter(&former).await;
    former.tell(address, Told::Call { tool: "bank".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    let call = until(&former, address, |_| tool.0.load(Ordering::SeqCst) == 1).await.call.unwrap();
    let held =
        builder().tool("bank", tool.clone()).recovered(all_streams).start(Arc::new(store.reopen())).await.unwrap();
    held.tell(address, Told::Cancel).await.unwrap();
    let entry = held.actor(address.id).await.unwrap().unwrap().mailbox[0].number;
    held.stop(SOON).await;
    (address, call, entry)
}

/// What is in the record in which an actor took a message that lay on disk.
fn record_of_turn(store: &Memory, address: Address<Counter>, entry: u64) -> Vec<Op> {
    let mut found = Vec::new();
    let is_it = |op: &Op| matches!(op, Op::Turn { actor, consumed, .. } if *actor == address.id && *consumed == entry);
    let visit = &mut |_, payload: &[u8]| {
        let record: Record = codec::open(record::FORMAT, payload).unwrap();
        found.extend(Some(record.ops).filter(|ops| ops.iter().any(is_it)));
        true
    };
    store.scan(Sequence(1), visit).unwrap();
    let [ops] = <[Vec<Op>; 1]>::try_from(found).expect("the message was taken once");
    ops
}

/// Whether no later life makes the call again: it has an outcome, or is known to have begun.
fn is_cancelled(ops: &[Op], wanted: CallId) -> bool {
    ops.iter().any(|op| match op {
        Op::CallEnded { call, .. } | Op::CallStarted { call } => *call == wanted,
        _ => false,
    })
}

/// The turn of a message of which a former life may have died was durable before the cancels in it were accepted at all: a
/// process that died between them made the call again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_durable_of_a_commit_before_its_cancels_are() {
    for is_suspected in [true, false] {
        let (store, tool, folder) = (Memory::new(), Arc::new(Deaf(AtomicU32::new(0))), tempfile::tempdir().unwrap());
        let (address, call, entry) = with_cancel(&tool, &store).await;
        let file = folder.path().join("flight");
        if is_suspected {
            dies_of(&file, Named::Turn { actor: address.id, entry });
        }
        let store = Arc::new(store.reopen());
        let system = builder().tool("bank", tool.clone()).flight_recorder(file);
        let system = system.start(store.clone()).await.unwrap();
        // Durable, and with it whatever was accepted before.
        count(&system, address).await;
        let ops = record_of_turn(&store, address, entry);
        assert!(is_cancelled(&ops, call), "suspected: {is_suspected}: {ops:?}");
    }
}

/// A record that was nearly full was sealed with the commit, and the cancels came into the next one.
#[test]
fn a_commit_and_its_cancels_stand_in_one_record_however_full_it_is() {
    let (actor, call) = (ActorId(1 << 8), CallId(2));
    for left in (0..400).step_by(8) {
        let mut accepted = Accepted::new(Live::default(), Sequence(1));
        let entrance = Entrance { root: Some((1, actor, Bytes::new())), ..Entrance::default() };
        accepted.enter(1, entrance).unwrap();
        let turn = |accepted: &mut Accepted, fill: &dyn Fn(&mut Outbox)| {
            let mut outbox = Outbox::default();
            fill(&mut outbox);
            let activation = accepted.activate(actor).unwrap();
            let entry = accepted.head(actor).unwrap().number;
            let (number, version) = (activation.number, activation.version);
            let mut commit = Commit { actor, activation: number, version, entry, outbox: Box::new(outbox) };
            accepted.accept_and_cancel(1, &mut commit, |accepted, call| accepted.cancel_idle(1, call)).unwrap();
        };
        turn(&mut accepted, &|outbox| outbox.calls.push((call, wanted(), None)));
        while accepted.seal().is_some() {}
        let deliver = Some((actor, Body::Message(Bytes::new())));
        accepted.enter(1, Entrance { deliver, ..Entrance::default() }).unwrap();
        let filling = vec![0; record::BYTES_MAX - left - 100];
        let puts = vec![(Bytes::from_static(b"filling"), Bytes::from(filling))];
        accepted.enter(1, Entrance { puts, ..Entrance::default() }).unwrap();
        turn(&mut accepted, &|outbox| outbox.cancelled.push(call));
        let sealed: Vec<Sealed> = std::iter::from_fn(|| accepted.seal()).collect();
        let is_turn = |op: &Op| matches!(op, Op::Turn { .. });
        let with_turn = sealed.iter().find(|sealed| sealed.record.ops.iter().any(is_turn)).unwrap();
        assert!(is_cancelled(&with_turn.record.ops, call), "with {left} bytes left");
    }
}

fn wanted() -> Request {
    Request {
        tool: "bank".to_owned(),
        path: "test".to_owned(),
        key: Key([0; 32]),
        attempt: 1,
        effect: Effect::IDEMPOTENT,
        input: Json::NULL,
        timeout_ms: 1_000,
        checkpoint: None,
        key_since_ms: 1,
        heartbeat_ms: None,
    }
}
