//! Rows that are lost, changed or left over, and rows that only stand at different records.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::durable::{
    chain::Head,
    entry::{Body, Fired},
    id::{ActorId, CallId, StreamId},
    live::{Live, stored},
    record::Op,
    store::{Checkpoint, Fence, Memory, Opened, Recovered, Stats},
};

const ROOT: ActorId = ActorId(0x0100);
const CHILD: ActorId = ActorId(0x0200);
/// Slices of this many rows cross every kind of row.
const RECORDS: u64 = 6;

/// Records that make every kind of row, and change them.
fn records() -> Vec<Record> {
    let stream = StreamId(ROOT.0);
    let spawn = |actor, parent| Op::Spawn { actor, kind: 7, parent, stream };
    let deliver = |number| Op::Deliver {
        to: CHILD,
        at: 0,
        number,
        body: Body::Fired(Fired { name: 1, generation: 1, due_ms: 1 }),
    };
    let timer = |name, due_ms| Op::Timer { actor: CHILD, name, generation: 1, due_ms };
    let put = |key: &'static str, value: &'static str| Op::Put { key: key.into(), value: value.into() };
    let row = crate::durable::record::tests::rows().remove(0);
    let call =
        Op::Call { call: CallId(9), row: std::sync::Arc::new(crate::durable::call::Row { caller: CHILD, ..row }) };
    let ops = [
        vec![spawn(ROOT, ActorId::ENGINE), spawn(CHILD, ROOT), put("run/1", "new"), put("run/2", "new")],
        vec![deliver(1), timer(1, 500), timer(2, 700), call],
        vec![Op::Turn { actor: CHILD, at: 0, consumed: 1, events: vec![Bytes::from_static(b"event")] }, deliver(2)],
        vec![Op::TimerGone { actor: CHILD, name: 1 }, timer(3, 900), put("run/1", "done")],
        vec![deliver(3), Op::Remove { key: "run/2".into() }, put("run/3", "new")],
        vec![Op::Snapshot { actor: CHILD, state: Bytes::from_static(b"state") }],
    ];
    let heads = |at| if at == 2 { vec![(stream, head())] } else { Vec::new() };
    ops.into_iter().zip(0..).map(|(ops, at)| Record { base_ms: 1_000 * at, ops, heads: heads(at) }).collect()
}

fn head() -> Head {
    Head::default().extended(7, 2_000, &crate::durable::chain::digest(b"event"))
}

/// All records, and rows of which those up to `split` were captured after `from` records and the others after `to`.
fn store(from: u64, to: u64, split: usize) -> Memory {
    let store = Memory::with_rows();
    let fence = store.recover(&mut |_, _| Ok(())).unwrap().fence;
    for (record, sequence) in records().iter().zip(1..) {
        store.append(fence, Sequence(sequence), &codec::seal(FORMAT, record)).unwrap();
    }
    let [older, newer] = [from, to].map(rows);
    let keys: Vec<_> =
        newer.keys().chain(older.keys()).cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let changes: BTreeMap<_, _> = keys
        .into_iter()
        .enumerate()
        .map(|(at, key)| {
            let rows = if at < split { &older } else { &newer };
            (key.clone(), rows.get(&key).cloned())
        })
        .collect();
    let meta = Bytes::new();
    let checkpoint = Checkpoint { since: Sequence(0), from: Sequence(from), to: Sequence(to), meta, changes: &changes };
    store.checkpoint(&checkpoint, &mut |_| true).unwrap();
    store
}

