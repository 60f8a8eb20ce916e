//! What every store promises of rows: to open where the last checkpoint came to, also after a kill.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;

use super::*;
use crate::durable::store::{Checkpoint, Opened, Rows, Slice};

/// Opens the same store again and again, or what a kill at this moment leaves of it.
trait Subject {
    fn open(&mut self) -> Arc<dyn Store>;
    fn killed(&mut self) -> Arc<dyn Store>;
}

struct InMemory(Memory);

impl Subject for InMemory {
    fn open(&mut self) -> Arc<dyn Store> {
        Arc::new(self.0.reopen())
    }

    fn killed(&mut self) -> Arc<dyn Store> {
        self.0 = self.0.fork();
        self.open()
    }
}

/// The last of the folders; the others are still in use.
struct InFolder(Vec<tempfile::TempDir>);

impl InFolder {
    fn new() -> Self {
        Self(vec![tempfile::tempdir().unwrap()])
    }

    fn path(&self) -> &Path {
        self.0.last().expect("there is one").path()
    }
}

impl Subject for InFolder {
    fn open(&mut self) -> Arc<dyn Store> {
        let options = LocalOptions { segment_bytes: 64 * 1024, ..LocalOptions::default() };
        Arc::new(Local::open(self.path(), options).unwrap())
    }

    fn killed(&mut self) -> Arc<dyn Store> {
        let image = tempfile::tempdir().unwrap();
        copy(self.path(), image.path());
        self.0.push(image);
        self.open()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&mut super::InMemory(super::Memory::with_rows())); })*
        }
        mod local {
            $(#[test] fn $promise() { super::$promise(&mut super::InFolder::new()); })*
        }
    };
}

contract! {
    a_new_store_opens_with_no_rows_before_the_first_record,
    a_store_opens_where_its_last_checkpoint_came_to,
    a_kill_loses_nothing_that_a_checkpoint_wrote,
    rows_are_replaced_and_removed_for_good,
    a_checkpoint_that_is_stopped_says_so_and_the_next_start_covers_it,
    a_checkpoint_of_what_is_not_durable_is_refused,
    rows_can_be_read_while_a_checkpoint_writes,
    slices_hold_every_row_once_and_say_how_far_they_are,
    condemned_rows_are_built_again_by_the_next_start,
    a_store_without_bases_has_an_image_of_nothing,
    a_store_that_was_let_go_of_writes_nothing_more,
}

fn a_new_store_opens_with_no_rows_before_the_first_record(subject: &mut dyn Subject) {
    let store = subject.open();
    let opened = store.open().unwrap();
    assert_eq!((opened.from, opened.to, opened.meta, opened.repairs), (Sequence(0), Sequence(0), Bytes::new(), vec![]));
    assert_eq!(all(&*opened.rows.unwrap()), BTreeMap::new());
}

fn a_store_opens_where_its_last_checkpoint_came_to(subject: &mut dyn Subject) {
    let store = begun(subject, 8);
    checkpoint(&*store, (0, 4, 6), &rows(0..500, 1)).unwrap();
    store.release();
    drop(store);
    let (store, opened) = opened(subject.open());
    assert_eq!((opened.from, opened.to, &opened.meta[..]), (Sequence(4), Sequence(6), &b"noted"[..]));
    assert_eq!(all(&*opened.rows.unwrap()), present(&rows(0..500, 1)));
    assert_eq!(handed_over(&*store), [5, 6, 7, 8], "what the rows do not hold for sure");
}

fn a_kill_loses_nothing_that_a_checkpoint_wrote(subject: &mut dyn Subject) {
    let store = begun(subject, 8);
    checkpoint(&*store, (0, 4, 4), &rows(0..500, 1)).unwrap();
    checkpoint(&*store, (4, 6, 7), &rows(250..600, 2)).unwrap();
    let (again, opened) = opened(subject.killed());
    let mut expected = rows(0..500, 1);
    expected.extend(rows(250..600, 2));
    assert_eq!((opened.from, opened.to), (Sequence(6), Sequence(7)));
    assert_eq!(all(&*opened.rows.unwrap()), present(&expected));
    assert_eq!(handed_over(&*again), [7, 8]);
    drop(store);
}

