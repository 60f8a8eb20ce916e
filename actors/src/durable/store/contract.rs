//! What every store promises, shown once for each of them.

mod checkpoints;

use std::{path::Path, sync::Arc};

use super::{Error, Fence, Local, LocalOptions, Memory, Recovered, Store};
use crate::durable::id::{Epoch, Sequence};

/// Opens the same store again and again.
trait Subject {
    fn open(&mut self) -> Arc<dyn Store>;
}

struct InMemory(Memory);

impl Subject for InMemory {
    fn open(&mut self) -> Arc<dyn Store> {
        self.0 = self.0.reopen();
        Arc::new(self.0.reopen())
    }
}

struct InFolder(tempfile::TempDir);

impl Subject for InFolder {
    fn open(&mut self) -> Arc<dyn Store> {
        let options = LocalOptions { segment_bytes: 64 * 1024, ..LocalOptions::default() };
        Arc::new(Local::open(self.0.path(), options).unwrap())
    }
}

macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&mut super::InMemory(super::Memory::new())); })*
        }
        mod local {
            $(#[test] fn $promise() { super::$promise(&mut super::InFolder(tempfile::tempdir().unwrap())); })*
        }
    };
}

contract! {
    a_new_store_is_empty,
    what_was_appended_is_found_again_in_order,
    a_life_goes_on_where_the_last_one_ended,
    each_life_has_a_higher_epoch,
    a_writer_of_another_epoch_is_refused_and_harms_nobody,
    a_record_out_of_order_closes_the_store,
    nothing_is_appended_before_recovery,
    a_reader_who_refuses_a_record_ends_the_recovery,
    a_scan_starts_and_stops_where_it_is_told,
    a_scan_sees_what_was_appended_meanwhile_or_not_but_never_half,
    figures_add_up,
    empty_and_large_records_are_records,
}

fn a_new_store_is_empty(subject: &mut dyn Subject) {
    let store = subject.open();
    let (records, recovered) = recover(&*store);
    assert_eq!(records, Vec::<Vec<u8>>::new());
    assert_eq!(recovered.durable, Sequence(0));
    assert_eq!(recovered.repairs, Vec::<String>::new());
    assert_eq!(scan(&*store, 1), []);
}

fn what_was_appended_is_found_again_in_order(subject: &mut dyn Subject) {
    let written = write(&*subject.open(), 0, 300);
    let (read, recovered) = recover(&*subject.open());
    assert_eq!(read, written);
    assert_eq!((recovered.durable, recovered.repairs), (Sequence(300), vec![]));
}

fn a_life_goes_on_where_the_last_one_ended(subject: &mut dyn Subject) {
    let mut written = Vec::new();
    for life in 0..5 {
        written.extend(write(&*subject.open(), life * 10, 10));
    }
    let store = subject.open();
    assert_eq!(recover(&*store).0, written);
    assert_eq!(scan(&*store, 1).len(), 50);
}

fn each_life_has_a_higher_epoch(subject: &mut dyn Subject) {
    let epochs = [(); 3].map(|()| recover(&*subject.open()).1.fence.epoch);
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

fn a_writer_of_another_epoch_is_refused_and_harms_nobody(subject: &mut dyn Subject) {
    let store = subject.open();
    let fence = recover(&*store).1.fence;
    let older = Fence { epoch: Epoch(fence.epoch.0 - 1), ..fence };
    let refused = store.append(older, Sequence(1), b"late").unwrap_err();
    assert!(matches!(refused, Error::Fenced { current, .. } if current == fence.epoch), "{refused}");
    store.append(fence, Sequence(1), b"in time").unwrap();
    assert_eq!(scan(&*store, 1), [(1, b"in time".to_vec())]);
}

fn a_record_out_of_order_closes_the_store(subject: &mut dyn Subject) {
    let store = subject.open();
    let fence = recover(&*store).1.fence;
    assert!(matches!(store.append(fence, Sequence(2), b"b"), Err(Error::Misuse { .. })));
    assert!(matches!(store.append(fence, Sequence(1), b"a"), Err(Error::Closed { .. })));
    assert!(matches!(store.idle(), Err(Error::Closed { .. })));
}

fn nothing_is_appended_before_recovery(subject: &mut dyn Subject) {
    let fence = Fence { partition: None, epoch: Epoch(1) };
    assert!(matches!(subject.open().append(fence, Sequence(1), b"a"), Err(Error::Misuse { .. })));
}

fn a_reader_who_refuses_a_record_ends_the_recovery(subject: &mut dyn Subject) {
    write(&*subject.open(), 0, 3);
    let refuse = |sequence, _: &[u8]| match sequence {
        Sequence(2) => Err(Error::Undecodable { sequence, cause: "from tomorrow".to_owned() }),
        _ => Ok(()),
    };
    let refused = subject.open().recover(&mut refuse.clone()).unwrap_err();
    assert!(matches!(refused, Error::Undecodable { sequence: Sequence(2), .. }), "{refused}");
    assert_eq!(recover(&*subject.open()).0.len(), 3);
}

fn a_scan_starts_and_stops_where_it_is_told(subject: &mut dyn Subject) {
    let written = write(&*subject.open(), 0, 200);
    let store = subject.open();
    recover(&*store);
    for from in [0, 1, 2, 77, 200, 201, 1000] {
        let expected = (1..).zip(written.clone()).filter(|(sequence, _)| *sequence >= from).collect::<Vec<_>>();
        assert_eq!(scan(&*store, from), expected);
    }
    let mut seen = 0;
    store
        .scan(Sequence(5), &mut |_, _| {
            seen += 1;
            seen < 3
        })
        .unwrap();
    assert_eq!(seen, 3);
}

fn a_scan_sees_what_was_appended_meanwhile_or_not_but_never_half(subject: &mut dyn Subject) {
    let store = subject.open();
    let fence = recover(&*store).1.fence;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..30).map(|_| scan(&*store, 1)).collect::<Vec<_>>());
        for sequence in 1..=200 {
            store.append(fence, Sequence(sequence), &payload(sequence)).unwrap();
        }
        for seen in reader.join().unwrap() {
            assert!(seen.iter().zip(1..).all(|((at, bytes), sequence)| *at == sequence && *bytes == payload(sequence)));
        }
    });
    assert_eq!(scan(&*store, 1).len(), 200);
}

