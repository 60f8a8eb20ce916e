//! A disk that is full: a small file system of our own, where the machine lets us mount one.

use std::{fs, io::ErrorKind, path::Path};

use bytes::Bytes;

use super::{Change, Check, Error, STORE, Shelf, filled, mark, say};
use crate::{durable::store::rows::Rows, small_disk::on_a_small_disk};

#[test]
fn a_full_disk_closes_the_shelf_and_nothing_acknowledged_is_lost() {
    let test = concat!(module_path!(), "::a_full_disk_closes_the_shelf_and_nothing_acknowledged_is_lost");
    if let Err(why) = on_a_small_disk(24, test, fill) {
        say(&format!("skipped: {why}"));
    }
}

fn fill(folder: &Path) {
    let (live, ballast) = (folder.join("live"), folder.join("ballast"));
    fs::write(&ballast, vec![0; 6 * 1024 * 1024]).unwrap();
    let shelf = Shelf::create(&live, &mark(0)).unwrap().shelf;
    let writes = (1..).map(|to| (to, shelf.checkpoint(&mark(to), &mut checkpoint(to), &mut |_| true)));
    let (failed, error) = { writes }.find(|(_, written)| written.is_err()).unwrap();
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{error}");
    assert!(failed > 3, "checkpoint {failed}");

    let closed = shelf.checkpoint(&mark(failed), &mut checkpoint(failed), &mut |_| true).unwrap_err();
    assert!(matches!(&closed, Error::Closed { cause } if *cause == error.to_string()), "{closed}");
    assert!(matches!(shelf.get(b"a"), Err(Error::Closed { .. })));
    assert!(matches!(shelf.scan(b"a", b"b", &mut |_, _| true), Err(Error::Closed { .. })));
    drop(shelf);
    let still_full = Shelf::open(&live, STORE, Check::Mark).err().unwrap();
    assert!(matches!(&still_full, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{still_full}");

    fs::remove_file(ballast).unwrap();
    let opened = Shelf::open(&live, STORE, Check::Rows).unwrap();
    assert!(opened.mark.to.0 >= failed - 1);
    for (key, value) in (1..failed).flat_map(checkpoint) {
        assert!(opened.shelf.get(&key).unwrap() == value, "{key:?}");
    }
    opened.shelf.checkpoint(&mark(failed), &mut checkpoint(failed), &mut |_| true).unwrap();
}

/// Rows of their own for each checkpoint.
fn checkpoint(to: u64) -> impl Iterator<Item = Change> {
    (0..1000).map(move |number| (Bytes::from(format!("{to} {number}")), Some(filled(600, 1))))
}
