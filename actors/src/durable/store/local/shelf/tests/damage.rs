//! Files that were damaged, each opened in a process of its own, because sled's threads may not survive it.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command, time::Duration};

use super::{Change, Check, Error, Opened, STORE, Shelf, filled, key, say, shelf, write};
use crate::durable::store::rows::{Mark, Rows};

const FOLDER: &str = "HEADFRAME_DAMAGED_FOLDER";
/// How many places of the large file are damaged, for whoever wants to know more.
const PLACES: &str = "HEADFRAME_DAMAGED_PLACES";
const CHECKPOINTS: u64 = 12;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_damaged_folder_is_refused_or_right() {
    if let Some(folder) = env::var_os(FOLDER) {
        return look_at(Path::new(&folder));
    }
    let (source, shelf) = shelf();
    for to in 1..=CHECKPOINTS {
        write(&shelf, to, checkpoint(to));
    }
    drop(shelf);
    let source = source.path().join("live");
    let mut outcomes = BTreeMap::<String, u32>::new();
    for harm in harms(&source) {
        *outcomes.entry(outcome(&source, &harm)).or_default() += 1;
    }
    say(&format!("damaged folders: {outcomes:?}"));
    assert!(outcomes["refused"] >= 10, "{outcomes:?}");
}

/// What is done to which file.
#[derive(Debug)]
enum Harm {
    Remove(String),
    Cut(String, usize),
    Flip(String, usize, u8),
}

fn harms(folder: &Path) -> Vec<Harm> {
    let mut harms = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let (name, len) =
            (entry.file_name().into_string().unwrap(), usize::try_from(entry.metadata().unwrap().len()).unwrap());
        let places = if name == "db" { env::var(PLACES).map_or(30, |places| places.parse().unwrap()) } else { 4 };
        harms.push(Harm::Remove(name.clone()));
        harms.extend((0..places / 3).map(|part| Harm::Cut(name.clone(), len * part / (places / 3))));
        // A place in each stretch, and another bit each time.
        harms.extend(
            (0..places).map(|part| {
                Harm::Flip(name.clone(), len * part / places + part * 7919 % (len / places), 1 << (part % 8))
            }),
        );
    }
    harms
}

fn outcome(source: &Path, harm: &Harm) -> String {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    fs::create_dir_all(live.join("blobs")).unwrap();
    for entry in fs::read_dir(source).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), live.join(entry.file_name())).unwrap();
    }
    apply(&live, harm);
    let test = concat!(module_path!(), "::a_damaged_folder_is_refused_or_right");
    let name = test.split_once("::").unwrap().1;
    let child =
        Command::new(env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(FOLDER, &live).output();
    let child = child.unwrap();
    assert!(child.status.success(), "{harm:?}: {}", String::from_utf8_lossy(&child.stderr));
    fs::read_to_string(live.join("outcome")).unwrap_or_else(|error| panic!("{harm:?} left no outcome: {error}"))
}

fn apply(folder: &Path, harm: &Harm) {
    match harm {
        Harm::Remove(name) => fs::remove_file(folder.join(name)).unwrap(),
        Harm::Cut(name, len) => {
            let file = fs::OpenOptions::new().write(true).open(folder.join(name)).unwrap();
            file.set_len(*len as u64).unwrap();
        }
        Harm::Flip(name, at, bit) => {
            let mut bytes = fs::read(folder.join(name)).unwrap();
            bytes[*at] ^= bit;
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

/// In a process of its own: no read gives what was never written, rows that pass the check are those of their mark, and a
/// checkpoint ends, one way or the other.
fn look_at(folder: &Path) {
    let outcome = match Shelf::open_within(PATIENCE, folder, STORE, Check::Mark) {
        Err(Error::Unusable { .. }) => "refused",
        Err(error) => panic!("{error}"),
        Ok(Opened { shelf, mark, .. }) => {
            reads_are_of_what_was_written(&shelf);
            let outcome = match shelf.verify() {
                Ok(()) => as_marked(&shelf, &mark),
                Err(error) if error.to_string().contains("others are there") => "missed when counted",
                Err(_) => "cannot be read",
            };
            let written = shelf.checkpoint(&mark, &mut checkpoint(CHECKPOINTS), &mut |_| true);
            assert!(!matches!(written, Err(Error::Stopped | Error::Misuse { .. } | Error::Io { .. })), "{written:?}");
            outcome
        }
    };
    fs::write(folder.join("outcome"), outcome).unwrap();
}

fn reads_are_of_what_was_written(shelf: &Shelf) {
    let written: Vec<BTreeMap<_, _>> = (1..=CHECKPOINTS).map(|to| checkpoint(to).collect()).collect();
    for number in 0..ROWS {
        if let Ok(Some(value)) = shelf.get(&key(number)) {
            assert!(
                written.iter().any(|changes| changes.get(&key(number)) == Some(&Some(value.clone()))),
                "row {number}"
            );
        }
    }
}

/// An unfinished checkpoint is where sled went back to: each row is then as it was before or after it.
fn as_marked(shelf: &Shelf, mark: &Mark) -> &'static str {
    let [before, after] =
        [mark.to.0 - 1, mark.to.0].map(|to| (1..=to).flat_map(checkpoint).collect::<BTreeMap<_, _>>());
    for number in 0..ROWS {
        let row = shelf.get(&key(number)).unwrap();
        let is_after = row.as_ref() == after.get(&key(number)).and_then(Option::as_ref);
        let is_before = row.as_ref() == before.get(&key(number)).and_then(Option::as_ref);
        assert!(is_after || (is_before && !mark.reached), "row {number} is not what {mark:?} says");
    }
    if mark.reached { "right" } else { "right, of an unfinished checkpoint" }
}

const ROWS: u64 = 1200;

/// A third of all rows each time, some of them gone, a few of them long.
fn checkpoint(to: u64) -> impl Iterator<Item = Change> {
    (0..ROWS).filter(move |number| (number * 7 + to).is_multiple_of(3)).map(move |number| {
        let len = if number % 50 == 0 { 20_000 } else { 600 };
        let seed = u8::try_from((number + to) % 256).unwrap();
        (key(number), (!(number + to).is_multiple_of(11)).then(|| filled(len, seed)))
    })
}
