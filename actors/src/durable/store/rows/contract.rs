//! What all rows promise, shown once for each place that keeps them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use proptest::prelude::*;

use super::{Change, Error, KEY_MAX, META_MAX, Mark, Memory, Rows, VALUE_MAX, Written};
use crate::durable::{
    id::Sequence,
    store::local::shelf::{Check, Shelf},
};

const STORE: u64 = 7;
/// Above every key.
const END: [u8; KEY_MAX + 1] = [0xFF; KEY_MAX + 1];

/// Opens the same rows again and again; the handle before is gone by then.
trait Subject {
    fn open(&mut self) -> Arc<dyn Rows>;
}

struct InMemory(Memory);

impl Subject for InMemory {
    fn open(&mut self) -> Arc<dyn Rows> {
        Arc::new(self.0.clone())
    }
}

struct InFolder(tempfile::TempDir);

impl Subject for InFolder {
    fn open(&mut self) -> Arc<dyn Rows> {
        let folder = self.0.path().join("live");
        if !folder.exists() {
            return Arc::new(Shelf::create(&folder, &mark(0)).unwrap().shelf);
        }
        Arc::new(Shelf::open(&folder, STORE, Check::Rows).unwrap().shelf)
    }
}

fn in_memory() -> InMemory {
    InMemory(Memory::default())
}

fn in_folder() -> InFolder {
    InFolder(tempfile::tempdir().unwrap())
}

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&mut super::in_memory()); })*
        }
        mod shelf {
            $(#[test] fn $promise() { super::$promise(&mut super::in_folder()); })*
        }
    };
}

contract! {
    a_mark_carries_what_its_writer_keeps,
    a_scan_stops_where_it_is_told,
    a_value_of_any_length_comes_back_whole_and_is_replaced_whole,
    batches_are_small_and_the_writer_may_rest_between_them,
    a_stopped_checkpoint_says_so_and_the_next_one_completes_it,
    the_last_change_of_a_row_holds,
    what_is_too_large_is_refused,
    a_visitor_may_read,
}

crate::properties! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn memory_is_a_map(story in story()) {
        is_a_map(&mut in_memory(), story);
    }
}

crate::properties! {
    // Each case opens real files, some of them again and again.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_shelf_is_a_map(story in story()) {
        is_a_map(&mut in_folder(), story);
    }
}

fn is_a_map(subject: &mut dyn Subject, story: Vec<(bool, Vec<Change>)>) {
    let mut expected = BTreeMap::new();
    let mut rows = subject.open();
    for ((reopens, changes), to) in story.into_iter().zip(1..) {
        expected.extend(changes.iter().cloned());
        write(&*rows, to, changes).unwrap();
        if reopens {
            drop(rows);
            rows = subject.open();
        }
        assert_eq!(rows.mark().unwrap(), Some(mark(to)));
        let present: Vec<_> = expected
            .iter()
            .filter_map(|(key, value): (&Bytes, &Option<Bytes>)| Some((key.clone(), value.clone()?)))
            .collect();
        assert!(scan(&*rows, &[], &END) == present, "the scan after checkpoint {to}");
        assert_eq!(rows.stats().rows, present.len() as u64);
        for (key, value) in &expected {
            assert!(rows.get(key).unwrap() == *value, "row {key:?} after checkpoint {to}");
        }
        let (from, until) = (b"a\0", b"b");
        let between = present.into_iter().filter(|(key, _)| (&from[..]..&until[..]).contains(&&key[..]));
        assert!(scan(&*rows, from, until) == between.collect::<Vec<_>>());
    }
}

/// Checkpoints over few keys, so that they meet again, some with a new life after them.
fn story() -> impl Strategy<Value = Vec<(bool, Vec<Change>)>> {
    let change = (key(), prop::option::weighted(0.8, value()));
    prop::collection::vec((prop::bool::weighted(0.3), prop::collection::vec(change, 0..40)), 1..8)
}

