//! What the shelf does where others would trust sled.

mod creation;
mod damage;
mod full;
mod speed;

use std::path::Path;

use bytes::Bytes;

use super::{Check, Opened, Shelf, guard, layout, marks};
use crate::durable::{
    id::Sequence,
    store::rows::{Change, Error, KEY_MAX, Mark, Rows, Written},
};

const STORE: u64 = 7;

#[test]
fn the_parts_of_a_value_go_with_it() {
    let (_folder, shelf) = shelf();
    for len in [100_000, 50_000, 10] {
        write(&shelf, 1, [(Bytes::from("a"), Some(filled(len, 1)))]);
        assert_eq!(chunks(&shelf), len / layout::PART);
    }
    write(&shelf, 2, [(Bytes::from("a"), Some(filled(100_000, 1)))]);
    write(&shelf, 3, [(Bytes::from("a"), None)]);
    assert_eq!(chunks(&shelf), 0);
}

#[test]
fn the_parts_of_an_unfinished_value_go_with_the_next_checkpoint() {
    let (folder, shelf) = shelf();
    let long = [(Bytes::from("a"), Some(filled(3_000_000, 1)))];
    let stopped = shelf.checkpoint(&mark(1), &mut long.into_iter(), &mut |_| false).unwrap_err();
    assert!(matches!(stopped, Error::Stopped) && chunks(&shelf) > 100, "{stopped}");
    drop(shelf);
    let shelf = open(folder.path()).unwrap().shelf;
    write(&shelf, 1, [(Bytes::from("a"), None)]);
    assert_eq!(chunks(&shelf), 0);
    shelf.verify().unwrap();
}

#[test]
fn a_row_of_which_a_part_is_missing_torn_or_anothers_is_an_error() {
    let (_folder, shelf) = shelf();
    let part = layout::chunk_key(b"a", 0, 2);
    let another = filled(20_000, 2);
    let harms: [&dyn Fn(&mut sled::Batch); 4] = [
        &|batch| batch.remove(part.clone()),
        &|batch| batch.insert(part.clone(), b"torn".as_slice()),
        &|batch| batch.insert(part.clone(), layout::write_chunk(&part, &another, 2)),
        &|batch| batch.insert(layout::row_key(b"a"), b"short".as_slice()),
    ];
    for harm in harms {
        let mut batch = sled::Batch::default();
        batch.insert(layout::row_key(b"a"), layout::write_row(b"a", 0, &filled(20_000, 1)));
        for index in 1..=3 {
            let key = layout::chunk_key(b"a", 0, index);
            batch.insert(&*key, layout::write_chunk(&key, &filled(20_000, 1), index));
        }
        harm(&mut batch);
        shelf.engine.apply(batch).unwrap();
        assert!(matches!(shelf.get(b"a"), Err(Error::Unusable { .. })));
        assert!(matches!(shelf.scan(b"", b"b", &mut |_, _| true), Err(Error::Unusable { .. })));
    }
}

/// Where two rows in turn are not there, nobody looks for those that follow in the same gap.
#[test]
fn new_rows_among_others_are_told_from_those_that_are_there() {
    let (_folder, shelf) = shelf();
    let some =
        |every: usize, seed| (0..1_000_u64).step_by(every).map(move |number| (key(number), Some(filled(9, seed))));
    write(&shelf, 1, some(100, 1));
    write(&shelf, 2, some(7, 2));
    write(&shelf, 3, some(1, 3));
    write(&shelf, 4, some(3, 4).collect::<Vec<_>>().into_iter().rev());
    write(&shelf, 5, some(2, 5).map(|(key, _)| (key, None)));
    shelf.verify().unwrap();
    assert_eq!(shelf.count(), 500);
    let is_new = |number: u64| if number.is_multiple_of(3) { 4 } else { 3 };
    let there = |number| (number % 2 == 1).then(|| filled(9, is_new(number)));
    assert!((0..1_000).all(|number| shelf.get(&key(number)).unwrap() == there(number)));
}

#[test]
fn a_row_that_was_lost_is_missed_when_all_are_counted() {
    let (folder, shelf) = shelf();
    write(&shelf, 1, (0..100_u64).map(|number| (key(number), Some(filled(50, 1)))));
    let mut batch = sled::Batch::default();
    batch.remove(layout::row_key(&key(50)));
    shelf.engine.apply(batch).unwrap();
    assert!(shelf.verify().unwrap_err().to_string().contains("100 rows were written and 99"));
    drop(shelf);
    assert!(matches!(Shelf::open(&folder.path().join("live"), STORE, Check::Rows), Err(Error::Unusable { .. })));
    assert_eq!(open(folder.path()).unwrap().shelf.get(&key(51)).unwrap(), Some(filled(50, 1)));
}

