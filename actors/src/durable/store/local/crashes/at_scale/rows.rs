//! What sled leaves may be anything: journal and bases build the rows again, or go on from those that fit.

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;

use super::super::{
    super::{Local, LocalOptions, Tuning, format, shelf::Shelf},
    Life, Tale,
};
use crate::durable::{
    codec,
    id::Sequence,
    journal::{disk::RealDisk, sim::SimDisk, survey::Survey},
    live::Live,
    record::{FORMAT, Record},
    store::rows::{Mark, Rows as _},
};

/// The store opens with whatever rows there are, tells the truth, goes on, and opens again.
pub(super) fn rebuilt(image: &SimDisk, tale: &Tale, acknowledged: u64, seed: u64, scene: &dyn Fn() -> String) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    fs::create_dir_all(&folder).unwrap();
    image.write_out(Path::new("data"), &folder);
    format::write(&RealDisk, &folder).unwrap();
    // It is made durable before rows are touched.
    fs::write(folder.join("open"), "").unwrap();
    let survey = Survey::take(&RealDisk, &folder).unwrap_or_else(|error| panic!("{error}: {}", scene()));
    leave(&folder.join("live"), tale, survey.store().unwrap_or(7), seed);
    let scene = || format!("rows {}: {}", seed % 8, scene());
    for life in 0..2 {
        let mut life_on = open(&folder).unwrap_or_else(|error| panic!("{error}: life {life}, {}", scene()));
        life_on.examine(tale, acknowledged, &scene);
        let mut told = acknowledged;
        let to = life_on.last.0 + 2;
        life_on.tell(tale, to, &mut told).unwrap_or_else(|error| panic!("{error}: {}", scene()));
        crate::durable::store::Store::release(&*life_on.local);
    }
}

fn open(folder: &Path) -> Result<Life, crate::durable::store::Error> {
    let options = LocalOptions { segment_bytes: 12 * 1024, ..LocalOptions::default() };
    let tuning = Tuning { background: false, ..Tuning::default() };
    let local = Arc::new(Local::open_on(Arc::new(RealDisk), folder, options, tuning)?);
    let (live, recovered) = Live::fold(&*local)?;
    Ok(Life::new(local, live, recovered.fence, recovered.durable))
}

/// What sled leaves behind.
fn leave(live: &Path, tale: &Tale, store: u64, seed: u64) {
    let at = seed / 8 % 60 + 1;
    match seed % 8 {
        0 => {}
        1 => make(live, tale, store, at, true),
        2 => make(live, tale, store, at, false),
        3 => {
            make(live, tale, store, at, true);
            fs::write(live.join("db"), [0xA5; 9_000]).unwrap();
        }
        4 => {
            make(live, tale, store, at, true);
            let mut bytes = fs::read(live.join("db")).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default() as u64 + 1;
            let place = usize::try_from(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % used).unwrap();
            bytes[place] ^= 0x10;
            fs::write(live.join("db"), bytes).unwrap();
        }
        5 => fs::write(live, "a file").unwrap(),
        6 => {
            make(live, tale, store, at, true);
            fs::write(live.join("db"), "").unwrap();
        }
        // Of another store.
        _ => make(live, tale, store ^ 1, at, true),
    }
}

/// Rows as of a record; or as of one before it, and half of a checkpoint that was to bring them there.
fn make(folder: &Path, tale: &Tale, store: u64, at: u64, whole: bool) {
    let empty = Mark { store, from: Sequence(0), to: Sequence(0), reached: true, meta: Bytes::new() };
    let shelf = Shelf::create(folder, &empty).unwrap().shelf;
    let first = if whole { at } else { at.div_ceil(2) };
    let (changes, meta) = rows_at(tale, first);
    let mark = Mark { from: Sequence(first), to: Sequence(first), meta, ..empty };
    shelf.write(Sequence(0), &mark, &mut changes.into_iter(), &mut |_| true).unwrap();
    if !whole {
        let (changes, meta) = rows_at(tale, at);
        let (begun, half) = (Mark { to: Sequence(at), meta, ..mark }.begun(Sequence(first)), changes.len() / 2);
        shelf.write(Sequence(first), &begun, &mut changes.into_iter().take(half), &mut |_| true).unwrap();
    }
}

fn rows_at(tale: &Tale, at: u64) -> (Vec<(Bytes, Option<Bytes>)>, Bytes) {
    let mut live = Live::over(None, &Bytes::new()).unwrap();
    for sequence in 1..=at {
        let record: Record = codec::open(FORMAT, tale.payload(sequence)).unwrap();
        live.advance(None, Sequence(sequence), &record).unwrap();
    }
    let mut capture = live.begin_capture();
    while live.capture(&mut capture, usize::MAX / 2) {}
    (capture.changes.into_iter().collect(), live.meta())
}
