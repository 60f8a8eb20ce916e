//! What a record says, byte by byte.

use std::collections::BTreeSet;

use super::*;
use crate::{
    durable::{
        call::{Answer, Effect, Key, Outcome, Request, RowState, Verdict},
        care::Care,
        entry::{Fate, Fired},
    },
    golden::Golden,
    json::Json,
};

const ACTOR: ActorId = ActorId(0x0102);
const CALL: CallId = CallId(300);

/// Bytes that stay on disk: every operation that any build wrote. A new one goes to the end of [`Op`], and its line to the end
/// of the file.
#[test]
fn operations_keep_their_bytes() {
    let mut golden = Golden::of("record");
    let mut seen = BTreeSet::new();
    for op in ops() {
        let (place, name) = name(&op);
        let count = seen.iter().filter(|(at, _)| *at == place).count();
        seen.insert((place, count));
        let record = Record { base_ms: 1_795_244_940_000, ops: vec![op], heads: Vec::new() };
        golden.value(&format!("{name} {count}"), FORMAT, &record);
    }
    let head = Head { count: 2, hash: [0xAB; 32] };
    golden.value("heads", FORMAT, &Record { base_ms: 1, ops: Vec::new(), heads: vec![(StreamId(0x0102), head)] });
    golden.end();
    let places: BTreeSet<_> = seen.into_iter().map(|(place, _)| place).collect();
    assert!(places.into_iter().eq(0..OPS), "one of them has no line");
}

#[test]
fn the_room_for_a_huge_record_is_given_back() {
    let mut encoder = Encoder::default();
    let of = |bytes: usize| {
        let noise = (0..bytes as u64 / 8).flat_map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        Record { ops: vec![Op::Snapshot { actor: ACTOR, state: noise.collect() }], ..Record::default() }
    };
    for bytes in [ROOM_MOST + 1_000, 1_000] {
        let (record, sealed) = (of(bytes), encoder.seal(&of(bytes)).to_vec());
        assert!(codec::open::<Record>(FORMAT, &sealed).unwrap() == record);
    }
    assert!(encoder.sealed.capacity() < BYTES_MAX, "{}", encoder.sealed.capacity());
}

/// Bytes that stay on disk, and in every chain of a ledger.
#[test]
fn notes_keep_their_bytes() {
    let mut golden = Golden::of("note");
    for note in notes() {
        golden.value(note_name(&note), NOTE, &note);
    }
    golden.end();
}

const OPS: usize = 26;

/// Where an operation stands among the others, and its name. One that is not here does not compile.
fn name(op: &Op) -> (usize, &'static str) {
    match op {
        Op::Nothing => (0, "nothing"),
        Op::Spawn { .. } => (1, "spawn"),
        Op::Turn { .. } => (2, "turn"),
        Op::Deliver { .. } => (3, "deliver"),
        Op::Discard { .. } => (4, "discard"),
        Op::Snapshot { .. } => (5, "snapshot"),
        Op::Timer { .. } => (6, "timer"),
        Op::TimerGone { .. } => (7, "timer gone"),
        Op::Call { .. } => (8, "call"),
        Op::CallStarted { .. } => (9, "call started"),
        Op::CallDoubted { .. } => (10, "call doubted"),
        Op::CallGone { .. } => (11, "call gone"),
        Op::Put { .. } => (12, "put"),
        Op::Remove { .. } => (13, "remove"),
        Op::Stop { .. } => (14, "stop"),
        Op::Dead { .. } => (15, "dead"),
        Op::Suspend { .. } => (16, "suspend"),
        Op::Resume { .. } => (17, "resume"),
        Op::Note { .. } => (18, "note"),
        Op::CallNotStarted { .. } => (19, "call not started"),
        Op::CallCheckpoint { .. } => (20, "call checkpoint"),
        Op::Ended { .. } => (21, "ended"),
        Op::CallEnded { .. } => (22, "call ended"),
        Op::CallProbing { .. } => (23, "call probing"),
        Op::CallBeats { .. } => (24, "call beats"),
        Op::Supervised { .. } => (25, "supervised"),
    }
}

/// One of every kind, and of every kind of what is in them.
fn ops() -> Vec<Op> {
    let actor = ACTOR;
    let mut ops = vec![
        Op::Nothing,
        Op::Spawn { actor, kind: 0xDEAD_BEEF, parent: ActorId(1), stream: StreamId(1) },
        Op::Turn { actor, at: 5, consumed: 7, events: vec![Bytes::from_static(b"one"), Bytes::new()] },
        Op::Discard { actor, number: 251 },
        Op::Snapshot { actor, state: Bytes::from_static(b"state") },
        Op::Timer { actor, name: 2, generation: 3, due_ms: 1_795_244_941_000 },
        Op::TimerGone { actor, name: 2 },
        Op::CallStarted { call: CALL },
        Op::CallDoubted { call: CALL, failure: Box::new(failure()) },
        Op::CallGone { call: CALL },
        Op::Put { key: Bytes::from_static(b"run/1"), value: Bytes::from_static(b"row") },
        Op::Remove { key: Bytes::from_static(b"run/1") },
        Op::Stop { actor },
        Op::Dead { to: actor, at: 1, reason: "it died".to_owned(), body: message() },
        Op::Suspend { actor, reason: "it cannot be loaded".to_owned() },
        Op::Resume { actor },
        Op::Note { actor, at: 9, note: Note::Restarted { reason: "it broke".to_owned() } },
        Op::CallNotStarted { call: CALL },
        Op::CallCheckpoint { call: CALL, bytes: Bytes::from_static(b"half") },
        Op::Ended { actor, parent: ActorId(1) },
        Op::CallEnded { call: CALL, caller: actor },
        Op::CallProbing { call: CALL, probing: Box::new(probing()) },
        Op::CallBeats { call: CALL, within_ms: 30_000 },
        Op::Supervised { actor, supervised: supervised() },
    ];
    ops.extend(bodies().into_iter().map(|body| Op::Deliver { to: actor, at: 70_000, number: 1, body }));
    ops.extend(rows().into_iter().map(|row| Op::Call { call: CALL, row: Arc::new(row) }));
    ops
}

