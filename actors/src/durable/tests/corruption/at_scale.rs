//! Many damages, evenly over kinds of files, ways and places.
//!
//! A failure prints a line that replays it. `HEADFRAME_DAMAGE_SEED` chooses other bits and files.

use std::{
    collections::{BTreeMap, VecDeque},
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use serde_json::json;

use super::{
    super::killed::Killed,
    harm::{KINDS, TEMPLATES, WAYS},
    *,
};
use crate::{
    clock, replay,
    scale::{Scale, note},
};

/// What `HEADFRAME_REPLAY` calls a case of this.
const DAMAGE: &str = "damage";
const SEED: &str = "HEADFRAME_DAMAGE_SEED";
/// A store that has not opened after so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_damage_to_any_file_is_silent() {
    examine_all("corruption", Scale::chosen().pick(120, 1_400, 14_000), |_| true);
}

/// sled writes as it likes, and syncs when it likes: what is there after a crash may be of any moment, or of several.
#[test]
fn no_state_of_sled_s_files_does_any_harm() {
    if replay::asked(DAMAGE).is_none() {
        examine_all("states of sled's files", Scale::chosen().pick(60, 2_000, 40_000), |case| case.kind.is_of_sled());
    }
}

fn examine_all(suite: &str, most: usize, which: fn(&Case) -> bool) {
    let began = clock::monotonic();
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().expect("a number"));
    let place = place();
    templates(place.path());
    let cases = match replay::asked(DAMAGE) {
        Some(told) => vec![Case::parse(&told)],
        None => chosen(place.path(), most, seed, which),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let told = thread::scope(|scope| {
        let run = |core: usize| {
            let cases: VecDeque<_> = cases.iter().skip(core).step_by(cores).copied().collect();
            let folder = place.path().join(format!("core-{core}"));
            for part in TEMPLATES.iter().chain(&[harm::MOMENTS_IN]) {
                copy_all(&place.path().join(part), &folder.join(part));
            }
            open_all(&folder, cases)
        };
        let runs: Vec<_> = (0..cores).map(|core| scope.spawn(move || run(core))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    let silent: Vec<_> = told.iter().filter_map(failure).collect();
    assert!(silent.is_empty(), "{} of {} damages:\n{}", silent.len(), told.len(), silent.join("\n"));
    assert_eq!(told.len(), cases.len());
    report(suite, &told, seed, began);
}

/// What a case did wrong, and the line that replays it.
fn failure(told: &Told) -> Option<String> {
    let Told { case, outcome: Err(why), says } = told else { return None };
    let Case { kind, way, template, .. } = Case::parse(case);
    let store = TEMPLATES[template];
    let line = replay::line(DAMAGE, case);
    let replay = format!("{line} cargo test -p headframe-actors --lib corruption::at_scale::no_damage");
    Some(format!("{store}, {}, {}: {why}; it said: {says}\n{replay}", kind.name(), way.name()))
}

fn report(suite: &str, told: &[Told], seed: u64, began: Instant) {
    let mut outcomes: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for told in told {
        let outcome = told.outcome.as_ref().map(|outcome| match outcome {
            Outcome::Unharmed => "unharmed",
            Outcome::Rebuilt => "rebuilt",
            Outcome::Refused => "refused by name",
            Outcome::Cut => "cut tail reported",
        });
        let Case { kind, way, .. } = Case::parse(&told.case);
        let row = format!("{}, {}", kind.name(), way.name());
        *outcomes.entry(outcome.unwrap_or("silent")).or_default().entry(row).or_default() += 1;
    }
    let totals: BTreeMap<_, u64> = outcomes.iter().map(|(outcome, rows)| (*outcome, rows.values().sum())).collect();
    note(
        suite,
        &[
            ("cases", json!(told.len())),
            ("strata", json!(Case::STRATA)),
            ("silent", json!(0)),
            ("outcomes", json!(totals)),
            ("by file and damage", json!(outcomes)),
            ("seed", json!(seed)),
            ("seconds", json!(began.elapsed().as_secs())),
        ],
    );
}

/// Memory, where there is a folder in it: what is measured here is no disk.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The stores that are damaged.
fn templates(place: &Path) {
    let first = Killed::new();
    let killed = first.later();
    copy_all(&killed.path(""), &place.join("killed"));
    let rested = killed.copy();
    open(&rested.path("")).unwrap().store.release();
    copy_all(&rested.path(""), &place.join("rested"));
    for (moment, of) in harm::MOMENTS.into_iter().zip([&first, &killed, &rested]) {
        copy_all(&of.path("live"), &place.join(harm::MOMENTS_IN).join(moment));
    }
}

fn chosen(place: &Path, most: usize, seed: u64, which: fn(&Case) -> bool) -> Vec<Case> {
    // A step that has no divisor with the number of strata meets each of them before any comes again.
    let numbered = (0..)
        .map(|number: u64| Case::numbered(number * 1_009 % Case::STRATA + number / Case::STRATA * Case::STRATA, seed));
    numbered.filter(which).filter(|case| case.applies(&place.join(TEMPLATES[case.template]))).take(most).collect()
}

/// Have every case opened by a child; where a child ends or hangs, the next goes on behind the case it was at.
fn open_all(folder: &Path, mut cases: VecDeque<Case>) -> Vec<Told> {
    let mut all = Vec::new();
    while !cases.is_empty() {
        let list: Vec<_> = cases.iter().map(ToString::to_string).collect();
        fs::write(folder.join("cases"), list.join("\n")).unwrap();
        let _ = fs::remove_file(folder.join("told"));
        let ended = watch(child(folder), &folder.join("told"));
        let told = fs::read_to_string(folder.join("told")).unwrap_or_default();
        let told: Vec<Told> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        cases.drain(..told.len());
        all.extend(told);
        if let Some(case) = cases.pop_front() {
            all.push(Told { case: case.to_string(), outcome: Err(ended), says: String::new() });
        }
    }
    all
}

fn child(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "durable::tests::corruption::opening", "--nocapture"]);
    command.env(FOLDER, folder).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Wait for a child that goes on; how it ended, if it was not in order.
fn watch(mut child: Child, told: &Path) -> String {
    let len = || fs::metadata(told).map_or(0, |told| told.len());
    let (mut last, mut since) = (len(), clock::monotonic());
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return format!("it ended the process: {status}");
        }
        if len() != last {
            (last, since) = (len(), clock::monotonic());
        } else if since.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return "it never came back".to_owned();
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_damage_is_told_and_read_again() {
    let strata: std::collections::BTreeSet<_> = (0..Case::STRATA)
        .map(|number| {
            let case = Case::numbered(number, 1);
            assert_eq!(Case::parse(&case.to_string()), case);
            (case.template, case.kind, case.way, case.place)
        })
        .collect();
    assert_eq!(strata.len() as u64, Case::STRATA);
    assert_eq!(KINDS.len() * WAYS.len() * harm::PLACES * TEMPLATES.len(), strata.len());
}
