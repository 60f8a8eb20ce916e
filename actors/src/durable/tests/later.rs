//! Values of a later build, one kind after another: each is refused by name, and what needs it says so where people look.
//!
//! A folder that a newer build has opened is refused as a whole (`upgrade.rs`). This is what stands behind that: the version
//! inside each value, for a store in which a value came from elsewhere.

use super::*;
use crate::durable::{
    chain::Head,
    id::Sequence,
    live::{DeadLetter, Live, stored},
    record::{self, NOTE, Op, Record},
    restored::Restored,
    store::Store as _,
};

const ACTOR: ActorId = ActorId(1 << 8);

/// Values by their names, each as today's build writes it, and how it is read.
type Kind = (&'static str, Bytes, fn(&[u8]) -> Result<(), String>);

fn read<T, E: ToString>(result: Result<T, E>) -> Result<(), String> {
    result.map(|_| ()).map_err(|error| error.to_string())
}

fn actor_row() -> Live {
    let mut live = Live::default();
    live.apply(
        Sequence(1),
        0,
        &Op::Spawn { actor: ACTOR, kind: 1, parent: ActorId::ENGINE, stream: StreamId(ACTOR.0) },
    );
    live
}

/// A store with one record.
fn fold(payload: &[u8]) -> Result<(), String> {
    let store = Memory::new();
    let recovered = store.recover(&mut |_, _| Ok(())).unwrap();
    store.append(recovered.fence, Sequence(1), payload).unwrap();
    read(Live::fold(&store.reopen()))
}

fn kinds() -> Vec<Kind> {
    let live = actor_row();
    let row = &live.actors[&ACTOR];
    let supervised = {
        let mut row = row.clone();
        row.supervised.is_ending = true;
        row
    };
    let call = crate::durable::record::tests::rows().remove(0);
    let mut beating = call.clone();
    beating.request.heartbeat_ms = Some(30_000);
    let letter =
        DeadLetter { to: ACTOR, at_ms: 1, reason: "it died".to_owned(), body: Body::Message(Bytes::from_static(b"m")) };
    let restored = Restored { from: 1, to: 2, at_ms: 3, confirmed_by: None };
    vec![
        ("record", codec::seal(record::FORMAT, &Record::default()), fold),
        ("runtime/note", codec::seal(NOTE, &Note::Buried { reason: String::new() }), |sealed| {
            read(codec::open::<Note>(NOTE, sealed))
        }),
        ("row/actor", stored::seal_actor(row, Some(Head::default())), |sealed| read(stored::open_actor(sealed))),
        ("row/actor", stored::seal_actor(&supervised, None), |sealed| read(stored::open_actor(sealed))),
        ("row/call", stored::seal_call(&call), |sealed| read(stored::open_call(sealed))),
        ("row/call", stored::seal_call(&beating), |sealed| read(stored::open_call(sealed))),
        ("row/meta", live.meta(), |sealed| read(Live::over(None, sealed))),
        ("dead letter", letter.seal(), |sealed| read(DeadLetter::open(sealed))),
        ("restored", restored.encode(), |sealed| read(Restored::decode(sealed))),
    ]
}

#[test]
fn every_kind_of_value_of_a_later_build_is_refused_by_name() {
    for (name, sealed, read) in kinds() {
        assert_eq!(read(&sealed), Ok(()), "{name}, as it is");
        let refused = read(&codec::of_a_later_build(&sealed)).expect_err(name);
        assert!(refused.contains("version 999"), "{name}: {refused}");
    }
}

/// Once a call and a plan were said to be read at version 1 by builds that read 2 and 3.
#[test]
fn a_refusal_names_the_highest_version_that_is_read() {
    for (name, highest) in [("row/actor", 2), ("row/call", 2)] {
        for (_, sealed, read) in kinds().iter().filter(|(kind, ..)| *kind == name) {
            let refused = read(&codec::of_a_later_build(sealed)).unwrap_err();
            assert!(refused.contains(&format!("reads version {highest}")), "{name}: {refused}");
        }
    }
}

/// Kinds that are put to the test beside where they are read.
const ELSEWHERE: [(&str, &str); 6] = [
    ("once", "actors/src/durable/system/once.rs"),
    ("swept", "actors/src/durable/system/janitor.rs"),
    ("clock-jump", "actors/src/durable/system/jumps.rs"),
    ("plan", "actors/src/run/tests/later.rs"),
    ("run/row", "actors/src/run/tests/later.rs"),
    ("submission/key", "src/engine/keys.rs"),
];

#[test]
fn no_kind_of_value_is_left_out() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut named = std::collections::BTreeSet::new();
    let mut folders = vec![root.join("actors/src"), root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // What stands in tests is written nowhere.
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let names = text.split("Format::new(\"").skip(1).filter_map(|rest| rest.split('"').next());
                named.extend(names.filter(|name| *name != "test").map(str::to_owned));
            }
        }
    }
    let mut tested: std::collections::BTreeSet<_> = kinds().iter().map(|(name, ..)| (*name).to_owned()).collect();
    for (name, file) in ELSEWHERE {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains("of_a_later_build"), "{name} is put to no test in {file}");
        tested.insert(name.to_owned());
    }
    assert_eq!(tested, named, "put each kind into `kinds`, or beside where it is read and into `ELSEWHERE`");
}