#[test]
fn a_row_as_it_was_before_is_noticed_when_all_are_counted() {
    let (_folder, shelf) = shelf();
    write(&shelf, 1, [(key(1), Some(filled(50, 1)))]);
    let old = shelf.engine.get(&layout::row_key(&key(1))).unwrap().unwrap();
    write(&shelf, 2, [(key(1), Some(filled(50, 2)))]);
    shelf.verify().unwrap();
    let mut batch = sled::Batch::default();
    batch.insert(layout::row_key(&key(1)), old);
    shelf.engine.apply(batch).unwrap();
    assert!(matches!(shelf.verify(), Err(Error::Unusable { .. })));
}

#[test]
fn a_folder_without_a_sound_mark_is_not_used() {
    let newer = layout::sealed(layout::FORMAT_KEY, [&[0; 4], &b"hf-rows\n"[..], &2_u32.to_le_bytes()].concat());
    let other = marks::write_mark(&Mark { store: 8, ..mark(1) });
    let cases = [
        (layout::FORMAT_KEY, Some(newer), "format 2 is newer"),
        (layout::FORMAT_KEY, None, "missing"),
        (layout::FORMAT_KEY, Some(vec![1, 2]), "torn"),
        (layout::MARK_KEY, None, "missing"),
        (layout::MARK_KEY, Some(vec![0; 60]), "torn"),
        (layout::MARK_KEY, Some(other), "another store"),
        (layout::TALLY_KEY, None, "missing"),
        (layout::TALLY_KEY, Some(vec![0; 20]), "torn"),
    ];
    for (key, value, why) in cases {
        let (folder, shelf) = shelf();
        let mut batch = sled::Batch::default();
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
        shelf.engine.apply(batch).unwrap();
        drop(shelf);
        let refused = open(folder.path()).err().unwrap();
        assert!(matches!(refused, Error::Unusable { .. }) && refused.to_string().contains(why), "{why}: {refused}");
    }
}

#[test]
fn full_pages_stay_in_the_file() {
    let (folder, shelf) = shelf();
    for to in 1..4 {
        let keys = (0..60_u8).map(|number| Bytes::from([vec![b'k'; KEY_MAX - 1], vec![number]].concat()));
        write(&shelf, to, keys.map(|key| (key, Some(filled(3 * layout::PART, 1)))));
    }
    assert_eq!(std::fs::read_dir(folder.path().join("live/blobs")).unwrap().count(), 0);
}

#[test]
fn a_reader_never_sees_half_of_a_value() {
    let (_folder, shelf) = shelf();
    let long = |seed: u8| (Bytes::from("a"), Some(filled(60_000 + usize::from(seed), seed)));
    write(&shelf, 1, [long(0)]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..40).map(|seed| write(&shelf, 1, [long(seed)]).rows).sum::<u64>());
        while !writer.is_finished() {
            let value = shelf.get(b"a").unwrap().unwrap();
            let seed = u8::try_from(value.len() - 60_000).unwrap();
            assert!(Some(value) == long(seed).1);
        }
    });
}

#[test]
fn a_second_handle_is_told_that_there_is_one() {
    let (folder, _shelf) = shelf();
    assert!(matches!(open(folder.path()), Err(Error::Held { .. })));
}

#[test]
fn what_panics_below_or_never_returns_is_an_answer() {
    let (short, long) = (std::time::Duration::from_millis(20), std::time::Duration::from_secs(60));
    let hand = guard::Hand::default();
    let panicked = hand.within(long, || panic!("page {} is gone", 7)).map(|()| 0);
    assert!(matches!(panicked, Err(guard::Broken::Panicked(words)) if words == "page 7 is gone"));
    let late = hand.within(short, std::thread::park);
    assert!(matches!(late, Err(guard::Broken::Late(_))));
    assert!(matches!(hand.within(long, || 5), Ok(5)));
}

fn shelf() -> (tempfile::TempDir, Shelf) {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::create(&folder.path().join("live"), &mark(0)).unwrap().shelf;
    (folder, shelf)
}

fn open(folder: &Path) -> Result<Opened, Error> {
    Shelf::open(&folder.join("live"), STORE, Check::Mark)
}

fn write(shelf: &Shelf, to: u64, changes: impl IntoIterator<Item = Change>) -> Written {
    shelf.checkpoint(&mark(to), &mut changes.into_iter(), &mut |_| true).unwrap()
}

fn mark(to: u64) -> Mark {
    Mark { store: STORE, from: Sequence(0), to: Sequence(to), reached: false, meta: Bytes::new() }
}

fn chunks(shelf: &Shelf) -> usize {
    shelf.engine.range(&layout::chunk_prefix(&[]), &[0x21]).count()
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn filled(len: usize, seed: u8) -> Bytes {
    (0..len).map(|at| (at % 251) as u8 ^ seed).collect()
}

#[expect(clippy::print_stderr, reason = "figures are to be read, and what was skipped has to be known")]
fn say(what: &str) {
    eprintln!("{what}");
}