fn figures_add_up(subject: &mut dyn Subject) {
    let store = subject.open();
    let written = write(&*store, 0, 20);
    let stats = store.stats();
    assert_eq!((stats.records, stats.payload_bytes), (20, written.iter().map(|payload| payload.len() as u64).sum()));
    assert!(stats.written_bytes > stats.payload_bytes && stats.syncs >= 20, "{stats:?}");
}

fn empty_and_large_records_are_records(subject: &mut dyn Subject) {
    let store = subject.open();
    let fence = recover(&*store).1.fence;
    let records = [vec![], vec![7; 300_000], vec![], vec![0; 5000]];
    for (sequence, record) in (1..).zip(&records) {
        store.append(fence, Sequence(sequence), record).unwrap();
    }
    drop(store);
    assert_eq!(recover(&*subject.open()).0, records);
}

#[test]
fn a_folder_in_use_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let _holder = Local::open(folder.path(), LocalOptions::default()).unwrap();
    let refused = Local::open(folder.path(), LocalOptions::default()).unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    assert!(refused.contains(" UTC)"), "{refused}");
}

#[test]
fn a_folder_is_free_again_when_its_holder_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Local::open(folder.path(), LocalOptions::default()).unwrap());
    Local::open(folder.path(), LocalOptions::default()).unwrap();
}

#[test]
fn a_folder_can_be_read_while_another_writes() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Local::open(&folder.path().join("new/data"), LocalOptions::default()).unwrap();
    let written = write(&writer, 0, 10);
    let before = names(&folder.path().join("new/data"));
    let reader = LocalOptions { read_only: true, ..LocalOptions::default() };
    let reader = Local::open(&folder.path().join("new/data"), reader).unwrap();
    let (read, recovered) = recover(&reader);
    assert_eq!(read, written);
    assert!(matches!(reader.append(recovered.fence, Sequence(11), b"no"), Err(Error::Misuse { .. })));
    let checked = Local::check(&folder.path().join("new/data")).unwrap();
    assert_eq!((checked.records, checked.problems), (10, vec![]));
    assert_eq!(names(&folder.path().join("new/data")), before);
}

#[test]
fn a_check_while_another_writes_finds_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let writer =
        Local::open(folder.path(), LocalOptions { segment_bytes: 32 * 1024, ..LocalOptions::default() }).unwrap();
    let fence = recover(&writer).1.fence;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..100).map(|_| Local::check(folder.path()).unwrap()).collect::<Vec<_>>());
        for sequence in 1..=600 {
            writer.append(fence, Sequence(sequence), &payload(sequence)).unwrap();
        }
        for checked in reader.join().unwrap() {
            assert_eq!(checked.problems, Vec::<String>::new());
        }
    });
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// Recover a store and append to it.
fn write(store: &dyn Store, from: u64, count: u64) -> Vec<Vec<u8>> {
    let recovered = recover(store).1;
    assert_eq!(recovered.durable, Sequence(from));
    let written: Vec<_> = (from + 1..=from + count).map(payload).collect();
    for (sequence, payload) in (from + 1..).zip(&written) {
        store.append(recovered.fence, Sequence(sequence), payload).unwrap();
    }
    written
}

fn payload(sequence: u64) -> Vec<u8> {
    format!("record {sequence} ").repeat(usize::try_from(sequence % 50).unwrap()).into_bytes()
}

fn recover(store: &dyn Store) -> (Vec<Vec<u8>>, Recovered) {
    let mut records = Vec::new();
    let recovered = store.recover(&mut |sequence, payload| {
        records.push(payload.to_vec());
        assert_eq!(sequence, Sequence(records.len() as u64));
        Ok(())
    });
    (records, recovered.unwrap())
}

fn scan(store: &dyn Store, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut records = Vec::new();
    store
        .scan(Sequence(from), &mut |sequence, payload| {
            records.push((sequence.0, payload.to_vec()));
            true
        })
        .unwrap();
    records
}
