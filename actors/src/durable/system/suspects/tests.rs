//! What the store says of those that were named.

use bytes::Bytes;

use super::*;
use crate::durable::{
    Live,
    entry::Body,
    id::{Sequence, StreamId},
    record::Op,
};

const ACTOR: ActorId = ActorId(5 << 8);
const HELD: ActorId = ActorId(6 << 8);

/// An actor that took messages 1 and 2 and has 3 and 4, and a held one with message 1; ids up to 9 are given out.
fn accepted() -> Accepted {
    let mut live = Live::default();
    live.highest_id = 9;
    let mut apply = |op: Op| live.apply(Sequence(1), 0, &op);
    for actor in [ACTOR, HELD] {
        apply(Op::Spawn { actor, kind: 1, parent: ActorId::ENGINE, stream: StreamId(actor.0) });
    }
    let deliver = |to, number| Op::Deliver { to, at: 0, number, body: Body::Message(Bytes::new()) };
    for number in 1..=4 {
        apply(deliver(ACTOR, number));
    }
    for number in 1..=2 {
        apply(Op::Discard { actor: ACTOR, number });
    }
    apply(deliver(HELD, 1));
    let mut accepted = Accepted::new(live, Sequence(1));
    accepted.hold([StreamId(HELD.0)]);
    accepted
}

fn suspect(actor: ActorId, entry: u64, deaths: u32) -> Suspect {
    Suspect { named: Named::Turn { actor, entry }, deaths, is_fresh: true }
}

fn sorted(suspects: &[Suspect]) -> Sorted {
    Sorted::of(suspects, &accepted())
}

#[test]
fn who_is_to_be_given_up_comes_first_and_then_who_killed_least() {
    let sorted = sorted(&[suspect(ACTOR, 3, 2), suspect(ACTOR, 4, 3)]);
    let order: Vec<_> = sorted.turns.iter().map(|turn| turn.entry).collect();
    assert_eq!((order, sorted.has_strays), (vec![4, 3], false));
}

#[test]
fn a_consumed_message_and_a_finished_actor_are_innocent() {
    let sorted = sorted(&[suspect(ACTOR, 2, 2), suspect(ActorId(9 << 8), 1, 2)]);
    assert_eq!(sorted, Sorted { has_fresh: true, ..Sorted::default() });
}

#[test]
fn what_the_store_never_held_is_a_stray() {
    assert!(sorted(&[suspect(ACTOR, 5, 1)]).has_strays, "a message");
    assert!(sorted(&[suspect(ActorId(10 << 8), 1, 1)]).has_strays, "an actor");
    let of_earlier_lives = Suspect { is_fresh: false, ..suspect(ACTOR, 5, 1) };
    assert!(!sorted(&[of_earlier_lives]).has_strays);
}

#[test]
fn a_held_message_stays_suspected() {
    let suspect = suspect(HELD, 1, 3);
    assert_eq!(sorted(&[suspect]).held, [suspect]);
}

#[test]
fn strays_count_in_a_row() {
    let stray = sorted(&[suspect(ACTOR, 5, 1)]);
    assert_eq!([stray.strays(0), stray.strays(2)], [1, 3]);
    assert_eq!(sorted(&[suspect(ACTOR, 3, 1)]).strays(2), 0, "a death that is explained ends the row");
    assert_eq!(sorted(&[]).strays(2), 2, "a life that died idle says nothing");
}