/// A store with a counter, and one more record, as if another build had written it.
async fn with_record(ops: impl FnOnce(ActorId) -> Vec<Op>) -> (Memory, ActorId) {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    count(&system, address).await;
    system.stop(SOON).await;
    let after = store.reopen();
    let recovered = after.recover(&mut |_, _| Ok(())).unwrap();
    let record = Record { base_ms: 1_795_244_940_000, ops: ops(address.id), heads: Vec::new() };
    after.append(recovered.fence, recovered.durable.next(), &codec::seal(record::FORMAT, &record)).unwrap();
    (store, address.id)
}

/// Why the actor is suspended, once it is.
async fn suspended(store: &Memory, actor: ActorId) -> (String, Vec<String>) {
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let suspended = async {
        loop {
            if let Some(reason) = system.actor(actor).await.unwrap().unwrap().suspended {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    };
    let reason = tokio::time::timeout(SOON, suspended).await.expect("it is suspended");
    let letters = system.dead_letters().await.unwrap().into_iter().map(|(_, letter)| letter.reason).collect();
    system.stop(SOON).await;
    (reason, letters)
}

fn told(to: ActorId, sealed: Bytes) -> Op {
    Op::Deliver { to, at: 0, number: 1_000, body: Body::Message(sealed) }
}

fn message() -> Bytes {
    let Body::Message(sealed) = Body::message::<Counter>(&Told::Add(1)) else { panic!("it is a message") };
    sealed
}

#[tokio::test]
async fn an_actor_with_an_event_or_a_state_of_a_later_build_is_suspended_and_says_so_and_keeps_its_mail() {
    let event = codec::of_a_later_build(&codec::seal(codec::Format::part("counter", "event", 1), &Happened::Added(1)));
    let state = codec::of_a_later_build(&codec::seal(codec::Format::part("counter", "state", 1), &Count::default()));
    let ops: [fn(ActorId, Bytes) -> Op; 2] = [
        |actor, event| Op::Turn { actor, at: 0, consumed: 0, events: vec![event] },
        |actor, state| Op::Snapshot { actor, state },
    ];
    for (op, sealed) in ops.into_iter().zip([event, state]) {
        let (store, actor) = with_record(|actor| vec![op(actor, sealed), told(actor, message())]).await;
        let (reason, letters) = suspended(&store, actor).await;
        assert!(reason.contains("version 999, and this build reads version 1"), "{reason}");
        assert_eq!(letters, Vec::<String>::new(), "its mail is kept");
        let (live, _) = Live::fold(&store.reopen()).unwrap();
        assert_eq!(live.actors[&actor].mailbox.len(), 1);
    }
}

#[tokio::test]
async fn a_message_of_a_later_build_goes_to_the_dead_letters_and_its_actor_says_so() {
    let later = codec::of_a_later_build(&message());
    let (store, actor) = with_record(|actor| vec![told(actor, later)]).await;
    let (reason, letters) = suspended(&store, actor).await;
    let wanted = "the message does not decode: the value has version 999, and this build reads version 1";
    assert_eq!((&*reason, letters), (wanted, vec![wanted.to_owned()]));
}
