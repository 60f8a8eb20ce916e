//! Inputs are taken in the order in which they were accepted or came due, also when timers are fired late.

use super::*;
use crate::clock::ManualClock;

/// Sets the timer again, which forgets a firing that was not taken yet.
const LATER: Told = Told::AddLater { number: 100, after_ms: 1_000_000_000 };

/// Once a message that was accepted after a timer had come due was taken before it, if the timers' service was late: what
/// had expired was still approved.
#[tokio::test]
async fn a_timer_that_came_due_before_a_message_was_accepted_is_taken_before_it() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let system = builder().clock(clock.clone()).start(Arc::new(Memory::new())).await.unwrap();
    system.stall(Stall::Timers);
    let address = counter(&system).await;
    system.tell(address, Told::AddLater { number: 7, after_ms: 1_000 }).await.unwrap();
    clock.advance(999);
    assert_eq!(count(&system, address).await.total, 0, "it is not due yet");
    clock.advance(1);
    system.tell(address, LATER).await.unwrap();
    let seen = count(&system, address).await;
    assert_eq!((seen.total, seen.scheduled), (7, 100));
}

#[tokio::test]
async fn a_timer_that_came_due_while_nobody_ran_is_taken_before_what_is_accepted_later() {
    let (store, clock) = (Memory::new(), Arc::new(ManualClock::at(1_000_000)));
    let start = || builder().clock(clock.clone());
    let system = start().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::AddLater { number: 7, after_ms: 1_000 }).await.unwrap();
    assert_eq!(count(&system, address).await.scheduled, 7);
    system.stop(SOON).await;
    clock.advance(60_000);
    // In this life the actor takes nothing, and its timers are not fired.
    let held = start().recovered(|found| Ok(found.streams())).start(Arc::new(store.reopen())).await.unwrap();
    held.tell(address, LATER).await.unwrap();
    held.stop(SOON).await;
    let system = start().start(Arc::new(store.reopen())).await.unwrap();
    let seen = count(&system, address).await;
    assert_eq!((seen.total, seen.scheduled), (7, 100));
}

#[tokio::test]
async fn a_timer_is_not_fired_a_millisecond_before_its_time() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let system = builder().clock(clock.clone()).start(Arc::new(Memory::new())).await.unwrap();
    // Only this test fires.
    system.stall(Stall::Timers);
    let address = counter(&system).await;
    system.tell(address, Told::AddLater { number: 7, after_ms: 1_000 }).await.unwrap();
    assert_eq!(count(&system, address).await.scheduled, 7);
    let fire = || system.inner.with_accepted(|accepted, now_ms| accepted.fire(now_ms, 10).ring).unwrap();
    clock.advance(999);
    assert_eq!(fire(), []);
    clock.advance(1);
    assert_eq!(fire(), [address.id]);
}

/// A firing that lies in the mailbox when its timer is set again belongs to the timer that is gone.
#[tokio::test]
async fn a_timer_that_is_set_again_takes_back_a_firing_that_was_not_taken() {
    let (store, clock) = (Memory::new(), Arc::new(ManualClock::at(1_000_000)));
    let start = || builder().clock(clock.clone());
    let system = start().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::AddLater { number: 7, after_ms: 1_000 }).await.unwrap();
    assert_eq!(count(&system, address).await.scheduled, 7);
    system.stop(SOON).await;
    let held = start().recovered(|found| Ok(found.streams())).start(Arc::new(store.reopen())).await.unwrap();
    held.tell(address, LATER).await.unwrap();
    clock.advance(60_000);
    // The timer came due before this, and so its firing lies between the two messages.
    held.tell(address, Told::Add(1)).await.unwrap();
    held.stop(SOON).await;
    let system = start().start(Arc::new(store.reopen())).await.unwrap();
    let seen = count(&system, address).await;
    assert_eq!((seen.total, seen.scheduled), (1, 100));
}
