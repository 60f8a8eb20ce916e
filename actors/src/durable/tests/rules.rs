//! Rules of acceptance that every other test takes for granted: each is broken by a mutant, and here that shows.

use super::*;
use crate::durable::{directory, supervision::Policy, system::Unaccepted};

/// What comes for an actor waits in its mailbox: nothing is run in a life that holds every stream.
async fn held(store: &Memory) -> System {
    builder().recovered(|found| Ok(found.streams())).start(Arc::new(store.reopen())).await.unwrap()
}

/// A counter that exists and whose life has ended.
async fn left_behind(store: &Memory) -> Address<Counter> {
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    assert_eq!(count(&system, address).await.total, 0);
    system.stop(SOON).await;
    address
}

/// It was once noticed by no test that a refused message came back with every start.
#[tokio::test]
async fn a_message_that_was_refused_is_refused_once() {
    let store = Memory::new();
    let address = left_behind(&store).await;
    let system = held(&store).await;
    system.tell(address, Told::Refuse).await.unwrap();
    system.stop(SOON).await;
    for _ in 0..2 {
        let system = builder().start(Arc::new(store.reopen())).await.unwrap();
        assert_eq!(count(&system, address).await.total, 0);
        assert_eq!(system.dead_letters().await.unwrap().len(), 1);
        system.stop(SOON).await;
    }
}

/// The version alone does not tell two hosts apart that took no turn yet.
#[tokio::test]
async fn a_commit_of_an_older_activation_is_refused_though_its_version_fits() {
    let store = Memory::new();
    let address = left_behind(&store).await;
    let system = held(&store).await;
    system.tell(address, Told::Add(7)).await.unwrap();
    let inner = &system.inner;
    let mailbox = |inner: &system::Inner| {
        let core = inner.core.lock();
        let row = &core.accepted.live().actors[&address.id];
        (row.version, row.mailbox.front().cloned())
    };
    let (version, entry) = mailbox(inner);
    let entry = entry.unwrap();
    let load = || {
        let activation = inner.with_accepted(|accepted, _| accepted.activate(address.id)).unwrap().unwrap();
        inner.load(address.id, activation).unwrap()
    };
    let (mut older, mut newer) = (load(), load());
    let mut commit = older.take(address.id, &entry, &inner.ids, &inner.extensions);
    assert_eq!(commit.version, version);
    let refused = inner.accept(&mut commit);
    assert!(matches!(refused, Err(Unaccepted::Fenced)), "{refused:?}");
    assert_eq!(mailbox(inner), (version, Some(entry.clone())), "nothing of it is there");
    inner.accept(&mut newer.take(address.id, &entry, &inner.ids, &inner.extensions)).unwrap();
    assert_eq!(mailbox(inner), (version + 1, None));
}

#[tokio::test]
async fn a_version_counts_turns_and_no_snapshots() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    let snapshot = |system: &System| {
        let core = system.inner.core.lock();
        let row = &core.accepted.live().actors[&address.id];
        (row.version, row.snapshot.is_some())
    };
    let mut turns = 1;
    while !snapshot(&system).1 {
        system.tell(address, Told::Add(1)).await.unwrap();
        turns += 1;
        assert!(turns < 10_000, "its events are worth a snapshot in the end");
    }
    assert_eq!(count(&system, address).await.total, turns - 1);
    assert_eq!(snapshot(&system), (turns + 1, true));
}

/// An answer is taken while the row of its call is there, and it is there once.
#[tokio::test]
async fn a_second_answer_is_late_and_changes_nothing() {
    let calls = Arc::new(AtomicU32::new(0));
    let system = builder().tool("slow", Arc::new(Slow(calls.clone()))).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    let call = until(&system, address, |count| count.call.is_some()).await.call.unwrap();
    for _ in 0..2 {
        system.inner.answer(vec![(call, Outcome::Done(Json::NULL), None)], || {});
    }
    assert_eq!(count(&system, address).await.verdicts, ["done"]);
    assert_eq!(system.inner.core.lock().accepted.late_answers(), 1);
}

/// A message that comes while its actor's host lets go rings a host that hosts nobody; so the host looks again.
#[tokio::test]
async fn a_message_that_comes_while_a_host_lets_go_is_taken() {
    let builder = builder().passivate(Duration::from_secs(3_600), 100).unstick_every(Duration::from_secs(3_600));
    let system = builder.start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    assert_eq!(count(&system, address).await.total, 0);
    let told = Told::Add(7);
    *system.inner.faults.meanwhile.lock() = Some(Box::new(move |inner| {
        let entrance = Entrance { deliver: Some((address.id, Body::message::<Counter>(&told))), ..Entrance::default() };
        let entered = inner.with_accepted(|accepted, now_ms| accepted.enter(now_ms, entrance));
        inner.ring_all(&entered.unwrap().unwrap(), None);
    }));
    system.inner.directory.passivate(Duration::ZERO);
    let taken = async {
        while system.actor(address.id).await.unwrap().unwrap().version < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, taken).await.expect("nobody else rings");
    assert_eq!(count(&system, address).await.total, 7);
}

/// Five runs that crash at once are five bugs in one place, and the sixth has nothing to do with them.
#[test]
fn actors_that_die_at_once_are_counted_apart() {
    let directory = directory::Directory::default();
    for actor in (1..=6).map(|number| ActorId(number << 8)) {
        let cure = directory.count(actor, actor.0, &Policy::DEFAULT);
        assert_eq!(cure, directory::Cure::Reload { after: Duration::ZERO }, "{actor}");
    }
}
