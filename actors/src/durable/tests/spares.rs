//! A host that let go of its actor takes another one; and what it hears at its door.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SOON;
use crate::durable::{Address, Behavior, Rejection, System, Turn, door::Door, host::Why, id::ActorId, store::Memory};

/// Counts what it is told, until it is told to leave.
struct Visitor;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Say {
    Count,
    Leave,
}

impl Behavior for Visitor {
    const KIND: &'static str = "visitor";
    const VERSION: u16 = 1;
    type State = u32;
    type Message = Say;
    type Event = ();
    type Reply = u32;

    fn decide(turn: &mut Turn<'_, Self>, message: Say) -> Result<(), Rejection> {
        turn.emit(&());
        let count = *turn.state();
        turn.reply(&count);
        if let Say::Leave = message {
            turn.stop();
        }
        Ok(())
    }

    fn apply(state: &mut u32, (): &()) {
        *state += 1;
    }
}

async fn start() -> System {
    System::builder().behavior::<Visitor>().start(Arc::new(Memory::new())).await.unwrap()
}

async fn come(system: &System) -> Address<Visitor> {
    system.spawn_root::<Visitor>(None, |_| Vec::new(), &Say::Count).await.unwrap().unwrap()
}

async fn say(system: &System, to: Address<Visitor>, message: Say) -> u32 {
    system.ask(to, message, SOON).await.unwrap()
}

/// The host that a visitor leaves behind.
async fn left_behind(system: &System) -> ractor::ActorCell {
    let visitor = come(system).await;
    assert_eq!(say(system, visitor, Say::Leave).await, 2);
    let spare = async {
        loop {
            match system.inner.directory.spares().pop() {
                Some(spare) => return spare,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(SOON, spare).await.expect("the host lets go")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_let_go_takes_the_next_actor_and_brings_nothing_of_the_former() {
    let system = start().await;
    let spare = left_behind(&system).await;
    let next = come(&system).await;
    assert_eq!(say(&system, next, Say::Count).await, 2);
    assert_eq!(system.inner.directory.host_of(next.id), Some(spare.get_id()));
    assert!(system.inner.directory.spares().is_empty());
    system.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_whose_host_was_killed_as_a_spare_gets_another() {
    let system = start().await;
    let spare = left_behind(&system).await;
    // It may die before it is asked to host the next one, or after some of its turns.
    spare.kill();
    let next = come(&system).await;
    assert_eq!(say(&system, next, Say::Count).await, 2);
    spare.wait(Some(SOON)).await.expect("it dies of it");
    assert_eq!(say(&system, next, Say::Count).await, 3);
    assert_ne!(system.inner.directory.host_of(next.id), Some(spare.get_id()));
    system.stop(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bells_that_ring_while_a_host_is_at_work_are_one_and_count_until_they_are_answered_or_it_ends() {
    let system = start().await;
    let (inner, door) = (&system.inner, Door::default());
    door.ring(inner);
    door.ring(inner);
    door.passivate(Why::Idle);
    assert_eq!(inner.hands.full(), 1);
    let bells = door.heard().await;
    assert!(bells.rung.is_some() && bells.passivate == Some(Why::Idle) && bells.guest.is_none() && !bells.leave);
    assert_eq!(inner.hands.full(), 1, "it is not answered yet");
    drop(bells);
    assert_eq!(inner.hands.full(), 0);

    // What was meant for the guest before is not for the next one.
    door.passivate(Why::Room);
    door.host(inner, ActorId(7));
    let bells = door.heard().await;
    assert!(bells.guest == Some(ActorId(7)) && bells.rung.is_some() && bells.passivate.is_none());
    drop(bells);

    door.ring(inner);
    door.shut();
    door.ring(inner);
    assert_eq!(inner.hands.full(), 0, "nobody answers at the door of one who has ended");
    system.stop(SOON).await;
}