fn rows_are_replaced_and_removed_for_good(subject: &mut dyn Subject) {
    let store = begun(subject, 3);
    checkpoint(&*store, (0, 1, 1), &rows(0..10, 1)).unwrap();
    let mut changes = rows(3..5, 2);
    changes.extend((5..7).map(|number| (key(number), None)));
    checkpoint(&*store, (1, 2, 2), &changes).unwrap();
    let rows = opened(subject.killed()).1.rows.unwrap();
    assert_eq!(all(&*rows).into_keys().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 7, 8, 9].map(key));
    assert_eq!((rows.get(&key(4)).unwrap(), rows.get(&key(6)).unwrap()), (Some(value(4, 2)), None));
    drop(store);
}

fn a_checkpoint_that_is_stopped_says_so_and_the_next_start_covers_it(subject: &mut dyn Subject) {
    let store = begun(subject, 8);
    checkpoint(&*store, (0, 2, 2), &rows(0..1000, 1)).unwrap();
    let changes = rows(0..1000, 2);
    let mut left = 2;
    let mut go_on = |_| {
        left -= 1;
        left > 0
    };
    let half = Checkpoint { since: Sequence(2), from: Sequence(5), to: Sequence(6), meta: meta(), changes: &changes };
    store.checkpoint(&half, &mut go_on).unwrap_err();
    let (again, opened) = opened(subject.killed());
    // It was stopped after a batch, before anything was flushed: the kill leaves that batch, or nothing of it.
    let begun = opened.to == Sequence(6);
    assert_eq!((opened.from, opened.to), (Sequence(2), Sequence(if begun { 6 } else { 2 })));
    let there = all(&*opened.rows.unwrap());
    assert!(there.iter().zip(0..).all(|((_, row), at)| *row == value(at, 1) || begun && *row == value(at, 2)));
    assert_eq!((there.len(), handed_over(&*again)), (1000, vec![3, 4, 5, 6, 7, 8]));
    checkpoint(&*again, (2, 7, 8), &changes).unwrap();
    assert_eq!(all(&*self::opened(subject.killed()).1.rows.unwrap()), present(&changes));
    drop(store);
}

fn a_checkpoint_of_what_is_not_durable_is_refused(subject: &mut dyn Subject) {
    let store = begun(subject, 3);
    let refused = checkpoint(&*store, (0, 3, 4), &rows(0..1, 1)).unwrap_err();
    assert!(matches!(refused, Error::Misuse { .. }), "{refused}");
    checkpoint(&*store, (0, 3, 3), &rows(0..1, 1)).unwrap();
}

fn rows_can_be_read_while_a_checkpoint_writes(subject: &mut dyn Subject) {
    let (store, opened) = opened(subject.open());
    append(&*store, 3);
    let seen = opened.rows.unwrap();
    checkpoint(&*store, (0, 1, 1), &rows(0..1000, 1)).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..20).map(|_| all(&*seen)).collect::<Vec<_>>());
        checkpoint(&*store, (1, 2, 2), &rows(0..1000, 2)).unwrap();
        for there in reader.join().unwrap() {
            assert_eq!(there.len(), 1000);
            assert!(there.iter().zip(0..).all(|((_, row), at)| *row == value(at, 1) || *row == value(at, 2)));
        }
    });
    assert_eq!(all(&*seen), present(&rows(0..1000, 2)));
}

fn slices_hold_every_row_once_and_say_how_far_they_are(subject: &mut dyn Subject) {
    let store = begun(subject, 5);
    checkpoint(&*store, (0, 3, 5), &rows(0..100, 1)).unwrap();
    let (mut from, mut seen) = (Bytes::new(), Vec::new());
    loop {
        let Slice { rows, next, from: since, to } = store.slice(&from, 7).unwrap().unwrap();
        assert_eq!((since, to), (Sequence(3), Sequence(5)));
        assert!(rows.len() <= 7);
        seen.extend(rows);
        match next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, present(&rows(0..100, 1)).into_iter().collect::<Vec<_>>());
}

