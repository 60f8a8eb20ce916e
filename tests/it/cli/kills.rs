//! The main job, killed again and again.

use std::{collections::HashMap, fs, path::Path};

use serde_json::Value;

use super::{
    AUDIT,
    place::{Place, code, lines, stderr, stdout},
};

const FILES: usize = 300;

/// How far the job may go in each of its lives: so many records, or so many lines that it said.
const LIVES: [(u64, usize); 10] = [(1, 0), (0, 1), (2, 0), (0, 2), (5, 0), (0, 3), (13, 0), (34, 0), (21, 0), (8, 0)];

#[test]
fn main_job_survives_ten_kills() {
    let place = Place::new();
    place.tree(FILES);
    for (life, (records, said)) in LIVES.into_iter().enumerate() {
        let from = place.records();
        let mut child = place.start(&["run", AUDIT, "-i", "path=tree", "--resume"]);
        let soon = || place.records() < from + records || place.read("stderr").lines().count() < said;
        assert!(place.wait_while(&mut child, soon), "life {life} ended by itself: {}", place.read("stderr"));
        child.kill().unwrap();
        child.wait().unwrap();
        place.is_clean();
    }
    finishes(&place);
}

#[test]
fn a_record_torn_by_a_crash_is_told_and_its_run_is_finished() {
    let place = Place::new();
    place.tree(FILES);
    let mut child = place.start(&["run", AUDIT, "-i", "path=tree"]);
    assert!(place.wait_while(&mut child, || place.records() < 5));
    // `HEAD` may lag: this is what a power cut leaves of it.
    let head = fs::read(place.path(".headframe/HEAD")).unwrap();
    let from = place.records();
    assert!(place.wait_while(&mut child, || place.records() < from + 20));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(place.path(".headframe/HEAD"), head).unwrap();
    let before = place.records();
    tear_last(place.segments().last().unwrap());
    place.is_clean();
    assert_eq!(place.records(), before - 1);
    let told = finishes(&place);
    assert!(told.contains("mended") && told.contains("was torn"), "{told}");
}

/// Finish the job, and see that it lost nothing and did nothing twice. Gives what it said.
fn finishes(place: &Place) -> String {
    let told = place.run(&["run", AUDIT, "-i", "path=tree", "--resume"]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    assert!(stdout(&told).contains("300 files, 300 lines, 1090 bytes"), "{}", stdout(&told));
    let runs = lines(&place.run(&["runs", "list", "-o", "jsonl"]));
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &"succeeded".into()), "{runs:?}");
    once_each(&lines(&place.run(&["ledger", "export", "last"])));
    place.is_clean();
    stderr(&told)
}

/// Every unit was started once, and has one recorded result.
fn once_each(ledger: &[Value]) {
    let events =
        |name: &'static str| ledger.iter().filter_map(move |item| Some((item, item["what"]["event"].get(name)?)));
    let mut actors = HashMap::new();
    for (item, started) in events("Started").filter(|(item, _)| item["kind"] == "phase") {
        for unit in started.as_array().unwrap() {
            let named = format!("{} {}", item["actor"], unit[0]);
            assert!(actors.insert(named.clone(), unit[1].to_string()).is_none(), "{named} was started twice");
        }
    }
    let mut results = HashMap::new();
    for (_, done) in events("Done").filter(|(item, _)| item["kind"] == "phase") {
        *results.entry(done["actor"].to_string()).or_insert(0) += 1;
    }
    assert_eq!(actors.len(), FILES * 3 + 4, "a unit is missing");
    for (unit, actor) in &actors {
        assert_eq!(results.get(actor), Some(&1), "results of {unit}");
    }
    assert_eq!(results.len(), actors.len(), "a result of nobody's");
}

/// Cut a segment in the middle of its last record, whose layout is `docs/PROTOCOL.md`'s.
pub(super) fn tear_last(segment: &Path) {
    const PAGE: usize = 4096;
    const OVERHEAD: usize = 28;
    let mut bytes = fs::read(segment).unwrap();
    let id = bytes[PAGE..PAGE + 8].to_vec();
    let (mut at, mut next) = (PAGE, PAGE);
    while bytes.get(next..next + 8).is_some_and(|is| is == id) {
        at = next;
        next += OVERHEAD + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    bytes.truncate(at + (next - at) / 2);
    fs::write(segment, bytes).unwrap();
}