fn key() -> impl Strategy<Value = Bytes> {
    let chosen: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0x10],
        vec![0x20, 0, 1, b'a'],
        b"a".to_vec(),
        b"a\0".to_vec(),
        b"a\0\0\0\0\0\0\0\x01".to_vec(),
        b"ab".to_vec(),
        b"b".to_vec(),
        vec![0xFF],
        vec![b'k'; KEY_MAX],
        vec![0xFF; KEY_MAX],
    ];
    prop_oneof![prop::sample::select(chosen), prop::collection::vec(any::<u8>(), 1..3)].prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    let len = prop_oneof![prop::sample::select(LENGTHS.to_vec()), 0..700_usize];
    (len, any::<u8>()).prop_map(|(len, seed)| filled(len, seed))
}

/// Around one part, two, three, and what a part of 4 KiB would be without a header.
const LENGTHS: [usize; 14] = [0, 1, 600, 4079, 4080, 4081, 4095, 4096, 4097, 8159, 8160, 8161, 12_240, 12_241];

fn a_mark_carries_what_its_writer_keeps(subject: &mut dyn Subject) {
    let kept = Mark { meta: Bytes::from(vec![5; META_MAX]), ..mark(9) };
    let rows = subject.open();
    rows.checkpoint(&kept, &mut std::iter::empty(), &mut |_| false).unwrap();
    drop(rows);
    assert_eq!(subject.open().mark().unwrap(), Some(kept));
}

fn a_scan_stops_where_it_is_told(subject: &mut dyn Subject) {
    let rows = subject.open();
    write(&*rows, 1, (0..500).map(|number| (numbered(number), Some(filled(30, 1))))).unwrap();
    let mut seen = Vec::new();
    let mut visit = |key: &[u8], _| {
        seen.push(key.to_vec());
        seen.len() < 3
    };
    rows.scan(&numbered(123), &END, &mut visit).unwrap();
    assert_eq!(seen, [123, 124, 125].map(numbered));
    for (from, to) in [(5, 5), (9, 4)] {
        assert_eq!(scan(&*rows, &numbered(from), &numbered(to)), []);
    }
}

fn a_value_of_any_length_comes_back_whole_and_is_replaced_whole(subject: &mut dyn Subject) {
    let rows = subject.open();
    let pairs = LENGTHS.iter().flat_map(|before| LENGTHS.map(|after| (*before, after)));
    for ((before, after), to) in pairs.zip((1..).step_by(2)) {
        for (len, to) in [(before, to), (after, to + 1)] {
            write(&*rows, to, [(numbered(1), Some(filled(len, 3)))]).unwrap();
            assert!(rows.get(&numbered(1)).unwrap() == Some(filled(len, 3)), "{before} bytes, then {after}");
        }
    }
    let huge = filled(3_000_000, 9);
    write(&*rows, 1000, [(numbered(1), Some(huge.clone()))]).unwrap();
    drop(rows);
    assert!(subject.open().get(&numbered(1)).unwrap() == Some(huge));
}

fn batches_are_small_and_the_writer_may_rest_between_them(subject: &mut dyn Subject) {
    let rows = subject.open();
    let mut rests = 0;
    let mut marks = Vec::new();
    let changes: Vec<Change> = (0..2000).map(|number| (numbered(number), Some(filled(10, 0)))).collect();
    let mut taken = Vec::new();
    let mut pace = |rows_taken| {
        rests += 1;
        taken.push(rows_taken);
        marks.push(rows.mark().unwrap());
        true
    };
    let written = rows.checkpoint(&mark(5), &mut changes.into_iter(), &mut pace).unwrap();
    assert_eq!(written, Written { rows: 2000, bytes: 2000 * (8 + 10) });
    assert!((4..=6).contains(&rests), "{rests} rests in 2000 rows");
    assert!(taken[0] > 0 && taken.is_sorted() && taken[rests - 1] <= 2000, "{taken:?}");
    assert!(marks.iter().flatten().all(|mark| !mark.reached && mark.to == Sequence(5)), "{marks:?}");
    assert_eq!(rows.mark().unwrap(), Some(mark(5)));
}

