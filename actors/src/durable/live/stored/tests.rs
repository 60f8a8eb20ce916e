//! What a row says, byte by byte.

use std::collections::VecDeque;

use super::*;
use crate::{
    durable::{
        live::{DeadLetter, Listed, Live, dead_letter_key},
        record::tests::{bodies, rows, supervised},
    },
    golden::Golden,
};

const ID: ActorId = ActorId(0x0102_0304);

/// Bytes that stay on disk, in rows and in bases.
#[test]
fn rows_of_actors_keep_their_bytes() {
    let mut golden = Golden::of("row");
    for (name, actor, head) in actors() {
        let sealed = seal_actor(&actor, head);
        golden.bytes(&format!("actor {name}"), &sealed);
        assert_eq!(open_actor(&sealed), Ok((actor, head)));
    }
    for (at, row) in rows().into_iter().enumerate() {
        golden.value(&format!("call {at}"), CALL, &row);
    }
    let mut beating = rows().remove(0);
    beating.request.heartbeat_ms = Some(30_000);
    golden.bytes("call that beats", &seal_call(&beating));
    assert_eq!(open_call(&seal_call(&beating)), Ok(beating));
    let letter = DeadLetter { to: ID, at_ms: 9, reason: "it died".to_owned(), body: bodies().remove(0) };
    golden.bytes("dead letter", &letter.seal());
    assert_eq!(DeadLetter::open(&letter.seal()), Ok(letter));
    golden.bytes("meta", &Live { highest_id: 300, latest_ms: 70_000, next_dead: 2, ..Live::default() }.meta());
    golden.end();
}

/// Bytes that stay on disk, and by which everything is found.
#[test]
fn keys_of_rows_keep_their_bytes() {
    let mut golden = Golden::of("row-key");
    let due = (1_795_244_940_000, ID, 2);
    let keys = [
        ("actor", actor_key(ID), Key::Actor(ID)),
        ("call", call_key(CallId(300)), Key::Call(CallId(300))),
        ("index", index_key(b"run/1"), Key::Index(Bytes::from_static(b"run/1"))),
        ("mail", mail_key(ID), Key::Mail(ID)),
        ("timer", timer_key(due), Key::Timer(due.0, due.1, due.2)),
    ];
    for (name, key, names) in keys {
        golden.bytes(name, &key);
        assert_eq!(read_key(&key), Some(names));
    }
    golden.bytes("dead letter", &dead_letter_key(300));
    golden.end();
}

/// A row is read as it was left: the next message comes behind those that wait, and events are counted.
#[test]
fn a_row_that_is_read_goes_on_like_the_one_that_was_written() {
    let (_, actor, head) = actors().remove(1);
    let (read, _) = open_actor(&seal_actor(&actor, head)).unwrap();
    assert_eq!((read.next_entry, read.event_bytes), (actor.next_entry, actor.event_bytes));
}

#[test]
fn a_row_of_a_newer_build_is_refused_by_name() {
    let newer = codec::seal(codec::Format { version: 3, ..ACTOR }, &0_u8);
    assert_eq!(open_actor(&newer).unwrap_err(), codec::Error::Version { found: 3, known: 2 });
}

fn actors() -> Vec<(&'static str, Actor, Option<Head>)> {
    let fresh = Actor::new(0xDEAD_BEEF, ActorId(1), StreamId(1));
    let bodies = bodies().into_iter().zip(1..);
    let mailbox: VecDeque<_> = bodies
        .map(|(body, number)| Entry { number, accepted_at: 1_795_244_940_000, body, reply: None, place: None })
        .take(9)
        .collect();
    let timer = |name| Timer { name, generation: 3, due_ms: 1_795_244_941_000, listed: Listed(true) };
    let mut busy = Actor {
        version: 251,
        children: 2,
        calls: 1,
        suspended: Some("it cannot be loaded".to_owned()),
        next_entry: 10,
        mailbox,
        snapshot: Some(Bytes::from_static(b"state")),
        events: vec![Bytes::from_static(b"one"), Bytes::from_static(b"three")],
        event_bytes: 8,
        timers: vec![timer(2), timer(1)],
        ..Actor::new(7, ActorId::ENGINE, StreamId(ID.0))
    };
    busy.keep.changed = Sequence(70_000);
    let supervised = Actor { supervised: supervised(), ..Actor::new(7, ActorId(1), StreamId(1)) };
    vec![
        ("fresh", fresh, None),
        ("busy", busy, Some(Head { count: 2, hash: [0xAB; 32] })),
        ("supervised", supervised, None),
    ]
}
