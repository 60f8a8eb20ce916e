//! Folders as a crash leaves them.

use std::{fs, path::Path};

use super::{Check, Error, STORE, Shelf, filled, key, mark, open, shelf, write};
use crate::durable::store::rows::Rows;

#[test]
fn a_creation_that_was_cut_short_is_done_again() {
    for (step, leave) in steps() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live");
        leave(&folder.path().join("live.new"));
        assert!(matches!(open(folder.path()), Err(Error::Unusable { .. })), "{step}");
        let created = Shelf::create(&live, &mark(3)).unwrap();
        assert_eq!(created.mark, mark(3), "{step}");
        write(&created.shelf, 4, [(key(1), Some(filled(9, 9)))]);
        drop(created);
        Shelf::open(&live, STORE, Check::Rows).unwrap();
        assert!(!folder.path().join("live.new").exists(), "{step}");
    }
}

#[test]
fn a_folder_that_is_not_whole_is_put_aside_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    for (step, leave) in steps().into_iter().filter(|(step, _)| !["nothing", "whole"].contains(step)) {
        leave(&live);
        assert!(matches!(open(folder.path()), Err(Error::Unusable { .. })), "{step}");
        assert_eq!(Shelf::aside(&live).unwrap(), folder.path().join("live.bad-1"), "{step}");
        drop(Shelf::create(&live, &mark(0)).unwrap());
        fs::remove_dir_all(&live).unwrap();
    }
    let kept = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(kept, 2, "two folders are kept");
}

#[test]
fn a_creation_does_not_overwrite() {
    let (folder, shelf) = shelf();
    drop(shelf);
    assert!(matches!(Shelf::create(&folder.path().join("live"), &mark(0)), Err(Error::Misuse { .. })));
}

#[test]
fn a_snapshot_that_was_being_made_is_moved_aside() {
    let (folder, shelf) = shelf();
    write(&shelf, 1, [(key(1), Some(filled(600, 1)))]);
    drop(shelf);
    for left in [&b""[..], &[7; 5], &[7; 5000]] {
        fs::write(folder.path().join("live/snap.FFFFFFFFFFFFFFFF.generating"), left).unwrap();
        let opened = open(folder.path()).unwrap();
        assert_eq!(opened.mended.len(), 1, "{:?}", opened.mended);
        assert_eq!(opened.shelf.get(&key(1)).unwrap(), Some(filled(600, 1)));
    }
    assert_eq!(open(folder.path()).unwrap().mended, Vec::<String>::new());
}

type Leave = fn(&Path);

/// The states that sled's first creation goes through.
fn steps() -> [(&'static str, Leave); 7] {
    [
        ("nothing", |_| ()),
        ("an empty folder", |at| fs::create_dir(at).unwrap()),
        ("an empty conf", |at| partly(at, b"", None)),
        ("half a conf", |at| partly(at, b"segment_size: 5242", None)),
        ("a conf without checksum", |at| {
            partly(at, b"segment_size: 524288\nuse_compression: false\nversion: 0.34\n", None)
        }),
        ("an empty db", |at| partly(at, &whole("conf"), Some(b""))),
        ("whole", |at| partly(at, &whole("conf"), Some(&whole("db")))),
    ]
}

fn partly(folder: &Path, conf: &[u8], db: Option<&[u8]>) {
    fs::create_dir_all(folder.join("blobs")).unwrap();
    fs::write(folder.join("conf"), conf).unwrap();
    if let Some(db) = db {
        fs::write(folder.join("db"), db).unwrap();
    }
}

fn whole(file: &str) -> Vec<u8> {
    let (folder, shelf) = shelf();
    drop(shelf);
    fs::read(folder.path().join("live").join(file)).unwrap()
}
