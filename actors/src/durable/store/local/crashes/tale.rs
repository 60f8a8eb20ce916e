//! Real records, the same each time, with the state and the history that they come to.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::{
    durable::{
        call::{Effect, Key, Request, Row, RowState},
        codec,
        entry::Body,
        id::{ActorId, CallId, Epoch, Sequence, StreamId},
        kind::Registry,
        ledger::{Item, Ledger},
        live::Live,
        record::{FORMAT, Note, Op, Record},
        store::{Fence, Memory, Store as _},
    },
    json::Json,
};

const ROOTS: [ActorId; 3] = [ActorId(1 << 8), ActorId(2 << 8), ActorId(3 << 8)];
const CHILD: ActorId = ActorId(4 << 8);
const BRIEF: ActorId = ActorId(5 << 8);
const KIND: u32 = 7;

/// Records from 1 on.
pub(super) struct Tale {
    payloads: Vec<Bytes>,
    /// The state after each record, and before the first.
    states: Vec<Live>,
    items: Vec<Item>,
}

impl Tale {
    /// So many records.
    pub(super) fn of(records: u64) -> Self {
        let (mut live, mut payloads, mut states) = (Live::default(), Vec::new(), vec![Live::default()]);
        for sequence in 1..=records {
            let record = record(&mut live, sequence);
            payloads.push(codec::seal(FORMAT, &record));
            states.push(live.clone());
        }
        let items = history(&payloads);
        Self { payloads, states, items }
    }

    /// Another event in a record, and the head that the right one led to.
    pub(super) fn forged(mut self, sequence: u64) -> Self {
        let at = usize::try_from(sequence).unwrap() - 1;
        let mut record: Record = codec::open(FORMAT, &self.payloads[at]).unwrap();
        let turn = record.ops.iter_mut().find_map(|op| match op {
            Op::Turn { events, .. } => events.first_mut(),
            _ => None,
        });
        *turn.expect("a record with an event") = Bytes::from_static(b"forged");
        self.payloads[at] = codec::seal(FORMAT, &record);
        self
    }

    pub(super) fn payload(&self, sequence: u64) -> &[u8] {
        &self.payloads[usize::try_from(sequence).unwrap() - 1]
    }

    pub(super) fn state(&self, after: Sequence) -> &Live {
        &self.states[usize::try_from(after.0).unwrap()]
    }

    /// Every event up to a record, by stream.
    pub(super) fn history(&self, to: Sequence) -> Vec<Item> {
        self.items.iter().filter(|item| item.record <= to.0).cloned().collect()
    }
}

fn record(live: &mut Live, sequence: u64) -> Record {
    let (base_ms, ops, before) = (1_000 * sequence, ops(sequence), live.streams.clone());
    for op in &ops {
        live.apply(Sequence(sequence), base_ms, op);
    }
    let mut heads: Vec<_> = live.streams.iter().map(|(stream, head)| (*stream, *head)).collect();
    heads.retain(|(stream, head)| before.get(stream) != Some(head));
    heads.sort_by_key(|(stream, _)| *stream);
    Record { base_ms, ops, heads }
}

/// Actors come and go, take messages and have some left, set timers, make calls; index rows come and go.
fn ops(sequence: u64) -> Vec<Op> {
    let which = usize::try_from(sequence).unwrap();
    let root = ROOTS[which % ROOTS.len()];
    let spawn = |actor, parent, stream: ActorId| Op::Spawn { actor, kind: KIND, parent, stream: StreamId(stream.0) };
    let turn = |actor, bytes: usize| {
        let events = vec![Bytes::from(vec![u8::try_from(which % 251).unwrap(); bytes])];
        Op::Turn { actor, at: 0, consumed: 0, events }
    };
    let mut ops = match sequence {
        1..=3 => vec![spawn(ROOTS[which - 1], ActorId::ENGINE, ROOTS[which - 1])],
        6 => vec![spawn(CHILD, ROOTS[0], ROOTS[0])],
        7..=22 if sequence % 3 == 1 => vec![turn(CHILD, 90)],
        23 => vec![Op::Ended { actor: CHILD, parent: ROOTS[0] }],
        8 => vec![turn(ROOTS[1], 10), call(1, 8)],
        9 => vec![spawn(BRIEF, ActorId::ENGINE, BRIEF), turn(BRIEF, 50)],
        17 => vec![turn(BRIEF, 60), Op::Ended { actor: BRIEF, parent: ActorId::ENGINE }],
        12 => vec![turn(ROOTS[1], 20), call(2, 12)],
        26 => vec![Op::CallEnded { call: CallId(2), caller: ROOTS[1] }, turn(ROOTS[1], 20)],
        11 => vec![turn(ROOTS[2], 30), Op::Timer { actor: ROOTS[2], name: 1, generation: 1, due_ms: 90_000 }],
        21 => vec![turn(ROOTS[2], 30), Op::TimerGone { actor: ROOTS[2], name: 1 }],
        14 | 29 => vec![Op::Note { actor: ROOTS[2], at: 1, note: Note::Restarted { reason: "tired".to_owned() } }],
        _ => vec![turn(root, which * 131 % 900), turn(ROOTS[(which + 1) % 3], 40)],
    };
    match sequence % 5 {
        0 => ops.push(Op::Deliver { to: root, at: 0, number: sequence, body: Body::Message(Bytes::from_static(b"m")) }),
        3 if sequence > 15 => ops.push(Op::Discard { actor: ROOTS[(which - 8) % 3], number: sequence - 8 }),
        2 if sequence > 9 => ops.push(Op::Snapshot { actor: root, state: Bytes::from(vec![3; 200]) }),
        1 => ops.push(Op::Put { key: format!("key/{}", sequence % 4).into(), value: vec![5; which].into() }),
        4 if sequence > 20 => ops.push(Op::Remove { key: format!("key/{}", sequence % 4).into() }),
        _ => {}
    }
    ops
}

fn call(number: u64, sequence: u64) -> Op {
    let request = Request {
        tool: "tool".to_owned(),
        path: "test".to_owned(),
        key: Key::of(&[&number.to_be_bytes()]),
        attempt: 1,
        effect: Effect::AtMostOnce,
        input: Json::from(json!(1)),
        timeout_ms: 60_000,
        checkpoint: None,
        key_since_ms: 1_000 * sequence,
        heartbeat_ms: None,
    };
    let row = Row { caller: ROOTS[1], request, intended_at: 1_000 * sequence, state: RowState::Intended };
    Op::Call { call: CallId(number), row: Arc::new(row) }
}

fn history(payloads: &[Bytes]) -> Vec<Item> {
    let memory = Arc::new(Memory::new());
    let fence = memory.recover(&mut |_, _| Ok(())).unwrap().fence;
    assert_eq!(fence, Fence { partition: None, epoch: Epoch(1) });
    for (sequence, payload) in (1..).zip(payloads) {
        memory.append(fence, Sequence(sequence), payload).unwrap();
    }
    let ledger = Ledger::new(memory, Registry::new());
    assert_eq!(ledger.verify().unwrap().problems, Vec::<String>::new());
    let mut items = Vec::new();
    let visit = &mut |item| {
        items.push(item);
        true
    };
    ledger.all(visit).unwrap();
    items.sort_by_key(|item: &Item| (item.stream, item.number));
    items
}