/// All rows after so many records.
fn rows(records: u64) -> BTreeMap<Bytes, Bytes> {
    let mut live = Live::over(None, &[]).unwrap();
    for (record, sequence) in self::records().iter().zip(1..=records) {
        live.advance(None, Sequence(sequence), record).unwrap();
    }
    let mut capture = live.begin_capture();
    while live.capture(&mut capture, 100) {}
    capture.changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// What a whole round finds, and how many steps that took.
fn scrub(store: &Memory) -> Vec<String> {
    let mut round = Round::new(Arc::new(store.fork()));
    for _ in 0..100 {
        match round.step().unwrap() {
            Step::More => {}
            Step::Done => return round.wrong(),
            step => panic!("{step:?}"),
        }
    }
    panic!("it does not come to an end")
}

#[test]
fn rows_of_different_ages_are_no_mistake() {
    for to in 1..=RECORDS {
        for from in 1..=to {
            for split in 0..12 {
                assert_eq!(
                    scrub(&store(from, to, split)),
                    Vec::<String>::new(),
                    "{from} to {to}, {split} of the older"
                );
            }
        }
    }
}

/// A checkpoint of more than one slice left the row of an actor as the one before had written it, if the actor had changed before
/// the first slice and ended before its own. The rows were told to hold that change. On a busy store the scrubber told of
/// damage now and then (HF0022), and the next start built all rows again.
#[test]
fn an_actor_that_ends_between_two_slices_of_a_checkpoint_leaves_no_older_row() {
    let stream = StreamId(ROOT.0);
    let spawn = |actor, parent| Op::Spawn { actor, kind: 7, parent, stream };
    let body = || Body::Fired(Fired { name: 1, generation: 1, due_ms: 1 });
    let deliver = |to| Op::Deliver { to, at: 0, number: 1, body: body() };
    let ops = [
        vec![spawn(ROOT, ActorId::ENGINE), spawn(CHILD, ROOT)],
        // The last that changed is captured first.
        vec![deliver(CHILD), deliver(ROOT)],
        vec![Op::Stop { actor: CHILD }],
    ];
    let records = ops.map(|ops| Record { base_ms: 1_000, ops, heads: Vec::new() });
    let store = Memory::with_rows();
    let fence = store.recover(&mut |_, _| Ok(())).unwrap().fence;
    let mut live = Live::over(None, &[]).unwrap();
    let fold = |live: &mut Live, at: u64| {
        let record = &records[usize::try_from(at).unwrap() - 1];
        store.append(fence, Sequence(at), &codec::seal(FORMAT, record)).unwrap();
        live.advance(None, Sequence(at), record).unwrap();
    };
    let write = |marks: [u64; 3], changes: &BTreeMap<Bytes, Option<Bytes>>| {
        let [since, from, to] = marks.map(Sequence);
        store.checkpoint(&Checkpoint { since, from, to, meta: Bytes::new(), changes }, &mut |_| true).unwrap();
    };
    fold(&mut live, 1);
    let mut first = live.begin_capture();
    while live.capture(&mut first, 100) {}
    write([0, 1, 1], &first.changes);
    live.written(first.written());
    fold(&mut live, 2);
    let mut second = live.begin_capture();
    assert!(live.capture(&mut second, 1), "there is more");
    fold(&mut live, 3);
    while live.capture(&mut second, 100) {}
    write([1, 2, 3], &second.changes);
    assert_eq!(scrub(&store), Vec::<String>::new());
    // The next one removes it once more, and that does no harm.
    live.written(second.written());
    let mut third = live.begin_capture();
    while live.capture(&mut third, 100) {}
    write([2, 3, 3], &third.changes);
    assert_eq!(scrub(&store), Vec::<String>::new());
}

#[test]
fn a_row_that_is_older_than_all_others_is_wrong() {
    for (key, now) in rows(RECORDS) {
        for (then, before) in (1..RECORDS).map(|then| (then, rows(then).get(&key).cloned())) {
            let store = store(RECORDS, RECORDS, 0);
            store.tamper(&key, before.clone());
            let is_hint = matches!(stored::read_key(&key), Some(stored::Key::Mail(_) | stored::Key::Timer(..)));
            let is_wrong = before.as_ref() != Some(&now) && !(is_hint && before.is_some());
            assert_eq!(scrub(&store).len(), usize::from(is_wrong), "{} as of {then}", crate::hex::text(&key));
        }
    }
}

#[test]
fn a_row_that_was_removed_and_is_there_is_wrong_unless_it_is_a_hint() {
    let store = store(RECORDS, RECORDS, 0);
    let old = rows(3);
    let gone: Vec<_> =
        old.iter().filter(|(key, _)| store.open().unwrap().rows.unwrap().get(key).unwrap().is_none()).collect();
    assert_eq!(gone.len(), 2, "an index row, and a timer");
    for (key, row) in &gone {
        store.tamper(key, Some((*row).clone()));
    }
    assert_eq!(scrub(&store), ["index row `run/2` is among the rows, and is gone"]);
}

#[test]
fn a_flipped_bit_in_any_row_is_found_and_named() {
    let name = |key: &Bytes| match stored::read_key(key).unwrap() {
        stored::Key::Actor(actor) => Some(actor.to_string()),
        stored::Key::Call(call) => Some(call.to_string()),
        stored::Key::Index(key) => Some(format!("`{}`", key.escape_ascii())),
        stored::Key::Mail(_) | stored::Key::Timer(..) => None,
    };
    for (key, row) in rows(RECORDS) {
        let Some(name) = name(&key) else { continue };
        let store = store(RECORDS, RECORDS, 0);
        let mut flipped = row.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        store.tamper(&key, Some(flipped.into()));
        let wrong = scrub(&store);
        assert!(wrong.len() == 1 && wrong[0].contains(&name), "{wrong:?} names {name}");
    }
}

#[test]
fn without_rows_there_is_nothing_to_compare() {
    assert_eq!(Round::new(Arc::new(Memory::new())).step().unwrap(), Step::NoRows);
}

/// A store that goes on while it is looked at: its rows stand at one record, its base at another, and its journal begins at a
/// third.
struct Busy {
    rows: AtomicU64,
    base: AtomicU64,
    first: AtomicU64,
    looks: AtomicU64,
}

impl Busy {
    fn at(rows: u64) -> Arc<Self> {
        let [base, first, looks] = [0, 1, 0].map(AtomicU64::new);
        Arc::new(Self { rows: rows.into(), base, first, looks })
    }

    fn standing(rows: u64) -> Memory {
        store(rows, rows, 0)
    }
}

impl Store for Busy {
    fn recover(&self, _: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error> {
        unreachable!("nobody starts with it")
    }

    fn append(&self, _: Fence, _: Sequence, _: &[u8]) -> Result<(), Error> {
        unreachable!("nobody writes")
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error> {
        Self::standing(RECORDS).scan(from.max(Sequence(self.first.load(Ordering::Relaxed))), visit)
    }

    fn slice(&self, from: &[u8], most: usize) -> Result<Option<Slice>, Error> {
        Self::standing(self.rows.load(Ordering::Relaxed)).slice(from, most)
    }

    fn image(&self, until: Sequence) -> Result<Opened, Error> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        match self.base.load(Ordering::Relaxed).min(until.0) {
            0 => Ok(Opened::default()),
            base => Self::standing(base).open(),
        }
    }

    fn idle(&self) -> Result<(), Error> {
        Ok(())
    }

    fn release(&self) {}

    fn stats(&self) -> Stats {
        Stats::default()
    }
}

fn to_the_end(round: &mut Round) -> u64 {
    let is_more = |step| {
        assert_ne!(step, Step::Overtaken);
        step == Step::More
    };
    while is_more(round.step().unwrap()) {}
    assert_eq!(round.wrong(), Vec::<String>::new());
    round.rows()
}

/// What changed since its base once stayed in memory until all rows were compared, which takes hours in a large store.
#[test]
fn a_newer_base_is_taken_when_much_has_changed_and_none_is_looked_for_while_little_has() {
    let (store, all) = (Busy::at(RECORDS), rows(RECORDS).len() as u64);
    let mut round = Round::new(store.clone());
    (round.rows_at_once, round.memory_bytes) = (1, 1);
    let base = |round: &Round| round.truth.as_ref().unwrap().base();
    round.step().unwrap();
    let all_changes = round.truth.as_ref().unwrap().changed_bytes();
    round.step().unwrap();
    assert_eq!((base(&round), store.looks.load(Ordering::Relaxed)), (Sequence(0), 2), "there is no newer one");
    store.base.store(4, Ordering::Relaxed);
    round.step().unwrap();
    assert_eq!((base(&round), store.looks.load(Ordering::Relaxed)), (Sequence(0), 2), "nothing has changed since");
    round.looks_at = 1;
    round.step().unwrap();
    assert_eq!(base(&round), Sequence(4));
    assert!(round.truth.as_ref().unwrap().changed_bytes() < all_changes);
    assert_eq!((to_the_end(&mut round), store.looks.load(Ordering::Relaxed)), (all, 4));
}

/// It once began with the first row again, so that in a large and busy store it came to no end.
#[test]
fn a_journal_that_goes_meanwhile_does_not_let_it_begin_anew() {
    let store = Busy::at(3);
    let mut round = Round::new(store.clone());
    round.rows_at_once = 2;
    assert_eq!((round.step().unwrap(), round.rows()), (Step::More, 2));
    for (what, value) in [(&store.rows, RECORDS), (&store.base, 4), (&store.first, 5)] {
        what.store(value, Ordering::Relaxed);
    }
    assert_eq!((round.step().unwrap(), round.rows()), (Step::Overtaken, 2));
    let left = rows(RECORDS).range(round.cursor.clone()..).count() as u64;
    assert_eq!(to_the_end(&mut round), 2 + left);
}