fn condemned_rows_are_built_again_by_the_next_start(subject: &mut dyn Subject) {
    let store = begun(subject, 5);
    checkpoint(&*store, (0, 3, 5), &rows(0..100, 1)).unwrap();
    store.condemn("one is missing");
    let (again, opened) = opened(subject.killed());
    assert!(opened.repairs.join("").contains("one is missing"), "{:?}", opened.repairs);
    assert_eq!((opened.from, all(&*opened.rows.unwrap())), (Sequence(0), BTreeMap::new()));
    assert_eq!(handed_over(&*again), [1, 2, 3, 4, 5], "all of the journal");
    let (_, opened) = self::opened(subject.killed());
    assert_eq!(opened.repairs, Vec::<String>::new(), "once is enough");
    drop(store);
}

fn a_store_without_bases_has_an_image_of_nothing(subject: &mut dyn Subject) {
    let store = begun(subject, 5);
    checkpoint(&*store, (0, 3, 5), &rows(0..100, 1)).unwrap();
    let image = store.image(Sequence(5)).unwrap();
    assert!(image.rows.is_none() && image.from == Sequence(0), "rows are never made from rows");
}

fn a_store_that_was_let_go_of_writes_nothing_more(subject: &mut dyn Subject) {
    let (store, opened) = opened(subject.open());
    let fence = append(&*store, 3);
    store.release();
    store.append(fence, Sequence(4), b"late").unwrap_err();
    checkpoint(&*store, (0, 3, 3), &rows(0..1, 1)).unwrap_err();
    drop((store, opened));
    let (again, opened) = self::opened(subject.open());
    assert_eq!((handed_over(&*again), all(&*opened.rows.unwrap()).len()), (vec![1, 2, 3], 0));
}

/// A life that opened its rows, and appended so many records.
fn begun(subject: &mut dyn Subject, records: u64) -> Arc<dyn Store> {
    let (store, _) = opened(subject.open());
    append(&*store, records);
    store
}

fn opened(store: Arc<dyn Store>) -> (Arc<dyn Store>, Opened) {
    let opened = store.open().unwrap();
    (store, opened)
}

fn append(store: &dyn Store, records: u64) -> Fence {
    let fence = store.recover(&mut |_, _| Ok(())).unwrap().fence;
    for sequence in 1..=records {
        store.append(fence, Sequence(sequence), &payload(sequence)).unwrap();
    }
    fence
}

fn handed_over(store: &dyn Store) -> Vec<u64> {
    let mut records = Vec::new();
    let recovered = store.recover(&mut |sequence, record| {
        assert_eq!(record, payload(sequence.0));
        records.push(sequence.0);
        Ok(())
    });
    recovered.unwrap();
    records
}

fn checkpoint(
    store: &dyn Store,
    (since, from, to): (u64, u64, u64),
    changes: &BTreeMap<Bytes, Option<Bytes>>,
) -> Result<(), Error> {
    let [since, from, to] = [since, from, to].map(Sequence);
    store.checkpoint(&Checkpoint { since, from, to, meta: meta(), changes }, &mut |_| true)
}

fn meta() -> Bytes {
    Bytes::from_static(b"noted")
}

fn rows(numbers: std::ops::Range<u64>, version: u64) -> BTreeMap<Bytes, Option<Bytes>> {
    numbers.map(|number| (key(number), Some(value(number, version)))).collect()
}

fn present(rows: &BTreeMap<Bytes, Option<Bytes>>) -> BTreeMap<Bytes, Bytes> {
    rows.iter().filter_map(|(key, row)| Some((key.clone(), row.clone()?))).collect()
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("a{number:08}"))
}

fn value(number: u64, version: u64) -> Bytes {
    Bytes::from(format!("row {number} as of {version} ").repeat(usize::try_from(number % 7).unwrap() + 1))
}

fn all(rows: &dyn Rows) -> BTreeMap<Bytes, Bytes> {
    let mut all = BTreeMap::new();
    rows.scan(&[], &[u8::MAX], &mut |key, row| all.insert(Bytes::copy_from_slice(key), row).is_none()).unwrap();
    all
}