pub(crate) fn bodies() -> Vec<Body> {
    let ended = [
        Outcome::Done(Json::from_text("{\"a\":1}").unwrap()),
        Outcome::Failed(failure()),
        Outcome::Unknown(Failure::new("timeout", "it took too long")),
    ];
    let verdicts = ended.into_iter().map(Verdict::Ended).chain([
        Verdict::InDoubt(failure()),
        Verdict::Repeat,
        Verdict::NotMade(failure()),
    ]);
    let answers = verdicts.map(|verdict| {
        let checkpoint = matches!(verdict, Verdict::Repeat).then(|| Bytes::from_static(b"half"));
        Body::Answer(Arc::new(Answer { call: CALL, verdict, checkpoint }))
    });
    let (child, reason) = (ACTOR, "why".to_owned());
    let fates = [
        Fate::Poisoned { child, reason: reason.clone() },
        Fate::Suspended { child, reason: reason.clone() },
        Fate::Stuck { child, reason: reason.clone() },
        Fate::Ended { child, reason },
    ];
    let fired = Body::Fired(Fired { name: 2, generation: 3, due_ms: 4 });
    let refused = Body::Answer(Arc::new(Answer { call: CALL, verdict: Verdict::Refused(failure()), checkpoint: None }));
    [message()].into_iter().chain(answers).chain([fired]).chain(fates.map(Body::Fate)).chain([refused]).collect()
}

pub(crate) fn rows() -> Vec<Row> {
    let effects = [Effect::AtMostOnce, Effect::IDEMPOTENT, Effect::VERIFY, Effect::Verify { probes: 1, wait_ms: 2 }];
    let states = [RowState::Intended, RowState::Started, RowState::InDoubt(failure()), RowState::Probing(probing())];
    let rows = effects.into_iter().zip(states).map(|(effect, state)| {
        let request = Request {
            tool: "bank".to_owned(),
            path: "run/pay/charge".to_owned(),
            key: Key([7; 32]),
            attempt: 2,
            effect,
            input: Json::from_text("[1]").unwrap(),
            timeout_ms: 300_000,
            checkpoint: matches!(state, RowState::Started).then(|| Bytes::from_static(b"half")),
            key_since_ms: 1_795_244_939_000,
            heartbeat_ms: None,
        };
        Row { caller: ACTOR, request, intended_at: 1_795_244_940_000, state }
    });
    rows.collect()
}

fn message() -> Body {
    Body::Message(Bytes::from_static(b"hello"))
}

fn failure() -> Failure {
    let failure = Failure::new("exit", "it ended with 3").with_details(Json::from_text("{\"code\":3}").unwrap());
    Failure { retry_after_ms: Some(500), ..failure }
}

pub(crate) fn supervised() -> Supervised {
    Supervised { care: Care::TEMPORARY.significant(), significants: 3, is_ending: true }
}

fn probing() -> Probing {
    Probing { failure: failure(), asked: 1, due_ms: 1_795_244_942_000, is_cut_off: true }
}

/// The name of a note. One that is not here does not compile.
fn note_name(note: &Note) -> &'static str {
    match note {
        Note::Restarted { .. } => "restarted",
        Note::Buried { .. } => "buried",
        Note::Suspended { .. } => "suspended",
        Note::Decided { .. } => "decided",
        Note::Restored { .. } => "restored",
        Note::Redelivered { .. } => "redelivered",
        Note::Dropped { .. } => "dropped",
        Note::GivenUp { .. } => "given up",
        Note::Unstuck { .. } => "unstuck",
        Note::Restarts { .. } => "restarts",
        Note::Ending { .. } => "ending",
    }
}

fn notes() -> Vec<Note> {
    let (reason, by) = ("why".to_owned(), "an operator".to_owned());
    vec![
        Note::Restarted { reason: reason.clone() },
        Note::Buried { reason: reason.clone() },
        Note::Suspended { reason: reason.clone() },
        Note::Decided { call: CALL, decision: "happened".to_owned(), by: by.clone() },
        Note::Restored { from: 5, to: 300 },
        Note::Redelivered { letter: 1, by: by.clone() },
        Note::Dropped { letter: 2, by: by.clone() },
        Note::GivenUp { actors: 3, by },
        Note::Unstuck { reason: reason.clone(), action: "rung".to_owned() },
        Note::Restarts { count: 2, reason: reason.clone() },
        Note::Ending { reason },
    ]
}

/// Each turn moves some of them a few times. An answer inside once made them more than twice as large, and a tenth of all time
/// went into moving them.
#[test]
fn operations_and_messages_are_small() {
    let sizes = [size_of::<Op>(), size_of::<Body>(), size_of::<crate::durable::entry::Entry>()];
    assert!(sizes[0] <= 80 && sizes[1] <= 48 && sizes[2] <= 104, "{sizes:?}");
}
