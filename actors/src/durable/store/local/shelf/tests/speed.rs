//! Figures, for whoever asks: `cargo test -p headframe-actors --lib figures_of_a_shelf -- --ignored --nocapture`.

use std::path::Path;

use super::{Change, Check, STORE, Shelf, filled, key, mark, say};
use crate::{clock::monotonic, durable::store::rows::Rows};

const ROWS: u64 = 1_000_000;
const EACH: u64 = 20_000;

#[test]
#[ignore = "writes a gigabyte"]
fn figures_of_a_shelf_with_a_million_rows() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    let shelf = Shelf::create(&live, &mark(0)).unwrap().shelf;
    let new = timed(|| (0..ROWS / EACH).for_each(|to| checkpoint(&shelf, to, to * EACH, 1)));
    figure("new rows/s", ROWS as f64 / new);
    let again = timed(|| (0..10).for_each(|to| checkpoint(&shelf, 100 + to, to * EACH * 5, 2)));
    figure("replaced rows/s", (10 * EACH) as f64 / again);
    figure("bytes a row on disk", shelf.stats().disk_bytes as f64 / ROWS as f64);
    let reads =
        timed(|| (0..100_000).for_each(|number| assert!(shelf.get(&key(number * 7919 % ROWS)).unwrap().is_some())));
    figure("reads/s", 100_000.0 / reads);
    assert_eq!(shelf.stats().rows, ROWS);
    figure("seconds to close", timed(|| drop(shelf)));
    figure("seconds to open", timed(|| open(&live, Check::Mark)));
    figure("seconds to open and count", timed(|| open(&live, Check::Rows)));
}

fn open(folder: &Path, check: Check) {
    assert_eq!(Shelf::open(folder, STORE, check).unwrap().shelf.stats().rows, ROWS);
}

fn checkpoint(shelf: &Shelf, to: u64, from: u64, seed: u8) {
    let change = |number| -> Change { (key(number), Some(filled(600, seed))) };
    shelf.checkpoint(&mark(to), &mut (from..from + EACH).map(change), &mut |_| true).unwrap();
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = monotonic();
    work();
    began.elapsed().as_secs_f64()
}

fn figure(what: &str, figure: f64) {
    say(&format!("{figure:>12.2} {what}"));
}