fn a_stopped_checkpoint_says_so_and_the_next_one_completes_it(subject: &mut dyn Subject) {
    let rows = subject.open();
    let begun = Mark { from: Sequence(3), reached: false, ..mark(8) };
    // One value that takes several batches by itself, among small ones.
    let changes = |seed| (0..1000).map(move |number| (numbered(number), Some(filled(length(number), seed))));
    write(&*rows, 3, changes(1)).unwrap();
    let mut left = 2;
    let mut pace = |_| {
        left -= 1;
        left > 0
    };
    let stopped = rows.checkpoint(&begun, &mut changes(2), &mut pace).unwrap_err();
    assert!(matches!(stopped, Error::Stopped), "{stopped}");
    drop(rows);
    let rows = subject.open();
    assert_eq!(rows.mark().unwrap(), Some(begun.clone()));
    for (key, value) in scan(&*rows, &[], &END) {
        assert!(value[..] == filled(value.len(), 1) || value[..] == filled(value.len(), 2), "{key:?} is half new");
    }
    rows.checkpoint(&begun, &mut changes(3), &mut |_| true).unwrap();
    assert_eq!(rows.mark().unwrap(), Some(begun.ended()));
    let whole: Vec<_> = changes(3).map(|(key, value)| (key, value.unwrap())).collect();
    assert!(scan(&*rows, &[], &END) == whole);
}

fn length(number: u64) -> usize {
    if number == 150 { 3_000_000 } else { 20 }
}

fn the_last_change_of_a_row_holds(subject: &mut dyn Subject) {
    let rows = subject.open();
    let lengths = [10, 20_000, 7000, 30, 0, 13_000];
    let changes = lengths.map(|len| (numbered(1), Some(filled(len, 1))));
    let removed = lengths.iter().map(|len| Some(filled(*len, 1))).chain([None]).map(|value| (numbered(2), value));
    write(&*rows, 1, changes.into_iter().chain(removed)).unwrap();
    drop(rows);
    assert!(scan(&*subject.open(), &[], &END) == [(numbered(1), filled(13_000, 1))]);
}

fn what_is_too_large_is_refused(subject: &mut dyn Subject) {
    let rows = subject.open();
    let large_key = (Bytes::from(vec![0; KEY_MAX + 1]), None);
    let large_value = (numbered(1), Some(Bytes::from(vec![0; VALUE_MAX + 1])));
    for change in [large_key, large_value] {
        assert!(matches!(write(&*rows, 1, [change]), Err(Error::Misuse { .. })));
    }
    let meta = Bytes::from(vec![0; META_MAX + 1]);
    let refused = rows.checkpoint(&Mark { meta, ..mark(1) }, &mut std::iter::empty(), &mut |_| true);
    assert!(matches!(refused, Err(Error::Misuse { .. })));
    write(&*rows, 1, [(numbered(1), Some(filled(5, 5)))]).unwrap();
    assert_eq!(rows.get(&numbered(1)).unwrap(), Some(filled(5, 5)));
}

fn a_visitor_may_read(subject: &mut dyn Subject) {
    let rows = subject.open();
    write(&*rows, 1, (0..50).map(|number| (numbered(number), Some(filled(9000, 1))))).unwrap();
    let mut seen = 0;
    let mut visit = |key: &[u8], value| {
        assert_eq!(rows.get(key).unwrap(), Some(value));
        seen += 1;
        true
    };
    rows.scan(&[], &END, &mut visit).unwrap();
    assert_eq!(seen, 50);
}

fn mark(to: u64) -> Mark {
    Mark { store: STORE, from: Sequence(to), to: Sequence(to), reached: true, meta: Bytes::from_static(b"kept") }
}

fn write(rows: &dyn Rows, to: u64, changes: impl IntoIterator<Item = Change>) -> Result<Written, Error> {
    rows.checkpoint(&mark(to), &mut changes.into_iter(), &mut |_| true)
}

fn scan(rows: &dyn Rows, from: &[u8], to: &[u8]) -> Vec<(Bytes, Bytes)> {
    let mut seen = Vec::new();
    let mut visit = |key: &[u8], value| {
        seen.push((Bytes::copy_from_slice(key), value));
        true
    };
    rows.scan(from, to, &mut visit).unwrap();
    seen
}

fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Bytes that differ from place to place and from seed to seed.
fn filled(len: usize, seed: u8) -> Bytes {
    (0..len).map(|at| (at % 251) as u8 ^ seed).collect()
}
